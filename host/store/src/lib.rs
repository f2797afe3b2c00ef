//! Durable storage: the `Store` trait and its implementations.
//!
//! A store holds documents, sealed secrets, wakeups, leases and transactions. It never sees a clear
//! secret (see [`crate::seal`]) and is independent of WebAssembly. An embedder can supply its own
//! store; [`conformance`] is the test suite that every store must pass.

use async_trait::async_trait;

use self::seal::{DataKey, Sealed};
use relation_types::transactions::{
    NewTransaction, Status, Transaction, TransactionFilter, TransactionUpdate,
};
use relation_types::{Document, Filter, Hierarchy, Page, Reference, Timestamp, Wakeup};

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod cursor;
mod encoding;
mod error;
pub mod layer;
pub(crate) mod ownership;
pub mod seal;
mod secrets;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stash;
mod validation;

pub use error::StoreError;
pub use secrets::{
    KeyUse, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    StoredSecret,
};
pub use validation::validate_rewrap;

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
    /// When other hosts may claim the subject, by the clock that was passed to [`Store::begin`].
    pub expires: Timestamp,
    /// The start of the latest earlier call on the subject that was interrupted; `None` if a call on the
    /// subject has ended since. A call is interrupted when its host ended, when its lease expired or was
    /// lost, or by [`End::interrupted`].
    pub interrupted: Option<Timestamp>,
}

/// A condition that must hold at the moment of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The document exists with exactly this version.
    Version(Reference, u64),
    /// The document does not exist.
    Absent(Reference),
    /// No document matches the filter, except the given one.
    Unique(Filter, Option<Reference>),
}

/// One step of a commit. Steps are applied in the order given.
#[derive(Clone, Debug)]
pub enum Change {
    /// Create or replace a document. Its version becomes the old version plus one.
    Put(Document),
    /// Delete a document with every secret it owns and every wakeup of which it is the subject.
    Delete(Reference),
    /// Store a sealed secret of a document that exists after the commit.
    PutSecret {
        /// The document that owns the secret.
        owner: Reference,
        /// The secret's name in its owner.
        name: String,
        /// The sealed value.
        sealed: Sealed,
    },
    /// Remove a secret.
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
    /// Accepts secrets that are sealed with an older data key, as long as the store still has that key.
    /// For a host that cannot open the newest data key and would otherwise lose what it has to store.
    pub older_keys: bool,
    /// The moment of the commit, by the caller's clock. It is stored with each wakeup as the time of its
    /// scheduling, for [`Store::redate`]. 0: unknown.
    pub now: Timestamp,
}

/// A stored wakeup with its revision and attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWakeup {
    /// The wakeup as it was scheduled.
    pub wakeup: Wakeup,
    /// Rises each time the wakeup is scheduled again. Distinguishes a settled wakeup from a rescheduled
    /// one.
    pub revision: u64,
    /// The number of failed calls for this revision.
    pub attempts: u32,
}

/// The start of a call: the lease to claim and the transaction to record.
#[derive(Clone, Debug)]
pub struct Begin {
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
    pub wakeup: Option<DueWakeup>,
}

/// The result of [`Store::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginOutcome {
    /// The call may run. Its transaction is recorded.
    Started(Option<Lease>),
    /// Another call holds the subject, at the latest until the given moment.
    Busy(Timestamp),
    /// The wakeup was settled, rescheduled or cancelled meanwhile, so there is nothing to do.
    Gone,
}

/// How to settle the wakeup that a call ran for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeupSettlement {
    /// The workflow ran: remove the wakeup, unless it was scheduled again meanwhile.
    Done(DueWakeup),
    /// The call failed: the same revision is due again at the given moment, with one more attempt.
    Retry(DueWakeup, Timestamp),
}

/// The end of a call. One write closes the transaction, releases the lease and settles the wakeup.
#[derive(Clone, Debug)]
pub struct End {
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

/// One step of a walk over all transactions that removes old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneRequest {
    /// Transactions that succeeded and ended before this moment are removed.
    pub succeeded_before: Timestamp,
    /// Transactions that failed and ended before this moment are removed.
    pub failed_before: Timestamp,
    /// The id after which this step begins: [`PruneReport::next`] of the previous step.
    pub after: Option<String>,
    /// The largest number of transactions that the step examines; 0 counts as 1.
    pub limit: u32,
}

/// The result of one step of a walk over the transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Transactions removed, with their logs.
    pub removed: u64,
    /// Where the next step begins; `None` at the end of the walk.
    pub next: Option<String>,
}

