//! Listings of deliveries, and sending many again.

use std::collections::BTreeSet;

use super::super::{find_delivery, resend_since};
use super::*;

fn all(path: &str) -> DeliveryFilter {
    DeliveryFilter {
        node: node(path),
        state: None,
        record: None,
        day: None,
    }
}

/// Starts a world with a delivery on each of some days.
async fn world_of_days(days: u32) -> World {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    for number in 1..=days {
        let record = world.add_record(number, NODE, 90 * DAY).await;
        world
            .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
            .await;
        world.run_for(DAY).await;
    }
    world
}

#[tokio::test]
async fn deliveries_are_listed_newest_first() {
    let world = world_of_days(10).await;
    let store = world.store.as_ref();
    let mut filter = all("sys.Provider");
    let mut created = Vec::new();
    let mut cursor = None;
    loop {
        let page = list_deliveries(store, &filter, cursor.as_deref(), 3)
            .await
            .unwrap();
        created.extend(page.items.into_iter().map(|each| each.stored.created));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut sorted = created.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!((created.len(), &created), (10, &sorted));
    filter.day = Some("2026-01-03".parse().unwrap());
    filter.state = Some(DeliveryState::Confirmed);
    let page = list_deliveries(store, &filter, None, 3).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let pkid = &page.items[0].pkid;
    let found = find_delivery(store, &node("sys.Provider"), pkid)
        .await
        .unwrap();
    assert_eq!(found.as_ref(), page.items.first());
    let below = find_delivery(store, &node(NODE), pkid).await.unwrap();
    assert_eq!(below, None, "the provider's recipient");
}

#[tokio::test]
async fn dead_letters_since_a_time_are_sent_again() {
    let world =
        World::with_settings(json!({"recipients": ["noc@provider.example"], "budget": 1000})).await;
    world
        .set(
            "sys.Other",
            json!({"recipients": ["noc@other.example"], "budget": 1000}),
        )
        .await;
    let raise = async |numbers: std::ops::Range<u32>, path: &str| {
        for number in numbers {
            let record = world.add_record(number, path, 90 * DAY).await;
            world
                .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
                .await;
            world.channels.fail(DeliveryErrorKind::Permanent, 1);
        }
        world.run_for(HOUR).await;
    };
    raise(1..4, NODE).await;
    world.run_for(DAY).await;
    let outage = world.now();
    raise(10..260, NODE).await;
    raise(300..303, "sys.Other.Fabrikam").await;
    assert_eq!(world.channels.take().len(), 0);
    let store = world.store.as_ref();
    let mut resent = 0;
    let mut calls = 0;
    let mut cursor: Option<String> = None;
    loop {
        let filter = all("sys.Provider");
        let page = resend_since(store, &filter, outage, cursor.as_deref(), world.now()).await;
        let page = page.unwrap();
        resent += page.resent;
        calls += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((resent, calls), (250, 2));
    let again = resend_since(store, &all("sys.Provider"), outage, None, world.now()).await;
    assert_eq!(again.unwrap().resent, 0);
    world.run_for(HOUR).await;
    let sent = world.channels.take();
    let ids: BTreeSet<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!((sent.len(), ids.len()), (250, 250));
    assert!(sent.iter().all(|sent| sent.to == "noc@provider.example"));
    let dead = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        ..all("sys")
    };
    let page = list_deliveries(store, &dead, None, 200).await.unwrap();
    assert_eq!(page.items.len(), 6);
}
