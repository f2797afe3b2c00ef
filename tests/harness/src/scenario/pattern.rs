//! Patterns for values: the value itself, a part of it, or a placeholder `<…>` for a generated value.

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use relation_host::types::Timestamp;
use relation_toml::{DeValue, Item, Reader, SourcePosition, ValueError, find_nearest};
use serde_json::Number;

use super::format::values;
use super::template::{Template, TemplatePart};

/// An expectation and its position.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The position in the file.
    pub position: SourcePosition,
    /// The expectation.
    pub expected: Expected,
}

/// An expected value.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Any value.
    Any,
    /// No value: the key is absent.
    Absent,
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// Exactly this number.
    Number(Number),
    /// A number in this range, both ends included.
    Between(f64, f64),
    /// Exactly this text. Known names stand for their values, new names capture.
    Text(Template),
    /// A value of this kind.
    Kind(Kind),
    /// A text that contains this one.
    Contains(Template),
    /// A text that does not contain this one.
    Lacks(Template),
    /// A text that begins with this one.
    StartsWith(Template),
    /// A text that ends with this one.
    EndsWith(Template),
    /// A text that contains a match.
    Matches(Regex),
    /// One of these texts.
    OneOf(Vec<String>),
    /// The digest of this secret.
    DigestOf(Template),
    /// This moment.
    At(Timestamp),
    /// A moment in this range, both ends included.
    During(Timestamp, Timestamp),
    /// A moment in this range, in milliseconds from the scenario's clock.
    Relative(Span),
    /// A list of exactly these items, in this order.
    List {
        /// The items.
        items: Vec<Pattern>,
        /// Whether more items may follow.
        open: bool,
    },
    /// An object with at least these entries.
    Object {
        /// The expected values, by key.
        entries: BTreeMap<String, Pattern>,
        /// Whether other entries are rejected.
        closed: bool,
    },
}

/// A kind of generated value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any number.
    Number,
    /// A UUID.
    Uuid,
    /// 24 lower-case hexadecimal characters.
    Pkid,
    /// A moment: RFC 3339, or milliseconds since 1970.
    Timestamp,
}

/// A range of moments, in milliseconds from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: i64,
    /// The last moment.
    pub to: i64,
}

const KINDS: [(&str, Kind); 5] = [
    ("text", Kind::Text),
    ("number", Kind::Number),
    ("uuid", Kind::Uuid),
    ("pkid", Kind::Pkid),
    ("timestamp", Kind::Timestamp),
];

/// The forms of placeholders, for suggestions. The reference lists the same ones.
pub const PLACEHOLDERS: [&str; 20] = [
    "<any>",
    "<absent>",
    "<null>",
    "<text>",
    "<number>",
    "<uuid>",
    "<pkid>",
    "<timestamp>",
    "<contains …>",
    "<lacks …>",
    "<starts with …>",
    "<ends with …>",
    "<matches …>",
    "<one of …>",
    "<at least …>",
    "<at most …>",
    "<… to …>",
    "<now>",
    "<in …>",
    "<digest of …>",
];

impl Kind {
    /// Returns the word for the kind.
    pub fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("any", |(name, _)| name)
    }
}

impl Pattern {
    /// Reads a pattern; the reader collects the errors.
    pub fn read(reader: &Reader<'_>, item: Item<'_>) -> Option<Self> {
        let position = reader.position(item.span.start);
        let before = reader.error_count();
        let expected = read(reader, item)?;
        (reader.error_count() == before).then_some(Self { position, expected })
    }

    /// Reads a pattern as [`Pattern::read`] does, in which objects must not have other entries.
    pub fn read_closed(reader: &Reader<'_>, item: Item<'_>) -> Option<Self> {
        let mut pattern = Self::read(reader, item)?;
        pattern.close();
        Some(pattern)
    }

    fn close(&mut self) {
        match &mut self.expected {
            Expected::Object { entries, closed } => {
                *closed = true;
                entries.values_mut().for_each(Self::close);
            }
            Expected::List { items, .. } => items.iter_mut().for_each(Self::close),
            _ => {}
        }
    }

    /// Returns the names in the pattern.
    pub fn names(&self) -> Vec<&str> {
        match &self.expected {
            Expected::Text(template)
            | Expected::Contains(template)
            | Expected::Lacks(template)
            | Expected::StartsWith(template)
            | Expected::EndsWith(template)
            | Expected::DigestOf(template) => template.names().collect(),
            Expected::List { items, .. } => items.iter().flat_map(Self::names).collect(),
            Expected::Object { entries, .. } => entries.values().flat_map(Self::names).collect(),
            _ => Vec::new(),
        }
    }
}

fn read(reader: &Reader<'_>, item: Item<'_>) -> Option<Expected> {
    match item.value {
        DeValue::Table(_) => {
            let entries = reader.entries_of(item);
            let entries = entries
                .into_iter()
                .filter_map(|(name, item)| Some((name, Pattern::read(reader, item)?)));
            Some(Expected::Object {
                entries: entries.collect(),
                closed: false,
            })
        }
        DeValue::Array(_) => {
            let mut items = reader.items_of(item);
            let open = items
                .last()
                .is_some_and(|last| last.value.as_str() == Some("..."));
            if open {
                items.pop();
            }
            let items = items
                .into_iter()
                .filter_map(|item| Pattern::read(reader, item));
            Some(Expected::List {
                items: items.collect(),
                open,
            })
        }
        _ => reader.parse_item(item, scalar),
    }
}

