//! Reads a TOML document key by key and collects all errors.
//!
//! A derived deserializer stops at the first error. An operator needs all errors, each with its line and with
//! the key that was probably meant.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The minimum similarity (Jaro-Winkler, 0 to 1) at which a known key is suggested for an unknown one.
const MIN_SIMILARITY: f64 = 0.75;

/// An error in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The line, counted from 1. `None` if the file does not give the key.
    pub line: Option<usize>,
    /// The key with its section, such as `limits.memory`. Empty if the text is not TOML.
    pub key: String,
    /// The error and the expected value.
    pub message: String,
}

impl fmt::Display for SettingError {
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

/// The text that is read, and its errors so far.
pub struct Reader<'i> {
    text: &'i str,
    errors: Vec<SettingError>,
    /// The line of every key that was taken, by the key with its section.
    lines: BTreeMap<String, usize>,
}

/// A table of the document. Each key that is read is removed from it.
pub struct Section<'i> {
    /// Ends with a dot. Empty at the top level.
    prefix: String,
    entries: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'i> Reader<'i> {
    /// Opens the document at its top level. If the text is not TOML, returns only the syntax errors: further
    /// errors would be guesses.
    pub fn open(text: &'i str) -> Result<(Section<'i>, Self), Vec<SettingError>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self {
            text,
            errors: Vec::new(),
            lines: BTreeMap::new(),
        };
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.add_error(span, String::new(), error.message().to_owned());
        }
        let reader = reader.into_result()?;
        let top = Section {
            prefix: String::new(),
            entries: document.into_inner(),
            known: Vec::new(),
        };
        Ok((top, reader))
    }

    /// Returns all errors in the order of their lines, if there are any.
    pub fn finish(self) -> Result<(), Vec<SettingError>> {
        self.into_result().map(|_| ())
    }

    fn into_result(mut self) -> Result<Self, Vec<SettingError>> {
        self.errors.sort_by_key(|error| error.line);
        if self.errors.is_empty() {
            Ok(self)
        } else {
            Err(self.errors)
        }
    }

    /// Returns the line of a key that was taken, such as `refresh.period`.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    pub(super) fn add_error(&mut self, span: Range<usize>, key: String, message: String) {
        let line = Some(self.line_at(&span));
        self.errors.push(SettingError { line, key, message });
    }

    fn line_at(&self, span: &Range<usize>) -> usize {
        let before = self.text.bytes().take(span.start);
        1 + before.filter(|byte| *byte == b'\n').count()
    }
}

impl<'i> Section<'i> {
    /// Takes and parses the value of `key`, if it exists. Records an error if `parse` fails.
    pub fn take<T>(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        parse: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.entries.remove(key)?;
        let span = value.span();
        let line = reader.line_at(&span);
        reader.lines.insert(format!("{}{key}", self.prefix), line);
        match parse(value.into_inner()) {
            Ok(value) => Some(value),
            Err(message) => {
                reader.add_error(span, format!("{}{key}", self.prefix), message);
                None
            }
        }
    }

    /// Returns the position of the value of `key`, before the key is taken.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(key).map(Spanned::span)
    }

    /// Adds an error for all but the first of `keys` that exist: they are alternatives.
    pub fn at_most_one(&self, reader: &mut Reader<'_>, keys: &[&'static str]) {
        let present = self.entries.iter().filter(|(name, _)| {
            let name: &str = name.get_ref();
            keys.contains(&name)
        });
        let mut present: Vec<_> = present
            .map(|(name, _)| (name.span(), name.get_ref()))
            .collect();
        present.sort_by_key(|(span, _)| span.start);
        if let Some(((_, first), others)) = present.split_first() {
            for (span, name) in others {
                let message = format!(
                    "exactly one of {} can be given, and `{}{first}` is given already",
                    keys.join(", "),
                    self.prefix
                );
                reader.add_error(span.clone(), format!("{}{name}", self.prefix), message);
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
                describe_kind(&other)
            )),
        })
    }

    /// Adds an error for each key that was not taken, because it is unknown.
    pub fn close(self, reader: &mut Reader<'_>) {
        for (key, _) in self.entries {
            let name = key.get_ref().as_ref();
            let message = match find_nearest(name, &self.known) {
                Some(known) => format!("unknown key; did you mean `{}{known}`?", self.prefix),
                None => format!("unknown key; known are {}", self.known.join(", ")),
            };
            reader.add_error(key.span(), format!("{}{name}", self.prefix), message);
        }
    }
}

fn find_nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Returns the items of an array, or an error that names what was found.
pub fn list_items<'i>(value: DeValue<'i>) -> Result<Vec<DeValue<'i>>, String> {
    match value {
        DeValue::Array(items) => Ok(items.into_iter().map(Spanned::into_inner).collect()),
        other => Err(format!("expected a list, found {}", describe_kind(&other))),
    }
}

/// Describes the type of a value, with its article.
pub fn describe_kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number without quotes",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
