//! The caller's input, field by field: known, writable, of the right kind, length and syntax.

use std::collections::BTreeMap;

use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};

use super::fields::{self, Field, Kind, SHADOW, Syntax};
use super::proxy::Proxy;
use super::{Faults, RELATION};
use crate::names::find_hidden_character;
use crate::platform::Secret;
use crate::text::trim_text;
use crate::webex::answer::find_token_fault;
use crate::webex::ids::OrgId;

/// An address alone, at a domain of the public DNS.
const PLAIN_EMAIL: Options = Options {
    minimum_sub_domains: 2,
    allow_domain_literal: false,
    allow_display_text: false,
};

/// Fields as they were given, each checked by itself.
///
/// Text is without surrounding space and byte order marks. A JSON `null` and an empty text both clear a field: here
/// they are `null`, and a secret that is cleared is absent, because nobody clears a token.
#[derive(Debug, Default)]
pub struct Input {
    /// What can be stored openly. An account number has its canonical form; a proxy string that
    /// was given is not here.
    pub(super) values: BTreeMap<&'static str, Value>,
    /// Tokens and their repeats.
    pub(super) tokens: BTreeMap<&'static str, Secret>,
    /// Proxies that were given.
    pub(super) proxies: BTreeMap<&'static str, Given<Proxy>>,
    /// Organisations named by the account numbers.
    pub(super) organizations: BTreeMap<&'static str, Given<OrgId>>,
}

/// A field with a meaning of its own, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given<T> {
    /// Take the value away.
    Clear,
    /// This is the value.
    New(T),
    /// What the record showed for it: leave it as it is.
    Same,
}

impl Input {
    /// Reads one JSON object of fields. `shown` are the fields of the record that is changed: a
    /// proxy string without its password is accepted where it is what the record shows.
    pub fn read(text: &str, shown: &Map<String, Value>, faults: &mut Faults) -> Self {
        let mut input = Self::default();
        match serde_json::from_str(trim_text(text)) {
            Ok(Value::Object(given)) => {
                for (name, value) in given {
                    input.take(&name, value, shown, faults);
                }
            }
            Ok(_) => faults.add("fields", "must be one JSON object with the fields by name"),
            Err(error) => faults.add("fields", format!("is not JSON: {error}")),
        }
        input
    }

    fn take(&mut self, name: &str, value: Value, shown: &Map<String, Value>, faults: &mut Faults) {
        let known = fields::field(name).filter(|field| !field.name.contains('['));
        let Some(field) = known else {
            let hint = fields::nearest(name)
                .map(|nearest| format!("; did you mean {nearest}?"))
                .unwrap_or_default();
            faults.add(name, format!("is not a field of {RELATION}{hint}"));
            return;
        };
        if field.read_only {
            faults.add(name, "is set by the platform and cannot be given");
            return;
        }
        let value = match (field.kind, value) {
            (_, Value::Null) => Value::Null,
            (Kind::Boolean, value @ Value::Bool(_)) => value,
            (Kind::Boolean, other) => {
                faults.add(
                    name,
                    format!("must be true or false, not {}", kind_of(&other)),
                );
                return;
            }
            (Kind::Objects, value) => match shadows(value, shown.get(SHADOW), faults) {
                Some(value) => value,
                None => return,
            },
            (_, Value::String(text)) => match self.take_text(field, &text, shown, faults) {
                Some(value) => value,
                None => return,
            },
            (_, other) => {
                faults.add(name, format!("must be a text, not {}", kind_of(&other)));
                return;
            }
        };
        if value.is_null() {
            match field.syntax {
                Syntax::Token => return,
                Syntax::Proxy => {
                    self.proxies.insert(field.name, Given::Clear);
                }
                Syntax::Organization => {
                    self.organizations.insert(field.name, Given::Clear);
                }
                Syntax::Free | Syntax::Email => {}
            }
        }
        self.values.insert(field.name, value);
    }

