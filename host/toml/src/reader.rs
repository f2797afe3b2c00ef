//! A document's tables and items, and the collection of errors.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::source::{ParseError, ParseErrors, Source, SourcePosition, ValueError};

/// The minimum similarity (Jaro-Winkler, 0 to 1) at which a known word is suggested for an unknown one.
const MIN_SIMILARITY: f64 = 0.75;

/// A kind of table with declared keys.
#[derive(Debug)]
pub struct Section {
    /// The name in errors, such as `[given]`.
    pub name: &'static str,
    /// The allowed keys.
    pub keys: &'static [&'static str],
}

impl Section {
    /// Returns whether the section allows this key.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.contains(&key)
    }
}

/// The errors in a document that are found so far.
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
pub struct Location<'s, 'r> {
    reader: &'r Reader<'s>,
    key: String,
    span: Range<usize>,
}

impl Location<'_, '_> {
    /// Reports an error at this location.
    pub fn report(&self, error: impl Into<ValueError>) {
        self.reader.report(&self.span, &self.key, error);
    }
}

/// A table of the document. Keys are taken until none is left.
pub struct Table<'s, 'r> {
    reader: &'r Reader<'s>,
    name: Cow<'static, str>,
    known: Vec<&'static str>,
    /// Whether every key that is taken becomes a known one.
    learns_keys: bool,
    /// Whether remaining keys are not reported, because the allowed ones are not known.
    allows_unknown_keys: bool,
    key: String,
    span: Range<usize>,
    entries: DeTable<'s>,
}

impl Source {
    /// Reads the document with `read`, which returns `None` only after it reported an error.
    ///
    /// # Errors
    /// All errors, in the order of their positions. If the text is not TOML, only the syntax errors: further errors
    /// would be guesses.
    pub fn read<'s, T>(
        &'s self,
        read: impl FnOnce(&Reader<'s>, Item<'s>) -> Option<T>,
    ) -> Result<T, ParseErrors> {
        let (document, syntax_errors) = DeTable::parse_recoverable(self.text());
        let reader = Reader {
            source: self,
            errors: RefCell::default(),
        };
        for error in &syntax_errors {
            reader.report(&error.span().unwrap_or_default(), "", error.message());
        }
        let top = Item {
            key: String::new(),
            span: 0..0,
            value: DeValue::Table(document.into_inner()),
        };
        let parsed = match syntax_errors.is_empty() {
            true => read(&reader, top),
            false => None,
        };
        let mut errors = reader.errors.into_inner();
        errors.sort_by_key(|error| error.position);
        match parsed {
            Some(parsed) if errors.is_empty() => Ok(parsed),
            _ => Err(ParseErrors(errors)),
        }
    }
}

impl<'s> Reader<'s> {
    /// Returns the number of errors so far.
    pub fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Returns the position of a byte.
    pub fn position(&self, byte: usize) -> SourcePosition {
        self.source.position(byte)
    }

    /// Reports an error.
    pub fn report(&self, span: &Range<usize>, key: &str, error: impl Into<ValueError>) {
        let error = self.source.locate(span, key, error.into());
        self.errors.borrow_mut().push(error);
    }

