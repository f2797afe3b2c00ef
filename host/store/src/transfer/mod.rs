//! The transfer of everything in one store to another, such as from SQLite to PostgreSQL.
//!
//! Rows are copied in pages, in a fixed order, with their versions, revisions, attempts, ids and times. The position of
//! an interrupted transfer is the last row in the target, so running it again continues it. Secrets are bound to their
//! store: they are opened and sealed again for the target.
//!
//! A mark in each store keeps hosts from opening it meanwhile (see [`TransferMark`]). In the end, both stores are read
//! again and compared by counts and digests.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{DueWakeup, Store, StoreError, StoredSecret};
use relation_types::transactions::Transaction;
use relation_types::{Document, Reference, Timestamp};

mod digest;
mod error;
mod run;
#[cfg(test)]
mod tests;

pub use error::TransferError;
pub use run::{
    Phase, PlannedRows, Transfer, TransferPlan, TransferProgress, TransferReport, TransferredRows,
    release,
};

/// A kind of row that is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// Documents with their versions and keys.
    Documents,
    /// Secrets, and whether they are known not to open.
    Secrets,
    /// Wakeups with their revisions and attempts.
    Wakeups,
    /// The records that a call was interrupted.
    InterruptedCalls,
    /// Transactions with their logs and secret accesses.
    Transactions,
}

impl RowKind {
    /// Every kind, in the order of the transfer.
    pub const ALL: [Self; 5] = [
        Self::Documents,
        Self::Secrets,
        Self::Wakeups,
        Self::InterruptedCalls,
        Self::Transactions,
    ];

    /// Returns the name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Secrets => "secrets",
            Self::Wakeups => "wakeups",
            Self::InterruptedCalls => "interrupted calls",
            Self::Transactions => "transactions",
        }
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The position of a row in the order of its kind: the columns of its primary key, compared byte by byte. Shorter keys
/// end with empty texts; three empty texts are the position before all rows.
pub type Position = [String; 3];

/// A row, as one store reads it and another one writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A document.
    Document(Document),
    /// A secret with its stored bytes, whether or not it opens.
    Secret(StoredSecret),
    /// A wakeup.
    Wakeup {
        /// The wakeup with its revision and attempts.
        found: DueWakeup,
        /// The time of its scheduling; 0: unknown.
        scheduled: Timestamp,
    },
    /// The record that a call was interrupted.
    InterruptedCall {
        /// The subject of the call.
        subject: Reference,
        /// The start of the call.
        began: Timestamp,
    },
    /// A transaction.
    Transaction {
        /// The transaction with its log and secret accesses.
        transaction: Box<Transaction>,
        /// The nodes at which the transaction is listed.
        nodes: Vec<String>,
    },
}

/// The part of a store in a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferSide {
    /// The store is copied.
    Source,
    /// The store receives the copy.
    Target,
}

/// The mark of a store that is the source or the target of a transfer.
///
/// Hosts cannot open a marked store for writing, and cannot read a target. The mark of a target is removed when the
/// transfer is finished. The mark of a source stays, so that the hosts never use both stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferMark {
    /// The part of this store.
    pub side: TransferSide,
    /// The id of the other store.
    pub other_id: String,
    /// The location of the other store, without a password.
    pub other: String,
    /// The begin of the transfer.
    pub began: Timestamp,
    /// Whether the transfer is finished.
    pub finished: bool,
}

impl TransferMark {
    /// Returns whether the store can still be read. A target has a part of the rows only.
    pub fn permits_reading(&self) -> bool {
        self.side == TransferSide::Source
    }
}

impl fmt::Display for TransferMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = &self.other;
        match (self.side, self.finished) {
            (TransferSide::Source, true) => write!(f, "it was moved to {other}"),
            (TransferSide::Source, false) => write!(f, "its move to {other} is not finished"),
            (TransferSide::Target, _) => {
                write!(f, "the move of {other} into it is not finished")
            }
        }
    }
}

/// A store that can be the source or the target of a transfer. [`Transfer`] calls these methods.
#[async_trait]
pub trait TransferStore: Store {
    /// Returns the mark of this store.
    async fn transfer_mark(&self) -> Result<Option<TransferMark>, StoreError>;

    /// Replaces the mark. Where the store can do so, it refuses the writes of hosts while it is marked as a source, also
    /// of those that have opened it before.
    async fn set_transfer_mark(&self, mark: Option<TransferMark>) -> Result<(), StoreError>;

    /// Describes the other processes that have opened this store for writing.
    async fn other_users(&self) -> Result<Vec<String>, StoreError>;

    /// Describes some of the calls that have not ended: those with a lease or a running transaction.
    async fn open_calls(&self) -> Result<Vec<String>, StoreError>;

    /// Counts the rows of a kind.
    async fn count_rows(&self, kind: RowKind) -> Result<u64, StoreError>;

    /// Returns the position of the last row of a kind.
    async fn last_position(&self, kind: RowKind) -> Result<Option<Position>, StoreError>;

    /// Returns up to `limit` rows of a kind after a position, in order; fewer if they are long. Returns none only if
    /// there are no more.
    async fn read_rows(
        &self,
        kind: RowKind,
        after: &Position,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError>;

    /// Writes new rows as they are, in one write.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the store is not marked as a target.
    async fn write_rows(&self, rows: Vec<Row>) -> Result<(), StoreError>;

    /// Returns the last number of the counter of epochs and revisions.
    async fn last_number(&self) -> Result<u64, StoreError>;

    /// Raises the counter of epochs and revisions to at least this number.
    async fn raise_number(&self, at_least: u64) -> Result<(), StoreError>;
}

impl Row {
    /// Returns the kind of the row.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Document(_) => RowKind::Documents,
            Self::Secret(_) => RowKind::Secrets,
            Self::Wakeup { .. } => RowKind::Wakeups,
            Self::InterruptedCall { .. } => RowKind::InterruptedCalls,
            Self::Transaction { .. } => RowKind::Transactions,
        }
    }

    /// Returns the position of the row in the order of its kind.
    pub fn position(&self) -> Position {
        let position = |reference: &Reference, last: &str| {
            let Reference { model, pkid } = reference;
            [model.clone(), pkid.as_str().to_owned(), last.to_owned()]
        };
        match self {
            Self::Document(document) => position(&document.reference, ""),
            Self::Secret(secret) => position(&secret.owner, &secret.name),
            Self::Wakeup { found, .. } => position(&found.wakeup.subject, &found.wakeup.id),
            Self::InterruptedCall { subject, .. } => position(subject, ""),
            Self::Transaction { transaction, .. } => {
                [transaction.id.clone(), String::new(), String::new()]
            }
        }
    }
}

/// Reports a write to a store that is not the target of a transfer.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn not_a_target() -> StoreError {
    StoreError::Conflict("the store is not the target of a move".to_owned())
}

/// Reads the JSON of a mark.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn parse_mark(json: &str) -> Result<TransferMark, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Corrupt(format!("the mark of its move: {error}")))
}

/// Returns the JSON of a mark.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn format_mark(mark: &TransferMark) -> Result<String, StoreError> {
    serde_json::to_string(mark).map_err(|error| StoreError::Corrupt(error.to_string()))
}
