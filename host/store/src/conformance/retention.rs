//! The removal of old transactions.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{CallStart, PruneRequest, Store};
use relation_types::transactions::{
    Level, LogLine, Status, TransactionFilter, TransactionUpdate, to_callback,
};

/// Records a transaction that begins at `second`; its id sorts by that time, as a host's ids do.
async fn record_one(store: &Arc<dyn Store>, second: u64, status: Status, lasts: u64) -> String {
    let id = format!("{second:08x}-0000-7000-8000-000000000000");
    let begun = CallStart {
        transaction: transaction(&id, at(second)),
        subject: None,
        lease: LEASE,
        now: at(second),
        wakeup: None,
    };
    store.begin(begun).await.unwrap();
    let line = LogLine {
        at: at(second),
        level: Level::Info,
        message: "a line".to_owned(),
    };
    let update = match status {
        Status::Processing => TransactionUpdate {
            id: id.clone(),
            ..TransactionUpdate::default()
        },
        ended_as => ended(&id, ended_as, at(second + lasts)),
    };
    let update = TransactionUpdate {
        lines: vec![line],
        ..update
    };
    store.report(update).await.unwrap();
    id
}

async fn left(store: &Arc<dyn Store>) -> Vec<String> {
    let all = TransactionFilter::default();
    let found = store.transactions(&all, None, 1000).await.unwrap().items;
    let mut ids: Vec<String> = found.into_iter().map(|found| found.id).collect();
    ids.reverse();
    ids
}

/// Runs a whole walk; returns the number of removed transactions and of steps.
async fn walk(store: &Arc<dyn Store>, (succeeded, failed): (u64, u64), limit: u32) -> (u64, u32) {
    let (mut removed, mut steps, mut after) = (0, 0, None);
    loop {
        let prune = PruneRequest {
            succeeded_before: at(succeeded),
            failed_before: at(failed),
            after,
            limit,
        };
        let done = store.prune_transactions(prune).await.unwrap();
        assert!(done.removed <= u64::from(limit));
        removed += done.removed;
        steps += 1;
        after = done.next;
        if after.is_none() {
            return (removed, steps);
        }
    }
}

pub(super) async fn old_transactions_are_removed_in_steps(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_eq!(walk(&store, (100, 100), 5).await, (0, 1));
    let mut ids = Vec::new();
    for second in 0..20 {
        let status = match second % 4 {
            0 => Status::Fail,
            _ => Status::Success,
        };
        ids.push(record_one(&store, second, status, 1).await);
    }
    // A transaction that ended exactly at the limit is not older. Every fourth one failed, and failures
    // are kept longer.
    let (removed, steps) = walk(&store, (12, 5), 3).await;
    assert_eq!(removed, 9);
    assert!(steps > 3, "{steps}");
    let expected = ids.iter().enumerate().filter(|(second, _)| {
        let before = if second % 4 == 0 { 5 } else { 12 };
        second + 1 >= before
    });
    let expected: Vec<String> = expected.map(|(_, id)| id.clone()).collect();
    assert_eq!(left(&store).await, expected);
    assert_eq!(store.transaction(&ids[1]).await.unwrap(), None);
    let kept = store.transaction(&ids[19]).await.unwrap().unwrap();
    assert_eq!(kept.log.len(), 1);
    assert_eq!(walk(&store, (12, 5), 3).await.0, 0);
    // A walk ends where the recent transactions begin.
    assert_eq!(walk(&store, (0, 0), 5).await, (0, 1));
}

pub(super) async fn a_running_transaction_is_never_removed(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let running = record_one(&store, 0, Status::Processing, 0).await;
    let ended_late = record_one(&store, 1, Status::Success, 500).await;
    record_one(&store, 2, Status::Success, 1).await;
    assert_eq!(walk(&store, (100, 100), 1).await.0, 1);
    assert_eq!(left(&store).await, [running.as_str(), &ended_late]);
    store
        .report(ended(&running, Status::Fail, at(200)))
        .await
        .unwrap();
    assert_eq!(walk(&store, (200, 200), 1).await.0, 0);
    assert_eq!(walk(&store, (1000, 201), 1).await.0, 2);
}

pub(super) async fn pruning_removes_exactly_the_old_transactions(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    // A deterministic random number generator: the suite has no other randomness either.
    let mut number = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        number % below
    };
    let mut all = Vec::new();
    for round in 0..12_u64 {
        for second in 0..10 {
            let status = match next(4) {
                0 => Status::Success,
                1 => Status::Fail,
                2 => Status::SuccessWithAsyncFailures,
                _ => Status::Processing,
            };
            let (begins, lasts) = (round * 10 + second, next(40));
            let id = record_one(&store, begins, status, lasts).await;
            all.push((id, status, begins + lasts));
        }
        let (succeeded, failed) = (next(130), next(130));
        let step = u32::try_from(1 + next(7)).unwrap_or(1);
        walk(&store, (succeeded, failed), step).await;
        all.retain(|(_, status, completed)| match status {
            Status::Queued | Status::Processing => true,
            Status::Success => *completed >= succeeded,
            Status::SuccessWithAsyncFailures | Status::Fail => *completed >= failed,
        });
        let expected: Vec<String> = all.iter().map(|(id, ..)| id.clone()).collect();
        assert_eq!(left(&store).await, expected, "{succeeded} {failed}");
    }
}

pub(super) async fn callback_is_removed_with_its_transaction(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let old = record_one(&store, 1, Status::Success, 1).await;
    let new = record_one(&store, 2000, Status::Success, 1).await;
    let callbacks = [&old, &new].map(|id| to_callback(id).unwrap());
    for callback in &callbacks {
        let written = vec![
            put(callback),
            seal(callback, "url", 1),
            schedule(callback, "callback", at(5000)),
        ];
        store.commit(changes(written)).await.unwrap();
    }
    assert_eq!(walk(&store, (1000, 1000), 10).await.0, 1);
    let [removed, kept] = &callbacks;
    assert_eq!(version(&store, removed).await, None);
    assert_eq!(store.sealed(removed, "url").await.unwrap(), None);
    assert_eq!(store.wakeups(removed).await.unwrap(), []);
    assert_eq!(version(&store, kept).await, Some(1));
}
