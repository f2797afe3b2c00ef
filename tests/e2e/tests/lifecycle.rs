//! One customer's lifecycle through the real component: added, refreshed on schedule, warned,
//! expired, deleted with everything it created.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

use relation_e2e::World;
use relation_e2e::world::{DAY, START_TIME};
use relation_host::CallErrorKind;
use relation_host::clock::Clock;
use relation_host::reports::{RefreshOutcome, Revocation, State};
use relation_host::types::Failure;
use serde_json::Value;
use webex_emulator::Mode;

#[tokio::test(flavor = "multi_thread")]
async fn add_creates_record_syncs_and_schedules() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    let connection = &customer.added.value.connection;
    assert_eq!(connection.state, State::Connected);
    let expires = connection.access_token_expires.unwrap();
    assert!(!expires.assumed);
    assert_eq!(expires.at.since(START_TIME).as_secs() / 86_400, 14);

    let mut syncs: Vec<String> = names(&world.bodies("data/DataSync").await);
    syncs.sort();
    assert_eq!(
        syncs,
        [
            "SyncSparkContoso",
            "SyncSparkRolesLicensesContoso",
            "SyncSparkUsersContoso"
        ]
    );
    assert_eq!(world.bodies("data/Schedule").await.len(), 2);
    assert_eq!(customer.added.value.created.len(), 1 + 3 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_keep_the_connection_for_90_days() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    let summary = world.run_for(90 * DAY).await;
    assert_eq!(summary.failed, 0);
    // Every 7 days at the latest, and a little earlier by its own jitter.
    let refreshes = world.token_requests();
    assert!(
        (12..=15).contains(&refreshes),
        "{refreshes} refreshes in 90 days"
    );
    let record = world.record(&customer.pkid).await;
    assert_eq!(record["connection"]["state"], "connected");
    let left = record["connection"]["refresh"]["at"].as_u64().unwrap() - world.clock.now().0;
    assert!(
        left > 80 * 86_400_000,
        "the refresh token's lifetime is not extended: {left} ms left"
    );
    assert!(world.bodies("data/Alert").await.is_empty());
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn expiring_refresh_token_alerts_at_each_threshold() {
    let world = World::builder().mode(Mode::FrozenClock).start().await;
    let customer = world.add_customer("Contoso").await;
    world.run_for(91 * DAY).await;

    let record = world.record(&customer.pkid).await;
    assert_eq!(record["connection"]["state"], "expired");
    let mut alerts: Vec<(String, u64, u64)> = world
        .bodies("data/Alert")
        .await
        .iter()
        .map(|alert| {
            let days = alert["threshold"].as_u64().unwrap() / 86_400_000;
            (
                alert["code"].as_str().unwrap().to_owned(),
                days,
                alert["count"].as_u64().unwrap(),
            )
        })
        .collect();
    alerts.sort();
    let expiring = |days| ("WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(), days, 1);
    assert_eq!(
        alerts,
        [
            ("WEBEX_REFRESH_TOKEN_EXPIRED".to_owned(), 0, 1),
            expiring(2),
            expiring(7),
            expiring(14),
            expiring(30)
        ]
    );

    // No more requests to Webex.
    let before = world.token_requests();
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Expired);
    world.run_for(30 * DAY).await;
    assert_eq!(world.token_requests(), before);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_leaves_only_transactions_and_revokes() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    world.run_for(20 * DAY).await;

    let dry = world
        .host()
        .delete(&customer.pkid, true)
        .await
        .unwrap()
        .value;
    assert_eq!(world.record(&customer.pkid).await["name"], "Contoso");
    let done = world
        .host()
        .delete(&customer.pkid, false)
        .await
        .unwrap()
        .value;
    assert_eq!(dry.documents, done.documents);
    assert_eq!(done.revocation, Revocation::Revoked);
    let models: Vec<&str> = done
        .documents
        .iter()
        .map(|(of, _)| of.model.as_str())
        .collect();
    assert_eq!(models.first(), Some(&"data/Schedule"));
    assert_eq!(models.last(), Some(&"data/SparkCustomer"));

    for model in [
        "data/SparkCustomer",
        "data/DataSync",
        "data/Schedule",
        "data/Alert",
        "data/SparkCustomerShadow",
    ] {
        assert!(world.bodies(model).await.is_empty(), "{model} is left");
    }
    assert_eq!(world.host().store().next_due().await.unwrap(), None);
    let requests = world.token_requests();
    world.run_for(100 * DAY).await;
    assert_eq!(world.token_requests(), requests);

    let again = world
        .host()
        .delete(&customer.pkid, false)
        .await
        .unwrap_err();
    assert!(
        matches!(again.kind, CallErrorKind::Refused(Failure::NotFound(_))),
        "{again}"
    );
}

fn names(bodies: &[Value]) -> Vec<String> {
    bodies
        .iter()
        .map(|body| body["name"].as_str().unwrap().to_owned())
        .collect()
}
