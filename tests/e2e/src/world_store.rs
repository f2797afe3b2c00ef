//! The store of a world: an SQLite file, or what `RELATION_TEST_STORE` selects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use relation_host::store::Store;
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_test_stores::{LentStore, StoreKind};

/// The location of a world's store.
pub(crate) enum WorldStore {
    File(PathBuf),
    Lent(LentStore),
}

impl WorldStore {
    /// Returns a location without data. Its file is in the directory.
    pub(crate) async fn new(directory: &Path) -> Self {
        match StoreKind::selected() {
            // Some tests look at the file.
            None | Some(StoreKind::Sqlite) => Self::File(directory.join("relation.db")),
            Some(kind) => Self::Lent(LentStore::lend(kind).await),
        }
    }

    /// Opens the store, as another host would.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::File(file) => {
                let store = SqliteStore::open(file, &SqliteOptions::default());
                Arc::new(store.expect("the store opens"))
            }
            Self::Lent(lent) => lent.store().open().await.expect("the store opens"),
        }
    }

    /// Returns the address for another process; `None` for a file.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Lent(lent) => lent.address(),
        }
    }

    /// Makes killed processes count as ended, where only time shows that.
    pub(crate) fn end_children(&self) {
        if let Self::Lent(lent) = self {
            lent.end_children();
        }
    }
}
