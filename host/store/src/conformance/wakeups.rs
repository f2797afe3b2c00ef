//! Wakeups: one per subject and id, found when they are due.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{
    CLOCK_TOLERANCE, CallEnd, Change, Commit, DueWakeup, KindFilter, RedateReport, Store,
    WakeupSettlement,
};
use relation_types::{Hierarchy, Reference, Timestamp};

fn ids(found: &[DueWakeup]) -> Vec<(Reference, &str)> {
    let each = |found: &'_ DueWakeup| found.wakeup.subject.clone();
    found
        .iter()
        .map(|found| (each(found), found.wakeup.id.as_str()))
        .collect()
}

async fn retry(store: &Arc<dyn Store>, transaction: &str, found: &DueWakeup, at: Timestamp) {
    let lease = claim(store, begin_for(transaction, found, found.wakeup.due)).await;
    let end = CallEnd {
        wakeup: Some(WakeupSettlement::Retry(found.clone(), at)),
        ..end(transaction, Some(&lease), found.wakeup.due)
    };
    store.end(end).await.unwrap();
}

pub(super) async fn scheduling_again_replaces_and_resets_the_wakeup(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one), schedule(&one, "refresh", at(10))]).await;
    let first = one_wakeup(&store, &one).await;
    assert_eq!(first.wakeup, wakeup(&one, "refresh", at(10)));
    assert_eq!(first.attempts, 0);

    retry(&store, "t1", &first, at(20)).await;
    let failed = one_wakeup(&store, &one).await;
    assert_eq!(failed.wakeup.due, at(20));
    assert_eq!((failed.revision, failed.attempts), (first.revision, 1));

    let mut moved = wakeup(&one, "refresh", at(5));
    moved.payload = "another".to_owned();
    write(&store, vec![Change::Schedule(moved.clone())]).await;
    let again = one_wakeup(&store, &one).await;
    assert_eq!((&again.wakeup, again.attempts), (&moved, 0));
    assert!(again.revision > first.revision);
}

pub(super) async fn a_revision_is_never_used_twice(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let mut last = 0;
    for _ in 0..3 {
        let both = vec![put(&one), schedule(&one, "refresh", at(1))];
        write(&store, both).await;
        let revision = one_wakeup(&store, &one).await.revision;
        assert!(revision > last);
        last = revision;
        let cancel = Change::Cancel(one.clone(), "refresh".to_owned());
        write(&store, vec![cancel, schedule(&one, "refresh", at(1))]).await;
        let revision = one_wakeup(&store, &one).await.revision;
        assert!(revision > last);
        last = revision;
        write(&store, vec![Change::Delete(one.clone())]).await;
    }
}

pub(super) async fn a_wakeup_needs_its_subject(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let orphan = changes(vec![schedule(&record(1), "refresh", at(1))]);
    assert_invalid(store.commit(orphan).await);
    assert_eq!(store.next_due(None).await.unwrap(), None);
    let other_order = vec![schedule(&record(1), "refresh", at(1)), put(&record(1))];
    write(&store, other_order).await;
    assert_eq!(store.next_due(None).await.unwrap(), Some(at(1)));
}

pub(super) async fn delete_removes_the_wakeups(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    let both = vec![
        put(&one),
        put(&two),
        schedule(&one, "a", at(1)),
        schedule(&one, "b", at(2)),
        schedule(&two, "a", at(3)),
    ];
    write(&store, both).await;
    write(&store, vec![Change::Delete(one.clone())]).await;
    assert_eq!(store.wakeups(&one).await.unwrap(), []);
    let due = store.due(at(100), 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two, "a")]);
}

pub(super) async fn cancel_removes_only_the_named_wakeup(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let all = vec![
        put(&one),
        schedule(&one, "late", at(9)),
        schedule(&one, "early", at(1)),
        schedule(&one, "middle", at(5)),
    ];
    write(&store, all).await;
    let cancel = Change::Cancel(one.clone(), "middle".to_owned());
    write(&store, vec![cancel]).await;
    let left = store.wakeups(&one).await.unwrap();
    assert_eq!(ids(&left), [(one.clone(), "early"), (one, "late")]);
}

