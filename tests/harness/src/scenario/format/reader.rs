//! Reads a TOML document key by key and collects all errors.
//!
//! A derived deserializer stops at the first error. Authors of scenarios need all errors, each with its position
//! and the key that was probably meant.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Section;
use super::source::{ParseError, ParseErrors, Source, SourcePosition, ValueError};

/// The least similarity (Jaro-Winkler, 0 to 1) at which a known word is suggested for an unknown one.
const LIKENESS: f64 = 0.75;

/// A file, and the errors found so far.
pub struct Reader<'s> {
    source: &'s Source,
    errors: RefCell<Vec<ParseError>>,
}

/// A value of the document and its location.
pub struct Item<'s> {
    /// The key with all sections.
    pub key: String,
    /// The bytes in the text.
    pub span: Range<usize>,
    /// The value.
    pub value: DeValue<'s>,
}

/// The location of a table, to report errors after the table was read.
pub struct TableLocation<'s, 'r> {
    reader: &'r Reader<'s>,
    key: String,
    span: Range<usize>,
}

impl TableLocation<'_, '_> {
    /// Reports an error at this location.
    pub fn report(&self, error: ValueError) {
        self.reader.report(&self.span, &self.key, error);
    }
}

/// A table of the document. Keys are taken until none is left.
pub struct Table<'s, 'r> {
    reader: &'r Reader<'s>,
    section: &'static Section,
    /// The section before the specific one was known; its keys are allowed too.
    base: Option<&'static Section>,
    key: String,
    span: Range<usize>,
    entries: DeTable<'s>,
    /// Whether remaining keys are not reported, because the allowed ones are not known.
    allows_unknown_keys: bool,
}

impl<'s> Reader<'s> {
    /// Parses a file. If the text is not TOML, only the syntax errors are returned.
    pub fn open(source: &'s Source) -> Result<(Self, Item<'s>), ParseErrors> {
        let (document, errors) = DeTable::parse_recoverable(source.text());
        let reader = Self {
            source,
            errors: RefCell::default(),
        };
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.report(&span, "", ValueError::new(error.message()));
        }
        if reader.has_errors() {
            return Err(reader.finish());
        }
        let top = Item {
            key: String::new(),
            span: 0..0,
            value: DeValue::Table(document.into_inner()),
        };
        Ok((reader, top))
    }

    /// Whether there are errors so far.
    pub fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// Returns the number of errors so far.
    pub fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Returns the errors, ordered by position.
    pub fn finish(self) -> ParseErrors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.position);
        ParseErrors(errors)
    }

    /// Returns the place of a byte.
    pub fn position(&self, byte: usize) -> SourcePosition {
        self.source.position(byte)
    }

    /// Reports an error.
    pub fn report(&self, span: &Range<usize>, key: &str, error: ValueError) {
        let error = self.source.locate(span, key, error);
        self.errors.borrow_mut().push(error);
    }

    /// Returns the table in `item`, with the keys of `section`.
    pub fn table<'r>(&'r self, item: Item<'s>, section: &'static Section) -> Option<Table<'s, 'r>> {
        match item.value {
            DeValue::Table(entries) => Some(Table {
                reader: self,
                section,
                base: None,
                key: item.key,
                span: item.span,
                entries,
                allows_unknown_keys: false,
            }),
            other => {
                let message = format!("expected {}, found {}", section.name, kind(&other));
                self.report(&item.span, &item.key, ValueError::new(message));
                None
            }
        }
    }

    /// Returns the tables in a list.
    pub fn tables<'r>(&'r self, item: Item<'s>, section: &'static Section) -> Vec<Table<'s, 'r>> {
        let items = self.items(item, section.name);
        let tables = items
            .into_iter()
            .filter_map(|item| self.table(item, section));
        tables.collect()
    }

    /// Returns the items of a list, and reports an error for any other value.
    pub fn items<'i>(&self, item: Item<'i>, expected: &str) -> Vec<Item<'i>> {
        self.expect(&item, matches!(item.value, DeValue::Array(_)), expected);
        self.items_of(item)
    }

    /// Returns the entries of a table with arbitrary keys, and reports an error for any other value.
    pub fn entries<'i>(&self, item: Item<'i>, expected: &str) -> Vec<(String, Item<'i>)> {
        self.expect(&item, matches!(item.value, DeValue::Table(_)), expected);
        self.entries_of(item)
    }

    fn expect(&self, item: &Item<'_>, holds: bool, expected: &str) {
        if !holds {
            let message = format!("expected {expected}, found {}", kind(&item.value));
            self.report(&item.span, &item.key, ValueError::new(message));
        }
    }

    /// Returns the items of a list; none for any other value.
    pub fn items_of<'i>(&self, item: Item<'i>) -> Vec<Item<'i>> {
        let DeValue::Array(items) = item.value else {
            return Vec::new();
        };
        let items = items.into_iter().enumerate();
        let items = items.map(|(index, value)| Item {
            key: format!("{}[{}]", item.key, index + 1),
            span: value.span(),
            value: value.into_inner(),
        });
        items.collect()
    }

    /// Returns the entries of a table, in the order of the file; none for any other value.
    pub fn entries_of<'i>(&self, item: Item<'i>) -> Vec<(String, Item<'i>)> {
        let DeValue::Table(entries) = item.value else {
            return Vec::new();
        };
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|(name, value)| (name.span().start, entry(&item.key, name, value)))
            .collect();
        entries.sort_by_key(|(start, _)| *start);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Parses an item with `parse_item`, and reports its error.
    pub fn parse_item<'i, T>(
        &self,
        item: Item<'i>,
        parse_item: impl FnOnce(DeValue<'i>) -> Result<T, ValueError>,
    ) -> Option<T> {
        match parse_item(item.value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(&item.span, &item.key, error);
                None
            }
        }
    }
}

