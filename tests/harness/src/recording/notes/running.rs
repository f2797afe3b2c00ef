//! The call that runs.

use std::collections::BTreeSet;

use relation_host::types::{Reference, Timestamp, Wakeup};

use super::SecretName;
use crate::recording::exchange::Exchange;

/// What is known of it so far.
pub(super) struct Running {
    pub(super) wakeup: Wakeup,
    pub(super) moment: Timestamp,
    /// Whether the store has let it begin.
    pub(super) begun: bool,
    pub(super) http: Vec<Exchange>,
    pub(super) documents: BTreeSet<Reference>,
    pub(super) secrets: BTreeSet<SecretName>,
    /// What was seen for the first time in this call.
    pub(super) new_documents: Vec<Reference>,
    pub(super) new_secrets: Vec<SecretName>,
    pub(super) new_record: bool,
    /// What a commit names and nobody has seen.
    pub(super) unknown: (Vec<Reference>, Vec<SecretName>),
    /// Why a scenario cannot say it.
    pub(super) unsayable: Option<String>,
    /// How much it adds to what is kept, should it be.
    pub(super) bytes: usize,
}

impl Running {
    pub(super) fn of(wakeup: Wakeup, moment: Timestamp, unsayable: Option<String>) -> Self {
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
            unknown: Default::default(),
            unsayable,
            bytes: 0,
        }
    }
}
