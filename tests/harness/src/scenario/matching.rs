//! Holds a value against what is expected of it, and keeps what is captured.

use relation_host::types::{Pkid, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::format::source::Place;
use super::format::values::parse_moment;
use super::mismatch::{Mismatch, Segment};
use super::pattern::{Expected, Kind, Pattern, sole_name};
use super::template::{Bindings, Part, Template, plain};

/// What values are held against: what was captured, and what time it is.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// What was captured so far.
    pub bindings: Bindings,
    /// The scenario's clock.
    pub now: Timestamp,
}

/// Where in a value we are.
type Path = Vec<Segment>;

impl Matcher {
    /// Whether `found` is as expected. Captures only if it is.
    pub fn accepts(&mut self, pattern: &Pattern, found: Option<&Value>) -> bool {
        let before = self.bindings.clone();
        let mut mismatches = Vec::new();
        self.hold(pattern, found, &mut Vec::new(), &mut mismatches);
        if mismatches.is_empty() {
            return true;
        }
        self.bindings = before;
        false
    }

    /// Everything in which `found`, which stands at `path`, is not as expected.
    pub fn hold(
        &mut self,
        pattern: &Pattern,
        found: Option<&Value>,
        path: &mut Path,
        mismatches: &mut Vec<Mismatch>,
    ) {
        match (&pattern.expected, found) {
            (Expected::Absent, None) => {}
            (Expected::Absent, Some(value)) => {
                mismatches.push(Mismatch::unexpected(path, pattern.place, value));
            }
            (expected, None) => {
                let expected = self.words(expected);
                mismatches.push(Mismatch::missing(path, pattern.place, expected));
            }
            (Expected::Object { entries, closed }, Some(Value::Object(found))) => {
                for (name, pattern) in entries {
                    path.push(Segment::Key(name.clone()));
                    let before = mismatches.len();
                    self.hold(pattern, found.get(name), path, mismatches);
                    if let (None, Some(missing)) = (found.get(name), mismatches.get_mut(before)) {
                        let others: Vec<&str> = found.keys().map(String::as_str).collect();
                        missing.note = Some(match others.is_empty() {
                            true => "it has no members".to_owned(),
                            false => format!("its members are {}", others.join(", ")),
                        });
                    }
                    path.pop();
                }
                if *closed {
                    let others = found
                        .iter()
                        .filter(|(name, _)| !entries.contains_key(*name));
                    for (name, value) in others {
                        path.push(Segment::Key(name.clone()));
                        mismatches.push(Mismatch::unexpected(path, pattern.place, value));
                        path.pop();
                    }
                }
            }
            (Expected::List { items, open }, Some(Value::Array(found))) => {
                self.list(items, *open, pattern.place, found, path, mismatches);
            }
            (expected, Some(value)) => {
                if !self.scalar(expected, value) {
                    let expected = self.words(expected);
                    mismatches.push(Mismatch::differs(path, pattern.place, expected, value));
                }
            }
        }
    }

    fn list(
        &mut self,
        items: &[Pattern],
        open: bool,
        place: Place,
        found: &[Value],
        path: &mut Path,
        mismatches: &mut Vec<Mismatch>,
    ) {
        for (index, pattern) in items.iter().enumerate() {
            path.push(Segment::Index(index));
            self.hold(pattern, found.get(index), path, mismatches);
            path.pop();
        }
        if !open {
            for (index, value) in found.iter().enumerate().skip(items.len()) {
                path.push(Segment::Index(index));
                mismatches.push(Mismatch::unexpected(path, place, value));
                path.pop();
            }
        }
    }

