//! Failed attempts, dead letters, sending again, and listings.

use relation_host::types::Filter;

use super::super::{
    RecordFacts, ResendError, count_failures, list_routings, load_history, resend, resend_since,
};
use super::*;
use crate::routing::Reason;

const TEMPORARY: DeliveryErrorKind = DeliveryErrorKind::Temporary { retry_after: None };
const CANARY: &str = "canary-token-8c1d";

async fn world_with_notice(recipient: Value) -> (World, Pkid) {
    let world = World::with_settings(json!({"recipients": [recipient]})).await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
        .await;
    (world, record)
}

async fn first(world: &World) -> (Pkid, StoredDelivery) {
    let filter = DeliveryFilter {
        node: node("sys"),
        state: None,
        record: None,
        day: Some("2026-01-01".parse().unwrap()),
    };
    let page = list_deliveries(world.store.as_ref(), &filter, None, 10).await;
    let listed = page.unwrap().items.pop().unwrap();
    (listed.pkid, listed.stored)
}

#[tokio::test]
async fn failed_attempt_is_repeated_with_its_id() {
    let (world, _) = world_with_notice(json!("noc@provider.example")).await;
    world.channels.fail(TEMPORARY, 2);
    world.run_for(HOUR).await;
    let sent = world.channels.take();
    let (_, stored) = first(&world).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].id, stored.delivery.id.as_str());
    assert_eq!(stored.state, DeliveryState::Confirmed);
    let log: Vec<_> = stored.attempts.log.iter().map(|each| each.sent).collect();
    assert_eq!(log, [false, false, true]);
    assert_eq!(stored.attempts.log[0].reply, "451 4.3.0 try again");
    assert_eq!(stored.attempts.log[2].reply, "250 queued");
}

#[tokio::test]
async fn dead_letter_is_sent_again() {
    let (world, _) = world_with_notice(json!("noc@provider.example")).await;
    world.channels.fail(TEMPORARY, 100);
    world.run_for(8 * DAY).await;
    let (pkid, stored) = first(&world).await;
    assert_eq!(stored.state, DeliveryState::Dead);
    assert_eq!(stored.attempts.log.len(), 10);
    assert!(stored.reason.is_some());
    world.channels.errors.lock().clear();
    let now = world.now();
    let store = world.store.as_ref();
    let elsewhere = resend(store, &node(NODE), &pkid, now).await;
    assert!(
        matches!(elsewhere, Err(ResendError::NotFound)),
        "the provider's recipient"
    );
    resend(store, &node("sys.Provider"), &pkid, now)
        .await
        .unwrap();
    let pending = resend(store, &node("sys.Provider"), &pkid, now).await;
    assert!(matches!(pending, Err(ResendError::Pending)));
    world.run_for(HOUR).await;
    let sent = world.channels.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].id, stored.delivery.id.as_str());
    let (_, again) = first(&world).await;
    assert_eq!((again.state, again.resent), (DeliveryState::Confirmed, 1));
    assert_eq!(again.attempts.log.len(), 11);
}

#[tokio::test]
async fn unknown_result_is_repeated_once() {
    let (world, _) = world_with_notice(json!("noc@provider.example")).await;
    world.channels.fail(DeliveryErrorKind::Unknown, 2);
    world.run_for(DAY).await;
    assert_eq!(world.channels.take().len(), 0);
    let (_, stored) = first(&world).await;
    assert_eq!(stored.state, DeliveryState::Dead);
    assert_eq!(stored.attempts.count, 2);
}

#[tokio::test]
async fn endpoint_that_is_gone_gets_nothing_more() {
    let url = format!("https://tickets.example/hooks/{CANARY}?key={CANARY}");
    let webhook = json!({"type": "webhook", "name": "tickets", "url": url});
    let (world, record) = world_with_notice(webhook).await;
    world.channels.fail(DeliveryErrorKind::Gone, 1);
    world.run_for(HOUR).await;
    let expired = Alert::EXPIRED;
    world
        .notice(&record, &expired, NoticeChange::Raised, 2)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(world.channels.take().len(), 0);
    let deliveries = world.deliveries_from("sys").await;
    assert!(
        deliveries
            .iter()
            .all(|each| each.state == DeliveryState::Dead)
    );
    let untried = deliveries
        .iter()
        .find(|each| each.attempts.count == 0)
        .unwrap();
    assert!(untried.reason.as_ref().unwrap().contains("disabled"));
    // An administrator sends one again, which enables the endpoint. It has the whole address.
    let (pkid, _) = first(&world).await;
    let store = world.store.as_ref();
    let counts = count_failures(store).await.unwrap();
    assert_eq!((counts.dead, counts.disabled), (2, 1));
    resend(store, &node("sys"), &pkid, world.now())
        .await
        .unwrap();
    world.run_for(HOUR).await;
    let sent = world.channels.take();
    assert_eq!(sent[0].to, url);
    let counts = count_failures(store).await.unwrap();
    assert_eq!((counts.dead, counts.disabled), (1, 0));
}

