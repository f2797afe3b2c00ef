//! Calls: leases, fencing, and the effects of a call's end.

use std::sync::Arc;
use std::time::Duration;

use super::Stores;
use super::builders::*;
use crate::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, KindFilter, Lease, Recovery,
    Store, WakeupSettlement,
};
use relation_types::Reference;
use relation_types::transactions::Status;

fn fenced(lease: &Lease, all: Vec<Change>) -> Commit {
    Commit {
        fence: Some(lease.clone()),
        ..changes(all)
    }
}

/// Returns a store with one subject and its wakeup, which is due at 10.
async fn one_due(stores: &Arc<dyn Stores>) -> (Arc<dyn Store>, Reference, DueWakeup) {
    let store = empty(stores).await;
    let one = record(1);
    write(&store, vec![put(&one), schedule(&one, "refresh", at(10))]).await;
    let found = one_wakeup(&store, &one).await;
    (store, one, found)
}

fn settling(id: &str, lease: &Lease, settlement: WakeupSettlement) -> CallEnd {
    CallEnd {
        wakeup: Some(settlement),
        ..end(id, Some(lease), at(11))
    }
}

pub(super) async fn one_call_at_a_time_holds_a_subject(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    let lease = claim(&store, begin("t1", &one, at(0))).await;
    assert_eq!((&lease.subject, lease.expires), (&one, at(60)));
    let second = store.begin(begin("t2", &one, at(59))).await.unwrap();
    assert_eq!(second, BeginOutcome::Busy(at(60)));
    assert_eq!(store.transaction("t2").await.unwrap(), None);
    claim(&store, begin("t3", &two, at(59))).await;

    store.end(end("t1", Some(&lease), at(59))).await.unwrap();
    claim(&store, begin("t4", &one, at(59))).await;
}

pub(super) async fn concurrent_claims_succeed_once(stores: Arc<dyn Stores>) {
    let (store, _, found) = one_due(&stores).await;
    let claims = (0..24).map(|number| {
        let (store, found) = (Arc::clone(&store), found.clone());
        tokio::spawn(async move {
            let id = format!("t{number}");
            store.begin(begin_for(&id, &found, at(10))).await.unwrap()
        })
    });
    let mut started = 0;
    for claim in claims.collect::<Vec<_>>() {
        match claim.await.unwrap() {
            BeginOutcome::Started(_) => started += 1,
            other => assert_eq!(other, BeginOutcome::Busy(at(70))),
        }
    }
    assert_eq!(started, 1);
}

pub(super) async fn a_lease_that_expired_can_be_claimed(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let first = claim(&store, begin("t1", &record(1), at(0))).await;
    let second = claim(&store, begin("t2", &record(1), at(60))).await;
    assert!(second.epoch > first.epoch);
}

pub(super) async fn a_lost_lease_writes_nothing(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let old = claim(&store, begin("t1", &one, at(0))).await;
    store.commit(fenced(&old, vec![put(&one)])).await.unwrap();
    let new = claim(&store, begin("t2", &one, at(60))).await;
    let stale = Commit {
        transaction: Some(ended("t1", Status::Success, at(61))),
        ..fenced(&old, vec![put(&one), put(&record(2))])
    };
    assert_fenced(store.commit(stale).await);
    assert_eq!(version(&store, &one).await, Some(1));
    assert_eq!(version(&store, &record(2)).await, None);
    let transaction = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(transaction.status, Status::Processing);
    store.commit(fenced(&new, vec![put(&one)])).await.unwrap();

    let other_subject = Lease {
        subject: record(2),
        ..new
    };
    assert_fenced(store.commit(fenced(&other_subject, vec![put(&one)])).await);
}

pub(super) async fn a_released_lease_writes_nothing(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let lease = claim(&store, begin("t1", &one, at(0))).await;
    store.end(end("t1", Some(&lease), at(1))).await.unwrap();
    assert_fenced(store.commit(fenced(&lease, vec![put(&one)])).await);
    assert_eq!(version(&store, &one).await, None);
}

pub(super) async fn an_epoch_is_never_used_twice(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let mut last = 0;
    for round in 0..6 {
        // Released and expired leases, of different subjects: all epochs come from one counter.
        let now = at(round * 100);
        let id = format!("t{round}");
        let lease = claim(&store, begin(&id, &record(round % 2), now)).await;
        assert!(lease.epoch > last);
        last = lease.epoch;
        if round % 3 != 0 {
            store.end(end(&id, Some(&lease), now)).await.unwrap();
        }
    }
}

