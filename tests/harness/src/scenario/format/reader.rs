//! Walks a TOML document key by key and gathers everything that is wrong with it.
//!
//! A derived deserializer stops at the first fault. Whoever writes a scenario wants all of them, each
//! with its place and with the key that was probably meant.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Section;
use super::source::{Complaint, Fault, Faults, Place, Source};

/// The least likeness (Jaro-Winkler, 0 to 1) at which a known word is offered for an unknown one.
const LIKENESS: f64 = 0.75;

/// A file that is read, and what was found wrong with it so far.
pub struct Reader<'s> {
    source: &'s Source,
    faults: RefCell<Vec<Fault>>,
}

/// A value of the document, with where it stands.
pub struct Item<'s> {
    /// Its key with all sections.
    pub key: String,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// The value.
    pub value: DeValue<'s>,
}

/// Where something stands, to be complained about when it has been read.
pub struct Spot<'s, 'r> {
    reader: &'r Reader<'s>,
    key: String,
    span: Range<usize>,
}

impl Spot<'_, '_> {
    /// What is wrong there.
    pub fn fault(&self, complaint: Complaint) {
        self.reader.fault(&self.span, &self.key, complaint);
    }
}

/// A table of the document, of which keys are taken until none is left.
pub struct Table<'s, 'r> {
    reader: &'r Reader<'s>,
    section: &'static Section,
    /// What it was before it was known which section it is: those keys it may have as well.
    base: Option<&'static Section>,
    key: String,
    span: Range<usize>,
    entries: DeTable<'s>,
    /// It is not known which keys it may have: nothing is said of those that are left.
    pardoned: bool,
}

impl<'s> Reader<'s> {
    /// Reads a file. Where the text is no TOML, that is all that is told: what could be made of the
    /// rest would be guesses.
    pub fn open(source: &'s Source) -> Result<(Self, Item<'s>), Faults> {
        let (document, errors) = DeTable::parse_recoverable(source.text());
        let reader = Self {
            source,
            faults: RefCell::default(),
        };
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.fault(&span, "", Complaint::new(error.message()));
        }
        if reader.is_faulty() {
            return Err(reader.finish());
        }
        let top = Item {
            key: String::new(),
            span: 0..0,
            value: DeValue::Table(document.into_inner()),
        };
        Ok((reader, top))
    }

    /// Whether something is wrong so far.
    pub fn is_faulty(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    /// How much is wrong so far.
    pub fn count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// What was found wrong, in the order of places.
    pub fn finish(self) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.place);
        Faults(faults)
    }

    /// Where a byte stands.
    pub fn place(&self, byte: usize) -> Place {
        self.source.place(byte)
    }

    /// Keeps what is wrong.
    pub fn fault(&self, span: &Range<usize>, key: &str, complaint: Complaint) {
        let fault = self.source.fault(span, key, complaint);
        self.faults.borrow_mut().push(fault);
    }

    /// The table in `item`, of which the keys of `section` can be taken.
    pub fn table<'r>(&'r self, item: Item<'s>, section: &'static Section) -> Option<Table<'s, 'r>> {
        match item.value {
            DeValue::Table(entries) => Some(Table {
                reader: self,
                section,
                base: None,
                key: item.key,
                span: item.span,
                entries,
                pardoned: false,
            }),
            other => {
                let message = format!("expected {}, found {}", section.name, kind(&other));
                self.fault(&item.span, &item.key, Complaint::new(message));
                None
            }
        }
    }

    /// The tables in a list of them.
    pub fn tables<'r>(&'r self, item: Item<'s>, section: &'static Section) -> Vec<Table<'s, 'r>> {
        let items = self.items(item, section.name);
        let tables = items
            .into_iter()
            .filter_map(|item| self.table(item, section));
        tables.collect()
    }

    /// The items of a list; says what is wrong where there is none.
    pub fn items<'i>(&self, item: Item<'i>, expected: &str) -> Vec<Item<'i>> {
        self.expect(&item, matches!(item.value, DeValue::Array(_)), expected);
        self.items_of(item)
    }

    /// The entries of a table whose keys are the writer's own; says what is wrong where there is none.
    pub fn entries<'i>(&self, item: Item<'i>, expected: &str) -> Vec<(String, Item<'i>)> {
        self.expect(&item, matches!(item.value, DeValue::Table(_)), expected);
        self.entries_of(item)
    }

    fn expect(&self, item: &Item<'_>, met: bool, expected: &str) {
        if !met {
            let message = format!("expected {expected}, found {}", kind(&item.value));
            self.fault(&item.span, &item.key, Complaint::new(message));
        }
    }

    /// The items of a list; none of what is no list.
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

    /// The entries of a table, in the order of the file; none of what is no table.
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

    /// What `understand` makes of an item; what is wrong is kept.
    pub fn understand<'i, T>(
        &self,
        item: Item<'i>,
        understand: impl FnOnce(DeValue<'i>) -> Result<T, Complaint>,
    ) -> Option<T> {
        match understand(item.value) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.fault(&item.span, &item.key, complaint);
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
        key: joined(prefix, &name),
        span: value.span(),
        value: value.into_inner(),
    };
    (name, item)
}

