//! Parses the types of values in a configuration. Sizes and durations have units.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use relation_host::egress::{Policy, PolicyError};
use relation_host::limits::{Limit, LimitUnit, LimitValue, Limits};
use toml::de::DeValue;

use super::reader::{Reader, Section, describe_kind, list_items};
use super::redirect::RedirectAddress;
use crate::StoreUrl;

/// The log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Formats a duration for the plugin: in seconds, or in milliseconds.
pub fn format_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

fn parse_text(value: DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err("must not be empty".to_owned()),
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(format!("expected a text, found {}", describe_kind(&other))),
    }
}

fn parse_texts(value: DeValue<'_>) -> Result<Vec<String>, String> {
    list_items(value)?.into_iter().map(parse_text).collect()
}

fn describe_policy_error(error: PolicyError) -> String {
    let PolicyError {
        position,
        entry,
        problem,
        ..
    } = error;
    format!("entry {position} ({entry}): {problem}")
}

fn parse_duration(value: DeValue<'_>) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration with its unit, such as \"15s\" or \"7d\"";
    let DeValue::String(text) = value else {
        return Err(format!("{EXPECTED}, found {}", describe_kind(&value)));
    };
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{EXPECTED}: {error}")),
    }
}

pub(super) fn parse_size<T: TryFrom<u64>>(value: DeValue<'_>) -> Result<T, String> {
    const EXPECTED: &str = "expected a size with its unit, such as \"64 MiB\"";
    let DeValue::String(text) = value else {
        return Err(format!("{EXPECTED}, found {}", describe_kind(&value)));
    };
    // `ByteSize` would parse a bare number as bytes.
    if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return Err(EXPECTED.to_owned());
    }
    let size = ByteSize::from_str(text.trim()).map_err(|error| format!("{EXPECTED}: {error}"))?;
    match size.as_u64() {
        0 => Err("must be more than zero".to_owned()),
        bytes => T::try_from(bytes).map_err(|_| "is more than this machine can address".to_owned()),
    }
}

fn parse_count<T: FromStr>(value: DeValue<'_>) -> Result<T, String> {
    const EXPECTED: &str = "expected a whole number, 1 or more";
    let DeValue::Integer(number) = &value else {
        return Err(format!("{EXPECTED}, found {}", describe_kind(&value)));
    };
    let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let positive = read.filter(|number| *number >= 1);
    let number = positive.ok_or_else(|| EXPECTED.to_owned())?;
    number
        .to_string()
        .parse()
        .map_err(|_| format!("{number} is too large"))
}