fn entry<'s>(
    prefix: &str,
    name: Spanned<std::borrow::Cow<'s, str>>,
    value: Spanned<DeValue<'s>>,
) -> (String, Item<'s>) {
    let name = name.into_inner().into_owned();
    let item = Item {
        key: join_keys(prefix, &name),
        span: value.span(),
        value: value.into_inner(),
    };
    (name, item)
}

fn join_keys(prefix: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("{name:?}"),
    };
    match prefix {
        "" => name,
        prefix => format!("{prefix}.{name}"),
    }
}

impl<'s, 'r> Table<'s, 'r> {
    /// Does not report the remaining keys, because the allowed ones are not known.
    pub fn allow_unknown_keys(&mut self) {
        self.allows_unknown_keys = true;
    }

    /// Continues as a specific section, with the keys of both sections.
    pub fn switch_section(&mut self, section: &'static Section) {
        self.base = Some(std::mem::replace(&mut self.section, section));
    }

    fn known(&self) -> Vec<&'static str> {
        let base = self.base.map_or(&[][..], |base| base.keys);
        [self.section.keys, base].concat()
    }

    /// Returns the reader, which collects the errors.
    pub fn reader(&self) -> &'r Reader<'s> {
        self.reader
    }

    /// Returns the place of the table.
    pub fn position(&self) -> SourcePosition {
        self.reader.position(self.span.start)
    }

    /// Returns the location of the table, to report errors after the table was read.
    pub fn location(&self) -> TableLocation<'s, 'r> {
        TableLocation {
            reader: self.reader,
            key: self.key.clone(),
            span: self.span.clone(),
        }
    }

    /// Reports an error about the whole table.
    pub fn report(&self, error: ValueError) {
        self.reader.report(&self.span, &self.key, error);
    }

    /// Whether `key` is present and not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes `key`, if present.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'s>> {
        debug_assert!(
            self.known().contains(&key),
            "{key} is not listed in {}",
            self.section.name
        );
        let value = self.entries.remove(key)?;
        Some(Item {
            key: join_keys(&self.key, key),
            span: value.span(),
            value: value.into_inner(),
        })
    }

    /// Takes `key` and parses it with `parse_item`.
    pub fn get<T>(
        &mut self,
        key: &'static str,
        parse_item: impl FnOnce(DeValue<'s>) -> Result<T, ValueError>,
    ) -> Option<T> {
        let item = self.take(key)?;
        self.reader.parse_item(item, parse_item)
    }

    /// Takes a required `key`, and reports an error if it is missing.
    pub fn require<T>(
        &mut self,
        key: &'static str,
        parse_item: impl FnOnce(DeValue<'s>) -> Result<T, ValueError>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key);
        }
        self.get(key, parse_item)
    }

    /// Reports that `key` is missing.
    pub fn missing(&self, key: &str) {
        let whole = self.section.name;
        self.report(ValueError::new(format!("`{key}` is missing in {whole}")));
    }

    /// Returns the only one of `keys` that is present, and reports an error if there are none or several.
    pub fn exactly_one(&self, keys: &[&'static str]) -> Option<&'static str> {
        let there: Vec<&'static str> = keys.iter().copied().filter(|key| self.has(key)).collect();
        match there.as_slice() {
            [one] => Some(one),
            [] => {
                let error = ValueError::new(format!("{} does nothing", self.section.name));
                self.report(error.hint(format!("give it exactly one of {}", list_keys(keys))));
                None
            }
            [first, ..] => {
                let error =
                    ValueError::new(format!("{} cannot be given together", list_keys(&there)));
                self.report(error.hint(format!("exactly one of {}", list_keys(keys))));
                Some(first)
            }
        }
    }

    /// Reports an error, because of `reason`, for each of `keys` that is present.
    pub fn reject(&mut self, keys: &[&'static str], reason: &str) {
        for key in keys {
            if let Some(item) = self.take(key) {
                self.reader
                    .report(&item.span, &item.key, ValueError::new(reason));
            }
        }
    }

    /// Reports the remaining keys as unknown.
    pub fn close(self) {
        if self.allows_unknown_keys {
            return;
        }
        let known = self.known();
        for (name, _) in self.entries {
            let span = name.span();
            let name = name.into_inner();
            let error = ValueError::new("unknown key");
            let error = match nearest(&name, &known) {
                Some(known) => error.hint(format!("did you mean `{known}`?")),
                None => error.hint(format!("{} has {}", self.section.name, known.join(", "))),
            };
            self.reader
                .report(&span, &join_keys(&self.key, &name), error);
        }
    }
}

fn list_keys(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    keys.join(", ")
}

/// Returns the known word that was probably meant.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Returns the kind of a value, with its article.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
