//! Calls and commits of several hosts on one PostgreSQL database.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it cannot continue"
)]

mod calls;
mod commits;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

use relation_store::postgres::{LeaseClock, PostgresOptions, PostgresStore};
use relation_store::{
    BeginOutcome, CallEnd, CallStart, CallStore, Change, Check, Commit, DocumentStore, DueWakeup,
    KindFilter, Lease, Recovery, Store as _, StoreError, TransactionStore, WakeupSettlement,
    WakeupStore,
};
use relation_test_postgres::{Cluster, Database};
use relation_types::transactions::{
    NewTransaction, Status, TransactionOutcome, TransactionUpdate, part_id,
};
use relation_types::{
    Document, Filter, Key, QUEUED_CALL_MODEL, Reference, Scope, Timestamp, Wakeup,
};

const NOW: Timestamp = Timestamp(1_000_000_000_000);
const TEN_MINUTES: u64 = 600_000;

/// A database, and two hosts that use it.
struct Hosts {
    cluster: &'static Cluster,
    database: Database,
    first: Arc<PostgresStore>,
    second: Arc<PostgresStore>,
}

impl Hosts {
    /// Returns nothing where PostgreSQL is not installed.
    async fn start(clock: LeaseClock) -> Option<Self> {
        let cluster = Cluster::shared().unwrap()?;
        let database = cluster.database().unwrap();
        let first = open(&database, clock).await;
        let second = open(&database, clock).await;
        Some(Self {
            cluster,
            database,
            first,
            second,
        })
    }

    fn both(&self) -> [&Arc<PostgresStore>; 2] {
        [&self.first, &self.second]
    }

    /// Returns one of the hosts.
    fn host(&self, number: u64) -> Arc<PostgresStore> {
        Arc::clone(self.both()[index(number % 2)])
    }

    fn sql(&self, statements: &str) -> String {
        self.cluster
            .execute(self.database.name(), statements)
            .unwrap()
    }
}

async fn open(database: &Database, clock: LeaseClock) -> Arc<PostgresStore> {
    let mut options = PostgresOptions::new(database.url()).unwrap();
    options.clock = clock;
    options.takeover_delay = Duration::ZERO;
    Arc::new(PostgresStore::open(options).await.unwrap())
}

fn record(number: u64) -> Reference {
    Reference::record(format!("{number:024x}").parse().unwrap())
}

fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn put(reference: &Reference, node: &str, keys: &[(&str, &str)]) -> Change {
    Change::Put(Document {
        reference: reference.clone(),
        hierarchy: node.parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: keys.iter().map(|(name, value)| key(name, value)).collect(),
    })
}

fn unique(node: Option<&str>, keys: &[(&str, &str)]) -> Check {
    let filter = Filter {
        hierarchy: node.map(|node| (node.parse().unwrap(), Scope::Subtree)),
        equals: keys.iter().map(|(name, value)| key(name, value)).collect(),
        model: record(0).model,
    };
    Check::Unique(filter, None)
}

fn schedule(subject: &Reference) -> Change {
    Change::Schedule(Wakeup {
        id: "refresh".to_owned(),
        subject: subject.clone(),
        due: NOW,
        deadline: None,
        payload: String::new(),
    })
}

fn commit(checks: Vec<Check>, changes: Vec<Change>) -> Commit {
    Commit {
        checks,
        changes,
        ..Commit::default()
    }
}

fn transaction(id: &str) -> NewTransaction {
    NewTransaction {
        id: id.to_owned(),
        action: "refresh".to_owned(),
        ..NewTransaction::default()
    }
}

fn begin(id: &str, subject: &Reference, now: Timestamp) -> CallStart {
    CallStart {
        transaction: NewTransaction {
            subject: Some(subject.clone()),
            ..transaction(id)
        },
        subject: Some(subject.clone()),
        lease: Duration::from_secs(60),
        now,
        wakeup: None,
    }
}

fn end(id: &str, lease: Option<&Lease>) -> CallEnd {
    CallEnd {
        transaction: TransactionUpdate {
            id: id.to_owned(),
            outcome: Some(TransactionOutcome {
                status: Status::Success,
                message: String::new(),
                completed: NOW,
            }),
            ..TransactionUpdate::default()
        },
        lease: lease.cloned(),
        wakeup: None,
        interrupted: false,
    }
}

async fn claim(store: &PostgresStore, begin: CallStart) -> Lease {
    match store.begin(begin).await.unwrap() {
        BeginOutcome::Started(Some(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

async fn status(store: &PostgresStore, id: &str) -> Status {
    store.transaction(id).await.unwrap().unwrap().status
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Returns the id of a call of a bulk.
fn call_id(bulk: &str, number: u64) -> String {
    part_id(bulk, u32::try_from(number).unwrap())
}

/// Runs one task for each number at the same time, and returns their results.
async fn race<T: Send + 'static, F>(count: u64, task: impl Fn(u64) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(task(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// Returns the number of commits that succeeded; the others are conflicts.
fn count_ok(results: Vec<Result<(), StoreError>>) -> usize {
    let is_ok = |result: &Result<(), StoreError>| match result {
        Ok(()) => true,
        Err(StoreError::Conflict(_)) => false,
        Err(error) => panic!("{error}"),
    };
    results.iter().filter(|result| is_ok(result)).count()
}
