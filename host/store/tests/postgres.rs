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
use relation_test_postgres::{Bouncer, Cluster, Database};

struct Databases {
    url: String,
    prepare: bool,
}

#[async_trait]
impl Stores for Databases {
    async fn open(&self) -> Arc<dyn Store> {
        let mut options = PostgresOptions::new(&self.url).unwrap();
        options.clock = LeaseClock::Caller;
        options.prepare = self.prepare;
        Arc::new(PostgresStore::open(options).await.unwrap())
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
    conformance::run(async || {
        let url = cluster.database().unwrap().url().to_owned();
        Arc::new(Databases { url, prepare: true }) as Arc<dyn Stores>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_through_a_pooler() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let Some(bouncer) = Bouncer::start(cluster).unwrap() else {
        return;
    };
    conformance::run(async || {
        let url = bouncer.url(cluster.database().unwrap().name());
        let prepare = false;
        Arc::new(Databases { url, prepare }) as Arc<dyn Stores>
    })
    .await;
}

#[cfg(feature = "sqlite")]
#[path = "postgres/documents.rs"]
mod documents;
#[path = "postgres/due.rs"]
mod due;
#[path = "postgres/plans.rs"]
mod plans;
#[path = "postgres/transfer.rs"]
mod transfer;
