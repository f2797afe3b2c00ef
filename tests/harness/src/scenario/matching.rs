//! Compares values with patterns, and captures values under names.

use relation_host::types::{Pkid, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::format::values::parse_rfc3339;
use super::mismatch::{Mismatch, Segment};
use super::pattern::{Expected, Kind, Pattern, sole_name};
use super::template::{Bindings, Template, TemplatePart, to_text};
use relation_toml::SourcePosition;

/// A matcher of values and patterns, given the captured values and the time.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The values captured so far.
    pub bindings: Bindings,
    /// The scenario's clock.
    pub now: Timestamp,
}

/// A path into a value.
type Path = Vec<Segment>;

impl Matcher {
    /// Returns whether `found` matches. Captures only on a match.
    pub fn accepts(&mut self, pattern: &Pattern, found: Option<&Value>) -> bool {
        let before = self.bindings.clone();
        let mut mismatches = Vec::new();
        self.check_value(pattern, found, &mut Vec::new(), &mut mismatches);
        if mismatches.is_empty() {
            return true;
        }
        self.bindings = before;
        false
    }

    /// Adds all mismatches of `found`, whose path is `path`.
    pub fn check_value(
        &mut self,
        pattern: &Pattern,
        found: Option<&Value>,
        path: &mut Path,
        mismatches: &mut Vec<Mismatch>,
    ) {
        match (&pattern.expected, found) {
            (Expected::Absent, None) => {}
            (Expected::Absent, Some(value)) => {
                mismatches.push(Mismatch::unexpected(path, pattern.position, value));
            }
            (expected, None) => {
                let expected = self.describe(expected);
                mismatches.push(Mismatch::missing(path, pattern.position, expected));
            }
            (Expected::Object { entries, closed }, Some(Value::Object(found))) => {
                for (name, pattern) in entries {
                    path.push(Segment::Key(name.clone()));
                    let before = mismatches.len();
                    self.check_value(pattern, found.get(name), path, mismatches);
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
                        mismatches.push(Mismatch::unexpected(path, pattern.position, value));
                        path.pop();
                    }
                }
            }
            (Expected::List { items, open }, Some(Value::Array(found))) => {
                self.check_list(items, *open, pattern.position, found, path, mismatches);
            }
            (expected, Some(value)) => {
                if !self.matches_scalar(expected, value) {
                    let expected = self.describe(expected);
                    mismatches.push(Mismatch::differs(path, pattern.position, expected, value));
                }
            }
        }
    }

    fn check_list(
        &mut self,
        items: &[Pattern],
        open: bool,
        position: SourcePosition,
        found: &[Value],
        path: &mut Path,
        mismatches: &mut Vec<Mismatch>,
    ) {
        for (index, pattern) in items.iter().enumerate() {
            path.push(Segment::Index(index));
            self.check_value(pattern, found.get(index), path, mismatches);
            path.pop();
        }
        if !open {
            for (index, value) in found.iter().enumerate().skip(items.len()) {
                path.push(Segment::Index(index));
                mismatches.push(Mismatch::unexpected(path, position, value));
                path.pop();
            }
        }
    }

    /// Matches `items` with `found` in any order. Adds the mismatches of the rest, each with the nearest value.
    pub fn check_unordered(
        &mut self,
        items: &[Pattern],
        open: bool,
        position: SourcePosition,
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
                    self.check_value(pattern, Some(value), path, mismatches);
                }
                None => {
                    let expected = self.describe(&pattern.expected);
                    mismatches.push(Mismatch::missing(path, pattern.position, expected));
                }
            }
            path.pop();
        }
        if !open {
            for value in left {
                mismatches.push(Mismatch::unexpected(path, position, value));
            }
        }
    }

    /// Returns the index of the value with the fewest mismatches.
    fn nearest(&self, pattern: &Pattern, values: &[&Value]) -> Option<usize> {
        let differences = |value: &Value| {
            let mut trial = self.clone();
            let mut mismatches = Vec::new();
            trial.check_value(pattern, Some(value), &mut Vec::new(), &mut mismatches);
            mismatches.len()
        };
        let counts = values.iter().map(|value| differences(value)).enumerate();
        counts.min_by_key(|(_, count)| *count).map(|(at, _)| at)
    }

    fn matches_scalar(&mut self, expected: &Expected, found: &Value) -> bool {
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
            Expected::Text(template) => self.matches_text(template, found),
            Expected::Kind(kind) => is_kind(*kind, found),
            Expected::Contains(part) => {
                self.matches_part(part, found, |text, part| text.contains(part))
            }
            Expected::Lacks(part) => {
                self.matches_part(part, found, |text, part| !text.contains(part))
            }
            Expected::StartsWith(part) => {
                self.matches_part(part, found, |text, part| text.starts_with(part))
            }
            Expected::EndsWith(part) => {
                self.matches_part(part, found, |text, part| text.ends_with(part))
            }
            Expected::Matches(regex) => found.as_str().is_some_and(|text| regex.is_match(text)),
            Expected::OneOf(words) => words.iter().any(|word| *word == to_text(found)),
            Expected::DigestOf(secret) => {
                self.matches_part(secret, found, |text, secret| text == digest(secret))
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

    fn matches_part(
        &self,
        part: &Template,
        found: &Value,
        holds: impl Fn(&str, &str) -> bool,
    ) -> bool {
        match (found.as_str(), part.fill(&self.bindings)) {
            (Some(text), Ok(part)) => holds(text, &part),
            _ => false,
        }
    }

    fn matches_text(&mut self, template: &Template, found: &Value) -> bool {
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
        match capture_names(template.parts(), text, &self.bindings) {
            Some(captured) => {
                for (name, value) in captured {
                    self.bindings.set(name, value);
                }
                true
            }
            None => false,
        }
    }

    /// Describes an expectation for people, with the values of names.
    fn describe(&self, expected: &Expected) -> String {
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
                // The tolerance of a second is not shown.
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
                    .map(|(name, pattern)| format!("{name}: {}", self.describe(&pattern.expected)))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

fn is_kind(kind: Kind, found: &Value) -> bool {
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

/// Parses a moment as the contract's JSON has them: milliseconds since 1970, or RFC 3339.
fn moment_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_u64().map(Timestamp),
        Value::String(text) => parse_rfc3339(text),
        _ => None,
    }
}

/// Returns the digest shown for a secret: `sha256:` and the first 16 hexadecimal digits.
pub fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    let digits = digest.first_chunk::<8>().map(hex::encode);
    format!("sha256:{}", digits.unwrap_or_default())
}

/// Returns values for the new names in `parts` with which the parts make up `text`. Each name captures as
/// little as possible, the last one the rest.
fn capture_names(
    parts: &[TemplatePart],
    text: &str,
    known: &Bindings,
) -> Option<Vec<(String, String)>> {
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty().then(Vec::new);
    };
    let name = match first {
        TemplatePart::Text(literal) => {
            return capture_names(rest, text.strip_prefix(literal.as_str())?, known);
        }
        TemplatePart::Name(name) => name,
    };
    if let Some(value) = known.get(name) {
        return capture_names(rest, text.strip_prefix(to_text(value).as_str())?, known);
    }
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    for end in ends {
        let (value, rest_of_text) = text.split_at(end);
        let mut with = known.clone();
        with.set(name.clone(), value);
        if let Some(mut others) = capture_names(rest, rest_of_text, &with) {
            others.push((name.clone(), value.to_owned()));
            return Some(others);
        }
    }
    None
}

#[cfg(test)]
mod tests;
