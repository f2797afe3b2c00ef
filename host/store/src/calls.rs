//! Calls: their leases, their begin and end, and the recovery from hosts that ended.

use async_trait::async_trait;

use crate::{DueWakeup, StoreError};
use relation_types::transactions::{NewTransaction, TransactionUpdate};
use relation_types::{QUEUED_CALL_MODEL, Reference, Timestamp};

/// The largest tolerated difference between the clocks of hosts that share a store.
pub const CLOCK_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(300);

/// The right to run workflows on one subject, held by one host until it expires.
///
/// Epochs come from one counter of the store, so no two leases share an epoch. A commit whose lease is
/// no longer the subject's current one changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The document that is leased.
    pub subject: Reference,
    /// The number of this claim, unique in the store.
    pub epoch: u64,
    /// When other hosts may claim the subject, by the clock that was passed to [`CallStore::begin`].
    pub expires: Timestamp,
    /// The start of the latest earlier call on the subject that was interrupted; `None` if a call on the
    /// subject has ended since. A call is interrupted when its host ended, when its lease expired or was
    /// lost, or by [`CallEnd::interrupted`].
    pub interrupted: Option<Timestamp>,
}

/// The start of a call: the lease to claim and the transaction to record.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// The transaction to record, as `processing`.
    pub transaction: NewTransaction,
    /// The subject to lease; `None` for calls that do not work on a record.
    pub subject: Option<Reference>,
    /// How long the lease lasts from `now`.
    pub lease: std::time::Duration,
    /// The moment of the claim, by the caller's clock.
    pub now: Timestamp,
    /// The wakeup that this call runs for. It must still exist with this revision and number of
    /// attempts.
    ///
    /// If its subject is a [queued call](relation_types::QUEUED_CALL_MODEL), the queued transaction with the given id
    /// begins, and keeps all of its data but `started`. Without a lease, it only begins if its status is `Queued`.
    pub wakeup: Option<DueWakeup>,
}

/// The result of [`CallStore::begin`]. A host that begins a call has a type of its own for `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginOutcome<T = Option<Lease>> {
    /// The call may run. Its transaction is recorded.
    Started(T),
    /// Another call holds the subject, at the latest until the given moment.
    Busy(Timestamp),
    /// The wakeup was settled, rescheduled or canceled meanwhile, so there is nothing to do.
    Gone,
}

/// The settlement of the wakeup that a call ran for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeupSettlement {
    /// The workflow ran: remove the wakeup, unless it was scheduled again meanwhile.
    Done(DueWakeup),
    /// The call failed: the same revision is due again at the given moment, with one more attempt.
    Retry(DueWakeup, Timestamp),
    /// The wakeup's subject is not needed any more: delete the document with its secrets and wakeups.
    Delete(DueWakeup),
}

/// The end of a call. One write closes the transaction, releases the lease and settles the wakeup.
///
/// The transaction of a queued call that lost its lease is left alone, since another host may run the call again. The
/// end of the last call of a bulk closes the bulk with [`TransactionOutcome::bulk`].
///
/// [`TransactionOutcome::bulk`]: relation_types::transactions::TransactionOutcome::bulk
#[derive(Clone, Debug)]
pub struct CallEnd {
    /// The last update of the transaction, including its final status.
    pub transaction: TransactionUpdate,
    /// The lease to release. A lost lease is left alone.
    pub lease: Option<Lease>,
    /// How to settle the call's wakeup. Ignored when the lease was lost. A wakeup that is due again
    /// counts as scheduled when the transaction ended.
    pub wakeup: Option<WakeupSettlement>,
    /// The call was interrupted after it may have sent a request, or lost the response. The next call on
    /// the subject is informed, as after the end of a process ([`Lease::interrupted`]). Ignored when the
    /// lease was lost or the subject does not exist.
    pub interrupted: bool,
}

impl CallEnd {
    /// Returns whether the call is a [queued call](relation_types::QUEUED_CALL_MODEL).
    pub fn is_of_queued_call(&self) -> bool {
        let due = match &self.wakeup {
            Some(
                WakeupSettlement::Done(due)
                | WakeupSettlement::Retry(due, _)
                | WakeupSettlement::Delete(due),
            ) => due,
            None => return false,
        };
        due.wakeup.subject.model == QUEUED_CALL_MODEL
    }
}

/// The result of [`CallStore::recover`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Leases released.
    pub leases: u64,
    /// Transactions closed as interrupted, or queued again.
    pub transactions: u64,
}

/// The corrections that [`CallStore::redate`] made after the clock had been ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedateReport {
    /// Wakeups that were made due.
    pub wakeups: u64,
    /// Leases whose end was corrected.
    pub leases: u64,
    /// The latest clock reading among the corrected wakeups and leases.
    pub latest: Option<Timestamp>,
}

/// The calls of workflows: each claims its subject, reports and ends.
///
/// The writes of [`begin`](CallStore::begin), [`report`](CallStore::report) and [`end`](CallStore::end)
/// survive a crash of the process. A power cut may undo the latest of them, but never a write before a
/// [commit](crate::DocumentStore::commit).
#[async_trait]
pub trait CallStore: Send + Sync + 'static {
    /// Claims the subject and records the transaction, in one write. The transaction's node is that of the document
    /// of its subject, if there is one.
    async fn begin(&self, begin: CallStart) -> Result<BeginOutcome, StoreError>;

    /// Stores an update of a running transaction between commits. An update of a transaction that has
    /// ended is dropped.
    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError>;

    /// Ends a call. Ending the same call again changes nothing.
    async fn end(&self, end: CallEnd) -> Result<(), StoreError>;

    /// Releases the leases and closes the transactions of dead hosts. The transaction of a queued call becomes
    /// `Queued` again.
    ///
    /// These are hosts whose process is known to have ended, and leases that have expired at `now`. The
    /// interruption of a call on an existing subject is stored for [`Lease::interrupted`]. Called at
    /// start and then periodically by a running dispatcher.
    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError>;

    /// Corrects what was written while the clock was more than [`CLOCK_TOLERANCE`] ahead of `now`.
    ///
    /// Each wakeup that was scheduled then becomes due at `now`, if not earlier. Each lease that was
    /// claimed then lasts its original duration from `now`. Reads all wakeups. Called when a dispatcher
    /// starts and when its clock was set back.
    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError>;
}
