//! Changes of single fields: `FIELD=VALUE`, `FIELD+=VALUE` and `FIELD-=VALUE`.

use std::ffi::OsString;

use relation_app::AppError;
use relation_host::types::FieldError;
use relation_web::find_repeated_members;
use serde_json::{Map, Value, json};

use crate::secrets::SecretSource;

/// The fields that are lists.
const LISTS: [&str; 3] = ["thresholds", "recipients", "kinds"];
/// The word for a field that the levels above decide.
const INHERIT: &str = "inherit";

/// The settings of a command line.
#[derive(Debug, PartialEq, Eq)]
pub enum SettingsInput {
    /// All settings.
    File(SecretSource),
    /// Single fields.
    Fields(Vec<FieldChange>),
}

/// The change of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field, or the path of a member such as `channels.mail`.
    field: String,
    operator: Operator,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Set,
    Add,
    Remove,
}

/// Parses the arguments: changes of fields, or one file.
///
/// # Errors
/// An argument is neither, or a field is set twice.
pub fn parse_arguments(arguments: Vec<String>) -> Result<SettingsInput, AppError> {
    if let [argument] = arguments.as_slice()
        && parse_change(argument).is_none()
    {
        let source = SecretSource::from(OsString::from(argument));
        return Ok(SettingsInput::File(source));
    }
    let mut changes: Vec<FieldChange> = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        // The argument is not quoted: it may be a misplaced secret.
        let Some(change) = parse_change(argument) else {
            let number = index.saturating_add(1);
            let message = format!("argument {number} is not FIELD=VALUE");
            let hint = "a file with all settings, or -, is the only argument besides the options";
            return Err(AppError::usage(message).hint(hint));
        };
        let is_set = |other: &FieldChange| {
            other.field == change.field
                && (other.operator == Operator::Set || change.operator == Operator::Set)
        };
        if changes.iter().any(is_set) {
            let message = format!("the field {} is given twice", change.field);
            return Err(AppError::usage(message));
        }
        changes.push(change);
    }
    Ok(SettingsInput::Fields(changes))
}