fn parse_fraction(value: DeValue<'_>) -> Result<f64, String> {
    const EXPECTED: &str = "expected a number from 0 to 1, such as 0.5";
    let text = match &value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        other => return Err(format!("{EXPECTED}, found {}", describe_kind(other))),
    };
    match text.parse() {
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// Parses a base URL, and removes its trailing slash.
fn parse_base_url(value: DeValue<'_>) -> Result<String, String> {
    let text = parse_text(value)?;
    let url = url::Url::parse(&text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} is not an http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address must not contain a user or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base address has neither `?` nor `#`".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

impl Section<'_> {
    /// Takes a text that is not empty.
    pub fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<String> {
        self.take(reader, key, parse_text)
    }

    /// Takes a list of texts, none of them empty.
    pub fn texts(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<String>> {
        self.take(reader, key, parse_texts)
    }

    /// Takes a program and its arguments.
    pub fn words(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<String>> {
        const EXPECTED: &str = "expected a program and its arguments, such as [\"cat\", \"key\"]";
        self.take(reader, key, |value| {
            let words = list_items(value)
                .map_err(|found| format!("{EXPECTED}: {found}"))?
                .into_iter();
            let word = |value| match value {
                DeValue::String(word) => Ok(word.into_owned()),
                other => Err(format!("{EXPECTED}, found {}", describe_kind(&other))),
            };
            let words = words.map(word).collect::<Result<Vec<_>, _>>()?;
            match words.first() {
                Some(program) if !program.trim().is_empty() => Ok(words),
                _ => Err(format!("{EXPECTED}: it names no program")),
            }
        })
    }

    /// Takes the name of an environment variable.
    pub fn variable(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<String> {
        self.take(reader, key, |value| {
            let name = parse_text(value)?;
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            // A name of 64 characters could be the key itself in hexadecimal, and must not get into a log.
            let is_valid = name.len() < 64 && name.chars().all(plain);
            match is_valid && !name.starts_with(|first: char| first.is_ascii_digit()) {
                true => Ok(name),
                false => Err("expected the name of an environment variable".to_owned()),
            }
        })
    }

    /// Takes the origins of `egress.allow`. They are checked here, so that an error has its line.
    pub fn targets(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<String>> {
        self.take(reader, key, |value| {
            let entries = parse_texts(value)?;
            Policy::parse(&entries).map_err(describe_policy_error)?;
            Ok(entries)
        })
    }

    /// Takes the origins of `egress.proxies`.
    pub fn proxies(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<String>> {
        self.take(reader, key, |value| {
            let entries = parse_texts(value)?;
            Policy::parse(&[])
                .and_then(|policy| policy.with_proxies(&entries))
                .map_err(describe_policy_error)?;
            Ok(entries)
        })
    }

    /// Takes a path, relative to `directory`.
    pub fn path(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        directory: &Path,
    ) -> Option<PathBuf> {
        self.take(reader, key, |value| Ok(directory.join(parse_text(value)?)))
    }

    /// Takes `true` or `false`.
    pub fn flag(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<bool> {
        self.take(reader, key, |value| match value {
            DeValue::Boolean(flag) => Ok(flag),
            other => Err(format!(
                "expected true or false, found {}",
                describe_kind(&other)
            )),
        })
    }

    /// Takes a duration longer than zero.
    pub fn duration(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Duration> {
        self.take(reader, key, parse_duration)
    }

    /// Takes a list of durations.
    pub fn durations(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<Vec<Duration>> {
        self.take(reader, key, |value| {
            list_items(value)?.into_iter().map(parse_duration).collect()
        })
    }

    /// Takes a number, 1 or more.
    pub fn count<T: FromStr>(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<T> {
        self.take(reader, key, parse_count)
    }

    /// Takes a fraction, 0 to 1.
    pub fn fraction(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
        self.take(reader, key, parse_fraction)
    }

    /// Takes a base URL.
    pub fn base_url(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<String> {
        self.take(reader, key, parse_base_url)
    }

    /// Takes a redirect address.
    pub fn redirect(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<RedirectAddress> {
        self.take(reader, key, |value| {
            let text = parse_text(value)?;
            RedirectAddress::parse(&text).map_err(|error| format!("{text:?} {error}"))
        })
    }

    /// Takes a limit of calls.
    pub fn limit(&mut self, reader: &mut Reader<'_>, limit: Limit, limits: &mut Limits) {
        self.take(reader, limit.name(), |value| {
            let value = match limit.unit() {
                LimitUnit::Bytes => LimitValue::Bytes(parse_size(value)?),
                LimitUnit::Count => LimitValue::Count(parse_count(value)?),
                LimitUnit::Time => LimitValue::Time(parse_duration(value)?),
            };
            match limits.set(limit, value) {
                true => Ok(()),
                false => Err("is too large".to_owned()),
            }
        });
    }

    /// Takes a store URL.
    pub fn url(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        directory: &Path,
    ) -> Option<StoreUrl> {
        self.take(reader, key, |value| {
            StoreUrl::parse(&parse_text(value)?, directory)
        })
    }

    /// Takes a log format.
    pub fn log_format(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<LogFormat> {
        self.take(reader, key, |value| match value.as_str() {
            Some("text") => Ok(LogFormat::Text),
            Some("json") => Ok(LogFormat::Json),
            _ => Err("expected \"text\" or \"json\"".to_owned()),
        })
    }
}