    /// Returns the table in `item`, with the keys of `section`.
    pub fn table<'r>(&'r self, item: Item<'s>, section: &'static Section) -> Option<Table<'s, 'r>> {
        let mut table = self.undeclared_table(item, section.name)?;
        table.known = section.keys.to_vec();
        table.learns_keys = false;
        Some(table)
    }

    /// Returns the table in `item`, whose known keys are all that are taken from it. `name` is used in errors.
    pub fn undeclared_table<'r>(
        &'r self,
        item: Item<'s>,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Table<'s, 'r>> {
        let name = name.into();
        match item.value {
            DeValue::Table(entries) => Some(Table {
                reader: self,
                name,
                known: Vec::new(),
                learns_keys: true,
                allows_unknown_keys: false,
                key: item.key,
                span: item.span,
                entries,
            }),
            _ => {
                self.report_kind(&item, &format!("the table {name}"));
                None
            }
        }
    }

    /// Returns the items of a list, and reports an error for any other value.
    pub fn items<'i>(&self, item: Item<'i>, expected: &str) -> Vec<Item<'i>> {
        if !matches!(item.value, DeValue::Array(_)) {
            self.report_kind(&item, expected);
        }
        self.items_of(item)
    }

    /// Returns the entries of a table with arbitrary keys, and reports an error for any other value.
    pub fn entries<'i>(&self, item: Item<'i>, expected: &str) -> Vec<(String, Item<'i>)> {
        if !matches!(item.value, DeValue::Table(_)) {
            self.report_kind(&item, expected);
        }
        self.entries_of(item)
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
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let entries = entries.into_iter().map(|(name, value)| {
            let name = name.into_inner().into_owned();
            let item = Item {
                key: join_keys(&item.key, &name),
                span: value.span(),
                value: value.into_inner(),
            };
            (name, item)
        });
        entries.collect()
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

    /// Reports the keys of a table that `section` does not allow. Returns whether `item` is a table, and reports an
    /// error if it is not.
    pub fn check_keys(&self, item: &Item<'_>, section: &Section) -> bool {
        let DeValue::Table(entries) = &item.value else {
            self.report_kind(item, &format!("the table {}", section.name));
            return false;
        };
        for name in entries.keys().filter(|name| !section.knows(name.get_ref())) {
            self.report_unknown_key(&item.key, name, section.name, section.keys);
        }
        true
    }

    /// Reports that `item` is not of the expected kind.
    pub fn report_kind(&self, item: &Item<'_>, expected: &str) {
        let error = ValueError::from_kind(expected, &item.value);
        self.report(&item.span, &item.key, error);
    }

    fn report_unknown_key(
        &self,
        table_key: &str,
        name: &Spanned<Cow<'_, str>>,
        table_name: &str,
        known: &[&str],
    ) {
        let hint = match find_nearest(name.get_ref(), known) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("{table_name} has {}", known.join(", ")),
        };
        let error = ValueError::new("unknown key").hint(hint);
        self.report(&name.span(), &join_keys(table_key, name.get_ref()), error);
    }
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
        self.name = section.name.into();
        self.known = [section.keys, &self.known].concat();
    }

    /// Returns the reader, which collects the errors.
    pub fn reader(&self) -> &'r Reader<'s> {
        self.reader
    }

    /// Returns the position of the table.
    pub fn position(&self) -> SourcePosition {
        self.reader.position(self.span.start)
    }

    /// Returns the location of the table, to report errors after the table was read.
    pub fn location(&self) -> Location<'s, 'r> {
        Location {
            reader: self.reader,
            key: self.key.clone(),
            span: self.span.clone(),
        }
    }

    /// Returns the bytes of the value of `key`, if it is present and not taken yet.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get(key).map(Spanned::span)
    }

    /// Reports an error about the whole table.
    pub fn report(&self, error: impl Into<ValueError>) {
        self.reader.report(&self.span, &self.key, error);
    }

    /// Returns whether `key` is present and not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes `key`, if present.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'s>> {
        if !self.known.contains(&key) {
            debug_assert!(self.learns_keys, "{key} is not listed in {}", self.name);
            self.known.push(key);
        }
        let value = self.entries.remove(key)?;
        Some(Item {
            key: join_keys(&self.key, key),
            span: value.span(),
            value: value.into_inner(),
        })
    }

    fn take_required(&mut self, key: &'static str) -> Option<Item<'s>> {
        if !self.has(key) {
            self.report_missing(key);
        }
        self.take(key)
    }

    /// Reports that `key` is missing.
    pub fn report_missing(&self, key: &str) {
        self.report(format!("`{key}` is missing in {}", self.name));
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

    /// Takes a required `key` and parses it with `parse_item`.
    pub fn require<T>(
        &mut self,
        key: &'static str,
        parse_item: impl FnOnce(DeValue<'s>) -> Result<T, ValueError>,
    ) -> Option<T> {
        let item = self.take_required(key)?;
        self.reader.parse_item(item, parse_item)
    }

    /// Takes the table `key`, with the keys of `section`.
    pub fn table(&mut self, key: &'static str, section: &'static Section) -> Option<Table<'s, 'r>> {
        let item = self.take(key)?;
        self.reader.table(item, section)
    }

    /// Takes the required table `key`, with the keys of `section`.
    pub fn require_table(
        &mut self,
        key: &'static str,
        section: &'static Section,
    ) -> Option<Table<'s, 'r>> {
        let item = self.take_required(key)?;
        self.reader.table(item, section)
    }

    /// Takes the table `key`, whose known keys are all that are taken from it.
    pub fn undeclared_table(&mut self, key: &'static str) -> Option<Table<'s, 'r>> {
        let item = self.take(key)?;
        let name = format!("[{}]", item.key);
        self.reader.undeclared_table(item, name)
    }

    /// Takes the list of tables `key`, each with the keys of `section`; none if it is absent.
    pub fn tables(&mut self, key: &'static str, section: &'static Section) -> Vec<Table<'s, 'r>> {
        let items = self.take(key);
        let items = items.map(|item| self.reader.items(item, section.name));
        let tables = items.into_iter().flatten();
        tables
            .filter_map(|item| self.reader.table(item, section))
            .collect()
    }

    /// Returns the only one of `keys` that is present, and reports an error if there are none or several.
    pub fn choose_one(&self, keys: &[&'static str]) -> Option<&'static str> {
        let present: Vec<&'static str> = keys.iter().copied().filter(|key| self.has(key)).collect();
        match present.as_slice() {
            [one] => Some(one),
            [] => {
                let error = ValueError::new(format!("{} does nothing", self.name));
                self.report(error.hint(format!("give it exactly one of {}", list_keys(keys))));
                None
            }
            [first, ..] => {
                let given = list_keys(&present);
                let error = ValueError::new(format!("{given} cannot be given together"));
                self.report(error.hint(format!("exactly one of {}", list_keys(keys))));
                Some(first)
            }
        }
    }

    /// Reports an error for all but the first of `keys` that are present: they are alternatives.
    pub fn expect_at_most_one(&self, keys: &[&'static str]) {
        let names = self.entries.keys();
        let mut present: Vec<_> = names
            .filter(|name| keys.contains(&name.get_ref().as_ref()))
            .collect();
        present.sort_by_key(|name| name.span().start);
        if let Some((first, others)) = present.split_first() {
            let first = join_keys(&self.key, first.get_ref());
            let message = format!(
                "at most one of {} can be given, and `{first}` is given already",
                list_keys(keys)
            );
            for name in others {
                let key = join_keys(&self.key, name.get_ref());
                self.reader.report(&name.span(), &key, message.as_str());
            }
        }
    }

    /// Reports an error, because of `reason`, for each of `keys` that is present.
    pub fn reject(&mut self, keys: &[&'static str], reason: &str) {
        for key in keys {
            if let Some(item) = self.take(key) {
                self.reader.report(&item.span, &item.key, reason);
            }
        }
    }

    /// Reports the remaining keys as unknown.
    pub fn close(self) {
        if self.allows_unknown_keys {
            return;
        }
        for name in self.entries.keys() {
            self.reader
                .report_unknown_key(&self.key, name, &self.name, &self.known);
        }
    }
}

fn list_keys(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    keys.join(", ")
}

/// Returns the known word that was probably meant.
pub fn find_nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Describes the kind of a value, with its article.
pub fn describe_kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number without quotes",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
