//! Documents: what they are written with, and how they are found.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::seal::Sealed;
use crate::{Lease, StoreError};
use relation_types::transactions::TransactionUpdate;
use relation_types::{Document, Filter, Page, Reference, Timestamp, Wakeup};

/// A condition that must hold at the moment of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The document exists with exactly this version.
    Version(Reference, u64),
    /// The document does not exist.
    Absent(Reference),
    /// No document matches the filter, except the given one.
    Unique(Filter, Option<Reference>),
}

/// One step of a commit. Steps are applied in the order given.
#[derive(Clone, Debug)]
pub enum Change {
    /// Create or replace a document. Its version becomes the old version plus one.
    Put(Document),
    /// Delete a document with every secret it owns and every wakeup of which it is the subject.
    Delete(Reference),
    /// Store a sealed secret of a document that exists after the commit.
    PutSecret {
        /// The document that owns the secret.
        owner: Reference,
        /// The secret's name in its owner.
        name: String,
        /// The sealed value.
        sealed: Sealed,
    },
    /// Remove a secret.
    RemoveSecret(Reference, String),
    /// Create a wakeup, or replace the wakeup with the same subject and id. Resets its attempts. Its
    /// subject must exist after the commit.
    Schedule(Wakeup),
    /// Remove the wakeup of this subject and id.
    Cancel(Reference, String),
}

/// An atomic write: all of it is applied, or none of it.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The lease of the call that writes; checked to be the subject's current one.
    pub fence: Option<Lease>,
    /// The conditions that must hold.
    pub checks: Vec<Check>,
    /// The changes to apply.
    pub changes: Vec<Change>,
    /// An update of the call's transaction, stored together with the changes.
    pub transaction: Option<TransactionUpdate>,
    /// Accepts secrets that are sealed with an older data key, as long as the store still has that key.
    /// For a host that cannot open the newest data key and would otherwise lose what it has to store.
    pub older_keys: bool,
    /// The moment of the commit, by the caller's clock. It is stored with each wakeup as the time of its
    /// scheduling, for [`CallStore::redate`](crate::CallStore::redate). 0: unknown.
    pub now: Timestamp,
}

impl Commit {
    /// Refuses documents whose body is not one JSON object, or that name a key twice. Stores call this
    /// before they begin to write.
    pub fn validate(&self) -> Result<(), StoreError> {
        for change in &self.changes {
            if let Change::Put(document) = change {
                validate_document(document)?;
            }
        }
        Ok(())
    }
}

fn validate_document(document: &Document) -> Result<(), StoreError> {
    let reference = &document.reference;
    let body: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&document.body);
    if let Err(error) = body {
        // The error gives the position in the body, but none of its content.
        return Err(StoreError::Invalid(format!(
            "the body of {reference} is not one JSON object: {:?} at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        )));
    }
    let mut names = BTreeSet::new();
    for key in &document.keys {
        if !names.insert(&key.name) {
            return Err(StoreError::Invalid(format!(
                "{reference} has the key {} twice",
                key.name
            )));
        }
    }
    Ok(())
}

/// Documents, and the commits that write them together with secrets and wakeups.
#[async_trait]
pub trait DocumentStore: Send + Sync + 'static {
    /// Returns the documents in the requested order; `None` for each that does not exist.
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError>;

    /// Returns a page of matching documents, ordered by pkid. The search uses an index, so its cost
    /// follows the number of results. `limit` is at least 1. The cursor is the `next` of an earlier page
    /// of the same filter.
    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError>;

    /// Applies all changes if the fence and all checks hold, otherwise none.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;
}
