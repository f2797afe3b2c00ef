//! Entries of a directory as documents, and their comparison with the stored ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::document_id::DocumentId;
use crate::platform::{Document, Failure, Filter, Key, MAX_KEYS, Reference, Scope, Storage};
use crate::record::{Record, key};
use crate::webex::directory::{Directory, Entry, EntryError};

/// The key with Webex's id of a document.
pub const WEBEX_ID: &str = "id";

/// The number of documents that are read together.
const BATCH_SIZE: usize = 100;

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
    stored: Option<Document>,
    // Whether the stored body has the same text, so that only the needed members of the entry are known.
    has_same_text: bool,
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
    /// Reads the documents of all `items` of a page that can be read and are not among `seen`, and parses those items that
    /// differ from their documents. Of two items with the same id, the second one is left out.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn read_page(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        directory: &Directory,
        items: &[Vec<u8>],
        seen: &HashSet<DocumentId>,
    ) -> Result<ListedPage, Failure> {
        let mut entries = Vec::new();
        let mut unreadable = Vec::new();
        let mut here = HashSet::new();
        for (items, first) in items.chunks(BATCH_SIZE).zip((0..).step_by(BATCH_SIZE)) {
            let mut skimmed = Vec::new();
            for (item, index) in items.iter().zip(first..) {
                match Entry::skim(item, directory) {
                    Ok(entry) => {
                        let id = DocumentId::derive(&record.pkid, directory.model, &entry.id);
                        if !seen.contains(&id) {
                            skimmed.push((index, item, id, entry));
                        }
                    }
                    Err(why) => unreadable.push((index, Entry::parse(item).err().unwrap_or(why))),
                }
            }
            let references = skimmed
                .iter()
                .map(|(_, _, id, _)| id.reference(directory.model));
            let references: Vec<Reference> = references.collect();
            let stored = storage.get_many(&references)?;
            for ((index, item, id, entry), stored) in skimmed.into_iter().zip(stored) {
                let has_same_text = stored
                    .as_ref()
                    .is_some_and(|stored| is_same_text(&stored.body, &entry.json));
                let entry = match has_same_text {
                    true => Ok(entry),
                    false => Entry::parse(item),
                };
                match entry {
                    Ok(entry) if here.insert(id) => entries.push(Self {
                        id,
                        entry,
                        stored,
                        has_same_text,
                    }),
                    Ok(_) => {}
                    Err(why) => unreadable.push((index, why)),
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
    /// Those of the storage.
    pub fn read_one(
        storage: &(impl Storage + ?Sized),
        record: &Record,
        directory: &Directory,
        entry: Entry,
    ) -> Result<Self, Failure> {
        let id = DocumentId::derive(&record.pkid, directory.model, &entry.id);
        let stored = storage.get(&id.reference(directory.model))?;
        Ok(Self {
            has_same_text: stored
                .as_ref()
                .is_some_and(|stored| is_same_text(&stored.body, &entry.json)),
            id,
            entry,
            stored,
        })
    }

    /// Returns the entry with all of its members.
    pub fn parse_whole(&self) -> Cow<'_, Entry> {
        let whole = match self.has_same_text {
            true => Entry::parse(self.entry.json.as_bytes()).ok(),
            false => None,
        };
        whole.map_or(Cow::Borrowed(&self.entry), Cow::Owned)
    }

    /// Returns the document to write. None if the stored one is the same.
    pub fn find_difference(
        self,
        record: &Record,
        directory: &Directory,
        linked: &mut LinkedIds,
    ) -> Option<Difference> {
        let keys = list_keys(record, directory, &self.entry, linked);
        let is_new = self.stored.is_none();
        if self
            .stored
            .as_ref()
            .is_some_and(|stored| self.is_same(stored, record, &keys))
        {
            return None;
        }
        let keys = keys
            .iter()
            .map(|(name, value)| Key::new(*name, value.as_ref()));
        let wanted = Document {
            reference: self.id.reference(directory.model),
            hierarchy: record.hierarchy.clone(),
            version: 0,
            keys: keys.collect(),
            body: self.entry.json,
        };
        Some(match is_new {
            true => Difference::New(wanted),
            false => Difference::Changed(wanted),
        })
    }

    // Texts may differ in white space and the order of members, which is irrelevant.
    fn is_same(&self, stored: &Document, record: &Record, keys: &[(&str, Cow<'_, str>)]) -> bool {
        let is_equal = |stored: &Key, (name, value): &(&str, Cow<'_, str>)| {
            stored.name == *name && stored.value == *value
        };
        let has_key = |key| stored.keys.iter().any(|stored| is_equal(stored, key));
        let has_same_body = || {
            serde_json::from_str::<Value>(&stored.body)
                .is_ok_and(|body| body.as_object() == Some(&self.entry.fields))
        };
        stored.hierarchy == record.hierarchy
            && stored.keys.len() == keys.len()
            && keys.iter().all(has_key)
            && (self.has_same_text || has_same_body())
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

/// Compares eight bytes at a time: `memcmp` of a component compares single bytes.
fn is_same_text(one: &str, other: &str) -> bool {
    let (chunks, rest) = one.as_bytes().as_chunks::<8>();
    let (other_chunks, other_rest) = other.as_bytes().as_chunks::<8>();
    one.len() == other.len()
        && chunks
            .iter()
            .zip(other_chunks)
            .all(|(one, other)| one == other)
        && rest == other_rest
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
