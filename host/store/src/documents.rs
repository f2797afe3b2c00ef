//! Documents: what they are written with, and how they are found.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::seal::Sealed;
use crate::{Lease, StoreError};
use relation_types::json::check_object;
use relation_types::transactions::{NewTransaction, TransactionUpdate};
use relation_types::{
    Document, Filter, Key, Page, Pkid, RECORD_MODEL, Reference, Timestamp, Wakeup,
};

/// A condition that must hold at the moment of a commit.
///
/// Its JSON is part of the format of the stash's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The document exists with exactly this version.
    Version(Reference, u64),
    /// The document does not exist.
    Absent(Reference),
    /// No document matches the filter, except the given one.
    Unique(Filter, Option<Reference>),
}

/// One step of a commit. Steps are applied in the order given.
///
/// Its JSON is part of the format of the stash's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Create or replace a document. Its version becomes the old version plus one.
    Put(Document),
    /// Delete a document with every secret it owns and every wakeup of which it is the subject.
    Delete(Reference),
    /// Store a sealed secret of a document that exists after the commit.
    #[serde(rename = "seal")]
    PutSecret {
        /// The document that owns the secret.
        owner: Reference,
        /// The secret's name in its owner.
        name: String,
        /// The sealed value.
        sealed: Sealed,
    },
    /// Remove a secret.
    #[serde(rename = "unseal")]
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
    /// Transactions to record as `Queued`. One without a request is a bulk, whose parts are its calls.
    pub queued: Vec<NewTransaction>,
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
    if let Err(error) = check_object(&document.body) {
        // The error gives the position in the body, but none of its content.
        return Err(StoreError::Invalid(format!(
            "the body of {reference} is not one JSON object: {:?} at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        )));
    }
    let mut keys: Vec<&Key> = document.keys.iter().collect();
    keys.sort_unstable();
    let is_repeated = |[one, next]: &[&Key; 2]| {
        let is_sorted_by = SORT_KEYS.contains(&(reference.model.as_str(), one.name.as_str()));
        one == next || (is_sorted_by && one.name == next.name)
    };
    match keys.array_windows().find(|pair| is_repeated(pair)) {
        None => Ok(()),
        Some([key, _]) => Err(StoreError::Invalid(format!(
            "{reference} has the key {} twice",
            key.name
        ))),
    }
}

/// The keys by which documents can be listed in order, with their models. A store has an index for each.
pub const SORT_KEYS: &[(&str, &str)] = &[
    (RECORD_MODEL, "name"),
    (RECORD_MODEL, "urgency"),
    ("data/Alert", "severity"),
    ("host/NoticeDelivery", "created"),
];

/// The order of a listing of documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortOrder {
    /// The name of the key that is compared, byte for byte; `None` orders by pkid. The same values are
    /// ordered by pkid. A document without the key is not listed.
    pub key: Option<String>,
    /// Whether the order is reversed.
    pub descending: bool,
}

impl SortOrder {
    /// Refuses a key by which documents of this model cannot be sorted.
    pub fn validate(&self, model: &str) -> Result<(), StoreError> {
        match &self.key {
            Some(key) if !SORT_KEYS.contains(&(model, key)) => Err(StoreError::Invalid(format!(
                "cannot list {model} in the order of {key}: there is no index for it: use the order of pkids"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the position of `document` in this order: the value of the key, empty in the order of
    /// pkids, and the pkid. `None` when the document is not listed.
    pub fn position<'a>(&self, document: &'a Document) -> Option<(&'a str, &'a str)> {
        let value = match &self.key {
            None => "",
            Some(name) => {
                let key = document.keys.iter().find(|key| key.name == *name)?;
                &key.value
            }
        };
        Some((value, document.reference.pkid.as_str()))
    }
}

/// Documents, and the commits that write them together with secrets and wakeups.
#[async_trait]
pub trait DocumentStore: Send + Sync + 'static {
    /// Returns the documents in the requested order; `None` for each that does not exist.
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError>;

    /// Returns a page of matching documents in the given order. The search uses an index, so its cost
    /// follows the number of results. `limit` is at least 1. The cursor is the `next` of an earlier page
    /// of the same filter and order.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor of another listing, and for a key that is not in
    /// [`SORT_KEYS`].
    async fn list(
        &self,
        filter: &Filter,
        order: &SortOrder,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError>;

    /// Returns a page like [`DocumentStore::list`], ordered by pkid.
    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let order = SortOrder::default();
        self.list(filter, &order, cursor, limit).await
    }

    /// Returns a page of the pkids of matching documents, in ascending order. The cursors are those of
    /// [`DocumentStore::find`].
    async fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Pkid>, StoreError> {
        let page = self.find(filter, cursor, limit).await?;
        let pkids = page.items.into_iter();
        Ok(Page {
            items: pkids.map(|document| document.reference.pkid).collect(),
            next: page.next,
        })
    }

    /// Counts the matching documents up to `at_most`. The cost follows that bound, not the number of
    /// matches.
    async fn count(&self, filter: &Filter, at_most: u64) -> Result<u64, StoreError>;

    /// Applies all changes if the fence and all checks hold, otherwise none.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;
}
