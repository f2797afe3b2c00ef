//! Each threshold is reported once, whichever hosts run.

use super::*;

/// Runs all that is due on two hosts concurrently, which find the same wakeups.
async fn run_on_two(world: &World) {
    // New processes each time.
    let hosts = [world.host(), world.host()];
    for _ in 0..100 {
        let due = hosts[0].find_due().await.unwrap();
        if due.is_empty() {
            return;
        }
        let mut runs = tokio::task::JoinSet::new();
        for due in due {
            for host in hosts.clone() {
                let due = due.clone();
                runs.spawn(async move { host.run(&due).await });
            }
        }
        while let Some(ran) = runs.join_next().await {
            ran.unwrap().unwrap();
        }
    }
    panic!("the wakeups do not end");
}

pub(super) async fn run_on_two_for(world: &World, time: Duration) {
    let end = world.clock.now().after(time);
    run_on_two(world).await;
    while let Some(next) = world.store.next_due(None).await.unwrap() {
        if next > end {
            break;
        }
        world.clock.advance_to(next);
        run_on_two(world).await;
    }
    world.clock.advance_to(end);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_is_told_once_on_two_hosts() {
    let recipients = json!(["noc@provider.example",
        {"type": "webhook", "name": "tickets", "url": "https://tickets.example/notices"}]);
    let world = World::with_settings(json!({"recipients": recipients})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    let mut number = 0;
    for day in 0..90 {
        if let Some(days) = [30, 14, 7, 2].into_iter().find(|days| 90 - days == day) {
            // The notice of one threshold may be stored by two commits.
            for _ in 0..2 {
                number += 1;
                let alert = Alert::expiring(days);
                world
                    .notice(&record, &alert, NoticeChange::Raised, number)
                    .await;
            }
        }
        run_on_two_for(&world, DAY).await;
    }
    world
        .change_record(&record, NODE, |body| body["state"] = "expired".into())
        .await;
    world
        .notice(&record, &Alert::EXPIRED, NoticeChange::Raised, 90)
        .await;
    run_on_two_for(&world, DAY).await;
    world
        .change_record(&record, NODE, |body| body["state"] = "connected".into())
        .await;
    // One commit clears all alerts.
    for (number, alert) in [Alert::EXPIRED, Alert::expiring(2)].iter().enumerate() {
        let number = 100 + u64::try_from(number).unwrap();
        world
            .notice(&record, alert, NoticeChange::Cleared, number)
            .await;
    }
    run_on_two_for(&world, 10 * DAY).await;
    for to in ["noc@provider.example", "https://tickets.example/notices"] {
        let sent = world.channels.sent.lock().clone();
        let mine: Vec<Sent> = sent.into_iter().filter(|sent| sent.to == to).collect();
        let told: Vec<_> = mine
            .iter()
            .map(|sent| (sent.kinds()[0], (sent.at - to_time(START)).num_days()))
            .collect();
        let expected = [
            (NoticeKind::Expiring, 60),
            (NoticeKind::Expiring, 76),
            (NoticeKind::Expiring, 83),
            (NoticeKind::Expiring, 88),
            (NoticeKind::Expired, 90),
            (NoticeKind::Recovered, 91),
        ];
        assert_eq!(told, expected, "{to}");
    }
    let mut ids: Vec<String> = world
        .channels
        .take()
        .into_iter()
        .map(|sent| sent.id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12, "each delivery has its own id");
}

#[tokio::test]
async fn late_routing_tells_the_tightest_threshold() {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    world.clock.advance(60 * DAY);
    world
        .notice(&record, &Alert::expiring(30), NoticeChange::Raised, 1)
        .await;
    // No host ran for 18 days.
    world.clock.advance(18 * DAY);
    world
        .notice(&record, &Alert::expiring(14), NoticeChange::Raised, 2)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(world.channels.take().len(), 1);
    let deliveries = world.deliveries_from("sys").await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].threshold_ms, 14 * 86_400_000);
}