fn parse_change(argument: &str) -> Option<FieldChange> {
    let (field, text) = argument.split_once('=')?;
    let (field, operator) = match (field.strip_suffix('+'), field.strip_suffix('-')) {
        (Some(field), _) => (field, Operator::Add),
        (_, Some(field)) => (field, Operator::Remove),
        (None, None) => (field, Operator::Set),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_field = !field.is_empty() && !field.starts_with('.') && field.chars().all(is_name);
    is_field.then(|| FieldChange {
        field: field.to_owned(),
        operator,
        text: text.to_owned(),
    })
}

/// Applies changes to settings in their JSON format. Returns the errors of changes that cannot be applied; the values are
/// checked when the settings are saved.
pub fn apply(settings: &mut Value, changes: &[FieldChange]) -> Vec<FieldError> {
    let applied = changes.iter().map(|change| change.apply(settings));
    applied.filter_map(Result::err).collect()
}

impl FieldChange {
    fn apply(&self, settings: &mut Value) -> Result<(), FieldError> {
        let repeated = find_repeated_members(&self.text);
        if !repeated.is_empty() {
            let names: Vec<&str> = repeated.iter().map(|error| error.field.as_str()).collect();
            let names = names.join(", ");
            return Err(self.error(format!("has members more than once: {names}")));
        }
        match self.operator {
            Operator::Set => {
                let value = match LISTS.contains(&self.field.as_str()) {
                    true if self.text != INHERIT => Value::from(self.parse_list()),
                    _ => parse_value(&self.text),
                };
                self.set(settings, value);
                Ok(())
            }
            Operator::Add => self.add(settings),
            Operator::Remove => self.remove(settings),
        }
    }

    /// Sets the field, or a member of its object.
    fn set(&self, settings: &mut Value, value: Value) {
        let mut place = settings;
        for name in self.field.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(members) = place else {
                return;
            };
            place = members.entry(name).or_insert(Value::Null);
        }
        *place = value;
    }

    /// Adds values to the node's own list, or to the inherited one.
    fn add(&self, settings: &mut Value) -> Result<(), FieldError> {
        let items = self.parse_list();
        let list = self.find_list(settings)?;
        match list.get_mut("values").and_then(Value::as_array_mut) {
            Some(values) => values.extend(items),
            None => *list = json!({ "mode": "add-to-inherited", "values": items }),
        }
        Ok(())
    }

    /// Removes values from the node's own list. A list that adds nothing any more is inherited.
    fn remove(&self, settings: &mut Value) -> Result<(), FieldError> {
        let list = self.find_list(settings)?;
        let values = list.get_mut("values").and_then(Value::as_array_mut);
        let mut nothing = Vec::new();
        let values = values.unwrap_or(&mut nothing);
        for text in self.text.split(',').map(str::trim) {
            match find_named(values, text).as_slice() {
                [] => {
                    let message = format!(
                        "the node's own list does not have {text:?}; values of levels above stay, unless the list \
                         replaces them"
                    );
                    return Err(self.error(message));
                }
                &[(index, _)] => {
                    values.remove(index);
                }
                several => {
                    let ids: Vec<&str> = several.iter().filter_map(|(_, id)| *id).collect();
                    let ids = ids.join(", ");
                    let message =
                        format!("has several with the name {text:?}; name one by its id: {ids}");
                    return Err(self.error(message));
                }
            }
        }
        let is_empty = values.is_empty();
        if is_empty && list.get("mode").is_some_and(|mode| mode != "replace") {
            *list = INHERIT.into();
        }
        Ok(())
    }

    fn find_list<'s>(&self, settings: &'s mut Value) -> Result<&'s mut Value, FieldError> {
        let is_list = LISTS.contains(&self.field.as_str());
        let found = settings.get_mut(&self.field).filter(|_| is_list);
        found.ok_or_else(|| {
            let lists = LISTS.join(", ");
            self.error(format!("is not a list; those are {lists}"))
        })
    }

    /// Parses JSON, or texts separated by commas. An empty text is an empty list.
    fn parse_list(&self) -> Vec<Value> {
        let text = self.text.trim();
        if text.starts_with(['[', '{']) {
            return match serde_json::from_str(text) {
                Ok(Value::Array(items)) => items,
                Ok(item) => vec![item],
                Err(_) => vec![text.into()],
            };
        }
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(parse_value)
            .collect()
    }

    fn error(&self, message: String) -> FieldError {
        FieldError {
            field: self.field.clone(),
            message,
        }
    }
}

/// Parses a value: JSON, or plain text.
fn parse_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Finds the values of a list by their text, or recipients by their id, or else by address or name. Returns the index and
/// the id of each.
fn find_named<'v>(values: &'v [Value], text: &str) -> Vec<(usize, Option<&'v str>)> {
    let id = |value: &'v Value| value.get("id").and_then(Value::as_str);
    let all = || values.iter().enumerate();
    let by_id = all().filter(|(_, value)| id(value) == Some(text));
    let mut found: Vec<_> = by_id.map(|(index, value)| (index, id(value))).collect();
    if found.is_empty() {
        let named = all().filter(|(_, value)| is_named(value, text));
        found.extend(named.map(|(index, value)| (index, id(value))));
    }
    found
}

