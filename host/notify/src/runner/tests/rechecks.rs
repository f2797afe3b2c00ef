//! The check of all connections of a node after its settings have changed.

use std::collections::BTreeMap;

use super::*;

const PROVIDER: &str = "sys.Provider";

async fn world_with_records(count: u32) -> World {
    let world = World::new();
    for number in 1..=count {
        world.add_record(number, NODE, 90 * DAY).await;
    }
    world.add_record(1_000, "sys.Other", 90 * DAY).await;
    world
}

impl World {
    async fn recheck(&self) {
        let changes = settings::recheck_changes(&node(PROVIDER), self.now());
        self.commit(changes).await;
    }

    fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for record in self.rechecks.lock().checked.drain(..) {
            *counts.entry(record).or_default() += 1;
        }
        counts
    }
}

#[tokio::test]
async fn all_records_below_the_node_are_checked() {
    let world = world_with_records(120).await;
    world.set(PROVIDER, json!({"thresholds": ["60d"]})).await;
    let reference = settings::reference(&node(PROVIDER));
    let before = world
        .store
        .get(std::slice::from_ref(&reference))
        .await
        .unwrap();
    world.recheck().await;
    world.run_for(HOUR).await;
    let counts = world.counts();
    assert_eq!(counts.len(), 120);
    assert!(counts.values().all(|count| *count == 1));
    assert_eq!(world.store.next_due(None).await.unwrap(), None);
    let after = world.store.get(&[reference]).await.unwrap();
    assert_eq!(after, before, "the settings are not touched");
}

#[tokio::test]
async fn record_that_fails_is_tried_again_and_left_out() {
    let world = world_with_records(60).await;
    let pkid = |number: u32| format!("{number:024x}");
    // The first is busy twice, the second always.
    {
        let mut rechecks = world.rechecks.lock();
        rechecks.failures.insert(pkid(1), 2);
        rechecks.failures.insert(pkid(2), u32::MAX);
    }
    world.recheck().await;
    world.run_due().await;
    assert_eq!(world.counts().len(), 58, "the others are not delayed");
    let left = world.rechecks.lock().failures[&pkid(1)];
    assert_eq!(left, 1, "it is tried again after a pause");
    world.run_for(HOUR).await;
    let counts = world.counts();
    assert_eq!(counts, [(pkid(1), 1)].into());
    let tries = u32::MAX - world.rechecks.lock().failures[&pkid(2)];
    assert_eq!(tries, 5);
    assert_eq!(world.store.next_due(None).await.unwrap(), None);
}

#[tokio::test]
async fn untold_threshold_is_told_after_the_change() {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    let own = json!({"notify": false});
    world.set(NODE, own).await;
    let record = world.add_record(1, NODE, 14 * DAY).await;
    // The alerts of the other record are unknown.
    world.add_record(2, NODE, 14 * DAY).await;
    world
        .notice(&record, &Alert::expiring(14), NoticeChange::Raised, 1)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(world.channels.take().len(), 0);
    world.set(NODE, json!({})).await;
    for told in [1, 0] {
        world.recheck().await;
        world.run_for(HOUR).await;
        assert_eq!(world.channels.take().len(), told);
    }
    let deliveries = world.deliveries_from("sys").await;
    assert_eq!(deliveries[0].threshold_ms, 14 * 86_400_000);
}

#[tokio::test]
async fn newer_settings_restart_the_check() {
    let world = world_with_records(120).await;
    world.recheck().await;
    let host = world.host();
    let due = host.find_due().await.unwrap();
    host.run(&due[0]).await.unwrap();
    assert_eq!(world.counts().len(), 50);
    world.recheck().await;
    // The result of a run that was in progress is lost.
    let due = host.find_due().await.unwrap();
    host.run(&due[0]).await.unwrap();
    world.recheck().await;
    world.counts();
    world.run_for(HOUR).await;
    let counts = world.counts();
    assert_eq!(counts.len(), 120);
    assert!(counts.values().all(|count| *count == 1));
}

#[tokio::test]
async fn killed_host_leaves_out_no_record() {
    for is_after in [false, true] {
        for operation in 0..30 {
            let world = world_with_records(60).await;
            world.recheck().await;
            let (host, is_dead) = world.mortal_host(operation, is_after);
            for _ in 0..3 {
                for due in host.find_due().await.unwrap_or_default() {
                    let _ = host.run(&due).await;
                }
            }
            let died = is_dead.load(Ordering::SeqCst);
            world.run_for(HOUR).await;
            assert_eq!(world.counts().len(), 60, "{operation} {is_after}");
            if !died {
                break;
            }
        }
    }
}
