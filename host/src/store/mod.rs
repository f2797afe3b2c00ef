//! Where everything durable lives: the `Store` trait, and the stores that implement it.
//!
//! A store keeps documents, sealed secrets, wakeups, leases and transactions. It never sees a clear
//! secret (see [`crate::store::seal`]) and knows no wasm. Whoever embeds the host can bring a store of their
//! own; [`conformance`] is the suite that every store passes.

use async_trait::async_trait;

use self::seal::{DataKey, Sealed};
use crate::transactions::{
    NewTransaction, Status, Transaction, TransactionFilter, TransactionUpdate,
};
use crate::types::{Document, Filter, Hierarchy, Page, Reference, Timestamp, Wakeup};

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod cursor;
mod encoding;
pub(crate) mod ownership;
mod refusals;
pub mod seal;
mod secrets;
pub mod sqlite;
pub mod stash;
mod validation;
pub mod watched;

pub use secrets::{
    KeyUse, Quarantine, Reseal, Resealed, Retirement, SecretCount, SecretScope, StoredSecret,
};
pub use validation::validate_rewrap;

/// How far the clocks of hosts on one store may be apart.
pub const CLOCK_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(300);

/// The right to run workflows on one subject, held by one host until it expires.
///
/// The epoch is drawn from one counter of the store, so no two leases ever share one; a commit that
/// carries a lease which is no longer the subject's current one changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub subject: Reference,
    /// Which claim of it this is.
    pub epoch: u64,
    /// When others may claim it, by the clock that was passed to [`Store::begin`].
    pub expires: Timestamp,
    /// The beginning of the latest earlier call on the subject that was cut off; none if a call on the
    /// subject has ended since. A call is cut off when its host ended, when its lease expired or was
    /// lost, or by [`End::interrupted`].
    pub interrupted: Option<Timestamp>,
}

/// A condition that holds at the moment of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The document exists with exactly this version.
    Version(Reference, u64),
    /// The document does not exist.
    Absent(Reference),
    /// Nothing matches, other than the document excepted.
    Unique(Filter, Option<Reference>),
}

/// One step of a commit; steps are applied in the order given.
#[derive(Clone, Debug)]
pub enum Change {
    /// Create or replace a document; its version becomes the old one plus one.
    Put(Document),
    /// Delete a document with every secret it owns and every wakeup of which it is the subject.
    Delete(Reference),
    /// Store a sealed secret of a document that exists after the commit.
    PutSecret {
        /// The document it belongs to.
        owner: Reference,
        /// Its name there.
        name: String,
        /// The sealed value.
        sealed: Sealed,
    },
    /// Remove a secret.
    RemoveSecret(Reference, String),
    /// Create a wakeup, or move the one of that subject and id. Resets its attempts. Its subject
    /// exists after the commit.
    Schedule(Wakeup),
    /// Remove the wakeup of this subject and id.
    Cancel(Reference, String),
}

/// What is written together: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The lease of the call that writes; checked to be the subject's current one.
    pub fence: Option<Lease>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// What is done.
    pub changes: Vec<Change>,
    /// News of the call's transaction, made durable on the same occasion.
    pub transaction: Option<TransactionUpdate>,
    /// Takes secrets that are sealed with a data key which is not the newest any more, as long as it
    /// is there. For a host that cannot open the newest: what it has to keep would be lost.
    pub older_keys: bool,
    /// The moment of the commit, by the caller's clock: kept with each wakeup as the time at which it
    /// was scheduled, for [`Store::redate`]. 0: unknown.
    pub now: Timestamp,
}

