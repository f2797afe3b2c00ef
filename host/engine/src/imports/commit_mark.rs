//! The mark by which the next attempt of a queued call finds out what an interrupted one has committed.

use serde_json::Value;

use crate::store::Change;
use crate::types::{Document, Reference};

/// The member of the body of a queued call's document that has the record's version after the last commit of the call.
const COMMITTED: &str = "committed";

/// The mark of a queued call that is bound to a version of its record. Each commit of the call stores it.
#[derive(Clone, Debug)]
pub(crate) struct CommitMark {
    /// The document of the queued call.
    document: Document,
    record: Reference,
    /// The version of the record.
    version: u64,
}

impl CommitMark {
    /// Creates the mark of a call on a record, whose version was read under its lease.
    pub(crate) fn new(document: &Document, record: &Reference, version: u64) -> Self {
        Self {
            document: document.clone(),
            record: record.clone(),
            version,
        }
    }

    /// Returns the record's version after the last commit of an earlier attempt; `None`: there was none.
    pub(crate) fn read(document: &Document) -> Option<u64> {
        let body: Value = serde_json::from_str(&document.body).ok()?;
        body.get(COMMITTED)?.as_u64()
    }

    /// Returns the mark after a commit with these changes.
    pub(super) fn after(&self, changes: &[Change]) -> Self {
        let is_put = |change: &&Change| matches!(change, Change::Put(document) if document.reference == self.record);
        let puts = changes.iter().filter(is_put).count();
        let version = self.version.saturating_add(puts as u64);
        let mut document = self.document.clone();
        if let Ok(Value::Object(mut body)) = serde_json::from_str(&document.body) {
            body.insert(COMMITTED.to_owned(), version.into());
            document.body = Value::Object(body).to_string();
        }
        Self {
            document,
            record: self.record.clone(),
            version,
        }
    }

    /// Returns the change that stores the mark.
    pub(super) fn to_change(&self) -> Change {
        Change::Put(self.document.clone())
    }
}
