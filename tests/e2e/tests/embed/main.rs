//! Embedding: the example works, observers learn what a host has done, handlers run the outbox of notices, and nodes have
//! settings of their own.

mod node_settings;
mod notices;
mod notices_channels;
mod notices_life;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_e2e::world::{CLIENT_SECRET, DAY};
use relation_e2e::{World, artifacts};
use relation_host::reports::{Grant, RefreshOutcome};
use relation_host::transactions::Status;
use relation_host::{
    AlertChanged, CallEnded, CallErrorKind, Observer, StashSummary, WakeupEnded, WakeupOutcome,
};
use secrecy::SecretString;
use webex_emulator::{Consent, Fault};

#[test]
fn embedding_example_connects_a_customer() {
    let output = Command::new(artifacts::example("embed"))
        .arg(artifacts::component())
        .output()
        .expect("the example starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("Contoso is not-connected"), "{stdout}");
    let created = |model: &str| {
        let lines = stdout.lines().filter(|line| line.starts_with("created "));
        lines.filter(|line| line.contains(model)).count()
    };
    let counts = ["data/SparkCustomer", "data/DataSync", "data/Schedule"].map(created);
    assert_eq!(counts, [1, 3, 2], "{stdout}");
    for line in [
        "complete-connect: Success",
        "Contoso is connected",
        "refresh: Success",
        "refreshed; the next refresh is due at ",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
}

/// A recorder of events as texts.
#[derive(Default)]
struct EventLog {
    events: Mutex<Vec<String>>,
    /// The transactions of ended calls, with the status.
    transactions: Mutex<Vec<(String, Status)>>,
    /// All events in full.
    debug: Mutex<String>,
    panics: AtomicBool,
}

impl EventLog {
    fn note(&self, event: String, debug: String) {
        self.events.lock().push(event);
        self.debug.lock().push_str(&debug);
        assert!(!self.panics.load(Ordering::Relaxed), "a fault of this test");
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock())
    }
}

impl Observer for EventLog {
    fn call_ended(&self, event: &CallEnded<'_>) {
        assert!(event.stored);
        let transaction = (event.transaction.to_owned(), event.status);
        self.transactions.lock().push(transaction);
        let error = event.error.map(|error| match error {
            CallErrorKind::Refused(failure) => failure.case(),
            _ => "another error",
        });
        let (action, status) = (event.action, event.status.as_str());
        let text = format!("{action}: {status} {}", error.unwrap_or_default());
        self.note(text.trim_end().to_owned(), format!("{event:?}"));
    }

    fn wakeup_ended(&self, event: &WakeupEnded<'_>) {
        let outcome = match event.outcome {
            WakeupOutcome::Finished(result) => result.is_ok().to_string(),
            other => format!("{other:?}"),
        };
        let text = format!("wakeup {}: {outcome}", event.due.wakeup.id);
        self.note(text, format!("{event:?}"));
    }

    fn alert_changed(&self, event: &AlertChanged<'_>) {
        let code = event.code.unwrap_or("unknown");
        let text = format!("alert {code}: {} {}", event.change, event.count);
        self.note(text, format!("{event:?}"));
    }
}

async fn observed_world() -> (World, Arc<EventLog>) {
    let log = Arc::new(EventLog::default());
    let world = World::builder().observer(log.clone()).start().await;
    (world, log)
}

#[tokio::test]
async fn observer_learns_of_calls_wakeups_and_alerts() {
    let (world, log) = observed_world().await;
    let customer = world.add_customer("Contoso").await;
    let (host, pkid) = (world.host(), &customer.pkid);
    assert_eq!(log.take(), ["add: Success"]);

    world.run_for(DAY).await;
    let refreshed = ["refresh: Success", "wakeup refresh: true"];
    let events = log.take();
    assert_eq!(events[..2], refreshed, "{events:?}");

    assert!(world.emulator.revoke(&customer.organization));
    let report = host.refresh(pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
    let refused = ["alert WEBEX_REAUTHORIZE: raised 1", "refresh: Fail"];
    assert_eq!(log.take(), refused);

    let redirect = "http://127.0.0.1:8400/callback";
    world.emulator.add_redirect_uri(redirect);
    let begun = host.connect(pkid, Grant::Organization, redirect).await;
    let consent = Consent::accept(&customer.organization);
    let callback = world
        .emulator
        .authorize(&begun.unwrap().value.url, &consent);
    let callback = SecretString::from(callback.unwrap());
    let _ = host.complete_connect(pkid, &callback).await.unwrap();
    let connected = [
        "connect: Success",
        "alert WEBEX_REAUTHORIZE: cleared 1",
        "complete-connect: Success",
    ];
    assert_eq!(log.take(), connected);

    let _ = host.delete(pkid, false).await.unwrap();
    assert_eq!(log.take(), ["delete: Success"]);
    host.refresh(pkid).await.unwrap_err();
    assert_eq!(log.take(), ["refresh: Fail not-found"]);

    let ended = log.transactions.lock().clone();
    for (id, status) in ended {
        let stored = host.store().transaction(&id).await.unwrap();
        assert_eq!(stored.unwrap().status, status);
    }
    let debug = log.debug.lock().clone();
    let tokens = customer.grant.json();
    for secret in ["access_token", "refresh_token"] {
        assert!(!debug.contains(tokens[secret].as_str().unwrap()));
    }
    assert!(!debug.contains(CLIENT_SECRET));
}

#[tokio::test]
async fn repeated_alert_counts_its_occurrences() {
    let (world, log) = observed_world().await;
    let customer = world.add_customer("Contoso").await;
    let body = serde_json::json!({ "error": "invalid_client" });
    let fault = Fault::status_with_body("/v1/access_token", 401, body);
    world.emulator.inject(fault.times(2));
    for alert in [
        "alert WEBEX_INTEGRATION_REFUSED: raised 1",
        "alert WEBEX_INTEGRATION_REFUSED: repeated 2",
        // Removed without having been read.
        "alert unknown: cleared 0",
    ] {
        log.take();
        let _ = world.host().refresh(&customer.pkid).await.unwrap();
        let events = log.take();
        assert_eq!(events[0], alert, "{events:?}");
        world.clock.advance(DAY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_is_reported_once_it_is_stored() {
    let (world, log) = observed_world().await;
    let customer = world.add_customer("Contoso").await;
    assert!(world.emulator.revoke(&customer.organization));
    log.take();
    let fault = StoreFault::failing(Operation::Commit).times(u32::MAX);
    world.store_faults.inject(fault);
    world.host().refresh(&customer.pkid).await.unwrap_err();
    assert_eq!(log.take(), ["refresh: Fail unavailable"]);
    world.store_faults.clear();
    // The refusal was stashed, or else the next refresh learns of it.
    let applied = world.host().replay_stash().await;
    if applied == StashSummary::default() {
        let _ = world.host().refresh(&customer.pkid).await.unwrap();
    }
    let events = log.take();
    assert_eq!(events[0], "alert WEBEX_REAUTHORIZE: raised 1", "{events:?}");
}

#[tokio::test]
async fn panicking_observer_changes_no_call() {
    let (world, log) = observed_world().await;
    log.panics.store(true, Ordering::Relaxed);
    let customer = world.add_customer("Contoso").await;
    assert!(world.emulator.revoke(&customer.organization));
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
    assert_eq!(world.bodies("data/Alert").await.len(), 1);
    assert_eq!(world.run_for(DAY).await.failed, 0);
}
