//! Errors of transfers.

use super::RowKind;
use crate::StoreError;
use crate::seal::SealError;

/// The error of a transfer. What was copied stays in the target; the source has not lost anything.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// An operation of a store failed.
    #[error("{location}: {source}")]
    Store {
        /// The location of the store.
        location: String,
        /// The cause.
        source: StoreError,
    },
    /// A key or a secret cannot be read or written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Source and target are the same store.
    #[error("cannot move the store {0} into itself")]
    SameStore(String),
    /// Other processes have opened a store.
    #[error("cannot move while the store {location} is in use: {}", users.join(", "))]
    InUse {
        /// The location of the store.
        location: String,
        /// The processes.
        users: Vec<String>,
    },
    /// Calls of the source have not ended, or their hosts may still run.
    #[error("cannot move while calls have not ended in the store {location}: {}", calls.join(", "))]
    OpenCalls {
        /// The location of the store.
        location: String,
        /// Some of the calls.
        calls: Vec<String>,
    },
    /// The target has rows that are not of this transfer.
    #[error("cannot move into the store {location}: it is not empty, it has {count} {kind}")]
    NotEmpty {
        /// The location of the store.
        location: String,
        /// The kind of the rows.
        kind: RowKind,
        /// Their number.
        count: u64,
    },
    /// A store takes part in another transfer.
    #[error("cannot move with the store {location}: {mark}")]
    Marked {
        /// The location of the store.
        location: String,
        /// The description of the other transfer.
        mark: String,
    },
    /// The source has rows that differ from those in the target.
    #[error(
        "the {kind} differ after the move: {source_count} in {source_location}, {target_count} in {target_location}{}",
        if source_count == target_count { ", with different contents" } else { "" }
    )]
    Different {
        /// The kind of the rows.
        kind: RowKind,
        /// The location of the source.
        source_location: String,
        /// The number of rows in the source.
        source_count: u64,
        /// The location of the target.
        target_location: String,
        /// The number of rows in the target.
        target_count: u64,
    },
    /// A row has no JSON form.
    #[error("a row cannot be encoded: {0}")]
    Unencodable(String),
    /// The store is not marked as the source of a transfer.
    #[error("the store {0} was not moved")]
    NotMoved(String),
}