    /// Which of `items` fits which of `found`, in any order; the rest is told with what is nearest.
    pub fn unordered(
        &mut self,
        items: &[Pattern],
        open: bool,
        place: Place,
        found: &[Value],
        path: &mut Path,
        mismatches: &mut Vec<Mismatch>,
    ) {
        let mut left: Vec<&Value> = found.iter().collect();
        let mut unmet = Vec::new();
        for (index, pattern) in items.iter().enumerate() {
            match left
                .iter()
                .position(|value| self.accepts(pattern, Some(value)))
            {
                Some(position) => {
                    left.remove(position);
                }
                None => unmet.push((index, pattern)),
            }
        }
        for (index, pattern) in unmet {
            path.push(Segment::Index(index));
            match self.nearest(pattern, &left) {
                Some(position) => {
                    let value = left.remove(position);
                    self.hold(pattern, Some(value), path, mismatches);
                }
                None => {
                    let expected = self.words(&pattern.expected);
                    mismatches.push(Mismatch::missing(path, pattern.place, expected));
                }
            }
            path.pop();
        }
        if !open {
            for value in left {
                mismatches.push(Mismatch::unexpected(path, place, value));
            }
        }
    }

    /// The value that differs least.
    fn nearest(&self, pattern: &Pattern, values: &[&Value]) -> Option<usize> {
        let differences = |value: &Value| {
            let mut trial = self.clone();
            let mut mismatches = Vec::new();
            trial.hold(pattern, Some(value), &mut Vec::new(), &mut mismatches);
            mismatches.len()
        };
        let counted = values.iter().map(|value| differences(value)).enumerate();
        counted.min_by_key(|(_, count)| *count).map(|(at, _)| at)
    }

    fn scalar(&mut self, expected: &Expected, found: &Value) -> bool {
        match expected {
            Expected::Any => true,
            Expected::Null => found.is_null(),
            Expected::Flag(flag) => found.as_bool() == Some(*flag),
            Expected::Number(number) => {
                found.as_f64().is_some() && found.as_f64() == number.as_f64()
            }
            Expected::Between(from, to) => found
                .as_f64()
                .is_some_and(|number| (*from..=*to).contains(&number)),
            Expected::Text(template) => self.text(template, found),
            Expected::Kind(kind) => is_of(*kind, found),
            Expected::Contains(part) => self.compare(part, found, |text, part| text.contains(part)),
            Expected::Lacks(part) => self.compare(part, found, |text, part| !text.contains(part)),
            Expected::StartsWith(part) => {
                self.compare(part, found, |text, part| text.starts_with(part))
            }
            Expected::EndsWith(part) => {
                self.compare(part, found, |text, part| text.ends_with(part))
            }
            Expected::Matches(regex) => found.as_str().is_some_and(|text| regex.is_match(text)),
            Expected::OneOf(words) => words.iter().any(|word| *word == plain(found)),
            Expected::DigestOf(secret) => {
                self.compare(secret, found, |text, secret| text == digest(secret))
            }
            Expected::At(moment) => moment_of(found) == Some(*moment),
            Expected::During(from, to) => {
                moment_of(found).is_some_and(|moment| (*from..=*to).contains(&moment))
            }
            Expected::Relative(span) => moment_of(found).is_some_and(|moment| {
                let away = i128::from(moment.0) - i128::from(self.now.0);
                (i128::from(span.from)..=i128::from(span.to)).contains(&away)
            }),
            Expected::Absent | Expected::List { .. } | Expected::Object { .. } => false,
        }
    }

    fn compare(&self, part: &Template, found: &Value, holds: impl Fn(&str, &str) -> bool) -> bool {
        match (found.as_str(), part.fill(&self.bindings)) {
            (Some(text), Ok(part)) => holds(text, &part),
            _ => false,
        }
    }

    fn text(&mut self, template: &Template, found: &Value) -> bool {
        if let Some(name) = sole_name(template) {
            return match self.bindings.get(name) {
                Some(known) => known == found,
                None => {
                    self.bindings.set(name, found.clone());
                    true
                }
            };
        }
        let Some(text) = found.as_str() else {
            return false;
        };
        match captured(template.parts(), text, &self.bindings) {
            Some(captured) => {
                for (name, value) in captured {
                    self.bindings.set(name, value);
                }
                true
            }
            None => false,
        }
    }

