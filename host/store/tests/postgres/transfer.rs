//! Transfers between SQLite and PostgreSQL.

use relation_store::conformance::transfer::{self, TransferPair, TransferStores};
use relation_store::postgres::OpenError;
use relation_store::sqlite::{SqliteOptions, SqliteStore};
use relation_store::transfer::{TransferMark, TransferSide, TransferStore};
use relation_store::{Commit, DocumentStore as _, StoreError};
use relation_types::Timestamp;

use super::*;

struct File(tempfile::TempDir);

#[async_trait]
impl TransferStores for File {
    async fn open(&self) -> Arc<dyn TransferStore> {
        let path = self.0.path().join("relation.db");
        Arc::new(SqliteStore::open_to_transfer(path, &SqliteOptions::default(), true).unwrap())
    }
}

/// A database that is the source or the target of a transfer.
struct Moved(Database);

#[async_trait]
impl TransferStores for Moved {
    async fn open(&self) -> Arc<dyn TransferStore> {
        Arc::new(open_to_transfer(&self.0).await)
    }
}

fn options(database: &Database) -> PostgresOptions {
    let mut options = PostgresOptions::new(database.url()).unwrap();
    options.allow_unsafe_server = true;
    options.clock = LeaseClock::Caller;
    options
}

async fn open_to_transfer(database: &Database) -> PostgresStore {
    let opened = PostgresStore::open_to_transfer(options(database)).await;
    opened.unwrap()
}

fn file() -> Arc<dyn TransferStores> {
    Arc::new(File(tempfile::tempdir().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_to_postgres_pass_the_suite() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    transfer::run(async || TransferPair {
        source: file(),
        target: Arc::new(Moved(cluster.database().unwrap())),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_from_postgres_pass_the_suite() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    transfer::run(async || TransferPair {
        source: Arc::new(Moved(cluster.database().unwrap())),
        target: file(),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_cannot_write_to_a_moved_store() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    // A host that was frozen while the store was moved.
    let host = PostgresStore::open(options(&database)).await.unwrap();
    host.commit(Commit::default()).await.unwrap();
    let store = open_to_transfer(&database).await;
    let mark = TransferMark {
        side: TransferSide::Source,
        other_id: "another".to_owned(),
        other: "sqlite:relation.db".to_owned(),
        began: Timestamp(1),
        finished: true,
    };
    store.set_transfer_mark(Some(mark)).await.unwrap();
    let refused = host.commit(Commit::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(refused.to_string().contains("was moved"), "{refused}");
    let refused = PostgresStore::open(options(&database)).await.unwrap_err();
    assert!(matches!(refused, OpenError::Marked(_)), "{refused}");
    assert_eq!(
        refused.to_string(),
        "cannot open the store: it was moved to sqlite:relation.db"
    );
    store.set_transfer_mark(None).await.unwrap();
    host.commit(Commit::default()).await.unwrap();
}
