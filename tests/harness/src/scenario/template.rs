//! Texts with `{name}` in them: what a scenario captured once and says again.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A text in which `{name}` stands for something captured. A name begins with a lower-case letter
/// and goes on with letters, digits, `.`, `-` and `_`; other braces are braces, and `{{` is one too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is written.
    Text(String),
    /// What was captured under this name.
    Hole(String),
}

/// What is known under the names of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings(BTreeMap<String, Value>);

/// A name under which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known as {{{name}}}; known are {known}")]
pub struct Unbound {
    /// The name.
    pub name: String,
    /// The names under which something is known.
    known: String,
}

impl Template {
    /// Finds the names in a text.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, behind) = rest.split_at(start);
            plain.push_str(before);
            if let Some(behind) = behind.strip_prefix("{{") {
                plain.push('{');
                rest = behind;
            } else if let Some((name, behind)) = name_in_braces(behind) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Hole(name.to_owned()));
                rest = behind;
            } else {
                plain.push('{');
                rest = behind.strip_prefix('{').unwrap_or_default();
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self { parts }
    }

    /// A text in which braces are braces.
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// Its pieces, no two texts side by side.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with everything put in.
    ///
    /// # Errors
    /// If a name is not known.
    pub fn fill(&self, bindings: &Bindings) -> Result<String, Unbound> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Hole(name) => text.push_str(&plain(bindings.need(name)?)),
            }
        }
        Ok(text)
    }

    /// As [`Template::fill`]; a text that is nothing but one name is that value, a number too.
    ///
    /// # Errors
    /// If a name is not known.
    pub fn value(&self, bindings: &Bindings) -> Result<Value, Unbound> {
        match self.parts.as_slice() {
            [Part::Hole(name)] => bindings.need(name).cloned(),
            _ => self.fill(bindings).map(Value::String),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Hole(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

fn name_in_braces(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
    let first = name.chars().next()?;
    let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (first.is_ascii_lowercase() && name.chars().all(more)).then_some((name, rest))
}

/// The texts in a JSON value.
pub fn texts_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts_in).collect(),
        Value::Object(entries) => entries.values().flat_map(texts_in).collect(),
        _ => Vec::new(),
    }
}

/// A value as a text: a text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Bindings {
    /// Knows `value` as `name` from now on.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// What is known as `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All that is known, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn need(&self, name: &str) -> Result<&Value, Unbound> {
        self.get(name).ok_or_else(|| Unbound {
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

    /// A JSON value with every name in it put in.
    ///
    /// # Errors
    /// If a name is not known.
    pub fn fill(&self, value: &Value) -> Result<Value, Unbound> {
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
                    .collect::<Result<_, Unbound>>()?,
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
    fn a_text_that_is_one_name_keeps_the_kind_of_its_value() {
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
