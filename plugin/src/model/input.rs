//! The caller's input, checked field by field: name, access, kind, length and syntax.

use std::collections::BTreeMap;

use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};

use super::fields::{self, Choice, Field, FieldKind, SHADOW, Syntax};
use super::proxy::Proxy;
use super::{FieldErrors, RELATION};
use crate::names::find_hidden_character;
use crate::platform::Secret;
use crate::text::trim_text;
use crate::webex::ids::OrgId;
use crate::webex::token_response::find_token_error;

/// A bare address at a domain of the public DNS.
const PLAIN_EMAIL: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
};

/// The given fields, each checked on its own.
///
/// Text has no surrounding white space or byte order mark. A JSON `null` and an empty text both clear a
/// field and are stored here as `null`. A cleared token is absent, because tokens cannot be cleared.
#[derive(Debug, Default)]
pub struct Input {
    /// Values that can be stored in clear. Account numbers have their canonical form; given proxy
    /// strings are left out.
    pub(super) values: BTreeMap<&'static str, Value>,
    /// Tokens and their repetitions.
    pub(super) tokens: BTreeMap<&'static str, Secret>,
    /// The given proxies.
    pub(super) proxies: BTreeMap<&'static str, FieldUpdate<Proxy>>,
    /// Organizations from the account numbers.
    pub(super) organizations: BTreeMap<&'static str, FieldUpdate<OrgId>>,
}

/// An update of a field whose value is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldUpdate<T> {
    /// Removes the value.
    Clear,
    /// Sets this value.
    Set(T),
    /// Keeps the value, because the input repeats what the record showed.
    Keep,
}

impl Input {
    /// Parses one JSON object of fields. `shown` are the fields of the record to change: a proxy string
    /// without its password is accepted if it equals the shown one.
    pub fn parse(text: &str, shown: &Map<String, Value>, errors: &mut FieldErrors) -> Self {
        let mut input = Self::default();
        match serde_json::from_str(trim_text(text)) {
            Ok(Value::Object(given)) => {
                for (name, value) in given {
                    input.add_field(&name, value, shown, errors);
                }
            }
            Ok(_) => errors.add("fields", "must be one JSON object with the fields by name"),
            Err(error) => errors.add("fields", format!("is not JSON: {error}")),
        }
        input
    }

    fn add_field(
        &mut self,
        name: &str,
        value: Value,
        shown: &Map<String, Value>,
        errors: &mut FieldErrors,
    ) {
        let known = fields::find_field(name).filter(|field| !field.name.contains('['));
        let Some(field) = known else {
            let hint = fields::find_nearest(name)
                .map(|nearest| format!("; did you mean {nearest}?"))
                .unwrap_or_default();
            errors.add(name, format!("is not a field of {RELATION}{hint}"));
            return;
        };
        if field.read_only {
            errors.add(name, "is set by the platform and cannot be given");
            return;
        }
        let value = match (field.kind, value) {
            (_, Value::Null) => Value::Null,
            (FieldKind::Boolean, value @ Value::Bool(_)) => value,
            (FieldKind::Boolean, other) => {
                errors.add(
                    name,
                    format!("must be true or false, not {}", type_name(&other)),
                );
                return;
            }
            (FieldKind::Objects, value) => match parse_shadow(value, shown.get(SHADOW), errors) {
                Some(value) => value,
                None => return,
            },
            (_, Value::String(text)) => match self.parse_text(field, &text, shown, errors) {
                Some(value) => value,
                None => return,
            },
            (_, other) => {
                errors.add(name, format!("must be a text, not {}", type_name(&other)));
                return;
            }
        };
        if value.is_null() {
            match field.syntax {
                Syntax::Token => return,
                Syntax::Proxy => {
                    self.proxies.insert(field.name, FieldUpdate::Clear);
                }
                Syntax::Organization => {
                    self.organizations.insert(field.name, FieldUpdate::Clear);
                }
                Syntax::Free | Syntax::Email => {}
            }
        }
        self.values.insert(field.name, value);
    }

