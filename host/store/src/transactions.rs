//! Transactions: the visible records of calls, and their retention.

use async_trait::async_trait;

use crate::StoreError;
use relation_types::transactions::{Status, Transaction, TransactionFilter};
use relation_types::{Page, Timestamp};

/// One step of a walk over all transactions that removes old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneRequest {
    /// Transactions that succeeded and ended before this moment are removed.
    pub succeeded_before: Timestamp,
    /// Transactions that failed at least in part, and ended before this moment are removed.
    pub failed_before: Timestamp,
    /// The id after which this step begins: [`PruneReport::next`] of the previous step.
    pub after: Option<String>,
    /// The largest number of transactions that the step examines; 0 counts as 1.
    pub limit: u32,
}

impl PruneRequest {
    /// Returns whether to remove a transaction of this status that ended at `completed`. A running or
    /// queued transaction is never removed.
    pub fn covers(&self, status: Status, completed: Option<Timestamp>) -> bool {
        let before = match status {
            Status::Queued | Status::Processing => return false,
            Status::Success => self.succeeded_before,
            Status::SuccessWithAsyncFailures | Status::Fail => self.failed_before,
        };
        completed.is_some_and(|completed| completed < before)
    }

    /// Returns whether a walk in the order of ids can stop at a step whose transactions all began at or after
    /// `started`: all later ones began later still.
    pub fn ends_at(&self, started: Timestamp) -> bool {
        started >= self.succeeded_before.max(self.failed_before)
    }
}

/// The result of one step of a walk over the transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Transactions removed, with their logs.
    pub removed: u64,
    /// Where the next step begins; `None` at the end of the walk.
    pub next: Option<String>,
}

/// The recorded transactions. Calls and commits write them.
#[async_trait]
pub trait TransactionStore: Send + Sync + 'static {
    /// Returns one transaction with its log.
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError>;

    /// Returns a page of transactions without their logs, the newest first.
    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError>;

    /// Counts the matching transactions up to `at_most`. The cost follows that bound, and the transactions that a
    /// listing with the same filter passes over.
    async fn count_transactions(
        &self,
        filter: &TransactionFilter,
        at_most: u64,
    ) -> Result<u64, StoreError>;

    /// Examines the next transactions in the order of ids and removes, with their logs and requests, those that
    /// `prune` covers. A running or queued transaction is never removed. The cost follows `limit`, not the number
    /// of stored transactions.
    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError>;
}
