//! The store's test suite on the store in memory, and tests of its own features.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_host::store::conformance::{self, Stores};
use relation_host::store::seal::{DataKey, Sealed};
use relation_host::store::{
    BeginOutcome, CallEnd, CallStart, CallStore, Change, Check, Commit, DocumentStore,
    PruneRequest, Recovery, ResealStep, SecretScope, TransactionStore,
};
use relation_host::transactions::{NewTransaction, Status, TransactionFilter, TransactionUpdate};
use relation_host::types::{Filter, Hierarchy, Reference, Timestamp};

use super::*;

mod sqlite_equivalence;

/// Data that outlive the hosts that open them, like a database in a file.
struct SharedStore(Mutex<MemoryStore>);

impl SharedStore {
    fn new() -> Self {
        let founder = MemoryStore::new("store");
        founder.kill();
        Self(Mutex::new(founder))
    }
}

#[async_trait]
impl Stores for SharedStore {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.lock().another_host())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_store_passes_the_store_suite() {
    conformance::run(async || Arc::new(SharedStore::new()) as Arc<dyn Stores>).await;
}

fn record(number: u64) -> Reference {
    Reference::record(format!("{number:024x}").parse().unwrap())
}

fn put(which: &Reference, body: &str) -> Change {
    Change::Put(Document {
        reference: which.clone(),
        hierarchy: "sys.P.C".parse().unwrap(),
        version: 0,
        body: body.to_owned(),
        keys: Vec::new(),
    })
}

async fn write(store: &MemoryStore, changes: Vec<Change>) {
    let commit = Commit {
        changes,
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

fn begin(id: &str, subject: &Reference, now: u64) -> CallStart {
    let now = Timestamp(now);
    CallStart {
        transaction: NewTransaction {
            id: id.to_owned(),
            action: "refresh".to_owned(),
            subject: Some(subject.clone()),
            submitted: now,
            started: now,
            ..NewTransaction::default()
        },
        subject: Some(subject.clone()),
        lease: Duration::from_millis(100),
        now,
        wakeup: None,
    }
}

fn bodies(store: &MemoryStore) -> Vec<String> {
    let all = store.documents().into_iter();
    all.map(|document| document.body).collect()
}

#[tokio::test]
async fn fork_and_origin_are_isolated() {
    let origin = MemoryStore::new("store");
    let (one, two) = (record(1), record(2));
    write(&origin, vec![put(&one, r#"{"is":"old"}"#)]).await;
    origin.begin(begin("t1", &one, 0)).await.unwrap();

    let fork = origin.fork();
    write(&origin, vec![put(&one, r#"{"is":"new"}"#)]).await;
    write(&fork, vec![put(&two, r#"{"is":"other"}"#)]).await;
    let line = relation_host::transactions::LogLine {
        at: Timestamp(1),
        level: relation_host::transactions::Level::Info,
        message: "said in the fork".to_owned(),
    };
    let update = TransactionUpdate {
        id: "t1".to_owned(),
        lines: vec![line],
        ..TransactionUpdate::default()
    };
    fork.report(update).await.unwrap();

    assert_eq!(bodies(&origin), [r#"{"is":"new"}"#]);
    assert_eq!(bodies(&fork), [r#"{"is":"old"}"#, r#"{"is":"other"}"#]);
    let log_of = async |store: &MemoryStore| store.transaction("t1").await.unwrap().unwrap().log;
    assert_eq!(log_of(&origin).await, []);
    assert_eq!(log_of(&fork).await.len(), 1);
    assert_eq!(origin.id(), fork.id());
}

#[tokio::test]
async fn fork_repeats_epochs_and_revisions() {
    let origin = MemoryStore::new("store");
    let fork = origin.fork();
    let claim = async |store: &MemoryStore| store.begin(begin("t1", &record(1), 0)).await.unwrap();
    assert_eq!(claim(&origin).await, claim(&fork).await);
}

#[tokio::test]
async fn fork_keeps_its_host_and_ends_the_others() {
    let first = MemoryStore::new("store");
    let second = first.another_host();
    first.begin(begin("t1", &record(1), 0)).await.unwrap();
    second.begin(begin("t2", &record(2), 0)).await.unwrap();

    let fork = first.fork();
    let found = fork.recover(Timestamp(1)).await.unwrap();
    assert_eq!((found.leases, found.transactions), (1, 1));
    let ended = fork.transaction("t2").await.unwrap().unwrap();
    assert_eq!(ended.status, Status::Fail);
    let busy = fork.begin(begin("t3", &record(1), 1)).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(Timestamp(100)));

    let after_a_crash = first.fork().another_host();
    let found = after_a_crash.recover(Timestamp(1)).await.unwrap();
    assert_eq!((found.leases, found.transactions), (2, 2));
    // In the original both hosts continue.
    let found = second.recover(Timestamp(1)).await.unwrap();
    assert_eq!(found, Recovery::default());
}

#[tokio::test]
async fn killed_host_leaves_calls_open_and_writes_nothing() {
    let store = MemoryStore::new("store");
    let one = record(1);
    write(&store, vec![put(&one, "{}")]).await;
    let begun = store.begin(begin("t1", &one, 0)).await.unwrap();
    let BeginOutcome::Started(Some(lease)) = begun else {
        panic!("{begun:?}");
    };
    store.clone().kill();
    let commit = Commit {
        fence: Some(lease),
        checks: vec![Check::Version(one.clone(), 1)],
        changes: vec![put(&one, "{}")],
        ..Commit::default()
    };
    let refused = store.commit(commit).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );

    let next = store.another_host();
    assert_eq!(next.documents()[0].version, 1);
    let busy = next.begin(begin("t2", &one, 1)).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(Timestamp(100)));
    let found = next.recover(Timestamp(1)).await.unwrap();
    assert_eq!((found.leases, found.transactions), (1, 1));
    let begun = next.begin(begin("t2", &one, 1)).await.unwrap();
    let BeginOutcome::Started(Some(lease)) = begun else {
        panic!("{begun:?}");
    };
    assert_eq!(lease.interrupted, Some(Timestamp(0)));
}
