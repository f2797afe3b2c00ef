//! Entries of a directory as documents, and their comparison with the stored ones.

use serde_json::Value;

use super::state::DocumentId;
use crate::platform::{Document, Failure, Filter, Key, Reference, Scope, Storage};
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
            let wanted = build_document(record, directory, reference, entry);
            match stored {
                None => found.push(Difference::New(wanted)),
                Some(stored) if is_same(&stored, &wanted, entry) => {}
                Some(_) => found.push(Difference::Changed(wanted)),
            }
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

fn build_document(
    record: &Record,
    directory: &Directory,
    reference: Reference,
    entry: &Entry,
) -> Document {
    let mut keys = vec![
        Key::new(key::OWNER, &record.pkid),
        Key::new(WEBEX_ID, &entry.id),
    ];
    if let Some(name) = &entry.name {
        keys.push(Key::new(key::NAME, name));
    }
    keys.extend(entry.keys(directory));
    Document {
        reference,
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: Value::Object(entry.fields.clone()).to_string(),
        keys,
    }
}

// Compares parsed bodies, because the order of members is irrelevant.
fn is_same(stored: &Document, wanted: &Document, entry: &Entry) -> bool {
    let same_keys = stored.keys.len() == wanted.keys.len()
        && wanted.keys.iter().all(|key| stored.keys.contains(key));
    stored.hierarchy == wanted.hierarchy
        && same_keys
        && serde_json::from_str::<Value>(&stored.body)
            .is_ok_and(|body| body.as_object() == Some(&entry.fields))
}