pub(super) async fn due_wakeups_are_ordered_and_unique_by_subject(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two, three) = (record(1), record(2), record(3));
    let all = vec![
        put(&one),
        put(&two),
        put(&three),
        schedule(&one, "b", at(2)),
        schedule(&one, "a", at(3)),
        schedule(&two, "a", at(1)),
        schedule(&two, "b", at(4)),
        schedule(&three, "a", at(10)),
    ];
    write(&store, all).await;
    assert_eq!(store.due(at(0), 10, KindFilter::All).await.unwrap(), []);
    let due = store.due(at(1), 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two.clone(), "a")]);
    let due = store.due(at(9), 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two.clone(), "a"), (one.clone(), "b")]);
    let due = store.due(at(10), 10, KindFilter::All).await.unwrap();
    let all = [(two.clone(), "a"), (one, "b"), (three, "a")];
    assert_eq!(ids(&due), all);
    let due = store.due(at(10), 1, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two, "a")]);
}

pub(super) fn with_deadline(
    subject: &Reference,
    id: &str,
    due: Timestamp,
    deadline: u64,
) -> Change {
    let mut wakeup = wakeup(subject, id, due);
    wakeup.deadline = Some(at(deadline));
    Change::Schedule(wakeup)
}

pub(super) async fn a_deadline_is_kept_moved_and_removed(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let first = with_deadline(&one, "refresh", at(10), 500);
    write(&store, vec![put(&one), first]).await;
    let found = one_wakeup(&store, &one).await;
    assert_eq!(found.wakeup.deadline, Some(at(500)));
    let due = store.due(at(10), 1, KindFilter::All).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&found));
    retry(&store, "t1", &found, at(20)).await;
    let failed = one_wakeup(&store, &one).await;
    assert_eq!(failed.wakeup.deadline, Some(at(500)));
    write(&store, vec![with_deadline(&one, "refresh", at(10), 600)]).await;
    let moved = one_wakeup(&store, &one).await;
    assert_eq!(moved.wakeup.deadline, Some(at(600)));
    write(&store, vec![schedule(&one, "refresh", at(10))]).await;
    assert_eq!(one_wakeup(&store, &one).await.wakeup.deadline, None);
    let listed = store.upcoming(None, None, 1).await.unwrap();
    assert_eq!(listed.items, [one_wakeup(&store, &one).await]);
}

pub(super) async fn due_wakeups_are_ordered_by_deadline(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let [one, two, three, four] = [1, 2, 3, 4].map(record);
    let mut all: Vec<Change> = [&one, &two, &three, &four].map(put).into();
    all.extend([
        schedule(&one, "none, but due first", at(1)),
        with_deadline(&two, "late", at(2), 900),
        with_deadline(&two, "early", at(4), 700),
        with_deadline(&three, "same, due later", at(6), 700),
        with_deadline(&four, "not due", at(10), 20),
    ]);
    write(&store, all).await;
    let due = store.due(at(9), 10, KindFilter::All).await.unwrap();
    let expected = [
        (two.clone(), "early"),
        (three, "same, due later"),
        (one, "none, but due first"),
    ];
    assert_eq!(ids(&due), expected);
    let due = store.due(at(9), 1, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two, "early")]);
    let due = store.due(at(10), 1, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(four, "not due")]);
}