    // The value to store in the open; none when there is nothing to store or it is wrong.
    fn take_text(
        &mut self,
        field: &'static Field,
        text: &str,
        shown: &Map<String, Value>,
        faults: &mut Faults,
    ) -> Option<Value> {
        let text = trim_text(text);
        if text.is_empty() {
            return Some(Value::Null);
        }
        let stored = shown.get(field.name).and_then(Value::as_str);
        if !fits(field, field.name, text, stored, faults) {
            return None;
        }
        match field.syntax {
            Syntax::Free => return Some(text.into()),
            Syntax::Email => match EmailAddress::parse_with_options(text, PLAIN_EMAIL) {
                Ok(_) => return Some(text.into()),
                Err(error) => faults.add(
                    field.name,
                    format!("is no e-mail address: {}", lowered(&error.to_string())),
                ),
            },
            Syntax::Organization => match OrgId::parse(text) {
                Ok(organization) => {
                    self.organizations
                        .insert(field.name, Given::New(organization));
                }
                Err(error) => faults.add(field.name, error.to_string()),
            },
            Syntax::Proxy if shown.get(field.name).and_then(Value::as_str) == Some(text) => {
                self.proxies.insert(field.name, Given::Same);
            }
            Syntax::Proxy => match Proxy::parse(text) {
                Ok(proxy) => {
                    self.proxies.insert(field.name, Given::New(proxy));
                }
                Err(error) => faults.add(field.name, error.to_string()),
            },
            Syntax::Token => match find_token_fault(text) {
                None => {
                    self.tokens.insert(field.name, Secret::new(text));
                }
                Some(fault) => faults.add(field.name, fault),
            },
        }
        None
    }
}

fn shadows(value: Value, stored: Option<&Value>, faults: &mut Faults) -> Option<Value> {
    let Value::Array(items) = value else {
        let found = kind_of(&value);
        faults.add(
            SHADOW,
            format!("must be a list of at most one object, not {found}"),
        );
        return None;
    };
    if items.len() > 1 {
        faults.add(
            SHADOW,
            format!("has {} entries; at most one is possible", items.len()),
        );
        return None;
    }
    let Some(item) = items.into_iter().next() else {
        return Some(Value::Null);
    };
    let place = "shadow[0]";
    let Value::Object(given) = item else {
        faults.add(place, format!("must be an object, not {}", kind_of(&item)));
        return None;
    };
    let mut shadow = Map::new();
    let mut sound = true;
    for (name, value) in given {
        let path = format!("{place}.{name}");
        match (fields::field(&format!("{SHADOW}[].{name}")), value) {
            (None, _) => {
                faults.add(
                    path,
                    format!("is not a field of {SHADOW}; it has name only"),
                );
                sound = false;
            }
            (Some(_), Value::Null) => {}
            (Some(field), Value::String(text)) => {
                let text = trim_text(&text);
                let stored = stored.and_then(|shadows| shadows.get(0)?.get(&name)?.as_str());
                if !fits(field, &path, text, stored, faults) {
                    sound = false;
                } else if !text.is_empty() {
                    shadow.insert(name, text.into());
                }
            }
            (Some(_), other) => {
                faults.add(path, format!("must be a text, not {}", kind_of(&other)));
                sound = false;
            }
        }
    }
    if sound && !shadow.contains_key("name") {
        faults.add(format!("{place}.name"), "is required");
        sound = false;
    }
    sound.then(|| Value::Array(vec![Value::Object(shadow)]))
}

// The rules that every text has; `path` is where the caller wrote it, `stored` what the record has there.
fn fits(field: &Field, path: &str, text: &str, stored: Option<&str>, faults: &mut Faults) -> bool {
    let length = text.chars().count();
    if let Some(limit) = field.max_length
        && !u32::try_from(length).is_ok_and(|length| length <= limit)
    {
        faults.add(
            path,
            format!("has {length} characters; at most {limit} are possible"),
        );
        return false;
    }
    if !field.choices.is_empty() && !field.choices.iter().any(|choice| choice.value == text) {
        let values: Vec<&str> = field.choices.iter().map(|choice| choice.value).collect();
        faults.add(path, format!("must be one of {}", values.join(", ")));
        return false;
    }
    // A proxy string says for itself which character is out of place.
    if field.syntax == Syntax::Free && text.chars().any(char::is_control) {
        faults.add(
            path,
            "must not contain line breaks or other control characters",
        );
        return false;
    }
    // What an older release let in comes back with the form that shows it, and is no news.
    if field.syntax == Syntax::Free
        && stored != Some(text)
        && let Some(fault) = find_hidden_character(text)
    {
        faults.add(path, fault);
        return false;
    }
    true
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn lowered(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}
