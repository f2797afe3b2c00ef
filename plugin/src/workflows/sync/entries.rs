//! Entries of a directory as documents, and their comparison with the stored ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::document_id::DocumentId;
use super::seen::SeenIds;
use crate::platform::{
    Comparison, Document, Failure, Filter, Key, MAX_KEYS, Reference, Scope, Storage,
};
use crate::record::{Record, key};
use crate::webex::directory::{Directory, Entry, EntryError};

/// The key with Webex's id of a document.
pub const WEBEX_ID: &str = "id";

/// The number of documents that are compared together.
const BATCH_SIZE: usize = 250;

/// A document to write, and the reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// No document is stored yet.
    New(Document),
    /// The stored document differs.
    Changed(Document),
}

/// An entry of a list, and its document.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedEntry {
    /// The key of its document.
    pub id: DocumentId,
    /// The entry.
    pub entry: Entry,
    // The stored document, unless it is the same.
    stored: Option<Document>,
    // Whether the stored document is the same, so that only the needed members of the entry are known.
    is_same: bool,
}

/// The entries of a page that were not on earlier pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedPage {
    /// The readable entries.
    pub entries: Vec<ListedEntry>,
    /// The indexes of unreadable items, with the reasons.
    pub unreadable: Vec<(usize, EntryError)>,
}

/// The keys of documents that entries link to, by Webex's id: most entries of a list link to the same few.
pub type LinkedIds = HashMap<(&'static str, String), DocumentId>;

impl ListedEntry {
    /// Compares all `items` of a page that can be read and are not among `seen` with their documents, and parses those
    /// items that differ. A second item with the same id is left out.
    ///
    /// # Errors
    /// Storage errors.
    pub fn read_page(
        storage: &dyn Storage,
        record: &Record,
        directory: &Directory,
        items: &[Vec<u8>],
        seen: &SeenIds,
        linked: &mut LinkedIds,
    ) -> Result<ListedPage, Failure> {
        let mut entries = Vec::new();
        let mut unreadable = Vec::new();
        let mut here = HashSet::new();
        for (items, first) in items.chunks(BATCH_SIZE).zip((0..).step_by(BATCH_SIZE)) {
            let mut skimmed = Vec::new();
            let mut documents = Vec::new();
            for (item, index) in items.iter().zip(first..) {
                match Entry::skim(item, directory) {
                    Ok(mut entry) => {
                        let id = DocumentId::derive(&record.pkid, directory.model, &entry.id);
                        if !seen.contains(&id) {
                            let body = std::mem::take(&mut entry.json);
                            let keys = list_keys(record, directory, &entry, linked);
                            documents.push(build_document(id, record, directory, &keys, body));
                            skimmed.push((index, item, id, entry));
                        }
                    }
                    Err(reason) => {
                        unreadable.push((index, Entry::parse(item).err().unwrap_or(reason)))
                    }
                }
            }
            let comparisons = storage.compare(&documents)?;
            let is_different = |comparison: &Comparison| *comparison == Comparison::Different;
            let pairs = documents.iter().zip(&comparisons);
            let different: Vec<Reference> = pairs
                .filter(|(_, comparison)| is_different(comparison))
                .map(|(document, _)| document.reference.clone())
                .collect();
            let mut stored = match different.is_empty() {
                true => Vec::new(),
                false => storage.get_many(&different)?,
            }
            .into_iter();
            let compared = documents.into_iter().zip(comparisons);
            for ((index, item, id, mut entry), (document, comparison)) in
                skimmed.into_iter().zip(compared)
            {
                let is_same = comparison == Comparison::Same;
                let stored = match is_different(&comparison) {
                    true => stored.next().flatten(),
                    false => None,
                };
                let entry = match is_same {
                    true => {
                        entry.json = document.body;
                        Ok(entry)
                    }
                    false => Entry::parse(item),
                };
                match entry {
                    Ok(entry) if here.insert(id) => entries.push(Self {
                        id,
                        entry,
                        stored,
                        is_same,
                    }),
                    Ok(_) => {}
                    Err(reason) => unreadable.push((index, reason)),
                }
            }
        }
        unreadable.sort_by_key(|(index, _)| *index);
        Ok(ListedPage {
            entries,
            unreadable,
        })
    }

    /// Reads the document of an entry that was parsed as a whole.
    ///
    /// # Errors
    /// Storage errors.
    pub fn read_one(
        storage: &dyn Storage,
        record: &Record,
        directory: &Directory,
        entry: Entry,
    ) -> Result<Self, Failure> {
        let id = DocumentId::derive(&record.pkid, directory.model, &entry.id);
        let stored = storage.get(&id.reference(directory.model))?;
        Ok(Self {
            id,
            entry,
            stored,
            is_same: false,
        })
    }

    /// Returns the entry with all of its members.
    pub fn parse_whole(&self) -> Cow<'_, Entry> {
        let whole = match self.is_same {
            true => Entry::parse(self.entry.json.as_bytes()).ok(),
            false => None,
        };
        whole.map_or(Cow::Borrowed(&self.entry), Cow::Owned)
    }

    /// Returns the document to write. `None` if the stored one is the same.
    pub fn find_difference(
        mut self,
        record: &Record,
        directory: &Directory,
        linked: &mut LinkedIds,
    ) -> Option<Difference> {
        if self.is_same {
            return None;
        }
        let body = std::mem::take(&mut self.entry.json);
        let keys = list_keys(record, directory, &self.entry, linked);
        let wanted = build_document(self.id, record, directory, &keys, body);
        match self.stored {
            None => Some(Difference::New(wanted)),
            Some(stored) if is_same(&wanted, &stored, &self.entry.fields) => None,
            Some(_) => Some(Difference::Changed(wanted)),
        }
    }
}

