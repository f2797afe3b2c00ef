//! `kill -9` at every step between an alert and the end of the handler of its notice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_e2e::World;
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
    let world = World::builder()
        .setting("refresh.jitter", "0")
        .outbox(Outbox::default())
        .notice_handler(teller.clone(), HandlerOptions::default())
        .start()
        .await;
    let customer = world.add_customer("Contoso").await;
    // Pasted tokens start an import; afterwards, only the refresh and the expiry check are scheduled.
    let sync = SyncSelector::ROLES_LICENSES;
    let imported = world.host().sync(&customer.pkid, sync, false).await;
    let _ = imported.expect("the import succeeds");
    let record = world.record(&customer.pkid).await;
    let due = record["connection"]["next_refresh"].as_u64().unwrap();
    world.clock.advance_to(Timestamp(due));
    assert!(world.emulator.revoke(&customer.organization));
    (world, customer.pkid.to_string(), teller)
}

/// Returns the ids that the victim has told.
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
