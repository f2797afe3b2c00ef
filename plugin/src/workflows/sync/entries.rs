//! Entries of a directory as documents, and their comparison with the stored ones.

use std::collections::HashSet;

use serde_json::Value;

use super::state::DocumentId;
use crate::platform::{Document, Failure, Filter, Key, MAX_KEYS, Reference, Scope, Storage};
use crate::record::{Record, key};
use crate::webex::directory::{Directory, Entry};

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

/// Finds the documents of `entries` that are missing or differ.
///
/// # Errors
/// Those of the storage.
pub fn find_differences(
    storage: &(impl Storage + ?Sized),
    record: &Record,
    directory: &Directory,
    entries: &[(DocumentId, Entry)],
) -> Result<Vec<Difference>, Failure> {
    let mut found = Vec::new();
    for entries in entries.chunks(BATCH_SIZE) {
        let references: Vec<Reference> = entries
            .iter()
            .map(|(id, _)| Reference::new(directory.model, id.to_string()))
            .collect();
        let stored = storage.get_many(&references)?;
        for ((reference, (_, entry)), stored) in references.into_iter().zip(entries).zip(stored) {
            let keys = build_keys(record, directory, entry);
            let is_new = stored.is_none();
            if stored.is_some_and(|stored| is_same(&stored, record, &keys, entry)) {
                continue;
            }
            let wanted = Document {
                reference,
                hierarchy: record.hierarchy.clone(),
                version: 0,
                body: entry.json.clone(),
                keys,
            };
            found.push(match is_new {
                true => Difference::New(wanted),
                false => Difference::Changed(wanted),
            });
        }
    }
    Ok(found)
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

fn build_keys(record: &Record, directory: &Directory, entry: &Entry) -> Vec<Key> {
    let mut keys = vec![
        Key::new(key::OWNER, &record.pkid),
        Key::new(WEBEX_ID, &entry.id),
    ];
    if let Some(name) = &entry.name {
        keys.push(Key::new(key::NAME, name));
    }
    keys.extend(entry.keys(directory));
    for link in directory.links {
        let ids = entry.texts(link.member);
        keys.extend(ids.map(|id| {
            let linked = DocumentId::derive(&record.pkid, link.model, id);
            Key::new(link.key, linked.to_string())
        }));
    }
    // A value can occur twice in an array, and an array may have any length.
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert((key.name.clone(), key.value.clone())));
    keys.truncate(MAX_KEYS);
    keys
}

// Equal texts need no parsing. Other texts may differ in the order of members only, which is irrelevant.
fn is_same(stored: &Document, record: &Record, keys: &[Key], entry: &Entry) -> bool {
    let same_keys =
        stored.keys.len() == keys.len() && keys.iter().all(|key| stored.keys.contains(key));
    let same_body = || {
        stored.body == entry.json
            || serde_json::from_str::<Value>(&stored.body)
                .is_ok_and(|body| body.as_object() == Some(&entry.fields))
    };
    stored.hierarchy == record.hierarchy && same_keys && same_body()
}
