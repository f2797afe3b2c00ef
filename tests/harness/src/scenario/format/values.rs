//! Parsers for the kinds of values in a scenario. Times and sizes have units.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use relation_host::types::{Hierarchy, Pkid, Timestamp};
use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::reader::{Item, Reader, kind, nearest};
use super::source::ValueError;
use crate::scenario::template::Template;

/// Parses a text that is not empty.
pub fn text(value: DeValue<'_>) -> Result<String, ValueError> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => {
            Err(ValueError::new("must not be empty"))
        }
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(expected("a text in quotes", &other)),
    }
}

/// Parses a text, possibly empty.
pub fn any_text(value: DeValue<'_>) -> Result<String, ValueError> {
    match value {
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(expected("a text in quotes", &other)),
    }
}

/// Parses a text with `{name}` for captured values.
pub fn template(value: DeValue<'_>) -> Result<Template, ValueError> {
    Ok(Template::parse(&any_text(value)?))
}

/// Parses a list of texts.
pub fn texts(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    match value {
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| text(item.into_inner()));
            items.collect()
        }
        other => Err(expected("a list of texts", &other)),
    }
}

/// Parses `true` or `false`.
pub fn flag(value: DeValue<'_>) -> Result<bool, ValueError> {
    match value {
        DeValue::Boolean(flag) => Ok(flag),
        other => Err(expected("true or false", &other)),
    }
}

/// Parses a whole number, 0 or more.
pub fn count<T: TryFrom<i64>>(value: DeValue<'_>) -> Result<T, ValueError> {
    let DeValue::Integer(number) = &value else {
        return Err(expected("a whole number", &value));
    };
    let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let number = read.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| ValueError::new("is out of range"))
}

/// Parses a duration, such as `7 days`.
pub fn duration(value: DeValue<'_>) -> Result<Duration, ValueError> {
    const EXPECTED: &str = "a duration with its unit, such as \"7 days\" or \"90s\"";
    let DeValue::String(text) = &value else {
        return Err(expected(EXPECTED, &value));
    };
    humantime::parse_duration(text).map_err(|error| {
        ValueError::new(format!("{text:?} is not a duration: {error}"))
            .hint(format!("expected {EXPECTED}"))
    })
}

/// Parses a size in bytes, such as `64 KiB`.
pub fn size(value: DeValue<'_>) -> Result<usize, ValueError> {
    const EXPECTED: &str = "a size with its unit, such as \"64 KiB\"";
    let DeValue::String(text) = &value else {
        return Err(expected(EXPECTED, &value));
    };
    let size = ByteSize::from_str(text.trim()).ok();
    let size = size.and_then(|size| usize::try_from(size.as_u64()).ok());
    size.ok_or_else(|| {
        ValueError::new(format!("{text:?} is not a size")).hint(format!("expected {EXPECTED}"))
    })
}

/// Parses a moment, as a text or as a TOML date with time and offset.
pub fn moment(value: DeValue<'_>) -> Result<Timestamp, ValueError> {
    const EXPECTED: &str = "a moment in UTC, such as 2026-01-05T08:00:00Z";
    let text = match &value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        other => return Err(expected(EXPECTED, other)),
    };
    parse_moment(&text).ok_or_else(|| {
        ValueError::new(format!("{text:?} is not a moment")).hint(format!("expected {EXPECTED}"))
    })
}

/// Parses RFC 3339 with an offset, from 1970 on.
pub fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(moment.timestamp_millis()).ok().map(Timestamp)
}

/// Parses a primary key.
pub fn pkid(value: DeValue<'_>) -> Result<Pkid, ValueError> {
    Pkid::try_from(any_text(value)?).map_err(|error| ValueError::new(error.to_string()))
}

/// Parses a node of the hierarchy.
pub fn hierarchy(value: DeValue<'_>) -> Result<Hierarchy, ValueError> {
    Hierarchy::try_from(any_text(value)?).map_err(|error| ValueError::new(error.to_string()))
}

/// Parses one of a set of words.
pub fn word<T: Copy>(
    value: DeValue<'_>,
    what: &str,
    words: &[(&'static str, T)],
) -> Result<T, ValueError> {
    let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
    let DeValue::String(text) = &value else {
        return Err(expected("a text in quotes", &value));
    };
    let found = words.iter().find(|(name, _)| name == text);
    found.map(|(_, word)| *word).ok_or_else(|| {
        let error = ValueError::new(format!("there is no {what} {text:?}"));
        match nearest(text, &names) {
            Some(name) => error.hint(format!("did you mean \"{name}\"?")),
            None => error.hint(format!("one of {}", names.join(", "))),
        }
    })
}

/// Converts a value to JSON. `"<null>"` means null, which TOML does not have.
pub fn json(value: DeValue<'_>) -> Result<Value, ValueError> {
    Ok(match value {
        DeValue::String(text) if text == "<null>" => Value::Null,
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(flag) => Value::Bool(flag),
        DeValue::Integer(_) | DeValue::Float(_) => Value::Number(number(&value)?),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| json(item.into_inner()));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => {
            let entries = entries.into_iter().map(|(name, value)| {
                Ok((name.into_inner().into_owned(), json(value.into_inner())?))
            });
            Value::Object(entries.collect::<Result<Map<_, _>, ValueError>>()?)
        }
    })
}

/// Converts a table to a JSON object.
pub fn object(value: DeValue<'_>) -> Result<Map<String, Value>, ValueError> {
    match value {
        table @ DeValue::Table(_) => match json(table)? {
            Value::Object(object) => Ok(object),
            _ => Ok(Map::new()),
        },
        other => Err(expected("a table", &other)),
    }
}

/// Converts a number to JSON.
pub fn number(value: &DeValue<'_>) -> Result<Number, ValueError> {
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
        other => return Err(expected("a number", other)),
    };
    number.ok_or_else(|| ValueError::new("is a number that JSON does not have"))
}

/// Reads names and texts, such as the headers of a request.
pub fn named_texts(reader: &Reader<'_>, item: Item<'_>) -> BTreeMap<String, Template> {
    let entries = reader.entries(item, "names and texts").into_iter();
    let texts = entries.filter_map(|(name, item)| Some((name, reader.parse_item(item, template)?)));
    texts.collect()
}

fn expected(what: &str, found: &DeValue<'_>) -> ValueError {
    ValueError::new(format!("expected {what}, found {}", kind(found)))
}