pub(super) async fn settled_moved_or_canceled_wakeup_is_gone(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let done = settling("t1", &lease, WakeupSettlement::Done(found.clone()));
    store.end(done).await.unwrap();
    let late = store.begin(begin_for("t2", &found, at(10))).await.unwrap();
    assert_eq!(late, BeginOutcome::Gone);

    write(&store, vec![schedule(&one, "refresh", at(10))]).await;
    let late = store.begin(begin_for("t3", &found, at(10))).await.unwrap();
    assert_eq!(late, BeginOutcome::Gone);

    let found = one_wakeup(&store, &one).await;
    let cancel = Change::Cancel(one.clone(), "refresh".to_owned());
    write(&store, vec![cancel]).await;
    let late = store.begin(begin_for("t4", &found, at(10))).await.unwrap();
    assert_eq!(late, BeginOutcome::Gone);
    for id in ["t2", "t3", "t4"] {
        assert_eq!(store.transaction(id).await.unwrap(), None);
    }
    claim(&store, begin("t5", &one, at(10))).await;
}

pub(super) async fn a_call_that_ran_removes_its_wakeup(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let done = settling("t1", &lease, WakeupSettlement::Done(found));
    store.end(done).await.unwrap();
    assert_eq!(store.wakeups(&one).await.unwrap(), []);
    assert_eq!(store.due(at(1000), 10, KindFilter::All).await.unwrap(), []);
}

pub(super) async fn a_wakeup_that_its_own_call_moved_stays(stores: Arc<dyn Stores>) {
    let (store, one, _) = one_due(&stores).await;
    for (id, failed) in [("t1", false), ("t2", true)] {
        let before = one_wakeup(&store, &one).await;
        let lease = claim(&store, begin_for(id, &before, at(10))).await;
        let moved = fenced(&lease, vec![schedule(&one, "refresh", at(99))]);
        store.commit(moved).await.unwrap();
        let settlement = match failed {
            true => WakeupSettlement::Retry(before.clone(), at(500)),
            false => WakeupSettlement::Done(before.clone()),
        };
        store.end(settling(id, &lease, settlement)).await.unwrap();
        let after = one_wakeup(&store, &one).await;
        assert_eq!((after.wakeup.due, after.attempts), (at(99), 0));
        assert!(after.revision > before.revision);
    }
}

pub(super) async fn a_call_that_failed_leaves_its_wakeup_for_later(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let failed = settling("t1", &lease, WakeupSettlement::Retry(found.clone(), at(30)));
    store.end(failed).await.unwrap();
    let later = one_wakeup(&store, &one).await;
    assert_eq!(later.wakeup.due, at(30));
    assert_eq!((later.revision, later.attempts), (found.revision, 1));
    assert_eq!(store.due(at(29), 10, KindFilter::All).await.unwrap(), []);
    let due = store.due(at(30), 10, KindFilter::All).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&later));

    let lease = claim(&store, begin_for("t2", &later, at(30))).await;
    let failed = settling("t2", &lease, WakeupSettlement::Retry(later, at(60)));
    store.end(failed).await.unwrap();
    assert_eq!(one_wakeup(&store, &one).await.attempts, 2);
}

