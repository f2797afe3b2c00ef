//! Queued calls: transactions that wait with their requests, and bulks of them.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{
    BeginOutcome, CallEnd, CallStart, Change, Check, Commit, DueWakeup, KindFilter, Lease,
    PruneRequest, Store, WakeupSettlement,
};
use relation_types::transactions::{
    NewTransaction, Originator, Status, Transaction, TransactionFilter, part_id,
};
use relation_types::{QUEUED_CALL_MODEL, Reference, Scope};

/// Returns the document of a queued call.
fn request(number: u64) -> Reference {
    Reference::new(QUEUED_CALL_MODEL, pkid(100 + number))
}

fn submission(id: &str, number: u64) -> Commit {
    let owner = request(number);
    let mut wakeup = wakeup(&owner, "queued-call", at(0));
    wakeup.payload = id.to_owned();
    Commit {
        changes: vec![
            put(&owner),
            seal(&owner, "request", 1),
            Change::Schedule(wakeup),
        ],
        queued: vec![NewTransaction {
            subject: Some(record(number)),
            subject_name: "Acme".to_owned(),
            hierarchy: Some(hierarchy("sys.A")),
            originator: Some(Originator {
                user: "Jo".to_owned(),
                ..Originator::default()
            }),
            request: Some(owner.pkid),
            ..transaction(id, at(0))
        }],
        ..Commit::default()
    }
}

async fn submit(store: &Arc<dyn Store>, id: &str, number: u64) -> DueWakeup {
    store.commit(submission(id, number)).await.unwrap();
    one_wakeup(store, &request(number)).await
}

/// Returns the start of an attempt. That of a host names neither the node nor the originator.
fn attempt(id: &str, number: u64, found: &DueWakeup, second: u64) -> CallStart {
    CallStart {
        wakeup: Some(found.clone()),
        ..begin(id, &record(number), at(second))
    }
}

fn without_lease(id: &str, found: &DueWakeup, second: u64) -> CallStart {
    CallStart {
        subject: None,
        ..attempt(id, 1, found, second)
    }
}

fn ending(id: &str, lease: Option<&Lease>, status: Status, wakeup: WakeupSettlement) -> CallEnd {
    CallEnd {
        transaction: ended(id, status, at(20)),
        wakeup: Some(wakeup),
        ..end(id, lease, at(20))
    }
}

async fn read(store: &Arc<dyn Store>, id: &str) -> Transaction {
    store.transaction(id).await.unwrap().expect("a transaction")
}

async fn status(store: &Arc<dyn Store>, id: &str) -> Status {
    read(store, id).await.status
}

pub(super) async fn queued_call_runs_under_the_id_of_its_transaction(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    let queued = read(&store, "t1").await;
    assert_eq!(queued.status, Status::Queued);
    assert_eq!((queued.completed, queued.submitted), (None, at(0)));
    assert_eq!(queued.request, Some(request(1).pkid));
    let filter = TransactionFilter {
        status: Some(Status::Queued),
        hierarchy: Some((hierarchy("sys"), Scope::Subtree)),
        ..TransactionFilter::default()
    };
    let listed = store.transactions(&filter, None, 9).await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&queued));
    let due = store.due(at(1), 9, KindFilter::All).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&found));

    let lease = claim(&store, attempt("t1", 1, &found, 5)).await;
    assert_eq!(lease.subject, record(1));
    let running = read(&store, "t1").await;
    let expected = Transaction {
        status: Status::Processing,
        started: at(5),
        ..queued
    };
    assert_eq!(running, expected);
    let done = WakeupSettlement::Delete(found);
    store
        .end(ending("t1", Some(&lease), Status::Success, done))
        .await
        .unwrap();
    let done = read(&store, "t1").await;
    assert_eq!(
        (done.status, done.completed),
        (Status::Success, Some(at(20)))
    );
    assert_eq!(version(&store, &request(1)).await, None);
    assert_eq!(store.sealed(&request(1), "request").await.unwrap(), None);
    assert_eq!(store.wakeups(&request(1)).await.unwrap(), []);
    claim(&store, begin("t2", &record(1), at(21))).await;
}

pub(super) async fn submission_is_atomic(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let refused = Commit {
        checks: vec![Check::Version(record(1), 1)],
        ..submission("t1", 1)
    };
    assert_conflict(store.commit(refused).await);
    assert_eq!(store.transaction("t1").await.unwrap(), None);
    submit(&store, "t1", 1).await;
    // An id is used once.
    assert_conflict(store.commit(submission("t1", 2)).await);
    assert_eq!(version(&store, &request(2)).await, None);
}

