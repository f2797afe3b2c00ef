//! Determinism: the same component, calls and seed give the same transcript, byte for byte. Runs every call, on
//! both stores, with a script and with the emulator.

use std::collections::BTreeSet;
use std::sync::Arc;

use relation_harness::emulated::emulator_clock;
use relation_harness::harness::START_TIME;
use relation_harness::script::{NetworkFault, RequestPattern, ScriptedResponse, Step};
use relation_harness::{Call, EmulatedWebex, Harness, Http, StoreKind};
use relation_host::clock::ManualClock;
use secrecy::SecretString;
use serde_json::{Value, json};
use webex_emulator::{
    Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Mode,
    Organization, Webex,
};

use crate::{DAY, add, harness, refresh, script, tokens};

/// Adds a customer, lets 90 days pass with a refresh that fails once, and deletes the customer.
async fn run_lifecycle(seed: u64, store: StoreKind) -> String {
    let lost = Step::new(refresh(), ScriptedResponse::fault(NetworkFault::Timeout)).named("lost");
    let revocation = RequestPattern::new("DELETE", "https://webexapis.com/v1/authorizations");
    let script = script()
        .then(lost)
        .always(refresh(), ScriptedResponse::json(200, tokens(2)))
        .always(revocation, ScriptedResponse::status(204));
    let harness = harness().seed(seed).store(store).http(Http::Script(script));
    let harness = harness.start().await.unwrap();
    let pkid = add(&harness).await;
    let calls = harness.advance(90 * DAY).await;
    assert!(calls.len() > 12, "{}", calls.len());
    let gone = harness.delete(&pkid, false).await;
    assert!(gone.result.is_ok(), "{:?}", gone.result);
    let left = harness.snapshot().await.unwrap();
    assert_eq!((left.secrets.len(), left.wakeups.len()), (0, 0));
    harness.finish().unwrap().to_string()
}

#[tokio::test]
async fn same_seed_gives_the_same_transcript() {
    let once = run_lifecycle(7, StoreKind::Memory).await;
    assert_eq!(run_lifecycle(7, StoreKind::Memory).await, once);
    assert_ne!(run_lifecycle(8, StoreKind::Memory).await, once);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_on_many_threads_matches_memory_on_one() {
    let once = run_lifecycle(7, StoreKind::Memory).await;
    assert_eq!(run_lifecycle(7, StoreKind::Sqlite).await, once);
}

const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// Returns an emulated Webex that uses `clock`.
fn webex(clock: &Arc<ManualClock>) -> (Webex, Organization) {
    let webex = Emulator::builder()
        .clock(emulator_clock(clock))
        .seed(1)
        .mode(Mode::Rotate)
        .in_process();
    webex.add_redirect_uri(REDIRECT);
    let organization = webex.create_organization("Acme");
    (webex, organization)
}

async fn call_ok(harness: &Harness, call: Value) -> Value {
    let call: Call = serde_json::from_value(call).unwrap();
    let seen = harness.call(call).await;
    seen.result.unwrap_or_else(|failed| panic!("{failed}"))
}

/// Runs every call, on two hosts, with a crash and time between them.
async fn run_every_call(seed: u64, store: StoreKind) -> String {
    let clock = Arc::new(ManualClock::new(START_TIME));
    let (webex, organization) = webex(&clock);
    let mut harness = harness()
        .clock(clock)
        .setting("webex.client-id", DEFAULT_CLIENT_ID)
        .setting("webex.scopes", DEFAULT_SCOPES.join(" "))
        .secret(
            "webex.client-secret",
            SecretString::from(DEFAULT_CLIENT_SECRET),
        )
        .seed(seed)
        .store(store)
        .http(Http::Transport(Arc::new(EmulatedWebex::new(webex.clone()))))
        .start()
        .await
        .unwrap();

    call_ok(&harness, json!({ "workflow": "describe" })).await;
    let added = call_ok(
        &harness,
        json!({
            "workflow": "add",
            "hierarchy": "sys.Provider.Reseller.Acme",
            "fields": { "name": "Acme", "account_number_external": organization.uuid },
            "idempotency_key": "the first",
        }),
    )
    .await;
    let pkid = added["connection"]["pkid"].clone();
    let connect = json!({ "workflow": "connect", "pkid": pkid, "redirect_uri": REDIRECT });
    let begun = call_ok(&harness, connect).await;
    let consent = Consent::accept(&organization.uuid);
    let callback = webex.authorize(begun["url"].as_str().unwrap(), &consent);
    let callback = callback.unwrap();
    let complete = json!({ "workflow": "complete-connect", "pkid": pkid, "callback": callback });
    call_ok(&harness, complete).await;
    harness.advance(8 * DAY).await;

    let another = harness.another_host().await.unwrap();
    let refresh = json!({ "workflow": "refresh", "pkid": pkid });
    let refresh = harness.call_on(another, serde_json::from_value(refresh).unwrap());
    assert!(refresh.await.result.is_ok());
    call_ok(
        &harness,
        json!({ "workflow": "check-expiry", "pkid": pkid }),
    )
    .await;
    let sync = json!({ "workflow": "sync", "pkid": pkid, "sync": "roles-licenses" });
    call_ok(&harness, sync).await;
    harness.restart().await.unwrap();
    let modify = json!({ "workflow": "modify", "pkid": pkid, "fields": { "name": "Acme 2" } });
    call_ok(&harness, modify).await;
    harness.advance(8 * DAY).await;
    let dry = json!({ "workflow": "delete", "pkid": pkid, "dry_run": true });
    call_ok(&harness, dry).await;
    call_ok(&harness, json!({ "workflow": "delete", "pkid": pkid })).await;
    let transcript = harness.finish().unwrap();

    let workflow_of = |call: &Value| call["workflow"].as_str().unwrap_or("wake").to_owned();
    let called: BTreeSet<String> = transcript
        .calls
        .iter()
        .map(|call| workflow_of(&call.input))
        .collect();
    assert_eq!(called.len(), 10, "a workflow was not called: {called:?}");
    transcript.to_string()
}

#[tokio::test]
async fn every_call_is_deterministic_on_both_stores() {
    let once = run_every_call(7, StoreKind::Memory).await;
    assert_eq!(run_every_call(7, StoreKind::Memory).await, once);
    assert_eq!(run_every_call(7, StoreKind::Sqlite).await, once);
    assert_ne!(run_every_call(8, StoreKind::Memory).await, once);
}
