//! The conformance suite on SQLite, and SQLite's own tests.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::conformance::{self, Stores};
use crate::{
    BeginOutcome, CallStart, CallStore, Commit, DocumentStore, Recovery, TransactionStore,
    WakeupStore,
};
use relation_types::transactions::TransactionFilter;
use relation_types::{Document, Filter, Reference, Timestamp};

impl SqliteStore {
    /// Changes the database directly, as a disk error would.
    pub(crate) fn execute(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        self.read(|connection| Ok(connection.execute(statement, values)?))
    }
}

struct FileStores(tempfile::TempDir);

impl FileStores {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("relation.db")
    }
}

#[async_trait]
impl Stores for FileStores {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.path(), &SqliteOptions::default()).unwrap())
    }
}

struct MemoryStores(Mutex<Option<Arc<SqliteStore>>>);

#[async_trait]
impl Stores for MemoryStores {
    async fn open(&self) -> Arc<dyn Store> {
        let mut store = self.0.lock();
        let store = store.get_or_insert_with(|| Arc::new(SqliteStore::in_memory().unwrap()));
        store.clone()
    }

    fn lasting(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_database_passes_the_suite() {
    conformance::run(async || Arc::new(FileStores::new()) as Arc<dyn Stores>).await;
}

#[tokio::test]
async fn memory_database_passes_the_suite() {
    conformance::run(async || Arc::new(MemoryStores(Mutex::default())) as Arc<dyn Stores>).await;
}

mod crash;
mod files;
mod group;
mod plans;
#[cfg(unix)]
mod process_locks;
mod random;
mod reading;
mod retention;
mod scratch;
