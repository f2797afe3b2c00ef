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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of cases that run at the same time.
const CASES_AT_A_TIME: usize = 4;

struct Databases {
    url: String,
    prepare: bool,
}

#[async_trait]
impl Stores for Databases {
    async fn open(&self) -> Arc<dyn Store> {
        let mut options = options(&self.url);
        options.prepare = self.prepare;
        Arc::new(PostgresStore::open(options).await.unwrap())
    }
}

fn options(url: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(url).unwrap();
    options.clock = LeaseClock::Caller;
    // The suite runs on a server without `fsync`.
    options.allow_unsafe_server = true;
    options
}

async fn open(database: &Database) -> PostgresStore {
    let opened = PostgresStore::open(options(database.url())).await;
    opened.unwrap()
}

/// Runs each case of the suite on a copy of one empty store. `locate` returns how to reach a database.
async fn run_suite(cluster: &Cluster, locate: impl Fn(&Database) -> Databases) {
    let empty = cluster.database().unwrap();
    drop(open(&empty).await);
    let permits = Arc::new(Semaphore::new(CASES_AT_A_TIME));
    let mut running = JoinSet::new();
    for case in conformance::CASES {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let stores: Arc<dyn Stores> = Arc::new(locate(&cluster.copy_database(&empty).unwrap()));
        running.spawn(async move {
            let is_kept = tokio::spawn(case.run(stores)).await.is_ok();
            drop(permit);
            (case.name, is_kept)
        });
    }
    let ended = running.join_all().await;
    assert_eq!(ended.len(), conformance::CASES.len());
    let broken: Vec<&str> = ended
        .into_iter()
        .filter(|(_, is_kept)| !is_kept)
        .map(|(name, _)| name)
        .collect();
    assert!(broken.is_empty(), "not kept: {broken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_for_stores() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let locate = |database: &Database| Databases {
        url: database.url().to_owned(),
        prepare: true,
    };
    run_suite(cluster, locate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_through_a_pooler() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let Some(bouncer) = Bouncer::start(cluster).unwrap() else {
        return;
    };
    let locate = |database: &Database| Databases {
        url: bouncer.url(database.name()),
        prepare: false,
    };
    run_suite(cluster, locate).await;
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