pub(super) async fn due_wakeups_are_chosen_by_kind(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    // Few refreshes, and then so many that the others must be found without scanning them.
    for many in [3, 2_000] {
        let mut all = vec![put(&record(0))];
        all.push(with_deadline(&record(0), "refresh", at(1), 10));
        all.push(with_deadline(&record(0), "sync", at(1), 400));
        for number in 1..many {
            all.push(put(&record(number)));
            let id = ["refresh", "refresh.users"][(number % 2) as usize];
            all.push(with_deadline(&record(number), id, at(1), 20 + number));
        }
        all.push(put(&record(many)));
        all.push(schedule(&record(many), "refreshments", at(1)));
        write(&store, all).await;
        let due = store
            .due(at(1), 10, KindFilter::Except(&["refresh"]))
            .await
            .unwrap();
        let others = [(record(0), "sync"), (record(many), "refreshments")];
        assert_eq!(ids(&due)[..1], others[..1], "among {many}");
        assert!(ids(&due).contains(&others[1]), "among {many}");
        assert!(due.iter().all(|due| due.wakeup.kind() != "refresh"));
        let due = store.due(at(1), 2, KindFilter::All).await.unwrap();
        assert_eq!(ids(&due)[0], (record(0), "refresh"), "among {many}");
        assert_eq!(due[1].wakeup.subject, record(1), "among {many}");
        let due = store
            .due(at(1), 10, KindFilter::Except(&["sync"]))
            .await
            .unwrap();
        assert_eq!(ids(&due)[0], (record(0), "refresh"), "among {many}");
        let both = KindFilter::Except(&["refresh", "refreshments"]);
        let due = store.due(at(1), 10, both).await.unwrap();
        assert_eq!(ids(&due), others[..1], "among {many}");
        let due = store
            .due(at(1), 10, KindFilter::Only("refreshments"))
            .await
            .unwrap();
        assert!(ids(&due).contains(&others[1]), "among {many}");
        assert!(due.iter().all(|due| due.wakeup.kind() == "refreshments"));
        let due = store
            .due(at(1), 2, KindFilter::Only("refresh"))
            .await
            .unwrap();
        assert_eq!(ids(&due)[0], (record(0), "refresh"), "among {many}");
        assert_eq!(due.len(), 2, "among {many}");
    }
}

pub(super) async fn backlog_is_ordered_by_deadline(stores: Arc<dyn Stores>) {
    const MANY: u64 = 6_000;
    let store = empty(&stores).await;
    // Scattered, so that the order of deadlines differs from the order of due times.
    let deadline = |number: u64| 10_000 + number * 7_919 % MANY;
    let mut all = Vec::new();
    for number in 0..MANY {
        all.push(put(&record(number)));
        let due = at(number % 50);
        all.push(with_deadline(
            &record(number),
            "refresh",
            due,
            deadline(number),
        ));
    }
    for changes in all.chunks(1_000) {
        write(&store, changes.to_vec()).await;
    }
    let mut expected: Vec<u64> = (0..MANY).collect();
    expected.sort_by_key(|number| deadline(*number));
    let first = |count: usize| expected[..count].iter().map(|number| record(*number));
    let subjects = |due: &[DueWakeup]| -> Vec<Reference> {
        due.iter().map(|due| due.wakeup.subject.clone()).collect()
    };

    let due = store.due(at(100), 20, KindFilter::All).await.unwrap();
    assert_eq!(subjects(&due), first(20).collect::<Vec<_>>());
    // Leased, settled and postponed wakeups are skipped.
    let lease = claim(&store, begin_for("t1", &due[0], at(100))).await;
    let done = CallEnd {
        wakeup: Some(WakeupSettlement::Done(due[1].clone())),
        ..end("t2", None, at(100))
    };
    store.end(done).await.unwrap();
    retry(&store, "t3", &due[2], at(5_000)).await;
    let late = store.due(at(100), 17, KindFilter::All).await.unwrap();
    assert_eq!(late, due[3..]);
    store.end(end("t1", Some(&lease), at(100))).await.unwrap();

    // Wakeups that are scheduled meanwhile are ordered too, whether they are due now or later.
    let urgent = [(record(MANY), at(99)), (record(MANY + 1), at(150))];
    for (subject, due) in &urgent {
        let changes = vec![put(subject), with_deadline(subject, "urgent", *due, 200)];
        write(&store, changes).await;
    }
    let [early, later] = urgent.map(|(subject, _)| subject);
    let due = store.due(at(100), 2, KindFilter::All).await.unwrap();
    assert_eq!(subjects(&due), [early.clone(), record(expected[0])]);
    let due = store.due(at(150), 2, KindFilter::All).await.unwrap();
    assert_eq!(subjects(&due), [early, later]);

    // After the clock was set back, no wakeup is due before its time.
    let mut left = expected;
    left.drain(1..3);
    left.retain(|number| number % 50 <= 20);
    let due = store.due(at(20), 10, KindFilter::All).await.unwrap();
    let begun: Vec<Reference> = left[..10].iter().map(|number| record(*number)).collect();
    assert_eq!(subjects(&due), begun);
}