pub(super) async fn failed_attempt_is_queued_again(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    let lease = claim(&store, attempt("t1", 1, &found, 5)).await;
    let retry = WakeupSettlement::Retry(found.clone(), at(30));
    store
        .end(ending("t1", Some(&lease), Status::Queued, retry))
        .await
        .unwrap();
    let queued = read(&store, "t1").await;
    assert_eq!((queued.status, queued.completed), (Status::Queued, None));
    assert_eq!(queued.message, "so it ended");
    let again = one_wakeup(&store, &request(1)).await;
    assert_eq!((again.wakeup.due, again.attempts), (at(30), 1));
    let stale = store.begin(attempt("t1", 1, &found, 31)).await.unwrap();
    assert_eq!(stale, BeginOutcome::Gone);
    claim(&store, attempt("t1", 1, &again, 31)).await;
    assert_eq!(read(&store, "t1").await.message, "");
}

pub(super) async fn queued_call_begins_once(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    let lease = claim(&store, attempt("t1", 1, &found, 5)).await;
    let busy = store.begin(attempt("t1", 1, &found, 6)).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(lease.expires));
    // A call that runs is not canceled as one that waits.
    assert_conflict(store.begin(without_lease("t1", &found, 6)).await);
    let done = WakeupSettlement::Done(found.clone());
    store
        .end(ending("t1", Some(&lease), Status::Fail, done))
        .await
        .unwrap();
    let gone = store.begin(attempt("t1", 1, &found, 21)).await.unwrap();
    assert_eq!(gone, BeginOutcome::Gone);
    // The request is kept.
    assert_eq!(
        store.sealed(&request(1), "request").await.unwrap(),
        Some(sealed(1))
    );

    let found = submit(&store, "t2", 2).await;
    let begun = store.begin(without_lease("t2", &found, 30)).await.unwrap();
    assert_eq!(begun, BeginOutcome::Started(None));
    assert_eq!(status(&store, "t2").await, Status::Processing);
    let done = WakeupSettlement::Done(found.clone());
    store
        .end(ending("t2", None, Status::Fail, done))
        .await
        .unwrap();
    assert_eq!(status(&store, "t2").await, Status::Fail);
    let gone = store.begin(attempt("t2", 2, &found, 31)).await.unwrap();
    assert_eq!(gone, BeginOutcome::Gone);
}

pub(super) async fn queued_call_that_lost_its_lease_ends_nothing(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    let old = claim(&store, attempt("t1", 1, &found, 0)).await;
    // Its host was suspended.
    let new = claim(&store, attempt("t1", 1, &found, 60)).await;
    let late = ending(
        "t1",
        Some(&old),
        Status::Fail,
        WakeupSettlement::Done(found.clone()),
    );
    store.end(late).await.unwrap();
    assert_eq!(status(&store, "t1").await, Status::Processing);
    assert_eq!(one_wakeup(&store, &request(1)).await, found);
    let done = ending(
        "t1",
        Some(&new),
        Status::Success,
        WakeupSettlement::Delete(found),
    );
    store.end(done).await.unwrap();
    assert_eq!(status(&store, "t1").await, Status::Success);
}

pub(super) async fn queued_call_of_a_dead_host_is_queued_again(stores: Arc<dyn Stores>) {
    if !stores.lasting() {
        return;
    }
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    claim(&store, attempt("t1", 1, &found, 5)).await;
    let found = submit(&store, "t2", 2).await;
    let begun = store.begin(without_lease("t2", &found, 5)).await.unwrap();
    assert_eq!(begun, BeginOutcome::Started(None));
    drop(store);

    let store = stores.open().await;
    store.recover(at(6)).await.unwrap();
    for (number, id) in [(1, "t1"), (2, "t2")] {
        let queued = read(&store, id).await;
        assert_eq!((queued.status, queued.completed), (Status::Queued, None));
        let found = one_wakeup(&store, &request(number)).await;
        let lease = claim(&store, attempt(id, number, &found, 7)).await;
        let done = ending(
            id,
            Some(&lease),
            Status::Success,
            WakeupSettlement::Delete(found),
        );
        store.end(done).await.unwrap();
        assert_eq!(status(&store, id).await, Status::Success);
    }
}