pub(super) async fn retry_invalidates_wakeups_read_before(stores: Arc<dyn Stores>) {
    let (store, _, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let failed = settling("t1", &lease, WakeupSettlement::Retry(found.clone(), at(30)));
    store.end(failed).await.unwrap();
    // Another dispatcher found the wakeup before, and must not run it immediately.
    let stale = store.begin(begin_for("t2", &found, at(12))).await.unwrap();
    assert_eq!(stale, BeginOutcome::Gone);
}

pub(super) async fn ending_twice_is_ending_once(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let mut failed = settling("t1", &lease, WakeupSettlement::Retry(found.clone(), at(30)));
    failed.transaction.lines = vec![relation_types::transactions::LogLine {
        at: at(11),
        level: relation_types::transactions::Level::Info,
        message: "said once".to_owned(),
    }];
    store.end(failed.clone()).await.unwrap();
    let first = store.transaction("t1").await.unwrap().unwrap();
    store.end(failed).await.unwrap();
    assert_eq!(store.transaction("t1").await.unwrap(), Some(first));
    assert_eq!(one_wakeup(&store, &one).await.attempts, 1);
}

pub(super) async fn a_call_that_lost_its_lease_settles_nothing(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let old = claim(&store, begin_for("t1", &found, at(10))).await;
    let new = claim(&store, begin_for("t2", &found, at(70))).await;
    let late = settling("t1", &old, WakeupSettlement::Done(found.clone()));
    store.end(late).await.unwrap();
    // Its transaction is closed nevertheless; wakeup and lease belong to the other call.
    let transaction = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(transaction.status, Status::Success);
    assert_eq!(one_wakeup(&store, &one).await, found);
    let third = store.begin(begin("t3", &one, at(71))).await.unwrap();
    assert_eq!(third, BeginOutcome::Busy(new.expires));
    store.commit(fenced(&new, vec![put(&one)])).await.unwrap();
}

pub(super) async fn a_call_may_delete_its_own_subject(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let lease = claim(&store, begin_for("t1", &found, at(10))).await;
    let delete = fenced(&lease, vec![Change::Delete(one.clone())]);
    store.commit(delete).await.unwrap();
    let more = fenced(&lease, vec![put(&record(2))]);
    store.commit(more).await.unwrap();
    let failed = settling("t1", &lease, WakeupSettlement::Retry(found, at(30)));
    store.end(failed).await.unwrap();
    assert_eq!(store.wakeups(&one).await.unwrap(), []);
    claim(&store, begin("t2", &one, at(11))).await;
}

pub(super) async fn a_call_without_a_subject_holds_nothing(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let describe = |id: &str| CallStart {
        transaction: transaction(id, at(0)),
        subject: None,
        lease: Duration::from_secs(60),
        now: at(0),
        wakeup: None,
    };
    for id in ["t1", "t2"] {
        let begun = store.begin(describe(id)).await.unwrap();
        assert_eq!(begun, BeginOutcome::Started(None));
    }
    store.end(end("t1", None, at(1))).await.unwrap();
    let ended = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!((ended.status, ended.subject), (Status::Success, None));
}

pub(super) async fn recovery_releases_what_has_expired(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let old = claim(&store, begin("t1", &record(1), at(0))).await;
    let new = claim(&store, begin("t2", &record(2), at(30))).await;
    let recovery = store.recover(at(60)).await.unwrap();
    let one_lease = Recovery {
        leases: 1,
        transactions: 0,
    };
    assert_eq!(recovery, one_lease);
    assert_fenced(store.commit(fenced(&old, vec![put(&record(1))])).await);
    let unharmed = fenced(&new, vec![put(&record(2))]);
    store.commit(unharmed).await.unwrap();
    // Its host runs: the call may still end by itself.
    let transaction = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(transaction.status, Status::Processing);
    assert_eq!(store.recover(at(60)).await.unwrap(), Recovery::default());
}

pub(super) async fn interrupted_call_is_reported_to_the_next(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one)]).await;
    let first = claim(&store, begin("t1", &one, at(0))).await;
    assert_eq!(first.interrupted, None);
    // The lease expired; it makes no difference whether `recover` was called since.
    let second = claim(&store, begin("t2", &one, at(60))).await;
    assert_eq!(second.interrupted, Some(at(0)));
    store.recover(at(200)).await.unwrap();
    let third = claim(&store, begin("t3", &one, at(200))).await;
    assert_eq!(third.interrupted, Some(at(60)));
    // The end of a call that has lost its lease does not change this.
    store.end(end("t2", Some(&second), at(201))).await.unwrap();
    store.recover(at(300)).await.unwrap();
    store.recover(at(301)).await.unwrap();
    let fourth = claim(&store, begin("t4", &one, at(302))).await;
    assert_eq!(fourth.interrupted, Some(at(200)));
    let other = claim(&store, begin("t5", &record(2), at(302))).await;
    assert_eq!(other.interrupted, None);

    store.end(end("t4", Some(&fourth), at(303))).await.unwrap();
    let fifth = claim(&store, begin("t6", &one, at(304))).await;
    assert_eq!(fifth.interrupted, None);
}

pub(super) async fn interrupted_call_cannot_continue(stores: Arc<dyn Stores>) {
    let (store, one, found) = one_due(&stores).await;
    let old = claim(&store, begin_for("t1", &found, at(10))).await;
    store.recover(at(70)).await.unwrap();
    assert_fenced(store.commit(fenced(&old, vec![put(&one)])).await);
    let late = settling("t1", &old, WakeupSettlement::Done(found.clone()));
    store.end(late).await.unwrap();
    assert_eq!(one_wakeup(&store, &one).await, found);
    assert_eq!(
        store.due(at(70), 10, KindFilter::All).await.unwrap(),
        [found]
    );
    let next = claim(&store, begin("t2", &one, at(71))).await;
    assert_eq!(next.interrupted, Some(at(10)));
}

