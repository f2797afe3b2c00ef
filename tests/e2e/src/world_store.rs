//! The store of a world: an SQLite file, or with `RELATION_TEST_STORE=postgres` a database in PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use relation_host::store::Store;
use relation_host::store::postgres::{LeaseClock, PostgresOptions, PostgresStore};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_test_postgres::{Cluster, Database};

/// The location of a world's store.
pub(crate) enum WorldStore {
    File(PathBuf),
    Database(Database),
}

impl WorldStore {
    /// Returns a location without data. Its file is in the directory.
    pub(crate) fn new(directory: &Path) -> Self {
        match std::env::var("RELATION_TEST_STORE").as_deref() {
            Ok("postgres") => {
                let cluster = Cluster::shared_without_fsync().expect("the server starts");
                let cluster = cluster.expect("PostgreSQL is installed");
                Self::Database(cluster.database().expect("a database"))
            }
            Ok(other) => panic!("RELATION_TEST_STORE is {other}, not postgres"),
            Err(_) => Self::File(directory.join("relation.db")),
        }
    }

    /// Opens the store, as another host would.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::File(file) => {
                let store = SqliteStore::open(file, &SqliteOptions::default());
                Arc::new(store.expect("the store opens"))
            }
            Self::Database(database) => {
                let mut options = PostgresOptions::new(database.url()).expect("an address");
                // Leases expire by the world's clock.
                options.clock = LeaseClock::Caller;
                options.allow_unsafe_server = true;
                let store = PostgresStore::open(options).await;
                Arc::new(store.expect("the store opens"))
            }
        }
    }
}
