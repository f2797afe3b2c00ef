//! Leases that have expired while the database could not be reached: their holders may have responses in their stashes.

use super::*;
use relation_store::stash::APPLY_ACTION;

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_not_taken_over_soon_after_an_outage() {
    let Some(hosts) = Hosts::start(LeaseClock::Database).await else {
        return;
    };
    // It has just started, which is as after an outage.
    let mut options = PostgresOptions::new(hosts.database.url()).unwrap();
    options.takeover_delay = Duration::from_secs(3600);
    let third = PostgresStore::open(options).await.unwrap();
    let one = record(1);
    let changes = vec![put(&one, "sys.A", &[]), schedule(&one)];
    hosts.first.commit(commit(vec![], changes)).await.unwrap();
    claim(&hosts.first, begin("t1", &one, NOW)).await;
    hosts.sql("UPDATE relation.leases SET expires = relation.clock() - 1");

    let later = Timestamp(NOW.0 + TEN_MINUTES);
    assert_eq!(third.due(later, 10, KindFilter::All).await.unwrap(), []);
    assert_eq!(third.recover(later).await.unwrap(), Recovery::default());
    let refused = third.begin(begin("t2", &one, later)).await.unwrap();
    let BeginOutcome::Busy(until) = refused else {
        panic!("the lease was taken over");
    };
    assert!(until > later, "{until:?}");
    // Other records do not wait, and neither does a stash.
    let two = record(2);
    claim(&third, begin("t3", &two, later)).await;
    let mut apply = begin("t4", &one, later);
    apply.transaction.action = APPLY_ACTION.to_owned();
    let lease = claim(&third, apply).await;
    third.end(end("t4", Some(&lease))).await.unwrap();
    claim(&third, begin("t5", &one, later)).await;

    // Long after its expiry, a lease is taken over in any case.
    hosts.sql("UPDATE relation.leases SET expires = 1 WHERE epoch > 0");
    let due = hosts.second.due(later, 10, KindFilter::All).await.unwrap();
    assert_eq!(due.len(), 1);
    claim(&hosts.first, begin("t6", &one, later)).await;
    hosts.sql("UPDATE relation.leases SET expires = 1 WHERE epoch > 0");
    claim(&third, begin("t7", &one, later)).await;
}
