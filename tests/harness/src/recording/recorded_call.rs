//! The data of a recorded call.

use std::collections::BTreeSet;
use std::time::Duration;

use relation_host::transactions::Transaction;
use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::Value;

use super::exchange::RecordedExchange;

/// A recorded call.
pub(super) struct RecordedCall {
    /// The time of the claim.
    pub(super) moment: Timestamp,
    /// How much earlier moments may be in a replay, whose clock does not move during a call: the duration of
    /// the longest call so far.
    pub(super) drift: Duration,
    /// The wakeup of the call.
    pub(super) wakeup: Wakeup,
    pub(super) http: Vec<RecordedExchange>,
    /// The result, or the error as a scenario expects it.
    pub(super) outcome: Result<Value, Value>,
    pub(super) transaction: Option<Transaction>,
    pub(super) documents: Vec<DocumentChange>,
    pub(super) secrets: SecretChanges,
    /// The record's wakeups after the call.
    pub(super) wakeups: Vec<Wakeup>,
    /// The record's wakeups that the call has removed.
    pub(super) removed_wakeups: Vec<String>,
}

/// A change of a document.
pub(super) enum DocumentChange {
    Added(Document),
    Changed(Document),
    Removed(Reference),
}

/// The changes of secrets, by name.
#[derive(Default)]
pub(super) struct SecretChanges {
    pub(super) set: BTreeSet<String>,
    pub(super) changed: BTreeSet<String>,
    pub(super) unset: BTreeSet<String>,
    /// The new values.
    pub(super) values: Vec<SecretString>,
}
