//! Persistence across restarts, and two hosts on the same data.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{BeginOutcome, Commit, KindFilter, Recovery, Store};
use relation_types::transactions::Status;

pub(super) async fn data_survives_a_restart(stores: Arc<dyn Stores>) {
    if !stores.lasting() {
        return;
    }
    let store = empty(&stores).await;
    let one = record(1);
    let all = vec![
        put(&one),
        seal(&one, "token", 1),
        schedule(&one, "refresh", at(10)),
    ];
    write(&store, all).await;
    let lease = claim(&store, begin("t1", &one, at(0))).await;
    let id = store.id().to_owned();
    let wakeup = one_wakeup(&store, &one).await;
    drop(store);

    let store = stores.open().await;
    assert_eq!(store.id(), id);
    assert_eq!(version(&store, &one).await, Some(1));
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(1)));
    assert_eq!(one_wakeup(&store, &one).await, wakeup);
    assert_eq!(store.data_keys().await.unwrap(), [data_key(1, "kek")]);
    let busy = store.begin(begin("t2", &one, at(1))).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(lease.expires));

    // The host that held the lease has ended, so the lease need not expire first.
    let recovered = Recovery {
        leases: 1,
        transactions: 1,
    };
    assert_eq!(store.recover(at(1)).await.unwrap(), recovered);
    let next = claim(&store, begin("t3", &one, at(1))).await;
    assert_eq!(next.interrupted, Some(at(0)));
    let interrupted = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(interrupted.status, Status::Fail);
    assert_eq!(interrupted.completed, Some(at(1)));
    assert!(interrupted.message.starts_with("interrupted"));
}

pub(super) async fn epochs_and_revisions_continue_after_a_restart(stores: Arc<dyn Stores>) {
    if !stores.lasting() {
        return;
    }
    let one = record(1);
    let (mut epoch, mut revision) = (0, 0);
    for round in 0..3 {
        let store = stores.open().await;
        write(&store, vec![put(&one), schedule(&one, "refresh", at(1))]).await;
        let found = one_wakeup(&store, &one).await;
        assert!(found.revision > revision);
        revision = found.revision;
        let id = format!("t{round}");
        let lease = claim(&store, begin(&id, &one, at(0))).await;
        assert!(lease.epoch > epoch);
        epoch = lease.epoch;
        store.end(end(&id, Some(&lease), at(0))).await.unwrap();
        let delete = crate::Change::Delete(one.clone());
        write(&store, vec![delete]).await;
    }
}

pub(super) async fn a_second_host_sees_and_respects_the_first(stores: Arc<dyn Stores>) {
    let first = empty(&stores).await;
    let second: Arc<dyn Store> = stores.open().await;
    let one = record(1);
    assert_eq!(first.id(), second.id());
    write(&first, vec![put(&one), schedule(&one, "refresh", at(0))]).await;
    assert_eq!(version(&second, &one).await, Some(1));

    let old = claim(&first, begin("t1", &one, at(0))).await;
    let busy = second.begin(begin("t2", &one, at(1))).await.unwrap();
    assert_eq!(busy, BeginOutcome::Busy(at(60)));
    assert_eq!(second.due(at(1), 10, KindFilter::All).await.unwrap(), []);
    // Both hosts run: there is nothing to recover before the lease expires.
    assert_eq!(second.recover(at(1)).await.unwrap(), Recovery::default());

    claim(&second, begin("t3", &one, at(60))).await;
    let stale = Commit {
        fence: Some(old),
        ..changes(vec![put(&one)])
    };
    assert_fenced(first.commit(stale).await);
    assert_eq!(version(&second, &one).await, Some(1));
}