pub(super) async fn bulk_ends_with_its_last_call(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let bulk = |id: &str| NewTransaction {
        hierarchy: Some(hierarchy("sys.A")),
        ..transaction(id, at(0))
    };
    let mut number = 0;
    for (id, statuses, expected) in [
        ("b1", [Status::Success, Status::Success], Status::Success),
        ("b2", [Status::Fail, Status::Fail], Status::Fail),
        (
            "b3",
            [Status::Fail, Status::Success],
            Status::SuccessWithAsyncFailures,
        ),
        (
            "b4",
            [Status::Success, Status::SuccessWithAsyncFailures],
            Status::SuccessWithAsyncFailures,
        ),
    ] {
        let calls = [part_id(id, 1), part_id(id, 2)];
        let mut commit = Commit {
            queued: vec![bulk(id)],
            ..Commit::default()
        };
        for (call, number) in calls.iter().zip(number..) {
            let one = submission(call, number);
            commit.changes.extend(one.changes);
            commit.queued.extend(one.queued);
        }
        store.commit(commit).await.unwrap();
        for (call, how) in calls.iter().zip(statuses) {
            assert_eq!(status(&store, id).await, Status::Queued);
            let found = one_wakeup(&store, &request(number)).await;
            let lease = claim(&store, attempt(call, number, &found, 5)).await;
            // An attempt that fails does not end its call.
            let retry = WakeupSettlement::Retry(found, at(6));
            let retried = ending(call, Some(&lease), Status::Queued, retry);
            store.end(retried).await.unwrap();
            assert_eq!(status(&store, id).await, Status::Queued);
            let found = one_wakeup(&store, &request(number)).await;
            let lease = claim(&store, attempt(call, number, &found, 7)).await;
            let done = WakeupSettlement::Done(found);
            let mut last = ending(call, Some(&lease), how, done);
            // Parts of a call are not calls of the bulk.
            last.transaction.parts = vec![relation_types::transactions::TransactionPart {
                number: 1,
                action: "part".to_owned(),
                started: at(5),
                outcome: last.transaction.outcome.clone().unwrap(),
            }];
            store.end(last).await.unwrap();
            number += 1;
        }
        let ended = read(&store, id).await;
        assert_eq!((ended.status, ended.completed), (expected, Some(at(20))));
        let succeeded = statuses
            .iter()
            .filter(|status| **status == Status::Success)
            .count();
        assert_eq!(ended.message, format!("{succeeded} of 2 calls succeeded"));
        let filter = TransactionFilter {
            parent: Some(id.to_owned()),
            ..TransactionFilter::default()
        };
        let listed = store.transactions(&filter, None, 9).await.unwrap().items;
        let ids: Vec<&str> = listed.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids, [&calls[1], &calls[0]]);
    }
}

pub(super) async fn calls_of_a_bulk_are_listed_where_the_bulk_is_not(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let bulk = NewTransaction {
        hierarchy: Some(hierarchy("sys.A")),
        ..transaction("b1", at(0))
    };
    let mut commit = Commit {
        queued: vec![bulk],
        ..Commit::default()
    };
    let places = [(1, "sys.A"), (2, "sys.A.B"), (3, "sys.C")];
    for (number, node) in places {
        let mut one = submission(&part_id("b1", number), number.into());
        one.queued[0].hierarchy = Some(hierarchy(node));
        commit.changes.extend(one.changes);
        commit.queued.extend(one.queued);
    }
    store.commit(commit).await.unwrap();
    let [at_bulk, below, beside] = [1, 2, 3].map(|number| part_id("b1", number));
    let check = async |status: Option<Status>| {
        for (node, scope, expected) in [
            ("sys", Scope::Subtree, vec!["b1"]),
            ("sys.A", Scope::Subtree, vec!["b1"]),
            ("sys.A", Scope::Node, vec!["b1"]),
            ("sys.A.B", Scope::Subtree, vec![below.as_str()]),
            ("sys.A.B", Scope::Node, vec![below.as_str()]),
            ("sys.C", Scope::Subtree, vec![beside.as_str()]),
        ] {
            let filter = TransactionFilter {
                hierarchy: Some((hierarchy(node), scope)),
                status,
                ..TransactionFilter::default()
            };
            let listed = store.transactions(&filter, None, 9).await.unwrap().items;
            let ids: Vec<&str> = listed.iter().map(|call| call.id.as_str()).collect();
            assert_eq!(ids, expected, "{node} {scope:?} {status:?}");
            let count = store.count_transactions(&filter, 9).await.unwrap();
            assert_eq!(count, expected.len() as u64);
        }
    };
    check(None).await;
    check(Some(Status::Queued)).await;
    let everywhere = TransactionFilter::default();
    let listed = store.transactions(&everywhere, None, 9).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    for (number, call) in [(1, &at_bulk), (2, &below)] {
        let of_record = TransactionFilter {
            subject: Some(record(number)),
            ..TransactionFilter::default()
        };
        let listed = store.transactions(&of_record, None, 9).await.unwrap().items;
        assert_eq!((listed.len(), &listed[0].id), (1, call));
    }
}

pub(super) async fn kept_request_is_removed_with_its_transaction(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let found = submit(&store, "t1", 1).await;
    submit(&store, "t2", 2).await;
    let lease = claim(&store, attempt("t1", 1, &found, 5)).await;
    let done = WakeupSettlement::Done(found);
    store
        .end(ending("t1", Some(&lease), Status::Fail, done))
        .await
        .unwrap();
    let prune = PruneRequest {
        succeeded_before: at(1000),
        failed_before: at(1000),
        after: None,
        limit: 10,
    };
    let report = store.prune_transactions(prune).await.unwrap();
    assert_eq!(report.removed, 1);
    assert_eq!(version(&store, &request(1)).await, None);
    assert_eq!(store.sealed(&request(1), "request").await.unwrap(), None);
    // A queued transaction stays.
    assert_eq!(status(&store, "t2").await, Status::Queued);
    assert_eq!(version(&store, &request(2)).await, Some(1));
}
