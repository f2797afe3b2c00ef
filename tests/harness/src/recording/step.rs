//! One call as it was seen.

use std::collections::BTreeSet;
use std::time::Duration;

use relation_host::transactions::Transaction;
use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::Value;

use super::exchange::Exchange;

/// One call.
pub(super) struct Step {
    /// When it was claimed.
    pub(super) moment: Timestamp,
    /// How much earlier a moment may be in a replay, whose clock stands still during a call: the
    /// length of the longest call until now.
    pub(super) drift: Duration,
    /// What it answers.
    pub(super) wakeup: Wakeup,
    pub(super) http: Vec<Exchange>,
    /// The result, or the error in a scenario's words.
    pub(super) answered: Result<Value, Value>,
    pub(super) transaction: Option<Transaction>,
    pub(super) documents: Vec<Became>,
    pub(super) secrets: Names,
    /// Those of its record afterwards.
    pub(super) wakeups: Vec<Wakeup>,
    /// Those that it had before and has no more.
    pub(super) gone: Vec<String>,
}

/// What became of a document.
pub(super) enum Became {
    Added(Document),
    Changed(Document),
    Removed(Reference),
}

/// What became of secrets, by name.
#[derive(Default)]
pub(super) struct Names {
    pub(super) set: BTreeSet<String>,
    pub(super) changed: BTreeSet<String>,
    pub(super) unset: BTreeSet<String>,
    /// What they hold now.
    pub(super) values: Vec<SecretString>,
}
