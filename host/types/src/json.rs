//! Checks JSON without building it in memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Checks that `text` is one JSON object, as strictly as if it were parsed to a
/// [`serde_json::Map`]: numbers, escapes and nesting count too.
///
/// # Errors
/// Errors of [`serde_json::from_str`]. The error may repeat a part of the text.
pub fn check_object(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Object>(text).map(|Object| ())
}

struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CheckVisitor)?;
        Ok(Self)
    }
}

/// Any JSON value.
struct AnyJson;

impl<'de> Deserialize<'de> for AnyJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckVisitor)
    }
}

struct CheckVisitor;

impl<'de> Visitor<'de> for CheckVisitor {
    type Value = AnyJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_unit<E: Error>(self) -> Result<AnyJson, E> {
        Ok(AnyJson)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AnyJson, A::Error> {
        while let Some(AnyJson) = items.next_element()? {}
        Ok(AnyJson)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<AnyJson, A::Error> {
        while let Some((AnyJson, AnyJson)) = members.next_entry()? {}
        Ok(AnyJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_is_as_strict_as_parsing() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let texts = [
            "{}",
            r#" {"a":[1,-2,1.5e3,true,null,"\u00e4\ud83d\ude00"],"b":{"c":{}}} "#,
            r#"{"a":1,"a":2}"#,
            "[]",
            "1",
            "",
            "{} {}",
            "{",
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":01}"#,
            r#"{"a":1,}"#,
            r#"{1:1}"#,
            "{\"a\":\"\n\"}",
            &deep,
        ];
        for text in texts {
            let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
            let place = |error: serde_json::Error| (error.line(), error.column());
            assert_eq!(
                check_object(text).map_err(place),
                parsed.map(|_| ()).map_err(place),
                "{text}"
            );
        }
    }
}
