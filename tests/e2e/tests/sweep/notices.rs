//! `kill -9` at every step between an alert and the end of its notice: of a handler, and of a webhook's delivery.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_app::config::NoticesConfig;
use relation_e2e::webhook_receiver::WebhookReceiver;
use relation_e2e::{Customer, World, WorldBuilder};
use relation_host::clock::Clock as _;
use relation_host::reports::SyncSelector;
use relation_host::types::{NOTICE_MODEL, Timestamp};
use relation_host::{
    HandledWakeup, HandlerError, HandlerOptions, NextRun, Outbox, WakeupHandler, WakeupResult,
};

use crate::{run_victim, text};

/// A handler that notes the ids of the notices.
#[derive(Default)]
struct Teller(Mutex<Vec<String>>);

#[async_trait]
impl WakeupHandler for Teller {
    async fn run(&self, wakeup: &HandledWakeup) -> Result<WakeupResult, HandlerError> {
        let pkid = wakeup.document.reference.pkid.to_string();
        self.0.lock().push(pkid);
        Ok(NextRun::DeleteSubject.into())
    }
}

/// Creates a customer whose refresh is due, and whose grant Webex has revoked.
async fn world_with_revoked_grant() -> (World, String, Arc<Teller>) {
    let teller = Arc::new(Teller::default());
    let builder = World::builder()
        .outbox(Outbox::default())
        .notice_handler(teller.clone(), HandlerOptions::default());
    let (world, customer) = start_connected(builder).await;
    revoke_at_refresh(&world, &customer).await;
    (world, customer.pkid.to_string(), teller)
}

/// Starts a world with a customer, whose only work left is the refresh and the expiry check.
async fn start_connected(builder: WorldBuilder) -> (World, Customer) {
    let world = builder.setting("refresh.jitter", "0").start().await;
    let customer = world.add_customer("Contoso").await;
    // Pasted tokens start an import.
    let sync = SyncSelector::ROLES_LICENSES;
    let imported = world.host().sync(&customer.pkid, sync, false).await;
    let _ = imported.expect("the import succeeds");
    (world, customer)
}

/// Advances the clock to the refresh, and has Webex revoke the grant.
async fn revoke_at_refresh(world: &World, customer: &Customer) {
    let record = world.record(&customer.pkid).await;
    let due = record["connection"]["next_refresh"].as_u64().unwrap();
    world.clock.advance_to(Timestamp(due));
    assert!(world.emulator.revoke(&customer.organization));
}

/// Returns the ids of the notices that the victim has delivered.
fn read_told(world: &World) -> Vec<String> {
    let told = std::fs::read_to_string(world.directory().join("told"));
    told.unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_notice_of_a_refused_refresh() {
    let (world, pkid, _) = world_with_revoked_grant().await;
    let steps = run_victim(&world, 0, &["notices", &pkid]);
    println!("an undisturbed notice has {} steps: {steps:?}", steps.len());
    for wanted in ["after commit", "before telling", "after telling"] {
        assert!(steps.iter().any(|step| step == wanted), "{steps:?}");
    }
    assert_eq!(read_told(&world).len(), 1);
    assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0);

    for (index, step) in steps.iter().enumerate() {
        let (world, pkid, teller) = world_with_revoked_grant().await;
        run_victim(&world, index + 1, &["notices", &pkid]);
        let before = read_told(&world);
        // A claim of the victim ends by itself.
        let _ = world.new_host().await;
        world.run_for(Duration::from_secs(15 * 60)).await;
        let mut ids = before.clone();
        ids.extend(teller.0.lock().drain(..));
        println!("  killed {step:<38} told {} times", ids.len());
        assert!(!ids.is_empty(), "killed {step}, nobody is told");
        assert!(ids.len() <= before.len() + 1, "{step}: {ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 1, "{step}: {ids:?}");
        let alerts = world.bodies("data/Alert").await;
        assert_eq!(alerts.len(), 1, "{step}");
        assert_eq!(text(&alerts[0]["code"]), "WEBEX_REAUTHORIZE", "{step}");
        assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0, "{step}");
        let later = world.clock.now().after(Duration::from_secs(86_400));
        let due = world.host().store().count_due(later, 100).await.unwrap();
        let left = world
            .host()
            .store()
            .upcoming(None, None, 100)
            .await
            .unwrap();
        let notices = left
            .items
            .iter()
            .filter(|due| due.wakeup.kind() == "notice");
        assert_eq!(notices.count(), 0, "{step}: {due} wakeups are due");
    }
}

/// Creates the same customer, whose notices a webhook receives.
async fn world_with_webhook(receiver: &WebhookReceiver) -> (World, String) {
    let notices = NoticesConfig {
        webhook_origins: vec![receiver.origin()],
        ..NoticesConfig::default()
    };
    let (world, customer) = start_connected(World::builder().notices(notices)).await;
    let settings = serde_json::json!({ "recipients": [receiver.recipient("noc")] });
    world.set_notice_settings("sys.Provider", &settings).await;
    // New settings start a check of the customers.
    world.run_for(Duration::from_secs(60)).await;
    revoke_at_refresh(&world, &customer).await;
    (world, customer.pkid.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_delivery_of_a_notice() {
    let receiver = WebhookReceiver::start().await;
    let origin = receiver.origin();
    let (world, pkid) = world_with_webhook(&receiver).await;
    let steps = run_victim(&world, 0, &["deliver", &pkid, &origin]);
    println!("an undisturbed delivery has {} steps", steps.len());
    let commits = steps.iter().filter(|step| *step == "after commit").count();
    assert!(
        commits >= 5,
        "claims and results of routing and delivery: {steps:?}"
    );
    assert_eq!(receiver.take().len(), 1);

    for (index, step) in steps.iter().enumerate() {
        let (world, pkid) = world_with_webhook(&receiver).await;
        run_victim(&world, index + 1, &["deliver", &pkid, &origin]);
        let before = receiver.take();
        // A claim of the victim ends by itself.
        let _ = world.new_host().await;
        world.run_for(Duration::from_secs(15 * 60)).await;
        let mut received = before.clone();
        received.extend(receiver.take());
        println!("  killed {step:<38} told {} times", received.len());
        assert!(!received.is_empty(), "killed {step}, nobody is told");
        assert!(received.len() <= before.len() + 1, "{step}");
        let mut ids: Vec<&str> = received.iter().map(|each| each.id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{step}: {ids:?}");
        let bodies = received.iter().map(|each| &each.body);
        assert!(
            bodies.clone().all(|body| *body == received[0].body),
            "{step}"
        );
        assert_eq!(received[0].kind(), "connection.reauthorize", "{step}");
    }
}