fn joined(prefix: &str, name: &str) -> String {
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
    /// Says nothing of the keys that are left: what they belong to is not known.
    pub fn pardon(&mut self) {
        self.pardoned = true;
    }

    /// Goes on as another section, which is known by now, with the keys of both.
    pub fn becomes(&mut self, section: &'static Section) {
        self.base = Some(std::mem::replace(&mut self.section, section));
    }

    fn known(&self) -> Vec<&'static str> {
        let base = self.base.map_or(&[][..], |base| base.keys);
        [self.section.keys, base].concat()
    }

    /// Who keeps the faults.
    pub fn reader(&self) -> &'r Reader<'s> {
        self.reader
    }

    /// Where the table stands.
    pub fn place(&self) -> Place {
        self.reader.place(self.span.start)
    }

    /// Where the table stands, to be complained about when it has been read.
    pub fn spot(&self) -> Spot<'s, 'r> {
        Spot {
            reader: self.reader,
            key: self.key.clone(),
            span: self.span.clone(),
        }
    }

    /// What is wrong with the table as a whole.
    pub fn fault(&self, complaint: Complaint) {
        self.reader.fault(&self.span, &self.key, complaint);
    }

    /// Whether `key` is there and not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes `key`, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'s>> {
        debug_assert!(
            self.known().contains(&key),
            "{key} is not listed in {}",
            self.section.name
        );
        let value = self.entries.remove(key)?;
        Some(Item {
            key: joined(&self.key, key),
            span: value.span(),
            value: value.into_inner(),
        })
    }

    /// Takes `key` and what `understand` makes of it.
    pub fn get<T>(
        &mut self,
        key: &'static str,
        understand: impl FnOnce(DeValue<'s>) -> Result<T, Complaint>,
    ) -> Option<T> {
        let item = self.take(key)?;
        self.reader.understand(item, understand)
    }

    /// Takes `key`, which has to be there.
    pub fn need<T>(
        &mut self,
        key: &'static str,
        understand: impl FnOnce(DeValue<'s>) -> Result<T, Complaint>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key);
        }
        self.get(key, understand)
    }

    /// Says that `key` has to be there.
    pub fn missing(&self, key: &str) {
        let whole = self.section.name;
        self.fault(Complaint::new(format!("`{key}` is missing in {whole}")));
    }

    /// The one of `keys` that is there; says what is wrong if there is none, or more than one.
    pub fn exactly_one(&self, keys: &[&'static str]) -> Option<&'static str> {
        let there: Vec<&'static str> = keys.iter().copied().filter(|key| self.has(key)).collect();
        match there.as_slice() {
            [one] => Some(one),
            [] => {
                let complaint = Complaint::new(format!("{} does nothing", self.section.name));
                self.fault(complaint.hint(format!("give it exactly one of {}", listed(keys))));
                None
            }
            [first, ..] => {
                let complaint =
                    Complaint::new(format!("{} cannot be given together", listed(&there)));
                self.fault(complaint.hint(format!("exactly one of {}", listed(keys))));
                Some(first)
            }
        }
    }

    /// Refuses whichever of `keys` are there, because of `reason`.
    pub fn refuse(&mut self, keys: &[&'static str], reason: &str) {
        for key in keys {
            if let Some(item) = self.take(key) {
                self.reader
                    .fault(&item.span, &item.key, Complaint::new(reason));
            }
        }
    }

    /// Whatever was not taken is unknown.
    pub fn close(self) {
        if self.pardoned {
            return;
        }
        let known = self.known();
        for (name, _) in self.entries {
            let span = name.span();
            let name = name.into_inner();
            let complaint = Complaint::new("unknown key");
            let complaint = match nearest(&name, &known) {
                Some(known) => complaint.hint(format!("did you mean `{known}`?")),
                None => complaint.hint(format!("{} has {}", self.section.name, known.join(", "))),
            };
            self.reader
                .fault(&span, &joined(&self.key, &name), complaint);
        }
    }
}

fn listed(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    keys.join(", ")
}

/// The word that was probably meant.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.replace('_', "-").to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, known), *known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// What a value is, with its article.
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