    /// What is expected, for a person; names with what is known under them.
    fn words(&self, expected: &Expected) -> String {
        let filled = |template: &Template| {
            let written = template.to_string();
            match template.fill(&self.bindings) {
                Ok(filled) if filled != written => format!("{filled:?} ({written})"),
                _ => format!("{written:?}"),
            }
        };
        match expected {
            Expected::Any => "anything".to_owned(),
            Expected::Absent => "nothing".to_owned(),
            Expected::Null => "null".to_owned(),
            Expected::Flag(flag) => flag.to_string(),
            Expected::Number(number) => number.to_string(),
            Expected::Between(from, to) if to.is_infinite() => format!("at least {from}"),
            Expected::Between(from, to) if from.is_infinite() => format!("at most {to}"),
            Expected::Between(from, to) => format!("a number from {from} to {to}"),
            Expected::Text(template) => filled(template),
            Expected::Kind(kind) => format!("a {}", kind.name()),
            Expected::Contains(part) => format!("a text that contains {}", filled(part)),
            Expected::Lacks(part) => format!("a text without {}", filled(part)),
            Expected::StartsWith(part) => format!("a text that begins with {}", filled(part)),
            Expected::EndsWith(part) => format!("a text that ends with {}", filled(part)),
            Expected::Matches(regex) => format!("a text that matches {regex}"),
            Expected::OneOf(words) => format!("one of {}", words.join(", ")),
            Expected::DigestOf(secret) => format!("the digest of {secret}"),
            Expected::At(moment) => moment.to_string(),
            Expected::During(from, to) => format!("from {from} to {to}"),
            Expected::Relative(span) => {
                let moment = |away: i64| {
                    let at = i128::from(self.now.0) + i128::from(away);
                    Timestamp(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
                };
                // The tolerance of a second is not told.
                let (from, to) = (span.from.saturating_add(999), span.to.saturating_sub(999));
                match from == to {
                    true => format!("{} (to the second)", moment(from)),
                    false => format!("from {} to {}", moment(from), moment(to)),
                }
            }
            Expected::List { items, .. } => match items.len() {
                0 => "an empty list".to_owned(),
                1 => "a list of 1".to_owned(),
                count => format!("a list of {count}"),
            },
            Expected::Object { entries, .. } => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(name, pattern)| format!("{name}: {}", self.words(&pattern.expected)))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

fn is_of(kind: Kind, found: &Value) -> bool {
    match kind {
        Kind::Text => found.is_string(),
        Kind::Number => found.is_number(),
        Kind::Uuid => found.as_str().is_some_and(is_uuid),
        Kind::Pkid => {
            let text = found.as_str();
            text.is_some_and(|text| text.parse::<Pkid>().is_ok())
        }
        Kind::Timestamp => moment_of(found).is_some(),
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hexadecimal = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(hexadecimal)
}

/// A moment as the contract's JSON has them: milliseconds since 1970, or RFC 3339.
fn moment_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_u64().map(Timestamp),
        Value::String(text) => parse_moment(text),
        _ => None,
    }
}

/// How a secret is shown: `sha256:` and the first 16 hexadecimal digits.
pub fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    let digits: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

/// What the new names in `parts` stand for, so that they make up `text`. A name takes as little as
/// it can, the last one what is left.
fn captured(parts: &[Part], text: &str, known: &Bindings) -> Option<Vec<(String, String)>> {
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty().then(Vec::new);
    };
    let name = match first {
        Part::Text(literal) => return captured(rest, text.strip_prefix(literal.as_str())?, known),
        Part::Hole(name) => name,
    };
    if let Some(value) = known.get(name) {
        return captured(rest, text.strip_prefix(plain(value).as_str())?, known);
    }
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    for end in ends {
        let (value, behind) = text.split_at(end);
        let mut with = known.clone();
        with.set(name.clone(), value);
        if let Some(mut others) = captured(rest, behind, &with) {
            others.push((name.clone(), value.to_owned()));
            return Some(others);
        }
    }
    None
}

#[cfg(test)]
mod tests;
