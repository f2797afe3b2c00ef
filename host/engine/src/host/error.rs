//! The error of a call.

use crate::component::GuestError;
use crate::store::StoreError;
use crate::types::{Failure, Reference, Timestamp};

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct CallError {
    /// The transaction's id, if the transaction began.
    pub transaction: Option<String>,
    /// The reason.
    #[source]
    pub kind: CallErrorKind,
}

/// The reason why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The workflow refused; the case says who acts next.
    #[error(transparent)]
    Refused(Failure),
    /// The plugin did not return a result.
    #[error(transparent)]
    Guest(GuestError),
    /// Another host runs a workflow on this record.
    #[error("another call holds {subject} until {until} at the latest")]
    Busy {
        /// The record's reference.
        subject: Reference,
        /// The expiry of the other call's lease.
        until: Timestamp,
    },
    /// The store could not begin or end the call.
    #[error(transparent)]
    Store(StoreError),
    /// The record's version is not the version that the caller expects: see
    /// [`Host::for_version`](super::Host::for_version).
    #[error("{subject} was changed in the meantime: its version is {found}, not {expected}")]
    Changed {
        /// The record's reference.
        subject: Reference,
        /// The version that the caller expects.
        expected: u64,
        /// The version of the record.
        found: u64,
    },
    /// The caller has stopped the call: see [`Host::stopped_by`](super::Host::stopped_by).
    #[error("the call was stopped by its caller, before it sent a request that changes something")]
    Stopped,
    /// The queued call was canceled, or has ended, before this attempt began.
    #[error("the queued call was canceled or has ended")]
    Canceled,
}
