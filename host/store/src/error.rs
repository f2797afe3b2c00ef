//! The errors of stores, with constructors that give every store the same wording.

use super::Lease;
use crate::seal::DataKey;
use relation_types::{Filter, Reference};

/// The error of a store operation. No data was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A check of the commit failed; the text names it.
    #[error("{0}")]
    Conflict(String),
    /// The lease is no longer the subject's current one.
    #[error("the lease of {subject} was lost: epoch {epoch} is no longer the current one")]
    Fenced {
        /// The subject of the lease.
        subject: Reference,
        /// The epoch that was presented.
        epoch: u64,
    },
    /// A secret of the commit is sealed with an older data key than the newest. Read the data keys, seal
    /// the secret again and repeat the commit, as [`Sealer::commit`](crate::seal::Sealer::commit)
    /// does.
    #[error("a secret was sealed with data key {0}, which is not the newest one")]
    StaleKey(u32),
    /// The input is malformed, such as a body that is not a JSON object, a wakeup without its document, or a cursor of
    /// another listing.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be reached or written now; try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The stored data cannot be interpreted; a person must investigate.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Returns the name of the error in metrics and traces.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Fenced { .. } => "fenced",
            Self::StaleKey(_) => "stale-key",
            Self::Invalid(_) => "invalid",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
        }
    }

    /// Reports a lease that is not the subject's current one.
    pub fn fenced(lease: &Lease) -> Self {
        Self::Fenced {
            subject: lease.subject.clone(),
            epoch: lease.epoch,
        }
    }

    /// Reports a failed [`Check::Version`](super::Check::Version). `found` is the stored version;
    /// `None`: the document does not exist.
    pub fn version_conflict(reference: &Reference, expected: u64, found: Option<u64>) -> Self {
        Self::Conflict(match found {
            Some(found) => {
                format!("{reference} has changed: its version is {found}, not {expected}")
            }
            None => format!("{reference} does not exist any more"),
        })
    }

    /// Reports a failed [`Check::Absent`](super::Check::Absent).
    pub fn already_exists(reference: &Reference) -> Self {
        Self::Conflict(format!("{reference} exists already"))
    }

    /// Reports a failed [`Check::Unique`](super::Check::Unique): the document with the pkid `by` matches
    /// too.
    pub fn not_unique(filter: &Filter, by: &str) -> Self {
        let names: Vec<&str> = filter.equals.iter().map(|key| key.name.as_str()).collect();
        let shared = match names.as_slice() {
            [] => "already exists".to_owned(),
            names => format!("has the same {} already", names.join(" and ")),
        };
        Self::Conflict(format!("{}/{by} {shared}", filter.model))
    }

    /// Reports a commit that leaves a secret or a wakeup without its document.
    pub fn missing_owner(owner: &Reference) -> Self {
        Self::Invalid(format!(
            "a secret or a wakeup of {owner}, which does not exist after the commit"
        ))
    }

    /// Reports a new transaction whose id exists already.
    pub fn duplicate_transaction(id: &str) -> Self {
        Self::Conflict(format!("transaction {id} exists already"))
    }

    /// Reports the start of a queued call whose transaction is not queued.
    pub fn not_queued(id: &str) -> Self {
        Self::Conflict(format!("transaction {id} is not queued"))
    }

    /// Reports an update of a transaction that does not exist.
    pub fn unknown_transaction(id: &str) -> Self {
        Self::Invalid(format!("an update of transaction {id}, which never began"))
    }

    /// Reports a new data key that is not wrapped by the key-encryption key of `other`.
    pub fn other_key_encryption_key(key: &DataKey, other: &DataKey) -> Self {
        Self::Conflict(format!(
            "data key {} is wrapped by key {}, and data key {} by key {} meanwhile",
            key.id, key.kek_id, other.id, other.kek_id
        ))
    }

    /// Reports a rewrap whose data keys are not the stored ones.
    pub fn data_keys_changed() -> Self {
        Self::Conflict("the data keys have changed meanwhile".to_owned())
    }

    /// Reports a cursor that does not belong to this listing.
    pub fn foreign_cursor() -> Self {
        Self::Invalid("the cursor does not belong to this listing: begin without one".to_owned())
    }
}
