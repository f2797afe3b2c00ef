//! Parsers for the kinds of values that only a scenario has.

use std::collections::BTreeMap;

use relation_host::types::{Hierarchy, Pkid, Timestamp};
pub use relation_toml::values::*;
use relation_toml::{DeValue, Item, Reader, ValueError};
use serde_json::{Map, Number, Value};

use crate::scenario::template::Template;

/// Parses a text with `{name}` for captured values.
pub fn parse_template(value: DeValue<'_>) -> Result<Template, ValueError> {
    Ok(Template::parse(&parse_any_text(value)?))
}

/// Parses a moment, as a text or as a TOML date with time and offset.
pub fn parse_moment(value: DeValue<'_>) -> Result<Timestamp, ValueError> {
    const EXPECTED: &str = "a moment in UTC, such as 2026-01-05T08:00:00Z";
    let text = match &value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        other => return Err(ValueError::from_kind(EXPECTED, other)),
    };
    parse_rfc3339(&text).ok_or_else(|| {
        ValueError::new(format!("{text:?} is not a moment")).hint(format!("expected {EXPECTED}"))
    })
}

/// Parses RFC 3339 with an offset, from 1970 on.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let moment = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(moment.timestamp_millis()).ok().map(Timestamp)
}

/// Parses a primary key.
pub fn parse_pkid(value: DeValue<'_>) -> Result<Pkid, ValueError> {
    Pkid::try_from(parse_any_text(value)?).map_err(|error| ValueError::new(error.to_string()))
}

/// Parses a node of the hierarchy.
pub fn parse_hierarchy(value: DeValue<'_>) -> Result<Hierarchy, ValueError> {
    Hierarchy::try_from(parse_any_text(value)?).map_err(|error| ValueError::new(error.to_string()))
}

/// Converts a value to JSON. `"<null>"` means null, which TOML does not have.
pub fn parse_json(value: DeValue<'_>) -> Result<Value, ValueError> {
    Ok(match value {
        DeValue::String(text) if text == "<null>" => Value::Null,
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Integer(_) | DeValue::Float(_) => Value::Number(parse_number(&value)?),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| parse_json(item.into_inner()));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => {
            let entries = entries.into_iter().map(|(name, value)| {
                Ok((
                    name.into_inner().into_owned(),
                    parse_json(value.into_inner())?,
                ))
            });
            Value::Object(entries.collect::<Result<Map<_, _>, ValueError>>()?)
        }
    })
}

/// Converts a table to a JSON object.
pub fn parse_object(value: DeValue<'_>) -> Result<Map<String, Value>, ValueError> {
    match value {
        table @ DeValue::Table(_) => match parse_json(table)? {
            Value::Object(object) => Ok(object),
            _ => Ok(Map::new()),
        },
        other => Err(ValueError::from_kind("a table", &other)),
    }
}

/// Converts a number to JSON.
pub fn parse_number(value: &DeValue<'_>) -> Result<Number, ValueError> {
    let number = match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(Number::from),
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .ok()
            .and_then(Number::from_f64),
        other => return Err(ValueError::from_kind("a number", other)),
    };
    number.ok_or_else(|| ValueError::new("is a number that JSON does not have"))
}

/// Reads names and texts, such as the headers of a request.
pub fn read_named_texts(reader: &Reader<'_>, item: Item<'_>) -> BTreeMap<String, Template> {
    let entries = reader.entries(item, "names and texts").into_iter();
    let texts =
        entries.filter_map(|(name, item)| Some((name, reader.parse_item(item, parse_template)?)));
    texts.collect()
}
