//! Durations in settings: whole seconds, written as `30d`, `6h` or `172800s`.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::reader::{Errors, describe, quote};

/// The maximum length of a duration as text.
const MAX_TEXT: usize = 64;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// The shortest threshold and wait.
    pub const MIN: Self = Self(MINUTE);
    /// The longest duration of any setting.
    pub const MAX: Self = Self::from_days(365);

    /// Creates a duration of days.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self(days.saturating_mul(DAY))
    }

    /// Creates a duration of hours.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(HOUR))
    }

    /// Creates a duration of seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns the number of seconds.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// Returns the duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Returns the duration for calculations with times.
    #[must_use]
    pub fn as_delta(self) -> TimeDelta {
        i64::try_from(self.0)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(TimeDelta::MAX)
    }
}

impl fmt::Display for Span {
    /// Writes the largest unit that leaves no rest, such as `30d` or `90m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m")];
        let unit = units
            .iter()
            .find(|(length, _)| self.0 >= *length && self.0.is_multiple_of(*length));
        match unit {
            Some((length, name)) => write!(f, "{}{name}", self.0 / length),
            None => write!(f, "{}s", self.0),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a duration from `min` to `max`: a text with units, or a number of seconds as the platform's older settings have.
pub(super) fn read_span(
    value: &Value,
    path: &str,
    errors: &mut Errors,
    min: Span,
    max: Span,
) -> Option<Span> {
    const EXPECTED: &str = "a duration such as \"30d\", \"6h\" or \"172800s\"";
    let span = match value {
        Value::String(text) => parse_span(text)
            .map_err(|error| format!("{} is not a duration: {error}; use {EXPECTED}", quote(text))),
        Value::Number(number) => match number.as_u64() {
            Some(seconds) => Ok(Span(seconds)),
            None => Err(format!("must be a whole number of seconds, or {EXPECTED}")),
        },
        other => Err(format!("must be {EXPECTED}, not {}", describe(other))),
    };
    let in_range = span.and_then(|span| match (min..=max).contains(&span) {
        true => Ok(span),
        false => Err(format!("must be from {min} to {max}, not {span}")),
    });
    errors.keep(path, in_range)
}

/// Parses a duration in the syntax of the configuration; digits alone are seconds.
fn parse_span(text: &str) -> Result<Span, String> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return Err(format!("it is longer than {MAX_TEXT} bytes"));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Span).map_err(|error| error.to_string());
    }
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match duration.subsec_nanos() {
        0 => Ok(Span(duration.as_secs())),
        _ => Err("it has a fraction of a second".to_owned()),
    }
}
