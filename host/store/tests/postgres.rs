//! The suite for stores on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected must fail"
)]

use std::sync::Arc;

use async_trait::async_trait;
use relation_store::Store;
use relation_store::conformance::{self, Stores};
use relation_store::postgres::{LeaseClock, PostgresOptions, PostgresStore};
use relation_test_postgres::{Cluster, Database};

struct Databases(Database);

#[async_trait]
impl Stores for Databases {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.0).await)
    }
}

async fn open(database: &Database) -> PostgresStore {
    let mut options = PostgresOptions::new(database.url()).unwrap();
    options.clock = LeaseClock::Caller;
    PostgresStore::open(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_for_stores() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    conformance::run(async || Arc::new(Databases(cluster.database().unwrap())) as Arc<dyn Stores>)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_has_one_id() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let (one, other) = tokio::join!(open(&database), open(&database));
    assert_eq!(one.id(), other.id());
}

#[cfg(feature = "sqlite")]
#[path = "postgres/documents.rs"]
mod documents;
#[path = "postgres/due.rs"]
mod due;
#[path = "postgres/plans.rs"]
mod plans;
