//! Walks a TOML document key by key and gathers everything that is wrong with it.
//!
//! A derived deserializer stops at the first fault; an operator wants them all, each with its line
//! and with the key that was probably meant.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The least likeness (Jaro-Winkler, 0 to 1) at which a known key is offered for an unknown one.
const LIKENESS: f64 = 0.75;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its line, counted from 1; none where the file does not give the key.
    pub line: Option<usize>,
    /// The key with its section, such as `limits.memory`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "{key}: {}", self.message),
        }
    }
}

/// The text that is read, and what was found wrong with it so far.
pub struct Reader<'i> {
    text: &'i str,
    faults: Vec<Fault>,
    /// The line of every key that was taken, by the key with its section.
    lines: BTreeMap<String, usize>,
}

/// A table of the document, of which keys are taken until none is left.
pub struct Section<'i> {
    /// With a dot at its end; empty at the top.
    prefix: String,
    entries: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'i> Reader<'i> {
    /// The top of the document. Where the text is no TOML, that is all that is told: what could be
    /// made of the rest would be guesses.
    pub fn open(text: &'i str) -> Result<(Section<'i>, Self), Vec<Fault>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self {
            text,
            faults: Vec::new(),
            lines: BTreeMap::new(),
        };
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.fault(span, String::new(), error.message().to_owned());
        }
        let reader = reader.unless_faulty()?;
        let top = Section {
            prefix: String::new(),
            entries: document.into_inner(),
            known: Vec::new(),
        };
        Ok((top, reader))
    }

    /// All faults in the order of their lines, if there are any.
    pub fn finish(self) -> Result<(), Vec<Fault>> {
        self.unless_faulty().map(|_| ())
    }

    fn unless_faulty(mut self) -> Result<Self, Vec<Fault>> {
        self.faults.sort_by_key(|fault| fault.line);
        if self.faults.is_empty() {
            Ok(self)
        } else {
            Err(self.faults)
        }
    }

    /// The line of a key that was taken, such as `refresh.period`.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    pub(super) fn fault(&mut self, span: Range<usize>, key: String, message: String) {
        let line = Some(self.line_at(&span));
        self.faults.push(Fault { line, key, message });
    }

    fn line_at(&self, span: &Range<usize>) -> usize {
        let before = self.text.bytes().take(span.start);
        1 + before.filter(|byte| *byte == b'\n').count()
    }
}

impl<'i> Section<'i> {
    /// Takes `key`, if it is there and can be understood; says what is wrong if it cannot.
    pub fn take<T>(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        understand: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.entries.remove(key)?;
        let span = value.span();
        let line = reader.line_at(&span);
        reader.lines.insert(format!("{}{key}", self.prefix), line);
        match understand(value.into_inner()) {
            Ok(value) => Some(value),
            Err(message) => {
                reader.fault(span, format!("{}{key}", self.prefix), message);
                None
            }
        }
    }

    /// Where the value of `key` is, before the key is taken.
    pub(super) fn place(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(key).map(Spanned::span)
    }

    /// Refuses all but the first of `keys` that are there: they say the same thing in different ways.
    pub fn at_most_one(&self, reader: &mut Reader<'_>, keys: &[&'static str]) {
        let there = self.entries.iter().filter(|(name, _)| {
            let name: &str = name.get_ref();
            keys.contains(&name)
        });
        let mut there: Vec<_> = there
            .map(|(name, _)| (name.span(), name.get_ref()))
            .collect();
        there.sort_by_key(|(span, _)| span.start);
        if let Some(((_, first), others)) = there.split_first() {
            for (span, name) in others {
                let message = format!(
                    "exactly one of {} can be given, and `{}{first}` is there already",
                    keys.join(", "),
                    self.prefix
                );
                reader.fault(span.clone(), format!("{}{name}", self.prefix), message);
            }
        }
    }

    /// Takes the table `key`.
    pub fn section(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Section<'i>> {
        let prefix = format!("{}{key}.", self.prefix);
        self.take(reader, key, |value| match value {
            DeValue::Table(entries) => Ok(Section {
                prefix,
                entries,
                known: Vec::new(),
            }),
            other => Err(format!(
                "this is a section, to be written as [{key}]; found {}",
                kind(&other)
            )),
        })
    }

    /// Whatever was not taken is unknown.
    pub fn close(self, reader: &mut Reader<'_>) {
        for (key, _) in self.entries {
            let name = key.get_ref().as_ref();
            let message = match nearest(name, &self.known) {
                Some(known) => format!("unknown key; did you mean `{}{known}`?", self.prefix),
                None => format!("unknown key; known are {}", self.known.join(", ")),
            };
            reader.fault(key.span(), format!("{}{name}", self.prefix), message);
        }
    }
}

fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// The items of an array with their places, or what is there instead.
pub fn items<'i>(value: DeValue<'i>) -> Result<Vec<DeValue<'i>>, String> {
    match value {
        DeValue::Array(items) => Ok(items.into_iter().map(Spanned::into_inner).collect()),
        other => Err(format!("expected a list, found {}", kind(&other))),
    }
}

/// What a value is, with its article.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number without quotes",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