/// Returns whether a document with the members `fields` is the stored one. Texts may differ in white space and the
/// order of members, which is irrelevant.
fn is_same(wanted: &Document, stored: &Document, fields: &Map<String, Value>) -> bool {
    let has_same_body = || {
        serde_json::from_str::<Value>(&stored.body)
            .is_ok_and(|body| body.as_object() == Some(fields))
    };
    stored.hierarchy == wanted.hierarchy
        && stored.has_keys_of(wanted)
        && (stored.body == wanted.body || has_same_body())
}

fn build_document(
    id: DocumentId,
    record: &Record,
    directory: &Directory,
    keys: &[(&str, Cow<'_, str>)],
    body: String,
) -> Document {
    let keys = keys.iter();
    Document {
        reference: id.reference(directory.model),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body,
        keys: keys
            .map(|(name, value)| Key::new(*name, value.as_ref()))
            .collect(),
    }
}

/// Returns the filter for all documents of `model` that belong to `record`.
pub fn owned_filter(record: &Record, model: &str) -> Filter {
    Filter {
        model: model.to_owned(),
        hierarchy: record.hierarchy.clone(),
        scope: Scope::Node,
        equals: vec![Key::new(key::OWNER, &record.pkid)],
    }
}

/// Lists the search keys of the document of `entry`, each once, as far as a document can have them.
fn list_keys<'a>(
    record: &'a Record,
    directory: &'a Directory,
    entry: &'a Entry,
    linked: &mut LinkedIds,
) -> Vec<(&'a str, Cow<'a, str>)> {
    let own = [
        (key::OWNER, record.pkid.as_str()),
        (WEBEX_ID, entry.id.as_str()),
    ];
    let name = entry.name.as_deref().map(|name| (key::NAME, name));
    let texts = own.into_iter().chain(name).chain(entry.keys(directory));
    let texts = texts.map(|(name, value)| (name, Cow::Borrowed(value)));
    let links = directory.links.iter().flat_map(|link| {
        let ids = entry.texts(link.member);
        ids.map(|id| (link.key, link.model, id))
    });
    let links = links.map(|(name, model, id)| {
        let linked = linked
            .entry((model, id.to_owned()))
            .or_insert_with(|| DocumentId::derive(&record.pkid, model, id));
        (name, Cow::Owned(linked.to_string()))
    });
    // A value can occur twice in an array, and an array may have any length.
    let mut keys = Vec::new();
    for each in texts.chain(links) {
        if keys.len() == MAX_KEYS {
            break;
        }
        if !keys.contains(&each) {
            keys.push(each);
        }
    }
    keys
}
