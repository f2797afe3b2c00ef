//! Parsers for common kinds of values. Durations and sizes have units.

use std::str::FromStr as _;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::DeValue;

use crate::reader::find_nearest;
use crate::source::ValueError;

/// Parses a text that is not empty.
pub fn parse_text(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_any_text(value)?;
    match text.trim() {
        "" => Err("must not be empty".into()),
        _ => Ok(text),
    }
}

/// Parses a text, possibly empty.
pub fn parse_any_text(value: DeValue<'_>) -> Result<String, ValueError> {
    match value {
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(ValueError::from_kind("a text in quotes", &other)),
    }
}

/// Parses a list of texts that are not empty.
pub fn parse_texts(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    parse_list(value, "a list of texts", parse_text)
}

/// Parses a list with `parse_item`. `expected` describes the list in the error for another kind of value.
pub fn parse_list<'i, T>(
    value: DeValue<'i>,
    expected: &str,
    mut parse_item: impl FnMut(DeValue<'i>) -> Result<T, ValueError>,
) -> Result<Vec<T>, ValueError> {
    let DeValue::Array(items) = value else {
        return Err(ValueError::from_kind(expected, &value));
    };
    let items = items.into_iter();
    items.map(|item| parse_item(item.into_inner())).collect()
}

/// Parses `true` or `false`.
pub fn parse_flag(value: DeValue<'_>) -> Result<bool, ValueError> {
    match value {
        DeValue::Boolean(flag) => Ok(flag),
        other => Err(ValueError::from_kind("true or false", &other)),
    }
}

/// Parses a whole number.
pub fn parse_count<T: TryFrom<i64>>(value: DeValue<'_>) -> Result<T, ValueError> {
    let DeValue::Integer(number) = &value else {
        return Err(ValueError::from_kind("a whole number", &value));
    };
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| "is out of range".into())
}

/// Parses a whole number, 1 or more.
pub fn parse_positive<T: TryFrom<i64>>(value: DeValue<'_>) -> Result<T, ValueError> {
    match parse_count::<i64>(value)? {
        ..=0 => Err("must be 1 or more".into()),
        number => T::try_from(number).map_err(|_| "is out of range".into()),
    }
}

/// Parses a duration, such as `7 days`.
pub fn parse_duration(value: DeValue<'_>) -> Result<Duration, ValueError> {
    const EXPECTED: &str = "a duration with its unit, such as \"7 days\" or \"90s\"";
    let DeValue::String(text) = &value else {
        return Err(ValueError::from_kind(EXPECTED, &value));
    };
    humantime::parse_duration(text).map_err(|error| {
        ValueError::new(format!("{text:?} is not a duration: {error}"))
            .hint(format!("expected {EXPECTED}"))
    })
}

/// Parses a size in bytes, such as `64 KiB`. A number without unit is an error.
pub fn parse_size<T: TryFrom<u64>>(value: DeValue<'_>) -> Result<T, ValueError> {
    const EXPECTED: &str = "a size with its unit, such as \"64 MiB\"";
    let DeValue::String(text) = &value else {
        return Err(ValueError::from_kind(EXPECTED, &value));
    };
    // `ByteSize` would parse a number without unit as bytes.
    let text = text.trim();
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    let size = ByteSize::from_str(text).ok();
    let size = size.filter(|_| has_unit).ok_or_else(|| {
        ValueError::new(format!("{text:?} is not a size")).hint(format!("expected {EXPECTED}"))
    })?;
    T::try_from(size.as_u64()).map_err(|_| "is more than this machine can address".into())
}

/// Parses one of a set of words. `noun` is their name in errors, such as `store`.
pub fn parse_word<T: Copy>(
    value: DeValue<'_>,
    noun: &str,
    words: &[(&'static str, T)],
) -> Result<T, ValueError> {
    let text = parse_any_text(value)?;
    if let Some((_, word)) = words.iter().find(|(name, _)| *name == text) {
        return Ok(*word);
    }
    let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
    let error = ValueError::new(format!("there is no {noun} {text:?}"));
    Err(match find_nearest(&text, &names) {
        Some(name) => error.hint(format!("did you mean \"{name}\"?")),
        None => error.hint(format!("one of {}", names.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn parse<T>(
        value: &str,
        parse_value: impl FnOnce(DeValue<'_>) -> Result<T, ValueError>,
    ) -> Result<T, String> {
        let text = format!("a = {value}");
        let mut table = DeTable::parse(&text).unwrap().into_inner();
        let value = table.remove("a").unwrap().into_inner();
        parse_value(value).map_err(|error| error.message)
    }

    #[test]
    fn size_needs_its_unit_and_must_fit() {
        assert_eq!(parse("\"64 KiB\"", parse_size::<usize>), Ok(64 << 10));
        assert_eq!(parse("\"0 B\"", parse_size::<u64>), Ok(0));
        assert_eq!(
            parse("\"64\"", parse_size::<u64>),
            Err("\"64\" is not a size".to_owned())
        );
        assert_eq!(
            parse("\"64 KiB\"", parse_size::<u8>),
            Err("is more than this machine can address".to_owned())
        );
    }

    #[test]
    fn whole_number_must_be_in_range() {
        assert_eq!(parse("0x10", parse_count::<u8>), Ok(16));
        for (value, error) in [("-1", "must be 1 or more"), ("256", "is out of range")] {
            assert_eq!(parse(value, parse_positive::<u8>), Err(error.to_owned()));
        }
        assert_eq!(
            parse("\"1\"", parse_count::<u8>),
            Err("expected a whole number, found a text".to_owned())
        );
    }
}
