//! Changes of an endpoint's health are reported to other recipients.

use super::super::{enable, find_health, list_endpoints};
use super::*;
use crate::health::{DisabledReason, EndpointHealth};
use crate::settings::{NoticeSettings, Recipient};

const CANARY: &str = "canary-path-91ff";

fn webhook(name: &str) -> Value {
    let url = format!("https://{name}.example/{CANARY}?key={CANARY}");
    json!({"type": "webhook", "id": name, "name": name, "url": url})
}

fn parse(json: &Value) -> Recipient {
    let settings: NoticeSettings =
        serde_json::from_value(json!({"recipients": [json]})).expect("valid settings");
    settings.recipients.value().unwrap().values[0].clone()
}

/// Raises a notice each 8 hours.
async fn run_days(world: &World, record: &Pkid, days: u32) {
    for number in 0..days * 3 {
        let number = u64::from(number) + world.clock.now().0;
        world
            .notice(record, &Alert::REAUTHORIZE, NoticeChange::Raised, number)
            .await;
        world.run_for(8 * HOUR).await;
    }
}

/// Takes the notices about endpoints: the recipient, the code, and the hours since the start.
fn take(world: &World) -> Vec<(String, String, i64)> {
    let mut taken = Vec::new();
    for sent in world.channels.take() {
        for notice in sent.message.notices() {
            if notice.kind == NoticeKind::Endpoint {
                assert!(!notice.text.contains(CANARY), "{}", notice.text);
                assert!(
                    notice.text.contains("https://tickets.example"),
                    "{}",
                    notice.text
                );
                let code = notice
                    .code
                    .trim_start_matches("NOTICE_ENDPOINT_")
                    .to_owned();
                taken.push((
                    sent.to.clone(),
                    code,
                    (sent.at - to_time(START)).num_hours(),
                ));
            }
        }
    }
    taken
}

fn codes(taken: &[(String, String, i64)]) -> Vec<(&str, &str)> {
    taken
        .iter()
        .map(|each| (each.0.as_str(), each.1.as_str()))
        .collect()
}

#[tokio::test]
async fn failing_endpoint_is_told_to_others_of_its_level() {
    let recipients = json!([webhook("tickets"), "noc@provider.example", webhook("other")]);
    let kinds = json!(["reauthorize"]);
    let world = World::with_settings(json!({"recipients": recipients, "kinds": kinds})).await;
    world
        .set("sys", json!({"recipients": ["root@sys.example"]}))
        .await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    *world.channels.down.lock() = Some("https://tickets.example".to_owned());
    run_days(&world, &record, 1).await;
    let told = take(&world);
    let other = format!("https://other.example/{CANARY}?key={CANARY}");
    let mut warned = codes(&told);
    warned.sort_unstable();
    let both = |code| vec![(other.as_str(), code), ("noc@provider.example", code)];
    assert_eq!(warned, both("FAILING"));
    assert!(
        told.iter().all(|each| (6..24).contains(&each.2)),
        "{told:?}"
    );
    run_days(&world, &record, 5).await;
    let told = take(&world);
    let mut disabled = codes(&told);
    disabled.sort_unstable();
    assert_eq!(disabled, both("DISABLED"), "once, although it goes on");
    let store = world.store.as_ref();
    let origin = node("sys.Provider");
    let endpoint = parse(&webhook("tickets"));
    let health = find_health(store, &origin, &endpoint).await.unwrap();
    assert_eq!(health.disabled(), Some(DisabledReason::Failures));
    let listed = list_endpoints(store, &origin, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(listed.len(), 2);
    let listed = listed.iter().find(|each| each.health == health).unwrap();
    assert!(!serde_json::to_string(listed).unwrap().contains(CANARY));
    let below = list_endpoints(store, &node(NODE), None, 10).await.unwrap();
    assert_eq!(below.items, []);
    // The endpoint is repaired and enabled by hand, which is not reported.
    *world.channels.down.lock() = None;
    enable(store, &origin, &endpoint, world.now())
        .await
        .unwrap();
    let health = find_health(store, &origin, &endpoint).await.unwrap();
    assert_eq!(health, EndpointHealth::default());
    run_days(&world, &record, 1).await;
    assert_eq!(take(&world), []);
}

#[tokio::test]
async fn only_endpoint_of_a_level_is_told_above() {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    world
        .set("sys", json!({"recipients": ["root@sys.example"]}))
        .await;
    world
        .set(NODE, json!({"recipients": [webhook("tickets")]}))
        .await;
    world
        .set(
            "sys.Provider.Fabrikam",
            json!({"recipients": ["it@fabrikam.example"]}),
        )
        .await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    *world.channels.down.lock() = Some("https://tickets.example".to_owned());
    run_days(&world, &record, 1).await;
    assert_eq!(codes(&take(&world)), [("noc@provider.example", "FAILING")]);
    *world.channels.down.lock() = None;
    world.run_for(DAY).await;
    run_days(&world, &record, 1).await;
    assert_eq!(
        codes(&take(&world)),
        [("noc@provider.example", "RECOVERED")]
    );
    let seen = world.deliveries_from(NODE).await;
    let text = format!("{seen:?}");
    assert!(
        !text.contains("noc@provider") && !text.contains("fabrikam"),
        "{text}"
    );
}
