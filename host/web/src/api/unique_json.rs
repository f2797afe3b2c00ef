//! JSON of requests: an object with a member twice is refused. Programs disagree on which of the two counts.

use std::fmt;

use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::WebError;

/// The maximum number of repeated members that an error names.
const MAX_NAMED: usize = 20;
/// The maximum length of a member's name in an error, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Parses one JSON object.
///
/// # Errors
/// The text is not one JSON object. Otherwise, all members that an object has twice, at any depth.
pub(super) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, WebError> {
    let mut reader = Reader::default();
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = reader.deserialize(&mut json);
    let value = value.and_then(|value| json.end().map(|()| value));
    let value = value.map_err(|error| {
        // Neither the text nor serde's message, which quotes values, is repeated: it may contain a token.
        let message = format!(
            "the body is not one JSON object: {:?} error at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        );
        AppError::new(ErrorKind::Usage, message)
    })?;
    if !reader.repeated.is_empty() {
        let message = "the body has members more than once";
        let error = AppError::new(ErrorKind::Usage, message);
        let error = AppError {
            field_errors: reader.repeated,
            ..error
        };
        return Err(error.hint("send each member of an object once").into());
    }
    match value {
        Value::Object(object) => Ok(object),
        _ => {
            let message = "the body is not one JSON object, but another JSON value";
            Err(AppError::new(ErrorKind::Usage, message).into())
        }
    }
}

/// Finds the members that an object in a JSON text has twice, at any depth. In a text that is not JSON, some may be
/// missing.
pub fn find_repeated_members(text: &str) -> Vec<FieldError> {
    let mut reader = Reader::default();
    let _ = reader.deserialize(&mut serde_json::Deserializer::from_str(text));
    reader.repeated
}

/// A part of a value's path.
enum Part {
    Member(String),
    Index(usize),
}

/// A reader of JSON, and the members that it has found twice.
#[derive(Default)]
struct Reader {
    place: Vec<Part>,
    repeated: Vec<FieldError>,
}

impl Reader {
    /// Reports the member at the current path.
    fn report(&mut self) {
        let mut field = String::new();
        for part in &self.place {
            match part {
                Part::Index(index) => field.push_str(&format!("[{index}]")),
                Part::Member(name) => {
                    if !field.is_empty() {
                        field.push('.');
                    }
                    field.extend(name.chars().take(MAX_NAME_CHARS));
                }
            }
        }
        let is_known = self.repeated.iter().any(|error| error.field == field);
        if !is_known && self.repeated.len() < MAX_NAMED {
            let message = "is given more than once".to_owned();
            self.repeated.push(FieldError { field, message });
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            self.place.push(Part::Index(values.len()));
            let value = items.next_element_seed(&mut *self)?;
            self.place.pop();
            match value {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.place.push(Part::Member(name.clone()));
            let value = members.next_value_seed(&mut *self)?;
            if object.insert(name, value).is_some() {
                self.report();
            }
            self.place.pop();
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        let errors = parse_object(text.as_bytes()).unwrap_err().error;
        let errors = errors.field_errors.into_iter();
        errors.map(|error| error.field).collect()
    }

    #[test]
    fn json_is_the_one_that_serde_reads() {
        for text in [
            r#"{"a": [1, -2, 3.5, 18446744073709551615, true, null, "x\ny", {"b": {}}], "c": 1e3}"#,
            "{}",
        ] {
            let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
            assert_eq!(parse_object(text.as_bytes()).unwrap(), expected);
        }
        for text in ["", "[]", "1", "{} {}", "{", r#"{"a": 1e999}"#, "{'a': 1}"] {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn repeated_members_are_reported_at_any_depth() {
        let text =
            r#"{"a": 1, "b": [{"c": 1, "c": 2, "c": 3}, {"d": {"e": 1, "\u0065": 2}}], "a": 2}"#;
        assert_eq!(fields(text), ["b[0].c", "b[1].d.e", "a"]);
        let many: Vec<String> = (0..50).map(|n| format!("\"{n}\":1,\"{n}\":1")).collect();
        assert_eq!(fields(&format!("{{{}}}", many.join(","))).len(), MAX_NAMED);
    }
}