pub(super) async fn leased_subject_is_not_due_until_the_lease_expires(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    let all = vec![
        put(&one),
        put(&two),
        schedule(&one, "a", at(1)),
        schedule(&two, "a", at(2)),
    ];
    write(&store, all).await;
    let lease = claim(&store, begin("t1", &one, at(2))).await;
    let due = store.due(at(3), 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), [(two.clone(), "a")]);
    let both = [(one, "a"), (two, "a")];
    let due = store.due(lease.expires, 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), both);
    store.end(end("t1", Some(&lease), at(3))).await.unwrap();
    let due = store.due(at(3), 10, KindFilter::All).await.unwrap();
    assert_eq!(ids(&due), both);
}

async fn list(
    store: &Arc<dyn Store>,
    node: Option<&Hierarchy>,
    limit: u32,
) -> Vec<(Reference, String)> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.upcoming(node, cursor.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(page.items.len() <= limit as usize);
        let names = page.items.into_iter().map(|found| found.wakeup);
        found.extend(names.map(|wakeup| (wakeup.subject, wakeup.id)));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

pub(super) async fn all_wakeups_are_listed_by_time(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let nodes = ["sys.A", "sys.A.B", "sys.AB", "sys.C"];
    let mut all = Vec::new();
    let mut puts = Vec::new();
    for number in 0..120_u64 {
        let subject = record(number);
        let node = if number % 30 == 0 {
            nodes[(number / 30) as usize]
        } else {
            "sys.C"
        };
        puts.push(Change::Put(named(&subject, node, "x")));
        // Some wakeups share a due time: pages must not lose any of them.
        for (id, due) in [("refresh", at(number / 7)), ("expiry", at(1000 - number))] {
            puts.push(schedule(&subject, id, due));
            all.push((due, subject.clone(), id.to_owned(), hierarchy(node)));
        }
    }
    write(&store, puts).await;
    all.sort();
    let nowhere = hierarchy("sys.Nowhere");
    let places: Vec<Hierarchy> = ["sys", "sys.A", "sys.C"].map(hierarchy).into();
    for node in places.iter().chain([&nowhere]).map(Some).chain([None]) {
        let expected: Vec<(Reference, String)> = all
            .iter()
            .filter(|(_, _, _, place)| node.is_none_or(|node| node.contains(place)))
            .map(|(_, subject, id, _)| (subject.clone(), id.clone()))
            .collect();
        for limit in [1, 7, 1000] {
            let found = list(&store, node, limit).await;
            assert_eq!(found, expected, "{node:?} in pages of {limit}");
        }
    }
}

pub(super) async fn due_wakeups_are_counted_up_to_a_bound(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_eq!(store.count_due(at(10), 5).await.unwrap(), 0);
    let mut changes = Vec::new();
    for number in 1..=4 {
        let subject = record(number);
        changes.extend([put(&subject), schedule(&subject, "a", at(number))]);
    }
    write(&store, changes).await;
    for (now, at_most, expected) in [
        (0, 9, 0),
        (1, 9, 1),
        (3, 9, 3),
        (3, 2, 2),
        (9, 9, 4),
        (9, 0, 0),
    ] {
        let counted = store.count_due(at(now), at_most).await.unwrap();
        assert_eq!(counted, expected, "at {now} up to {at_most}");
    }
}

pub(super) async fn next_due_is_the_earliest_due_time(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_eq!(store.next_due(None).await.unwrap(), None);
    let (one, two) = (record(1), record(2));
    let both = vec![
        put(&one),
        put(&two),
        schedule(&one, "a", at(7)),
        schedule(&two, "a", at(5)),
    ];
    write(&store, both).await;
    assert_eq!(store.next_due(None).await.unwrap(), Some(at(5)));
    for (after, next) in [(4, Some(5)), (5, Some(7)), (7, None)] {
        let found = store.next_due(Some(at(after))).await.unwrap();
        assert_eq!(found, next.map(at), "after {after}");
    }
    let found = one_wakeup(&store, &two).await;
    retry(&store, "t1", &found, at(9)).await;
    assert_eq!(store.next_due(None).await.unwrap(), Some(at(7)));
}

/// Writes like [`write`], at the time `now`.
async fn write_at(store: &Arc<dyn Store>, now: Timestamp, all: Vec<Change>) {
    let commit = Commit {
        now,
        ..changes(all)
    };
    store.commit(commit).await.unwrap();
}

pub(super) async fn redate_makes_wakeups_of_a_fast_clock_due(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let [unknown, right, near, ahead, moved, early] = [1, 2, 3, 4, 5, 6].map(record);
    let now = at(10_000);
    let tolerance = CLOCK_TOLERANCE.as_secs();
    let puts = [&unknown, &right, &near, &ahead, &moved, &early].map(put);
    write(&store, puts.into()).await;
    let later = |subject: &Reference| vec![schedule(subject, "refresh", at(90_000))];
    write(&store, later(&unknown)).await;
    write_at(&store, now, later(&right)).await;
    write_at(&store, at(10_000 + tolerance), later(&near)).await;
    write_at(&store, at(10_001 + tolerance), later(&ahead)).await;
    // Scheduled again since then, by a correct clock.
    write_at(&store, at(80_000), later(&moved)).await;
    write_at(&store, now, later(&moved)).await;
    let due_before = vec![schedule(&early, "refresh", at(5_000))];
    write_at(&store, at(70_000), due_before).await;

    let redating = store.redate(now).await.unwrap();
    let found = RedateReport {
        wakeups: 2,
        leases: 0,
        latest: Some(at(70_000)),
    };
    assert_eq!(redating, found);
    let due = store.due(now, 10, KindFilter::All).await.unwrap();
    let subjects: Vec<_> = due.iter().map(|due| &due.wakeup.subject).collect();
    assert_eq!(subjects, [&early, &ahead]);
    assert_eq!(due[0].wakeup.due, at(5_000));
    assert_eq!(due[1].wakeup.due, now);
    assert_eq!(store.redate(now).await.unwrap(), RedateReport::default());

    // A failed call schedules its retry at the time of its end.
    let lease = claim(&store, begin_for("t1", &due[1], now)).await;
    let failed = CallEnd {
        wakeup: Some(WakeupSettlement::Retry(due[1].clone(), at(60_000))),
        ..end("t1", Some(&lease), at(50_000))
    };
    store.end(failed).await.unwrap();
    assert_eq!(one_wakeup(&store, &ahead).await.wakeup.due, at(60_000));
    assert_eq!(store.redate(now).await.unwrap().wakeups, 1);
    let again = one_wakeup(&store, &ahead).await;
    assert_eq!((again.wakeup.due, again.attempts), (now, 1));
    retry(&store, "t2", &again, at(10_060)).await;
    assert_eq!(store.redate(now).await.unwrap(), RedateReport::default());
}