#[tokio::test]
async fn stored_deliveries_have_no_secrets_or_other_tenants() {
    let webhook =
        json!({"type": "webhook", "name": "NOC", "url": format!("https://x.example/{CANARY}")});
    let recipients = json!(["noc@provider.example", webhook]);
    let world = World::with_settings(json!({"recipients": recipients, "budget": 1})).await;
    for (number, name) in [(1, "Contoso"), (2, "Fabrikam"), (3, "Fabrikam")] {
        let path = format!("sys.Provider.{name}");
        let own = json!({"mode": "add-to-inherited", "values": [format!("it@{name}.example")]});
        world
            .set(&path, json!({"recipients": own, "budget": 1}))
            .await;
        let record = world.add_record(number, &path, 90 * DAY).await;
        let named = format!("{name} {number}");
        world
            .change_record(&record, &path, |body| body["name"] = named.into())
            .await;
        world
            .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
            .await;
    }
    world.run_for(2 * HOUR).await;
    assert!(world.states().await.iter().all(|state| state.is_told()));
    for model in [
        "NoticeDelivery",
        "NoticeRouting",
        "NoticeMessage",
        "NoticeRecipient",
    ] {
        let filter = Filter {
            model: format!("host/{model}"),
            hierarchy: None,
            equals: Vec::new(),
        };
        for document in world.store.find(&filter, None, 1000).await.unwrap().items {
            let text = format!("{document:?}");
            assert!(!text.contains(CANARY), "{text}");
            for (name, other) in [("Contoso", "Fabrikam"), ("Fabrikam", "Contoso")] {
                let is_of = document.hierarchy.as_str().contains(name);
                assert!(!(is_of && text.contains(other)), "{text}");
                assert!(!(is_of && text.contains("noc@provider")), "{text}");
            }
        }
    }
    // A customer's administrator sees only the deliveries to the customer's recipients.
    let seen = world.deliveries_from("sys.Provider.Contoso").await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].delivery.origin, node("sys.Provider.Contoso"));
    for sent in world.channels.take() {
        let text = format!("{:?}", sent.message);
        assert!(sent.to.contains("x.example") || !text.contains(CANARY));
        assert!(!sent.to.contains("it@Contoso") || !text.contains("Fabrikam"));
    }
}

#[tokio::test]
async fn reason_against_a_delivery_is_kept() {
    let settings = json!({"recipients": ["noc@provider.example"], "channels": {"mail": false}});
    let world = World::with_settings(settings).await;
    world
        .set(
            NODE,
            json!({"recipients": {"mode": "add-to-inherited", "values": ["it@contoso.example"]}}),
        )
        .await;
    let record = world.add_record(1, NODE, 90 * DAY).await;
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Raised, 1)
        .await;
    world.run_for(HOUR).await;
    assert_eq!(world.states().await, []);
    let store = world.store.as_ref();
    let count = async |path: &str| {
        let page = list_routings(store, &node(path), Some(&record), None, 10).await;
        let routing = page.unwrap().items.pop().unwrap();
        assert!(
            routing
                .not_made
                .iter()
                .all(|each| each.reason == Reason::ChannelOff)
        );
        let named = routing
            .not_made
            .iter()
            .filter(|each| each.recipient.is_some());
        (routing.not_made.len(), named.count())
    };
    assert_eq!(count("sys.Provider").await, (2, 1));
    assert_eq!(count(NODE).await, (1, 1));
}

#[tokio::test]
async fn ended_delivery_is_forgotten_after_its_time() {
    let (world, _) = world_with_notice(json!("noc@provider.example")).await;
    world.run_for(179 * DAY).await;
    assert_eq!(world.states().await, [DeliveryState::Confirmed]);
    world.run_for(2 * DAY).await;
    assert_eq!(world.states().await, []);
    assert_eq!(world.store.next_due(None).await.unwrap(), None);
}

