//! The words in which stores refuse what they are asked, the same in each of them.

use super::{Lease, StoreError};
use crate::store::seal::DataKey;
use crate::types::{Filter, Reference};

impl StoreError {
    /// The lease is not the subject's current one.
    pub fn fenced(lease: &Lease) -> Self {
        Self::Fenced {
            subject: lease.subject.clone(),
            epoch: lease.epoch,
        }
    }

    /// [`Check::Version`](super::Check::Version) does not hold: the version is `found`, or there is no document.
    pub fn changed(which: &Reference, expected: u64, found: Option<u64>) -> Self {
        Self::Conflict(match found {
            Some(found) => {
                format!("{which} has changed: its version is {found}, not {expected}")
            }
            None => format!("{which} does not exist any more"),
        })
    }

    /// [`Check::Absent`](super::Check::Absent) does not hold.
    pub fn exists(which: &Reference) -> Self {
        Self::Conflict(format!("{which} exists already"))
    }

    /// [`Check::Unique`](super::Check::Unique) does not hold: the document with this pkid matches too.
    pub fn taken(filter: &Filter, by: &str) -> Self {
        let names: Vec<&str> = filter.equals.iter().map(|key| key.name.as_str()).collect();
        let shared = match names.as_slice() {
            [] => "is there already".to_owned(),
            names => format!("has the same {} already", names.join(" and ")),
        };
        Self::Conflict(format!("{}/{by} {shared}", filter.model))
    }

    /// A commit leaves a secret or a wakeup without its document.
    pub fn orphan(owner: &Reference) -> Self {
        Self::Invalid(format!(
            "a secret or a wakeup of {owner}, which does not exist after the commit"
        ))
    }

    /// A transaction was to begin under an id that is taken.
    pub fn begun_before(id: &str) -> Self {
        Self::Conflict(format!("transaction {id} exists already"))
    }

    /// News came of a transaction that there is not.
    pub fn never_began(id: &str) -> Self {
        Self::Invalid(format!("news of transaction {id}, which never began"))
    }

    /// A data key was to be added that another key-encryption key wraps than that of `other`.
    pub fn wrapped_otherwise(key: &DataKey, other: &DataKey) -> Self {
        Self::Conflict(format!(
            "data key {} is wrapped by key {}, and data key {} by key {} meanwhile",
            key.id, key.kek_id, other.id, other.kek_id
        ))
    }

    /// The data keys to wrap anew are not those that are stored.
    pub fn keys_changed() -> Self {
        Self::Conflict("the data keys have changed meanwhile".to_owned())
    }

    /// A cursor is not one that this listing gave.
    pub fn foreign_cursor() -> Self {
        Self::Invalid("the cursor does not belong to this listing: begin without one".to_owned())
    }
}
