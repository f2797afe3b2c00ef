//! Many connections that expire on one day are few messages, and none is lost.

use std::collections::BTreeSet;

use super::thresholds::run_on_two_for;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_notices_of_a_day_are_bounded_messages() {
    check_many(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn notices_of_5000_customers_are_bounded_messages() {
    check_many(5_000).await;
}

/// Checks the messages about many customers whose connections expire on one day.
async fn check_many(count: u32) {
    let settings = json!({"recipients": ["noc@provider.example"], "budget": 4});
    let world = World::with_settings(settings).await;
    for number in 1..=count {
        let record = world.add_record(number, NODE, 2 * DAY).await;
        world
            .notice(&record, &Alert::expiring(2), NoticeChange::Raised, 1)
            .await;
    }
    world.run_for(8 * HOUR).await;
    let sent = world.channels.take();
    assert!(sent.len() <= 4 * 9, "{}", sent.len());
    for pair in sent.windows(5) {
        let time = pair[4].at - pair[0].at;
        assert!(time >= chrono::TimeDelta::hours(1), "the budget holds");
    }
    let told: u64 = sent
        .iter()
        .map(|sent| match &sent.message {
            Message::Single(_) => 1,
            Message::Digest(digest) => digest.notices.len() as u64 + digest.more,
        })
        .sum();
    assert_eq!(told, u64::from(count), "each is told once");
    let ids: BTreeSet<&str> = sent.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(ids.len(), sent.len());
    let filter = DeliveryFilter {
        node: node("sys"),
        state: Some(DeliveryState::Confirmed),
        record: None,
        day: None,
    };
    let mut cursor: Option<String> = None;
    let mut listed = 0;
    loop {
        let store = world.store.as_ref();
        let page = list_deliveries(store, &filter, cursor.as_deref(), u32::MAX)
            .await
            .unwrap();
        assert!(page.items.len() <= 200, "a page is bounded");
        listed += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(u32::try_from(listed), Ok(count));
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_holds_on_two_hosts() {
    let settings = json!({"recipients": ["noc@provider.example"], "budget": 1});
    let world = World::with_settings(settings).await;
    for number in 1..=40 {
        let record = world.add_record(number, NODE, 2 * DAY).await;
        world
            .notice(&record, &Alert::expiring(2), NoticeChange::Raised, 1)
            .await;
    }
    run_on_two_for(&world, 6 * HOUR).await;
    let sent = world.channels.take();
    for pair in sent.windows(2) {
        assert!(pair[1].at - pair[0].at >= chrono::TimeDelta::hours(1));
    }
    let told: Vec<&str> = sent
        .iter()
        .flat_map(|sent| sent.message.notices())
        .map(|notice| notice.id.as_str())
        .collect();
    let ids: BTreeSet<&str> = told.iter().copied().collect();
    assert_eq!((told.len(), ids.len()), (40, 40), "each is told once");
}

#[tokio::test]
async fn daily_digest_is_one_message() {
    let digest = json!({"hour": 7, "zone": "UTC"});
    let settings = json!({"recipients": ["noc@provider.example"], "digest": digest});
    let world = World::with_settings(settings).await;
    for number in 1..=60 {
        let record = world.add_record(number, NODE, 14 * DAY).await;
        world
            .notice(&record, &Alert::expiring(14), NoticeChange::Raised, 1)
            .await;
    }
    world.run_for(DAY).await;
    let sent = world.channels.take();
    let [only] = &sent[..] else {
        panic!("{} messages", sent.len());
    };
    let hours = (only.at - to_time(START)).num_minutes();
    assert!((420..430).contains(&hours), "{hours}");
    let Message::Digest(digest) = &only.message else {
        panic!("a digest");
    };
    assert_eq!((digest.notices.len(), digest.more), (50, 10));
    assert!(world.states().await.iter().all(|state| state.is_told()));
}