    // Returns the value to store in clear; none when the value is a secret or invalid.
    fn parse_text(
        &mut self,
        field: &'static Field,
        text: &str,
        shown: &Map<String, Value>,
        errors: &mut FieldErrors,
    ) -> Option<Value> {
        let text = trim_text(text);
        if text.is_empty() {
            return Some(Value::Null);
        }
        let stored = shown.get(field.name).and_then(Value::as_str);
        if !check_text(field, field.name, text, stored, errors) {
            return None;
        }
        match field.syntax {
            Syntax::Free => {
                let choice = field.find_choice(text).map(|choice| choice.value);
                return Some(choice.unwrap_or(text).into());
            }
            Syntax::Email => match EmailAddress::parse_with_options(text, PLAIN_EMAIL) {
                Ok(_) => return Some(text.into()),
                Err(error) => errors.add(
                    field.name,
                    format!(
                        "is not an e-mail address: {}",
                        lowercase_first(&error.to_string())
                    ),
                ),
            },
            Syntax::Organization => match OrgId::parse(text) {
                Ok(organization) => {
                    self.organizations
                        .insert(field.name, FieldUpdate::Set(organization));
                }
                Err(error) => errors.add(field.name, error.to_string()),
            },
            Syntax::Proxy if shown.get(field.name).and_then(Value::as_str) == Some(text) => {
                self.proxies.insert(field.name, FieldUpdate::Keep);
            }
            Syntax::Proxy => match Proxy::parse(text) {
                Ok(proxy) => {
                    self.proxies.insert(field.name, FieldUpdate::Set(proxy));
                }
                Err(error) => errors.add(field.name, error.to_string()),
            },
            Syntax::Token => match find_token_error(text) {
                None => {
                    self.tokens.insert(field.name, Secret::new(text));
                }
                Some(error) => errors.add(field.name, error),
            },
        }
        None
    }
}

// Reports the errors of every entry, also of those beyond the first.
fn parse_shadow(value: Value, stored: Option<&Value>, errors: &mut FieldErrors) -> Option<Value> {
    let Value::Array(items) = value else {
        let found = type_name(&value);
        errors.add(
            SHADOW,
            format!("must be a list of at most one object, not {found}"),
        );
        return None;
    };
    let count = items.len();
    if count > 1 {
        errors.add(
            SHADOW,
            format!("has {count} entries; at most one is possible"),
        );
    }
    let mut shadows: Vec<Option<Value>> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let stored = stored.and_then(|shadows| shadows.get(index));
            parse_shadow_entry(index, item, stored, errors)
        })
        .collect();
    match count {
        0 => Some(Value::Null),
        1 => Some(Value::Array(vec![shadows.pop()??])),
        _ => None,
    }
}

fn parse_shadow_entry(
    index: usize,
    item: Value,
    stored: Option<&Value>,
    errors: &mut FieldErrors,
) -> Option<Value> {
    let prefix = format!("{SHADOW}[{index}]");
    let Value::Object(given) = item else {
        errors.add(
            prefix,
            format!("must be an object, not {}", type_name(&item)),
        );
        return None;
    };
    let mut shadow = Map::new();
    let mut valid = true;
    for (name, value) in given {
        let path = format!("{prefix}.{name}");
        match (fields::find_field(&format!("{SHADOW}[].{name}")), value) {
            (None, _) => {
                errors.add(
                    path,
                    format!("is not a field of {SHADOW}; it has name only"),
                );
                valid = false;
            }
            (Some(_), Value::Null) => {}
            (Some(field), Value::String(text)) => {
                let text = trim_text(&text);
                let stored = stored.and_then(|shadow| shadow.get(&name)?.as_str());
                if !check_text(field, &path, text, stored, errors) {
                    valid = false;
                } else if !text.is_empty() {
                    shadow.insert(name, text.into());
                }
            }
            (Some(_), other) => {
                errors.add(path, format!("must be a text, not {}", type_name(&other)));
                valid = false;
            }
        }
    }
    if valid && !shadow.contains_key("name") {
        errors.add(format!("{prefix}.name"), "is required");
        valid = false;
    }
    valid.then_some(Value::Object(shadow))
}

// Checks the rules for every text; `path` is its path in the input, `stored` the record's value.
fn check_text(
    field: &Field,
    path: &str,
    text: &str,
    stored: Option<&str>,
    errors: &mut FieldErrors,
) -> bool {
    let length = text.chars().count();
    if let Some(limit) = field.max_length
        && !u32::try_from(length).is_ok_and(|length| length <= limit)
    {
        errors.add(
            path,
            format!("has {length} characters; at most {limit} are possible"),
        );
        return false;
    }
    if !field.choices.is_empty() && field.find_choice(text).is_none() {
        let choices: Vec<String> = field.choices.iter().map(Choice::to_string).collect();
        errors.add(path, format!("must be one of {}", choices.join(", ")));
        return false;
    }
    // The proxy parser itself reports which character is not allowed.
    if field.syntax == Syntax::Free && text.chars().any(char::is_control) {
        errors.add(
            path,
            "must not contain line breaks or other control characters",
        );
        return false;
    }
    // An older release may have stored such a text; a form that sends the text back is not at fault.
    if field.syntax == Syntax::Free
        && stored != Some(text)
        && let Some(error) = find_hidden_character(text)
    {
        errors.add(path, error);
        return false;
    }
    true
}

/// Names the kind of a JSON value for an error.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn lowercase_first(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}