/// Why a store did not do what it was asked; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A check of the commit failed: the text names it.
    #[error("{0}")]
    Conflict(String),
    /// The lease is no longer the subject's current one.
    #[error("the lease of {subject} was lost: epoch {epoch} is no longer the current one")]
    Fenced {
        /// Whose lease.
        subject: Reference,
        /// The epoch that was presented.
        epoch: u64,
    },
    /// A secret of the commit is sealed with another data key than the newest: read the data keys,
    /// seal it again, and commit again. [`seal::Sealer::commit`] does.
    #[error("a secret was sealed with data key {0}, which is not the newest one")]
    StaleKey(u32),
    /// The input is malformed: a body that is no JSON object, a secret or a wakeup without its
    /// document, a cursor of another listing, news of a transaction that never began.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be reached or cannot write now: try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be understood; a person must look.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// A wakeup as the dispatcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWakeup {
    /// The wakeup.
    pub wakeup: Wakeup,
    /// Raised whenever it is scheduled anew; tells an answered wakeup from one that was moved.
    pub revision: u64,
    /// How many calls for this revision have failed.
    pub attempts: u32,
}

/// What a call needs before it may run.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The transaction to record, as `processing`.
    pub transaction: NewTransaction,
    /// The subject to lease; none for calls that touch no record.
    pub subject: Option<Reference>,
    /// How long the lease lasts from `now`.
    pub lease: std::time::Duration,
    /// The moment of the claim, by the caller's clock.
    pub now: Timestamp,
    /// The wakeup that this call answers: it must still be there with this revision and as many
    /// attempts.
    pub wakeup: Option<DueWakeup>,
}

/// Whether a call may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may; the transaction is recorded.
    Started(Option<Lease>),
    /// Another call holds the subject until the moment given, or until it releases it.
    Busy(Timestamp),
    /// The wakeup was answered, moved or cancelled meanwhile: there is nothing to do.
    Gone,
}

/// What became of the wakeup that a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The workflow ran: remove the wakeup, unless it was scheduled anew meanwhile.
    Done(DueWakeup),
    /// The call failed: the same revision is due again at the moment given, `attempts` raised.
    Retry(DueWakeup, Timestamp),
}

/// The end of a call: transaction closed, lease released, wakeup settled, in one write.
#[derive(Clone, Debug)]
pub struct End {
    /// The last news of the transaction, its final status among them.
    pub transaction: TransactionUpdate,
    /// The lease to release; one that was lost is left alone.
    pub lease: Option<Lease>,
    /// The outcome of the wakeup that the call answered. Ignored when the lease was lost. A wakeup
    /// that is due again counts as scheduled when the transaction ended.
    pub wakeup: Option<Answered>,
    /// The call was cut off after it may have sent something, or lost what came of it: the next call
    /// on the subject is told, as after the end of a process ([`Lease::interrupted`]). Ignored when
    /// the lease was lost or the subject does not exist.
    pub interrupted: bool,
}

/// A step of a walk over all transactions, which removes those that ended long enough ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Transactions that succeeded and ended before this moment are removed.
    pub succeeded_before: Timestamp,
    /// Transactions that failed and ended before this moment are removed.
    pub failed_before: Timestamp,
    /// The id after which this step begins: [`Pruned::next`] of the step before.
    pub after: Option<String>,
    /// How many transactions the step looks at, at most; 0 counts as 1.
    pub limit: u32,
}

/// The result of one step of a walk over the transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Transactions removed, with their logs.
    pub removed: u64,
    /// Where the next step begins; none when the walk has ended.
    pub next: Option<String>,
}

impl Prune {
    /// Whether a transaction of this status that ended at `completed` is to be removed. One that
    /// runs never is.
    pub fn covers(&self, status: Status, completed: Option<Timestamp>) -> bool {
        let before = match status {
            Status::Processing => return false,
            Status::Success => self.succeeded_before,
            Status::Fail => self.failed_before,
        };
        completed.is_some_and(|completed| completed < before)
    }

    /// Whether a walk in the order of ids ends at a step in which every transaction began at or after
    /// this moment: the later ones began later.
    pub fn ends_at(&self, started: Timestamp) -> bool {
        started >= self.succeeded_before.max(self.failed_before)
    }
}

/// What [`Store::recover`] found of hosts that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Leases released.
    pub leases: u64,
    /// Transactions closed as interrupted.
    pub transactions: u64,
}

