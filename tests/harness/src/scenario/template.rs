//! Texts with `{name}` for captured values.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A text in which `{name}` stands for a captured value. A name begins with a lower-case letter and continues
/// with letters, digits, `.`, `-` and `_`. Other braces are literal, and `{{` is a literal brace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Literal text.
    Text(String),
    /// The value captured under this name.
    Name(String),
}

/// The values of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings(BTreeMap<String, Value>);

/// A name without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known as {{{name}}}; known are {known}")]
pub struct UnboundName {
    /// The name.
    pub name: String,
    /// The names that have values.
    known: String,
}

impl Template {
    /// Parses the names in a text.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, tail) = rest.split_at(start);
            plain.push_str(before);
            if let Some(tail) = tail.strip_prefix("{{") {
                plain.push('{');
                rest = tail;
            } else if let Some((name, tail)) = split_name(tail) {
                if !plain.is_empty() {
                    parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
                }
                parts.push(TemplatePart::Name(name.to_owned()));
                rest = tail;
            } else {
                plain.push('{');
                rest = tail.strip_prefix('{').unwrap_or_default();
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(plain));
        }
        Self { parts }
    }

    /// Creates a template of literal text.
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![TemplatePart::Text(text.to_owned())],
        }
    }

    /// Returns the parts; no two literal texts are adjacent.
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Name(name) => Some(name.as_str()),
            TemplatePart::Text(_) => None,
        })
    }

    /// Replaces the names by their values.
    ///
    /// # Errors
    /// If a name has no value.
    pub fn fill(&self, bindings: &Bindings) -> Result<String, UnboundName> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(plain) => text.push_str(plain),
                TemplatePart::Name(name) => text.push_str(&to_text(bindings.require(name)?)),
            }
        }
        Ok(text)
    }

    /// Replaces the names by their values. A template of one name keeps the type of its value, such as a
    /// number.
    ///
    /// # Errors
    /// If a name has no value.
    pub fn value(&self, bindings: &Bindings) -> Result<Value, UnboundName> {
        match self.parts.as_slice() {
            [TemplatePart::Name(name)] => bindings.require(name).cloned(),
            _ => self.fill(bindings).map(Value::String),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => f.write_str(text)?,
                TemplatePart::Name(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
    let first = name.chars().next()?;
    let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (first.is_ascii_lowercase() && name.chars().all(more)).then_some((name, rest))
}

/// Returns the texts in a JSON value.
pub fn texts_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_in).collect(),
        Value::Object(entries) => entries.values().flat_map(texts_in).collect(),
        _ => Vec::new(),
    }
}

/// Returns a text unchanged, and any other value as JSON.
pub fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Bindings {
    /// Sets the value of a name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns all names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn require(&self, name: &str) -> Result<&Value, UnboundName> {
        self.get(name).ok_or_else(|| UnboundName {
            name: name.to_owned(),
            known: match self.0.is_empty() {
                true => "no names at all".to_owned(),
                false => self
                    .0
                    .keys()
                    .map(|name| format!("{{{name}}}"))
                    .collect::<Vec<_>>()
                    .join(", "),
            },
        })
    }

    /// Replaces the names in a JSON value by their values.
    ///
    /// # Errors
    /// If a name has no value.
    pub fn fill(&self, value: &Value) -> Result<Value, UnboundName> {
        Ok(match value {
            Value::String(text) => Template::parse(text).value(self)?,
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.fill(item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.fill(value)?)))
                    .collect::<Result<_, UnboundName>>()?,
            ),
            other => other.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_in_braces_are_found_and_other_braces_stay() {
        let template = Template::parse("a{b}c {\"d\": {e.f-g}} {{h}");
        let names: Vec<&str> = template.names().collect();
        assert_eq!(names, ["b", "e.f-g"]);
        let mut bindings = Bindings::default();
        bindings.set("b", 1);
        bindings.set("e.f-g", "two");
        assert_eq!(template.fill(&bindings).unwrap(), "a1c {\"d\": two} {h}");
    }

    #[test]
    fn text_of_a_single_name_keeps_the_value_type() {
        let mut bindings = Bindings::default();
        bindings.set("n", 7);
        let filled = bindings.fill(&json!({"a": "{n}", "b": ["n={n}"]})).unwrap();
        assert_eq!(filled, json!({"a": 7, "b": ["n=7"]}));
    }

    #[test]
    fn an_unknown_name_says_which_are_known() {
        let mut bindings = Bindings::default();
        bindings.set("pkid", "x");
        let error = Template::parse("{pkd}").fill(&bindings).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing is known as {pkd}; known are {pkid}"
        );
    }
}