#[tokio::test]
async fn letter_that_comes_too_late_names_the_last_error() {
    let recipients = json!({"recipients": ["noc@provider.example"]});
    let world = World::with_settings(recipients).await;
    let record = world.add_record(1, NODE, 2 * DAY).await;
    world
        .notice(&record, &Alert::expiring(2), NoticeChange::Raised, 1)
        .await;
    world.channels.fail(TEMPORARY, 100);
    world.run_for(3 * DAY).await;
    let (_, stored) = first(&world).await;
    assert_eq!(stored.state, DeliveryState::Dead);
    let reason = stored.reason.unwrap();
    assert!(
        reason.ends_with("too late to be useful; the last attempt: 451 4.3.0 try again"),
        "{reason}"
    );
}

#[tokio::test]
async fn unconfigured_way_does_not_disable_an_endpoint() {
    let hook = json!({"type": "webhook", "id": "hook", "name": "t", "url": "https://t.example/a"});
    let (world, _) = world_with_notice(hook).await;
    world.channels.fail(DeliveryErrorKind::NotAttempted, 9);
    world.run_for(6 * DAY).await;
    let (_, stored) = first(&world).await;
    assert_eq!(stored.state, DeliveryState::Confirmed);
    assert_eq!(stored.attempts.count, 10);
    assert_eq!(world.channels.take().len(), 1, "no warning");
}

#[tokio::test]
async fn stale_dead_letters_are_not_sent_again_together() {
    let settings = json!({"recipients": ["noc@provider.example"], "thresholds": ["2d"]});
    let world = World::with_settings(settings).await;
    let (passed, current) = (
        world.add_record(1, NODE, 2 * DAY).await,
        world.add_record(2, NODE, 5 * DAY).await,
    );
    let recovered = world.add_record(3, NODE, 90 * DAY).await;
    let broken = world.add_record(4, NODE, 90 * DAY).await;
    let raise = async |record: &Pkid, alert: &Alert, change, number| {
        world.channels.fail(DeliveryErrorKind::Permanent, 1);
        world.notice(record, alert, change, number).await;
        world.run_for(HOUR).await;
    };
    raise(&passed, &Alert::expiring(2), NoticeChange::Raised, 1).await;
    raise(&recovered, &Alert::REAUTHORIZE, NoticeChange::Raised, 1).await;
    raise(&broken, &Alert::REAUTHORIZE, NoticeChange::Raised, 1).await;
    let cleared = NoticeChange::Cleared;
    raise(&recovered, &Alert::REAUTHORIZE, cleared, 2).await;
    world.channels.errors.lock().clear();
    world.run_for(3 * DAY).await;
    raise(&current, &Alert::expiring(2), NoticeChange::Raised, 1).await;
    assert_eq!(world.channels.take().len(), 0);
    let filter = DeliveryFilter {
        node: node("sys"),
        state: None,
        record: None,
        day: None,
    };
    let since = to_time(START);
    let store = world.store.as_ref();
    let page = resend_since(store, &filter, since, None, world.now()).await;
    assert_eq!(page.unwrap().resent, 2);
    world.run_for(HOUR).await;
    let mut told: Vec<String> = Vec::new();
    for sent in world.channels.take() {
        told.extend(
            sent.message
                .notices()
                .iter()
                .map(|each| each.record.clone()),
        );
    }
    told.sort();
    assert_eq!(told, [current.to_string(), broken.to_string()]);
}

#[tokio::test]
async fn late_or_repeated_recovery_keeps_the_end_of_a_hold() {
    let (world, record) = world_with_notice(json!("noc@provider.example")).await;
    world.run_for(HOUR).await;
    let recovered = world.now();
    world
        .notice(&record, &Alert::REAUTHORIZE, NoticeChange::Cleared, 2)
        .await;
    world.channels.fail(TEMPORARY, 2);
    world.run_for(HOUR / 2).await;
    let kinds: Vec<_> = world.channels.take().iter().flat_map(Sent::kinds).collect();
    assert_eq!(kinds, [NoticeKind::Reauthorize, NoticeKind::Recovered]);
    let facts = RecordFacts::find(world.host().facts.as_ref(), &record, "organization").await;
    let facts = facts.unwrap().unwrap();
    let defaults = settings::Defaults::default();
    let history = load_history(world.store.as_ref(), &facts, &defaults, world.now()).await;
    let history = history.unwrap();
    assert_eq!(history.recovered, Some(recovered));
    assert!(history.recovery_told > history.recovered);
}