/// The corrections that [`Store::redate`] made after a clock that was ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redating {
    /// Wakeups that were made due.
    pub wakeups: u64,
    /// Leases whose end was corrected.
    pub leases: u64,
    /// The latest moment that the clock showed when one of them was written.
    pub latest: Option<Timestamp>,
}

/// Documents, sealed secrets, wakeups, leases and transactions, durable and atomic.
///
/// When a writing method returns without error, what it wrote survives a crash of the process and of
/// the machine. Reads see every write that returned before they began.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Names this store for good; sealed values are bound to it.
    fn id(&self) -> &str;

    // Documents and secrets.

    /// The documents, in the order asked for; none for each that does not exist.
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError>;

    /// What matches, ordered by pkid, from an index: the cost follows what is found. `limit` is at
    /// least 1. The cursor is the `next` of an earlier page of the same filter.
    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError>;

    /// All of the changes if the fence and all of the checks hold, otherwise nothing.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// The sealed value, or none.
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError>;

    // Wakeups.

    /// All wakeups of a subject, the earliest first.
    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError>;

    /// A page of all wakeups by due time, of subjects at or below a node when one is given.
    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError>;

    /// Wakeups due at `now` whose subject nobody holds a valid lease of: the earliest deadline first,
    /// those without one last, then the earliest due; one at most for each subject. Those of the
    /// kind `without` ([`Wakeup::kind`]) are left out. The cost follows `limit` and how many kinds
    /// there are, not how many wakeups are stored or due.
    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError>;

    /// When the earliest wakeup of all is due.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    // Calls.

    /// Claims the subject and records the transaction, in one write.
    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError>;

    /// Makes news of a running transaction durable between commits. News of one that has ended
    /// come too late and are dropped.
    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError>;

    /// Ends a call. Ending it again changes nothing.
    async fn end(&self, end: End) -> Result<(), StoreError>;

    /// Releases the leases and closes the transactions of hosts that are gone: those whose process
    /// the store knows to have ended, and leases that have expired at `now`. That a call on an
    /// existing subject was cut off is kept, for [`Lease::interrupted`]. Called at start and then
    /// from time to time by a running dispatcher.
    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError>;

    /// Corrects what was written while the clock showed a moment more than [`CLOCK_TOLERANCE`] after
    /// `now`. Each wakeup that was scheduled then is due at `now`, if not earlier. Each lease that was
    /// claimed then lasts from `now`, as long as it was to last when it was claimed.
    ///
    /// Looks at all wakeups. Called when a dispatcher starts, and when its clock went back.
    async fn redate(&self, now: Timestamp) -> Result<Redating, StoreError>;

    // Transactions.

    /// One transaction with its log.
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError>;

    /// A page of transactions without their logs, the newest first.
    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError>;

    /// Looks at the next transactions in the order of ids and removes those, with their logs, that
    /// `prune` covers. Never one that runs. The cost follows `limit`, not what is stored.
    async fn prune_transactions(&self, prune: Prune) -> Result<Pruned, StoreError>;

    // Keys.

    /// The wrapped data keys.
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError>;

    /// Adds a wrapped data key, unless one with this id exists; answers with the one that is stored.
    /// Conflict when the others are wrapped by another key-encryption key. From then on commits seal
    /// with no other.
    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError>;

    /// Replaces all data keys by the same keys wrapped anew; Conflict when they are not `were` any
    /// more.
    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError>;

    /// Removes a data key that no secret is sealed with; in one write with the look at all secrets.
    /// `despite_quarantined`: secrets that were found not to open do not count.
    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError>;

    /// How many secrets are sealed with which data key. The cost follows what is stored.
    async fn key_use(&self) -> Result<KeyUse, StoreError>;

    /// A page of the stored secrets, ordered by model, pkid and name. The cost follows what is stored.
    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError>;

    /// Carries out each step whose secret still has the bytes that were read, and leaves the others
    /// alone; says of each whether it was carried out. StaleKey when one is sealed with a data key
    /// that is not the newest: then nothing is changed.
    async fn reseal(&self, steps: Vec<Reseal>) -> Result<Vec<bool>, StoreError>;
}
