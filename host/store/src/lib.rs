//! Durable storage: the `Store` trait and its implementations.
//!
//! A store holds documents, sealed secrets, wakeups, leases and transactions. It never sees a clear
//! secret (see [`crate::seal`]) and is independent of WebAssembly. An embedder can supply its own
//! store; [`conformance`] is the test suite that every store must pass.
//!
//! Each group of operations is a trait of its own, in the file of its types. A caller with a
//! `dyn Store` can use all of them; for the methods of a concrete store, import their traits.

use async_trait::async_trait;

mod calls;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod columns;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod cursor;
mod documents;
mod encoding;
mod error;
mod keys;
pub mod layer;
pub(crate) mod ownership;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod scratch;
pub mod seal;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stash;
mod statistics;
mod transactions;
pub mod transfer;
mod wakeups;

pub use calls::{
    BeginOutcome, CLOCK_TOLERANCE, CallEnd, CallStart, CallStore, Lease, Recovery, RedateReport,
    WakeupSettlement,
};
pub use documents::{Change, Check, Commit, DocumentStore, SORT_KEYS, SortOrder};
pub use error::StoreError;
pub use keys::{
    KeyStore, KeyUse, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    StoredSecret, validate_rewrap,
};
pub use ownership::{create_private_file, parent_directory};
pub use statistics::{LostAnswers, StoreStatistics};
pub use transactions::{PruneReport, PruneRequest, TransactionStore};
pub use wakeups::{DeadlineCounts, DueWakeup, HostShare, KindFilter, WakeupStore};

/// A durable, atomic store of documents, sealed secrets, wakeups, leases and transactions.
///
/// When a writing method returns without an error, its write survives a crash of the process and of the
/// machine. A read sees every write that returned before the read began.
#[async_trait]
pub trait Store: DocumentStore + WakeupStore + CallStore + KeyStore + TransactionStore {
    /// Returns the store's permanent id. Sealed values are bound to it.
    fn id(&self) -> &str;

    /// Returns figures for metrics. Its cost does not follow the stored data.
    async fn statistics(&self) -> Result<StoreStatistics, StoreError> {
        Ok(StoreStatistics::default())
    }
}
