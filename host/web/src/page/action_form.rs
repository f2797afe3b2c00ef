//! Forms for actions, from the JSON Schemas of their arguments.

use relation_host::reports::Action;
use relation_host::types::FieldError;
use serde_json::{Map, Value};

use super::form::{CheckBox, Control, FormField, Posted, set_errors};
use super::texts::Language;

/// Builds the fields of an action's form.
pub(crate) fn action_fields(
    action: &Action,
    posted: &Posted,
    errors: &[FieldError],
    language: Language,
) -> Vec<FormField> {
    let schema = &action.arguments_schema;
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut fields: Vec<FormField> = properties
        .into_iter()
        .flatten()
        // The page sets the time of a request itself.
        .filter(|(_, property)| property.get("type") != Some(&"integer".into()))
        .map(|(name, property)| {
            let mut field = argument_field(name, property, posted, language);
            field.required = required.contains(&name.as_str());
            field
        })
        .collect();
    // The schema's properties have no order: required arguments come first.
    fields.sort_by_key(|field| !field.required);
    set_errors(&mut fields, errors);
    fields
}

/// Returns a name as words: `Address line1` for `address_line1`.
pub(crate) fn humanize(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => words,
    }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = value.and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str)
}

fn argument_field(name: &str, property: &Value, posted: &Posted, language: Language) -> FormField {
    let help = property
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut field = FormField::new(name, humanize(name), help.to_owned());
    let sent = posted.get(name).unwrap_or_default();
    let kind = property
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let items = property.get("items");
    let choice = |value: &str, chosen: bool| (value.to_owned(), value.to_owned(), chosen);
    field.control = match kind {
        "boolean" if property.get("default").is_some() => Control::Check(sent == "true"),
        "boolean" => Control::Choice(vec![
            (
                String::new(),
                language.text("form.unchanged"),
                sent.is_empty(),
            ),
            ("true".to_owned(), language.text("form.yes"), sent == "true"),
            (
                "false".to_owned(),
                language.text("form.no"),
                sent == "false",
            ),
        ]),
        "string" if property.get("enum").is_some() => {
            let default = property.get("default").and_then(Value::as_str);
            let chosen = if sent.is_empty() {
                default.unwrap_or_default()
            } else {
                sent
            };
            let none = default.is_none();
            let none = none.then(|| {
                (
                    String::new(),
                    language.text("form.no-choice"),
                    chosen.is_empty(),
                )
            });
            let choices = texts(property.get("enum")).map(|value| choice(value, value == chosen));
            Control::Choice(none.into_iter().chain(choices).collect())
        }
        "array" => match items.and_then(|items| items.get("enum")) {
            Some(values) => {
                let chosen: Vec<&str> = posted.all(name).collect();
                let boxes = texts(Some(values)).map(|value| {
                    let (value, label, is_on) = choice(value, chosen.contains(&value));
                    CheckBox {
                        value,
                        label,
                        is_on,
                        is_fixed: false,
                    }
                });
                Control::Checks(boxes.collect())
            }
            None => Control::Area,
        },
        _ => Control::Input("text"),
    };
    if is_objects(property) {
        field.help = format!("{} {}", field.help, language.text("form.json"));
    } else if field.control == Control::Area {
        field.help = format!("{} {}", field.help, language.text("form.lines"));
    }
    field.value = sent.to_owned();
    field
}

fn is_objects(property: &Value) -> bool {
    property.get("items").and_then(|items| items.get("type")) == Some(&"object".into())
}

/// Reads the arguments of an action from a sent form. An empty control is an argument that is not given.
///
/// # Errors
/// The names of arguments that are not JSON.
pub(crate) fn read_arguments(
    action: &Action,
    posted: &Posted,
) -> Result<Map<String, Value>, Vec<FieldError>> {
    let mut arguments = Map::new();
    let mut errors = Vec::new();
    let properties = action
        .arguments_schema
        .get("properties")
        .and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let sent = posted.get(name).unwrap_or_default().trim();
        let kind = property
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let value = match kind {
            _ if sent.is_empty() => None,
            "integer" => None,
            "boolean" => Some(Value::Bool(sent == "true")),
            "array" if is_objects(property) => match serde_json::from_str(sent) {
                Ok(value) => Some(value),
                Err(error) => {
                    let message = format!("is not JSON: {error}");
                    errors.push(FieldError {
                        field: name.clone(),
                        message,
                    });
                    None
                }
            },
            "array" => {
                let lines = posted.all(name).flat_map(str::lines).map(str::trim);
                Some(lines.filter(|line| !line.is_empty()).collect())
            }
            _ => Some(sent.into()),
        };
        if let Some(value) = value {
            arguments.insert(name.clone(), value);
        }
    }
    match errors.is_empty() {
        true => Ok(arguments),
        false => Err(errors),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action() -> Action {
        Action {
            name: "ModifyWholesaleCustomer".to_owned(),
            title: "Modify Wholesale Customer".to_owned(),
            help: String::new(),
            arguments_schema: json!({
                "required": ["customer"],
                "properties": {
                    "add_packages": {"type": "array", "items": {"type": "string", "enum": ["webex_calling", "webex_voice"]}},
                    "customer": {"type": "string", "description": "The customer."},
                    "filter": {"type": "array", "items": {"type": "object"}},
                    "flag": {"type": "boolean", "default": false},
                    "grant": {"type": "string", "enum": ["organization", "users"], "default": "organization"},
                    "maybe": {"type": "boolean"},
                    "models": {"type": "array", "items": {"type": "string"}},
                    "requested_at": {"type": "integer"},
                },
            }),
            result_schema: json!({}),
        }
    }

    fn posted(pairs: &[(&str, &str)]) -> Posted {
        let pairs = pairs.iter();
        Posted(
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn every_kind_of_argument_has_its_control() {
        let sent = posted(&[("customer", "acme"), ("add_packages", "webex_voice")]);
        let fields = action_fields(&action(), &sent, &[], Language::English);
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "customer",
                "add_packages",
                "filter",
                "flag",
                "grant",
                "maybe",
                "models"
            ]
        );
        assert_eq!(
            (fields[0].label.as_str(), fields[0].value.as_str()),
            ("Customer", "acme")
        );
        let checks = fields[1].checks().unwrap();
        assert_eq!(
            checks.iter().map(|each| each.is_on).collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(fields[3].flag(), Some(false));
        assert!(fields[4].choices().unwrap()[0].2);
        assert_eq!(fields[5].choices().unwrap().len(), 3);
        assert!(fields[6].is_area());
    }

    #[test]
    fn arguments_have_the_types_of_their_schema() {
        let sent = posted(&[
            ("customer", " acme "),
            ("add_packages", "webex_calling"),
            ("add_packages", "webex_voice"),
            ("models", "device/spark/User\r\n\r\ndevice/spark/Role"),
            ("maybe", "false"),
            ("filter", "[{\"a\": 1}]"),
            ("unknown", "x"),
        ]);
        let arguments = read_arguments(&action(), &sent).unwrap();
        assert_eq!(
            Value::Object(arguments),
            json!({
                "customer": "acme", "add_packages": ["webex_calling", "webex_voice"], "maybe": false,
                "models": ["device/spark/User", "device/spark/Role"], "filter": [{"a": 1}],
            })
        );
        let errors = read_arguments(&action(), &posted(&[("filter", "[")])).unwrap_err();
        assert_eq!(errors[0].field, "filter");
    }
}
