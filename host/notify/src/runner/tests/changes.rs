//! Settings and records that change between a notice and its delivery.

use super::*;

const QUIET: &str = r#"{"from": "22:00", "to": "06:00", "zone": "UTC"}"#;

/// Starts a world with a notice that waits for the end of the quiet hours, six hours after the start.
async fn waiting_world() -> (World, Pkid) {
    let quiet: Value = serde_json::from_str(QUIET).unwrap();
    let world = World::with_settings(
        json!({"recipients": ["noc@provider.example", "ops@provider.example"], "quiet_hours": quiet}),
    )
    .await;
    let record = world.add_record(1, NODE, 14 * DAY).await;
    world
        .notice(&record, &Alert::expiring(14), NoticeChange::Raised, 1)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(world.states().await, [DeliveryState::Pending; 2]);
    (world, record)
}

fn receivers(world: &World) -> Vec<String> {
    world
        .channels
        .take()
        .into_iter()
        .map(|sent| sent.to)
        .collect()
}

#[tokio::test]
async fn quiet_hours_delay_both() {
    let (world, _) = waiting_world().await;
    world.run_for(4 * HOUR).await;
    assert_eq!(receivers(&world).len(), 0);
    world.run_for(2 * HOUR).await;
    assert_eq!(receivers(&world).len(), 2);
}

#[tokio::test]
async fn removed_recipient_is_not_told() {
    let (world, _) = waiting_world().await;
    world
        .set(
            "sys.Provider",
            json!({"recipients": ["ops@provider.example"]}),
        )
        .await;
    world.run_for(DAY).await;
    assert_eq!(receivers(&world), ["ops@provider.example"]);
    let deliveries = world.deliveries_from("sys").await;
    let dropped = deliveries
        .iter()
        .find(|each| each.state == DeliveryState::Dropped);
    assert!(
        dropped
            .unwrap()
            .reason
            .as_ref()
            .unwrap()
            .contains("settings")
    );
}

#[tokio::test]
async fn notices_that_are_switched_off_are_not_told() {
    let (world, _) = waiting_world().await;
    world.set(NODE, json!({"notify": false})).await;
    world.run_for(DAY).await;
    assert_eq!(receivers(&world).len(), 0);
    assert_eq!(world.states().await, [DeliveryState::Dropped; 2]);
}

#[tokio::test]
async fn moved_record_follows_the_settings_of_its_node() {
    let (world, record) = waiting_world().await;
    let other = json!({"recipients": ["noc@other.example"]});
    world.set("sys.Other", other).await;
    world
        .change_record(&record, "sys.Other.Contoso", |_| {})
        .await;
    world.run_for(DAY).await;
    assert_eq!(
        receivers(&world).len(),
        0,
        "the former provider is not told"
    );
    world
        .notice(&record, &Alert::EXPIRED, NoticeChange::Raised, 2)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world), ["noc@other.example"]);
}

#[tokio::test]
async fn deleted_record_is_not_told() {
    let (world, record) = waiting_world().await;
    world
        .commit(vec![Change::Delete(Reference::record(record))])
        .await;
    world.run_for(DAY).await;
    assert_eq!(receivers(&world).len(), 0);
    assert_eq!(world.states().await, []);
}

#[tokio::test]
async fn recovery_drops_what_is_pending_and_tells_nothing() {
    let (world, record) = waiting_world().await;
    world
        .notice(&record, &Alert::expiring(14), NoticeChange::Cleared, 2)
        .await;
    world.run_for(DAY).await;
    assert_eq!(receivers(&world).len(), 0);
    assert_eq!(world.states().await, [DeliveryState::Dropped; 2]);
}

#[tokio::test]
async fn later_notice_replaces_an_earlier_one() {
    let (world, record) = waiting_world().await;
    world
        .change_record(&record, NODE, |body| body["state"] = "reauthorize".into())
        .await;
    // It is critical, so that it does not wait.
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 2)
        .await;
    world.run_for(DAY).await;
    let sent = world.channels.take();
    let kinds: Vec<_> = sent.iter().flat_map(Sent::kinds).collect();
    assert_eq!(kinds, [NoticeKind::Reauthorize; 2]);
    let deliveries = world.deliveries_from("sys").await.into_iter();
    let dropped = deliveries.filter(|each| each.state == DeliveryState::Dropped);
    assert_eq!(dropped.count(), 2);
}

#[tokio::test]
async fn unreadable_settings_leave_out_their_level_only() {
    let world = World::with_settings(json!({"recipients": ["noc@provider.example"]})).await;
    let own = json!({"recipients": {"mode": "add-to-inherited", "values": ["it@contoso.example"]}});
    world.set(NODE, own.clone()).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    // One notice was routed before the damage.
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
        .await;
    world
        .channels
        .fail(DeliveryErrorKind::Temporary { retry_after: None }, 2);
    world.run_due().await;
    world
        .set(NODE, json!({"thresholds": "of a newer version"}))
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world), ["noc@provider.example"]);
    world
        .notice(&record, &Alert::EXPIRED, NoticeChange::Raised, 2)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world), ["noc@provider.example"]);
    // The delivery to the recipient of the damaged level waits for the settings.
    world.set(NODE, own).await;
    world.run_for(DAY).await;
    assert_eq!(receivers(&world), ["it@contoso.example"]);
}

#[tokio::test]
async fn account_email_is_told_while_the_settings_say_so() {
    let world = World::with_settings(json!({"account_email": true})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world), ["owner@contoso.example"]);
    world
        .channels
        .fail(DeliveryErrorKind::Temporary { retry_after: None }, 1);
    world
        .notice(&record, &Alert::EXPIRED, NoticeChange::Raised, 2)
        .await;
    world.run_due().await;
    world
        .set("sys.Provider", json!({"account_email": false}))
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world).len(), 0);
}

#[tokio::test]
async fn present_address_of_an_endpoint_is_used() {
    let webhook = |url: &str| {
        let recipient = json!({"type": "webhook", "id": "tickets", "name": "tickets", "url": url});
        json!({"recipients": [recipient]})
    };
    let world = World::with_settings(webhook("https://a.example/1")).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    world
        .channels
        .fail(DeliveryErrorKind::Temporary { retry_after: None }, 1);
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
        .await;
    world.run_due().await;
    world
        .set("sys.Provider", webhook("https://b.example/2"))
        .await;
    world.run_for(HOUR).await;
    assert_eq!(receivers(&world), ["https://b.example/2"]);
}
