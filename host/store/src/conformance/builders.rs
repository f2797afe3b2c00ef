//! Builders and assertions for the cases.

use std::sync::Arc;
use std::time::Duration;

use super::Stores;
use crate::seal::{DataKey, Sealed};
use crate::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, Lease, Store, StoreError,
};
use relation_types::transactions::{NewTransaction, Status, TransactionOutcome, TransactionUpdate};
use relation_types::{Document, Hierarchy, Key, Pkid, Reference, Timestamp, Wakeup};

pub(super) const LEASE: Duration = Duration::from_secs(60);

/// Opens a store without documents, with the data key of the [`sealed`] values.
pub(super) async fn empty(stores: &Arc<dyn Stores>) -> Arc<dyn Store> {
    let store = stores.open().await;
    store.add_data_key(data_key(1, "kek")).await.unwrap();
    store
}

/// Returns a data key in the format of a wrapped one, which cannot be opened.
pub(super) fn data_key(id: u32, kek: &str) -> DataKey {
    DataKey {
        id,
        kek_id: kek.to_owned(),
        wrapped: vec![7; 72],
        created: at(u64::from(id)),
    }
}

/// Returns a moment in the cases' own time, in seconds.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp(1_000_000_000_000 + seconds * 1000)
}

/// Returns a pkid; pkids do not sort in the order of their numbers.
pub(super) fn pkid(number: u64) -> Pkid {
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}{:08x}", number & 0xffff_ffff)
        .parse()
        .unwrap()
}

pub(super) fn record(number: u64) -> Reference {
    Reference::record(pkid(number))
}

pub(super) fn hierarchy(path: &str) -> Hierarchy {
    path.parse().unwrap()
}

pub(super) fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn document(reference: &Reference) -> Document {
    Document {
        reference: reference.clone(),
        hierarchy: hierarchy("sys.Provider.Customer"),
        version: 0,
        body: r#"{"name":"Acme"}"#.to_owned(),
        keys: vec![key("name", "Acme")],
    }
}

pub(super) fn named(reference: &Reference, node: &str, name: &str) -> Document {
    Document {
        hierarchy: hierarchy(node),
        keys: vec![key("name", name)],
        ..document(reference)
    }
}

pub(super) fn put(reference: &Reference) -> Change {
    Change::Put(document(reference))
}

/// Returns a value in the sealed format, which cannot be opened.
pub(super) fn sealed(filling: u8) -> Sealed {
    sealed_under(1, filling)
}

/// Returns a value in the sealed format of the data key `key`, which cannot be opened.
pub(super) fn sealed_under(key: u32, filling: u8) -> Sealed {
    let mut bytes = Sealed::key_prefix(key).to_vec();
    bytes.resize(5 + 24 + 40, filling);
    Sealed::try_from(bytes).unwrap()
}

pub(super) fn seal(owner: &Reference, name: &str, filling: u8) -> Change {
    Change::PutSecret {
        owner: owner.clone(),
        name: name.to_owned(),
        sealed: sealed(filling),
    }
}

pub(super) fn wakeup(subject: &Reference, id: &str, due: Timestamp) -> Wakeup {
    Wakeup {
        id: id.to_owned(),
        subject: subject.clone(),
        due,
        deadline: None,
        payload: format!("payload of {id}"),
    }
}

pub(super) fn schedule(subject: &Reference, id: &str, due: Timestamp) -> Change {
    Change::Schedule(wakeup(subject, id, due))
}

pub(super) fn changes(changes: Vec<Change>) -> Commit {
    Commit {
        changes,
        ..Commit::default()
    }
}

pub(super) async fn write(store: &Arc<dyn Store>, all: Vec<Change>) {
    store.commit(changes(all)).await.expect("a plain commit");
}

pub(super) async fn version(store: &Arc<dyn Store>, reference: &Reference) -> Option<u64> {
    let found = store.get(std::slice::from_ref(reference)).await.unwrap();
    found[0].as_ref().map(|document| document.version)
}

pub(super) async fn one_wakeup(store: &Arc<dyn Store>, subject: &Reference) -> DueWakeup {
    let mut all = store.wakeups(subject).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.pop().unwrap()
}

pub(super) fn transaction(id: &str, now: Timestamp) -> NewTransaction {
    NewTransaction {
        id: id.to_owned(),
        action: "refresh".to_owned(),
        submitted: now,
        started: now,
        ..NewTransaction::default()
    }
}

pub(super) fn begin(id: &str, subject: &Reference, now: Timestamp) -> CallStart {
    CallStart {
        transaction: NewTransaction {
            subject: Some(subject.clone()),
            ..transaction(id, now)
        },
        subject: Some(subject.clone()),
        lease: LEASE,
        now,
        wakeup: None,
    }
}

pub(super) fn begin_for(id: &str, found: &DueWakeup, now: Timestamp) -> CallStart {
    CallStart {
        wakeup: Some(found.clone()),
        ..begin(id, &found.wakeup.subject, now)
    }
}

/// Starts a call and returns its lease.
pub(super) async fn claim(store: &Arc<dyn Store>, begin: CallStart) -> Lease {
    match store.begin(begin).await.expect("a begin") {
        BeginOutcome::Started(Some(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

pub(super) fn ended(id: &str, status: Status, now: Timestamp) -> TransactionUpdate {
    TransactionUpdate {
        id: id.to_owned(),
        outcome: Some(TransactionOutcome {
            status,
            message: "so it ended".to_owned(),
            completed: now,
        }),
        ..TransactionUpdate::default()
    }
}

pub(super) fn end(id: &str, lease: Option<&Lease>, now: Timestamp) -> CallEnd {
    CallEnd {
        transaction: ended(id, Status::Success, now),
        lease: lease.cloned(),
        wakeup: None,
        interrupted: false,
    }
}

#[track_caller]
pub(super) fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
}

#[track_caller]
pub(super) fn assert_invalid<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
}

#[track_caller]
pub(super) fn assert_fenced<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Fenced { .. })),
        "{result:?}"
    );
}
