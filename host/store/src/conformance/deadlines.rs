//! Counts of wakeups by their deadline.

use std::sync::Arc;

use super::Stores;
use super::builders::{at, empty, put, record, schedule, write};
use super::wakeups::with_deadline;

pub(super) async fn deadlines_are_counted_by_kind(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let times = [at(50), at(200), at(900)];
    let count = async |kind: &str, at_most| {
        let counted = store.count_deadlines(kind, &times, at_most).await.unwrap();
        (counted.earliest, counted.counts)
    };
    assert_eq!(count("refresh", 9).await, (None, vec![0, 0, 0]));
    let hour = 3600;
    let mut changes = Vec::new();
    // Due in different hours, and with deadlines in another order.
    for (number, deadline) in [(1, 900), (2, 100), (3, 200), (4, 1000)] {
        let subject = record(number);
        let id = if number == 3 {
            "refresh.other"
        } else {
            "refresh"
        };
        changes.extend([
            put(&subject),
            with_deadline(&subject, id, at(number * hour), deadline),
            with_deadline(&subject, "sync", at(1), 10),
            schedule(&subject, "refresh.none", at(1)),
        ]);
    }
    write(&store, changes).await;
    assert_eq!(count("refresh", 9).await, (Some(at(100)), vec![0, 2, 3]));
    assert_eq!(count("refresh", 2).await, (Some(at(100)), vec![0, 2, 2]));
    assert_eq!(count("sync", 9).await, (Some(at(10)), vec![4, 4, 4]));
    assert_eq!(count("expiry", 9).await, (None, vec![0, 0, 0]));
}