impl PruneRequest {
    /// Returns whether to remove a transaction of this status that ended at `completed`. A running
    /// transaction is never removed.
    pub fn covers(&self, status: Status, completed: Option<Timestamp>) -> bool {
        let before = match status {
            Status::Processing => return false,
            Status::Success => self.succeeded_before,
            Status::Fail => self.failed_before,
        };
        completed.is_some_and(|completed| completed < before)
    }

    /// Returns whether a walk in the order of ids can stop at a step whose transactions all began at or
    /// after `started`: all later ones began later still.
    pub fn ends_at(&self, started: Timestamp) -> bool {
        started >= self.succeeded_before.max(self.failed_before)
    }
}

/// The result of [`Store::recover`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Leases released.
    pub leases: u64,
    /// Transactions closed as interrupted.
    pub transactions: u64,
}

/// The corrections that [`Store::redate`] made after the clock had been ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedateReport {
    /// Wakeups that were made due.
    pub wakeups: u64,
    /// Leases whose end was corrected.
    pub leases: u64,
    /// The latest clock reading among the corrected wakeups and leases.
    pub latest: Option<Timestamp>,
}

/// A durable, atomic store of documents, sealed secrets, wakeups, leases and transactions.
///
/// When a writing method returns without an error, its write survives a crash of the process and of the
/// machine. A read sees every write that returned before the read began.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the store's permanent id. Sealed values are bound to it.
    fn id(&self) -> &str;

    // Documents and secrets.

    /// Returns the documents in the requested order; `None` for each that does not exist.
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError>;

    /// Returns a page of matching documents, ordered by pkid. The search uses an index, so its cost
    /// follows the number of results. `limit` is at least 1. The cursor is the `next` of an earlier page
    /// of the same filter.
    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError>;

    /// Applies all changes if the fence and all checks hold, otherwise none.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Returns the sealed value, if there is one.
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError>;

    // Wakeups.

    /// Returns all wakeups of a subject, the earliest first.
    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError>;

    /// Returns a page of all wakeups by due time, optionally only of subjects at or below a node.
    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError>;

    /// Returns wakeups that are due at `now` and whose subject has no valid lease, at most one per
    /// subject.
    ///
    /// They are ordered by deadline, those without a deadline last, then by due time. Wakeups of the
    /// kind `excluded_kind` ([`Wakeup::kind`]) are left out. The cost follows `limit` and the number of
    /// kinds, not the number of stored or due wakeups.
    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        excluded_kind: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError>;

    /// Returns when the earliest wakeup is due.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    // Calls.

    /// Claims the subject and records the transaction, in one write.
    async fn begin(&self, begin: Begin) -> Result<BeginOutcome, StoreError>;

    /// Stores an update of a running transaction between commits. An update of a transaction that has
    /// ended is dropped.
    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError>;

    /// Ends a call. Ending the same call again changes nothing.
    async fn end(&self, end: End) -> Result<(), StoreError>;

    /// Releases the leases and closes the transactions of dead hosts.
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

    // Transactions.

    /// Returns one transaction with its log.
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError>;

    /// Returns a page of transactions without their logs, the newest first.
    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError>;

    /// Examines the next transactions in the order of ids and removes, with their logs, those that
    /// `prune` covers. A running transaction is never removed. The cost follows `limit`, not the number
    /// of stored transactions.
    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError>;

    // Keys.

    /// Returns the wrapped data keys.
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError>;

    /// Adds a wrapped data key, unless the id exists already, and returns the stored one. From then on,
    /// commits must seal with the newest data key. Fails with [`StoreError::Conflict`] when the other
    /// data keys are wrapped by another key-encryption key.
    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError>;

    /// Replaces all data keys by the same keys, wrapped again. Fails with [`StoreError::Conflict`] when
    /// the stored keys are not `current` any more.
    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError>;

    /// Removes a data key that does not seal any secret; the check of all secrets is part of the same
    /// write. With `despite_quarantined`, secrets that are known not to open do not count.
    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError>;

    /// Counts the secrets by data key. The cost follows the number of stored secrets.
    async fn key_use(&self) -> Result<KeyUse, StoreError>;

    /// Returns a page of the stored secrets, ordered by model, pkid and name. The cost follows the
    /// number of stored secrets.
    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError>;

    /// Applies each step whose secret still has the bytes that were read, and returns for each step
    /// whether it was applied. Fails with [`StoreError::StaleKey`] and changes nothing when a value is
    /// sealed with a data key that is not the newest.
    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError>;
}
