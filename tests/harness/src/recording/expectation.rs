//! What was seen, as a scenario expects it: what a replay makes anew stands there as a range or a name.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use regex_lite::Regex;
use relation_host::types::Timestamp;
use serde_json::Value;

use super::placeholders::Placeholders;
use crate::scenario::format::values::parse_moment;

/// Numbers so far from the beginning of a recording are no moments: 50 years.
const LIFE: Duration = Duration::from_secs(50 * 366 * 86_400);
/// Numbers as large as this may be spans in milliseconds, such as what is left of a token's life: a minute.
const SPAN: i64 = 60_000;
/// What a moment may be off besides: rounding to the second.
const ROUNDING: Duration = Duration::from_secs(1);

/// Writes expectations.
pub(super) struct Words<'a> {
    placeholders: &'a Placeholders,
    begun: Timestamp,
    drift: Duration,
    /// What a replay finds otherwise, with the name that takes it.
    names: &'a HashMap<String, String>,
    /// How many other names there are so far.
    taken: &'a Cell<usize>,
    moment: Regex,
}

impl<'a> Words<'a> {
    /// Of a recording that begins at `begun`, of calls that took `drift` at most.
    pub(super) fn new(
        placeholders: &'a Placeholders,
        begun: Timestamp,
        drift: Duration,
        names: &'a HashMap<String, String>,
        taken: &'a Cell<usize>,
    ) -> Result<Self, regex_lite::Error> {
        Ok(Self {
            placeholders,
            begun,
            drift,
            names,
            taken,
            moment: Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")?,
        })
    }

    pub(super) fn placeholders(&self) -> &'a Placeholders {
        self.placeholders
    }

    /// A value, of which an object may have more members.
    pub(super) fn json(&self, value: &Value) -> toml::Value {
        match value {
            Value::Null => "<null>".into(),
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => match u64::try_from(number).map(Timestamp) {
                    Ok(moment) if self.is_moment(moment) => self.moment(moment),
                    _ if number >= SPAN => self.span(number),
                    _ => number.into(),
                },
                (None, Some(number)) if !number.is_nan() && number.fract() != 0.0 => number.into(),
                _ => "<number>".into(),
            },
            Value::String(text) => match parse_moment(text) {
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

    /// About a moment.
    pub(super) fn moment(&self, moment: Timestamp) -> toml::Value {
        let before = self.drift + ROUNDING;
        let before = u64::try_from(before.as_millis()).unwrap_or(u64::MAX);
        let from = Timestamp(moment.0.saturating_sub(before));
        format!("<{from} to {}>", moment.after(ROUNDING)).into()
    }

    /// About as long.
    fn span(&self, millis: i64) -> toml::Value {
        let off = (self.drift + ROUNDING).as_millis();
        let off = i64::try_from(off).unwrap_or(i64::MAX);
        let (from, to) = (millis.saturating_sub(off), millis.saturating_add(off));
        format!("<{from} to {to}>").into()
    }

    fn is_moment(&self, moment: Timestamp) -> bool {
        moment.since(self.begun) < LIFE && self.begun.since(moment) < LIFE
    }

    /// A text.
    pub(super) fn text(&self, text: &str) -> String {
        let text = self.named(&self.unseen(&self.placeholders.text(text)));
        let mut told = String::new();
        let mut end = 0;
        for found in self.moment.find_iter(&text) {
            told.push_str(text.get(end..found.start()).unwrap_or_default());
            told.push_str(&self.fresh("moment"));
            end = found.end();
        }
        told.push_str(text.get(end..).unwrap_or_default());
        unbracketed(told)
    }

    /// What stands for a secret is shown as a digest, where whoever looks on knows that it is one.
    fn unseen(&self, text: &str) -> String {
        let mut told = String::new();
        let mut end = 0;
        for place in self.placeholders.places(text) {
            told.push_str(&braces(text.get(end..place.start).unwrap_or_default()));
            told.push_str(&self.fresh("secret"));
            end = place.end;
        }
        told.push_str(&braces(text.get(end..).unwrap_or_default()));
        told
    }

    /// A name that takes whatever is there.
    fn fresh(&self, what: &str) -> String {
        let number = self.taken.get() + 1;
        self.taken.set(number);
        format!("{{{what}-{number}}}")
    }

    /// A text that has no secret any more, and in which moments are what they are.
    pub(super) fn plain(&self, text: &str) -> String {
        unbracketed(self.named(&braces(text)))
    }

    fn named(&self, text: &str) -> String {
        let mut told = text.to_owned();
        for (what, name) in self.names {
            if told.contains(what.as_str()) {
                told = told.replace(what.as_str(), &format!("{{{name}}}"));
            }
        }
        told
    }
}

/// A text that begins with `<` would be a placeholder.
fn unbracketed(text: String) -> String {
    match text.starts_with('<') {
        true => format!("<{text}"),
        false => text,
    }
}

/// Braces that begin no name.
pub(super) fn braces(text: &str) -> String {
    text.replace('{', "{{")
}