pub(super) async fn deleted_subject_forgets_its_interruption(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let interrupted = async |id: &str, now| {
        let lease = claim(&store, begin(id, &record(1), now)).await;
        store.end(end(id, Some(&lease), now)).await.unwrap();
        lease.interrupted
    };
    // Three cases: deleted after the interruption, deleted by the interrupted call itself, and never
    // created.
    write(&store, vec![put(&record(1))]).await;
    claim(&store, begin("t1", &record(1), at(0))).await;
    store.recover(at(60)).await.unwrap();
    write(&store, vec![Change::Delete(record(1))]).await;
    assert_eq!(interrupted("t2", at(61)).await, None);

    write(&store, vec![put(&record(1))]).await;
    let lease = claim(&store, begin("t3", &record(1), at(100))).await;
    let delete = fenced(&lease, vec![Change::Delete(record(1))]);
    store.commit(delete).await.unwrap();
    store.recover(at(160)).await.unwrap();
    assert_eq!(interrupted("t4", at(161)).await, None);

    claim(&store, begin("t5", &record(1), at(200))).await;
    store.recover(at(260)).await.unwrap();
    assert_eq!(interrupted("t6", at(261)).await, None);
}

pub(super) async fn redate_shortens_leases_of_a_fast_clock(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let [ahead, right] = [1, 2].map(record);
    let year = 365 * 86_400;
    write(&store, vec![put(&ahead), put(&right)]).await;
    let old = claim(&store, begin("t1", &ahead, at(year))).await;
    let held = claim(&store, begin("t2", &right, at(90))).await;
    let busy = store.begin(begin("t3", &ahead, at(100))).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(at(year + 60)));

    let redating = store.redate(at(100)).await.unwrap();
    assert_eq!((redating.leases, redating.latest), (1, Some(at(year))));
    // Its call may still run: the lease keeps its duration.
    let unharmed = fenced(&old, vec![put(&ahead)]);
    store.commit(unharmed).await.unwrap();
    let busy = store.begin(begin("t3", &ahead, at(159))).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(at(160)));
    let next = claim(&store, begin("t4", &ahead, at(160))).await;
    assert_eq!(next.interrupted, Some(at(100)));
    let busy = store.begin(begin("t5", &right, at(149))).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(held.expires));
}

pub(super) async fn call_can_end_as_interrupted(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one)]).await;
    let cut_off = |id: &str, lease: &Lease| CallEnd {
        interrupted: true,
        ..end(id, Some(lease), at(2))
    };
    let first = claim(&store, begin("t1", &one, at(1))).await;
    store.end(cut_off("t1", &first)).await.unwrap();
    // A repeated end, by a call without the lease, changes nothing.
    store.end(cut_off("t1", &first)).await.unwrap();
    assert_fenced(store.commit(fenced(&first, vec![put(&one)])).await);

    let second = claim(&store, begin("t2", &one, at(3))).await;
    assert_eq!(second.interrupted, Some(at(1)));
    store.end(cut_off("t1", &first)).await.unwrap();
    store.end(end("t2", Some(&second), at(4))).await.unwrap();
    let third = claim(&store, begin("t3", &one, at(5))).await;
    assert_eq!(third.interrupted, None);

    // Deleting the subject also deletes the record of its interrupted call.
    let gone = fenced(&third, vec![Change::Delete(one.clone())]);
    store.commit(gone).await.unwrap();
    store.end(cut_off("t3", &third)).await.unwrap();
    write(&store, vec![put(&one)]).await;
    let fourth = claim(&store, begin("t4", &one, at(6))).await;
    assert_eq!(fourth.interrupted, None);
    // Its wakeup is settled nevertheless.
    write(&store, vec![schedule(&one, "refresh", at(10))]).await;
    store.end(end("t4", Some(&fourth), at(7))).await.unwrap();
    let found = one_wakeup(&store, &one).await;
    let lease = claim(&store, begin_for("t5", &found, at(10))).await;
    let failed = CallEnd {
        wakeup: Some(WakeupSettlement::Retry(found, at(20))),
        ..cut_off("t5", &lease)
    };
    store.end(failed).await.unwrap();
    let found = one_wakeup(&store, &one).await;
    assert_eq!((found.wakeup.due, found.attempts), (at(20), 1));
}
