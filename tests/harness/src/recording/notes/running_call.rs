//! The running call.

use std::collections::BTreeSet;

use relation_host::types::{Reference, Timestamp, Wakeup};

use super::SecretName;
use crate::recording::exchange::RecordedExchange;

/// The notes of the running call.
pub(super) struct RunningCall {
    pub(super) wakeup: Wakeup,
    pub(super) moment: Timestamp,
    /// Whether the store has granted the claim.
    pub(super) begun: bool,
    pub(super) http: Vec<RecordedExchange>,
    pub(super) documents: BTreeSet<Reference>,
    pub(super) secrets: BTreeSet<SecretName>,
    /// The data first read by this call.
    pub(super) new_documents: Vec<Reference>,
    pub(super) new_secrets: Vec<SecretName>,
    pub(super) new_record: bool,
    /// The node whose settings this call was the first to use.
    pub(super) new_node: Option<String>,
    /// The changed documents and secrets that the call has not read.
    pub(super) unread: (Vec<Reference>, Vec<SecretName>),
    /// The reason why a scenario cannot express the call.
    pub(super) inexpressible: Option<String>,
    /// The memory use if the call is recorded.
    pub(super) bytes: usize,
}

impl RunningCall {
    pub(super) fn new(wakeup: Wakeup, moment: Timestamp, inexpressible: Option<String>) -> Self {
        Self {
            wakeup,
            moment,
            begun: false,
            http: Vec::new(),
            documents: BTreeSet::new(),
            secrets: BTreeSet::new(),
            new_documents: Vec::new(),
            new_secrets: Vec::new(),
            new_record: false,
            new_node: None,
            unread: Default::default(),
            inexpressible,
            bytes: 0,
        }
    }
}