/// Returns whether a value of a list is this text, or a recipient of this address, name or id.
fn is_named(value: &Value, text: &str) -> bool {
    let members = ["address", "name", "id"];
    let is_text = |value: &Value| {
        let value = value.as_str();
        value.is_some_and(|value| value.eq_ignore_ascii_case(text))
    };
    let mut members = members.iter().filter_map(|name| value.get(name));
    is_text(value) || members.any(is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(settings: &Value, arguments: &[&str]) -> (Value, Vec<FieldError>) {
        let arguments = arguments.iter().map(|each| (*each).to_owned()).collect();
        let Ok(SettingsInput::Fields(changes)) = parse_arguments(arguments) else {
            panic!("these are changes");
        };
        let mut settings = settings.clone();
        let errors = apply(&mut settings, &changes);
        (settings, errors)
    }

    #[track_caller]
    fn assert_changed(settings: &Value, arguments: &[&str], expected: &Value) {
        let (settings, errors) = changed(settings, arguments);
        assert_eq!((&settings, errors), (expected, Vec::new()));
    }

    #[test]
    fn values_are_json_or_text() {
        assert_changed(
            &json!({"language": "de", "notify": "inherit"}),
            &[
                "notify=no",
                "budget=3",
                "reminder=7d",
                "account_email=true",
                "digest={\"hour\": 7, \"zone\": \"UTC\"}",
                "quiet_hours.from=22:00",
                "quiet_hours.to=06:00",
                "channels.mail=false",
                "language=inherit",
            ],
            &json!({
                "notify": "no", "budget": 3, "reminder": "7d", "account_email": true, "language": "inherit",
                "digest": {"hour": 7, "zone": "UTC"}, "quiet_hours": {"from": "22:00", "to": "06:00"},
                "channels": {"mail": false},
            }),
        );
    }

    #[test]
    fn lists_are_replaced_extended_and_cut() {
        let inherited = json!({"thresholds": "inherit", "recipients": "inherit"});
        assert_changed(
            &inherited,
            &["thresholds=30d, 172800", "recipients="],
            &json!({"thresholds": ["30d", 172_800], "recipients": []}),
        );
        let webhook = json!({"type": "webhook", "name": "tickets", "url": "https://t.example/"});
        let added = json!({"mode": "add-to-inherited", "values": ["a@x.example", webhook]});
        let add = format!("recipients+={webhook}");
        assert_changed(
            &inherited,
            &["recipients+=a@x.example", &add],
            &json!({"thresholds": "inherit", "recipients": added}),
        );
        let mail = json!({"type": "mail", "address": "a@x.example"});
        let stored = json!({"recipients": {"mode": "add-to-inherited", "values": [mail, webhook]}});
        assert_changed(
            &stored,
            &["recipients-=A@x.example"],
            &json!({"recipients": {"mode": "add-to-inherited", "values": [webhook]}}),
        );
        let remove = ["recipients-=a@x.example,tickets"];
        assert_changed(&stored, &remove, &json!({"recipients": "inherit"}));
        let replaced = json!({"recipients": {"mode": "replace", "values": [mail]}});
        assert_changed(
            &replaced,
            &["recipients-=a@x.example"],
            &json!({"recipients": {"mode": "replace", "values": []}}),
        );
    }

    #[test]
    fn recipients_with_the_same_name_are_not_removed() {
        let hook = |id: &str, name: &str| json!({"type": "webhook", "id": id, "name": name});
        let (one, two, three) = (hook("one", "Chat"), hook("two", "chat"), hook("x", "two"));
        let list = |values: &[&Value]| json!({"recipients": {"mode": "replace", "values": values}});
        let all = list(&[&one, &two, &three]);
        let (settings, errors) = changed(&all, &["recipients-=chat"]);
        assert_eq!(settings, all);
        assert!(
            errors[0].message.ends_with("by its id: one, two"),
            "{errors:?}"
        );
        // An id comes before a name.
        assert_changed(&all, &["recipients-=two"], &list(&[&one, &three]));
    }

    #[test]
    fn errors_are_found_together() {
        let settings = json!({"recipients": "inherit", "budget": 3});
        let digest = "digest={\"hour\": 7, \"hour\": 8, \"zone\": \"UTC\"}";
        let arguments = ["budget+=1", "recipients-=x@x.example", "color+=red", digest];
        let (_, errors) = changed(&settings, &arguments);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["budget", "recipients", "color", "digest"]);
    }

    #[test]
    fn one_argument_may_be_a_file() {
        let parse = |arguments: &[&str]| {
            parse_arguments(arguments.iter().map(|each| (*each).to_owned()).collect())
        };
        let file = SecretSource::File("./a=b.json".into());
        assert_eq!(parse(&["-"]), Ok(SettingsInput::File(SecretSource::Stdin)));
        assert_eq!(parse(&["./a=b.json"]), Ok(SettingsInput::File(file)));
        assert!(parse(&["budget=1", "s3cret"]).is_err_and(|error| {
            !format!("{error:?}").contains("s3cret") && error.message.contains("argument 2")
        }));
        assert!(parse(&["budget=1", "budget=2"]).is_err());
        assert!(parse(&["kinds+=expired", "kinds+=expiring"]).is_ok());
    }
}
