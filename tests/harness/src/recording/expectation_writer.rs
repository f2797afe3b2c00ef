//! Writes expectations. Values that differ in each replay become ranges or names.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use regex_lite::Regex;
use relation_host::types::Timestamp;
use serde_json::Value;

use super::placeholders::Placeholders;
use crate::scenario::format::values::parse_rfc3339;

/// The distance from the start of a recording up to which a number can be a moment: 50 years.
const MAX_DISTANCE: Duration = Duration::from_secs(50 * 366 * 86_400);
/// The least number that can be a span in milliseconds, such as a token's remaining lifetime: one minute.
const MIN_SPAN_MS: i64 = 60_000;
/// The tolerance for moments that are rounded to the second.
const ROUNDING: Duration = Duration::from_secs(1);

/// A writer of values as expectations.
pub(super) struct ExpectationWriter<'a> {
    placeholders: &'a Placeholders,
    start: Timestamp,
    drift: Duration,
    /// Values that differ in a replay, each with the name that captures it.
    names: &'a HashMap<String, String>,
    /// The number of other names used so far.
    name_count: &'a Cell<usize>,
    moment: Regex,
}

impl<'a> ExpectationWriter<'a> {
    /// Creates a writer for a recording that begins at `start`, whose calls took at most `drift`.
    pub(super) fn new(
        placeholders: &'a Placeholders,
        start: Timestamp,
        drift: Duration,
        names: &'a HashMap<String, String>,
        name_count: &'a Cell<usize>,
    ) -> Result<Self, regex_lite::Error> {
        Ok(Self {
            placeholders,
            start,
            drift,
            names,
            name_count,
            moment: Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")?,
        })
    }

    pub(super) fn placeholders(&self) -> &'a Placeholders {
        self.placeholders
    }

    /// Writes a value; objects may have more members.
    pub(super) fn json(&self, value: &Value) -> toml::Value {
        match value {
            Value::Null => "<null>".into(),
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => match u64::try_from(number).map(Timestamp) {
                    Ok(moment) if self.is_moment(moment) => self.moment(moment),
                    _ if number >= MIN_SPAN_MS => self.span(number),
                    _ => number.into(),
                },
                (None, Some(number)) if !number.is_nan() && number.fract() != 0.0 => number.into(),
                _ => "<number>".into(),
            },
            Value::String(text) => match parse_rfc3339(text) {
                Some(moment) => self.moment(moment),
                None => self.text(text).into(),
            },
            Value::Array(items) => {
                let items = items.iter().map(|item| self.json(item));
                toml::Value::Array(items.collect())
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| (self.placeholders.text(name), self.json(value)));
                toml::Value::Table(members.collect())
            }
        }
    }

    /// Writes a range around a moment.
    pub(super) fn moment(&self, moment: Timestamp) -> toml::Value {
        let before = self.drift + ROUNDING;
        let before = u64::try_from(before.as_millis()).unwrap_or(u64::MAX);
        let from = Timestamp(moment.0.saturating_sub(before));
        format!("<{from} to {}>", moment.after(ROUNDING)).into()
    }

    /// Writes a range around a span.
    fn span(&self, millis: i64) -> toml::Value {
        let off = (self.drift + ROUNDING).as_millis();
        let off = i64::try_from(off).unwrap_or(i64::MAX);
        let (from, to) = (millis.saturating_sub(off), millis.saturating_add(off));
        format!("<{from} to {to}>").into()
    }

    fn is_moment(&self, moment: Timestamp) -> bool {
        moment.since(self.start) < MAX_DISTANCE && self.start.since(moment) < MAX_DISTANCE
    }

    /// Writes a text.
    pub(super) fn text(&self, text: &str) -> String {
        let text = self.insert_names(&self.mask_placeholders(&self.placeholders.text(text)));
        let mut result = String::new();
        let mut end = 0;
        for found in self.moment.find_iter(&text) {
            result.push_str(text.get(end..found.start()).unwrap_or_default());
            result.push_str(&self.fresh_name("moment"));
            end = found.end();
        }
        result.push_str(text.get(end..).unwrap_or_default());
        escape_bracket(result)
    }

    /// Replaces placeholders by names, because replays show them as digests.
    fn mask_placeholders(&self, text: &str) -> String {
        let mut result = String::new();
        let mut end = 0;
        for place in self.placeholders.placeholder_ranges(text) {
            result.push_str(&escape_braces(
                text.get(end..place.start).unwrap_or_default(),
            ));
            result.push_str(&self.fresh_name("secret"));
            end = place.end;
        }
        result.push_str(&escape_braces(text.get(end..).unwrap_or_default()));
        result
    }

    /// Returns a name that captures any text.
    fn fresh_name(&self, what: &str) -> String {
        let number = self.name_count.get() + 1;
        self.name_count.set(number);
        format!("{{{what}-{number}}}")
    }

    /// Writes a text without secrets, in which moments stay as they are.
    pub(super) fn plain(&self, text: &str) -> String {
        escape_bracket(self.insert_names(&escape_braces(text)))
    }

    fn insert_names(&self, text: &str) -> String {
        let mut result = text.to_owned();
        for (what, name) in self.names {
            if result.contains(what.as_str()) {
                result = result.replace(what.as_str(), &format!("{{{name}}}"));
            }
        }
        result
    }
}

/// Escapes a leading `<`, which would begin a placeholder.
fn escape_bracket(text: String) -> String {
    match text.starts_with('<') {
        true => format!("<{text}"),
        false => text,
    }
}

/// Escapes braces, which would begin a name.
pub(super) fn escape_braces(text: &str) -> String {
    text.replace('{', "{{")
}
