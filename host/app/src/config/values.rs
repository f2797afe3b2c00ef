//! Parsers for the kinds of values that only a configuration has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use relation_host::egress::{Policy, PolicyError};
use relation_toml::values::{self, parse_word};
pub use relation_toml::values::{parse_flag, parse_list, parse_positive, parse_text, parse_texts};
use relation_toml::{DeValue, ValueError};

/// The log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(super) fn parse(value: DeValue<'_>) -> Result<Self, ValueError> {
        parse_word(
            value,
            "log format",
            &[("text", Self::Text), ("json", Self::Json)],
        )
    }
}

/// Formats a duration for the plugin: in seconds, or in milliseconds.
pub fn format_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// Parses a duration longer than zero.
pub fn parse_duration(value: DeValue<'_>) -> Result<Duration, ValueError> {
    match values::parse_duration(value)? {
        Duration::ZERO => Err("must be longer than zero".into()),
        duration => Ok(duration),
    }
}

/// Parses a size in bytes, more than zero.
pub fn parse_size<T: TryFrom<u64> + Default + PartialEq>(
    value: DeValue<'_>,
) -> Result<T, ValueError> {
    let size = values::parse_size(value)?;
    match size == T::default() {
        true => Err("must be more than zero".into()),
        false => Ok(size),
    }
}

/// Parses a number from 0 to 1.
pub fn parse_fraction(value: DeValue<'_>) -> Result<f64, ValueError> {
    const EXPECTED: &str = "a number from 0 to 1, such as 0.5";
    let text = match &value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        other => return Err(ValueError::from_kind(EXPECTED, other)),
    };
    match text.parse() {
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
        _ => Err(format!("expected {EXPECTED}").into()),
    }
}

/// Parses a path, relative to `directory`.
pub fn parse_path(value: DeValue<'_>, directory: &Path) -> Result<PathBuf, ValueError> {
    Ok(directory.join(parse_text(value)?))
}

/// Parses a base URL, and removes its trailing slash.
pub fn parse_base_url(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    check_base_url(&text)?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// Checks a client id, which has visible ASCII characters only (RFC 6749, appendix A.1; ids of Webex have no space).
///
/// # Errors
/// The text is empty, or has another character.
pub fn check_client_id(text: &str) -> Result<String, String> {
    let wrong = text
        .chars()
        .enumerate()
        .find(|(_, c)| !c.is_ascii_graphic());
    match wrong {
        None if text.is_empty() => Err("a client id is not empty".to_owned()),
        None => Ok(text.to_owned()),
        Some((index, c)) => {
            let place = index.saturating_add(1);
            Err(match c {
                c if c.is_whitespace() => {
                    format!("a client id has no white space; character {place} is white space")
                }
                c if c.is_control() => {
                    format!("a client id has no control characters; character {place} is one")
                }
                c => format!("a client id has ASCII characters only; character {place} is {c:?}"),
            })
        }
    }
}

/// Parses a client id.
pub fn parse_client_id(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = parse_text(value)?;
    Ok(check_client_id(&text)?)
}

/// Parses the root of an API.
///
/// # Errors
/// The text is not an http or https address, or has a user, a password, a query or a fragment.
pub fn check_base_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} is not an http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address must not contain a user or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base address has neither `?` nor `#`".to_owned());
    }
    Ok(url)
}

/// Parses a program and its arguments.
pub fn parse_command(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    const EXPECTED: &str = "a program and its arguments, such as [\"cat\", \"key\"]";
    let words = parse_list(value, EXPECTED, |word| match word {
        DeValue::String(word) => Ok(word.into_owned()),
        other => Err(ValueError::from_kind(EXPECTED, &other)),
    })?;
    match words.first() {
        Some(program) if !program.trim().is_empty() => Ok(words),
        _ => Err(format!("expected {EXPECTED}: it names no program").into()),
    }
}

/// Parses the name of an environment variable.
pub fn parse_variable(value: DeValue<'_>) -> Result<String, ValueError> {
    let name = parse_text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // A name of 64 characters could be the key itself in hexadecimal, and must not get into a log.
    let is_valid = name.len() < 64 && name.chars().all(plain);
    match is_valid && !name.starts_with(|first: char| first.is_ascii_digit()) {
        true => Ok(name),
        false => Err("expected the name of an environment variable".into()),
    }
}

/// Parses the origins of `egress.allow`. They are checked here, so that an error has its line.
pub fn parse_targets(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    let entries = parse_texts(value)?;
    Policy::parse(&entries).map_err(describe_policy_error)?;
    Ok(entries)
}

/// Parses `web.callback-origins`.
pub fn parse_callback_origins(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    let entries = parse_texts(value)?;
    Policy::parse_callbacks(&entries).map_err(describe_policy_error)?;
    Ok(entries)
}

/// Parses `notices.webhook-origins`.
pub fn parse_webhook_origins(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    let entries = parse_texts(value)?;
    Policy::parse_webhooks(&entries).map_err(describe_policy_error)?;
    Ok(entries)
}

/// Parses the origins of `egress.proxies`.
pub fn parse_proxies(value: DeValue<'_>) -> Result<Vec<String>, ValueError> {
    let entries = parse_texts(value)?;
    Policy::parse(&[])
        .and_then(|policy| policy.with_proxies(&entries))
        .map_err(describe_policy_error)?;
    Ok(entries)
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