fn scalar(value: DeValue<'_>) -> Result<Expected, ValueError> {
    Ok(match &value {
        DeValue::String(text) => return parse_text(text),
        DeValue::Boolean(flag) => Expected::Flag(*flag),
        DeValue::Datetime(_) => Expected::At(values::parse_moment(value)?),
        _ => Expected::Number(values::parse_number(&value)?),
    })
}

/// Parses a text, or a placeholder in angle brackets. A leading `<<` means `<`.
pub fn parse_text(text: &str) -> Result<Expected, ValueError> {
    if let Some(rest) = text.strip_prefix("<<") {
        return Ok(Expected::Text(Template::parse(&format!("<{rest}"))));
    }
    let inner = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    match inner {
        Some(inner) => placeholder(inner.trim()),
        None => Ok(Expected::Text(Template::parse(text))),
    }
}

fn placeholder(inner: &str) -> Result<Expected, ValueError> {
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == inner) {
        return Ok(Expected::Kind(*kind));
    }
    match inner {
        "any" => return Ok(Expected::Any),
        "absent" => return Ok(Expected::Absent),
        "null" => return Ok(Expected::Null),
        "now" => return Ok(Expected::Relative(about(0, 0))),
        _ => {}
    }
    let argument_of = |word: &str| {
        inner
            .strip_prefix(word)?
            .strip_prefix(' ')
            .map(str::trim_start)
    };
    if let Some(text) = argument_of("contains") {
        return Ok(Expected::Contains(Template::parse(text)));
    }
    if let Some(text) = argument_of("lacks") {
        return Ok(Expected::Lacks(Template::parse(text)));
    }
    if let Some(text) = argument_of("starts with") {
        return Ok(Expected::StartsWith(Template::parse(text)));
    }
    if let Some(text) = argument_of("ends with") {
        return Ok(Expected::EndsWith(Template::parse(text)));
    }
    if let Some(text) = argument_of("digest of") {
        return Ok(Expected::DigestOf(Template::parse(text)));
    }
    if let Some(text) = argument_of("matches") {
        let regex = Regex::new(text).map_err(|error| {
            ValueError::new(format!("{text:?} is not a regular expression: {error}"))
        })?;
        return Ok(Expected::Matches(regex));
    }
    if let Some(text) = argument_of("one of") {
        let words = text.split('|').map(|word| word.trim().to_owned());
        return Ok(Expected::OneOf(words.collect()));
    }
    if let Some(text) = argument_of("at least") {
        return Ok(Expected::Between(limit(text)?, f64::INFINITY));
    }
    if let Some(text) = argument_of("at most") {
        return Ok(Expected::Between(f64::NEG_INFINITY, limit(text)?));
    }
    if let Some(text) = argument_of("in") {
        let (from, to) = spans(text)?;
        return Ok(Expected::Relative(about(from, to)));
    }
    if let Some(text) = inner.strip_suffix(" ago") {
        let (from, to) = spans(text)?;
        return Ok(Expected::Relative(about(-to.max(from), -from.min(to))));
    }
    if let Some((from, to)) = inner.split_once(" to ") {
        let moments = (
            values::parse_rfc3339(from.trim()),
            values::parse_rfc3339(to.trim()),
        );
        if let (Some(from), Some(to)) = moments {
            return Ok(Expected::During(from, to));
        }
        return Ok(Expected::Between(limit(from)?, limit(to)?));
    }
    let error = ValueError::new(format!("there is no placeholder <{inner}>"));
    let bare = format!("<{inner}>");
    Err(match find_nearest(&bare, &PLACEHOLDERS) {
        Some(known) => error.hint(format!(
            "did you mean {known}? To mean the text itself, begin it with <<"
        )),
        None => error.hint(format!(
            "known are {}; to mean the text itself, begin it with <<",
            PLACEHOLDERS.join(" ")
        )),
    })
}

/// Allows a tolerance of less than a second.
fn about(from: i64, to: i64) -> Span {
    Span {
        from: from.saturating_sub(999),
        to: to.saturating_add(999),
    }
}

fn spans(text: &str) -> Result<(i64, i64), ValueError> {
    match text.split_once(" to ") {
        Some((from, to)) => Ok((span(from)?, span(to)?)),
        None => span(text).map(|span| (span, span)),
    }
}

fn span(text: &str) -> Result<i64, ValueError> {
    let span: Result<Duration, _> = humantime::parse_duration(text.trim());
    let span = span.map_err(|error| {
        ValueError::new(format!("{text:?} is not a duration: {error}"))
            .hint("such as <in 7 days>, <in 6 days to 7 days>, <90 seconds ago>")
    })?;
    Ok(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

fn limit(text: &str) -> Result<f64, ValueError> {
    text.trim().parse().map_err(|_| {
        ValueError::new(format!("{text:?} is not a number"))
            .hint("such as <1 to 3> or <at least 2>")
    })
}

/// Returns the name if the template consists of one name.
pub fn sole_name(template: &Template) -> Option<&str> {
    match template.parts() {
        [TemplatePart::Name(name)] => Some(name),
        _ => None,
    }
}
