//! The same component, calls and seed give the same transcript, byte for byte: every call there is, on
//! both stores, with HTTP from a script and from the emulator.

use std::collections::BTreeSet;
use std::sync::Arc;

use relation_harness::emulated::time_of;
use relation_harness::harness::BEGINNING;
use relation_harness::script::{Answer, Fault, RequestPattern, Step};
use relation_harness::{Call, Emulated, Harness, Http, StoreKind};
use relation_host::schedule::clock::ManualClock;
use secrecy::SecretString;
use serde_json::{Value, json};
use webex_emulator::{
    Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Mode,
    Organization, Webex,
};

use crate::{DAY, add, harness, refresh, script, tokens};

/// Adds a customer, lets 90 days pass with a refresh that fails once, and takes it away.
async fn life(seed: u64, store: StoreKind) -> String {
    let lost = Step::new(refresh(), Answer::fault(Fault::Timeout)).named("lost");
    let revocation = RequestPattern::new("DELETE", "https://webexapis.com/v1/authorizations");
    let script = script()
        .then(lost)
        .always(refresh(), Answer::json(200, tokens(2)))
        .always(revocation, Answer::status(204));
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
async fn the_same_seed_gives_the_same_life_byte_for_byte() {
    let once = life(7, StoreKind::Memory).await;
    assert_eq!(life(7, StoreKind::Memory).await, once);
    assert_ne!(life(8, StoreKind::Memory).await, once);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_on_many_threads_gives_the_same_life_as_memory_on_one() {
    let once = life(7, StoreKind::Memory).await;
    assert_eq!(life(7, StoreKind::Sqlite).await, once);
}

const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// An emulated Webex that goes by `clock`.
fn webex(clock: &Arc<ManualClock>) -> (Webex, Organization) {
    let webex = Emulator::builder()
        .clock(time_of(clock))
        .seed(1)
        .mode(Mode::Rotate)
        .in_process();
    webex.add_redirect_uri(REDIRECT);
    let organization = webex.create_organization("Acme");
    (webex, organization)
}

async fn does(harness: &Harness, call: Value) -> Value {
    let call: Call = serde_json::from_value(call).unwrap();
    let seen = harness.call(call).await;
    seen.result.unwrap_or_else(|failed| panic!("{failed}"))
}

/// Every call that there is, two hosts, a crash, and time between them.
async fn everything(seed: u64, store: StoreKind) -> String {
    let clock = Arc::new(ManualClock::new(BEGINNING));
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
        .http(Http::Transport(Arc::new(Emulated::new(webex.clone()))))
        .start()
        .await
        .unwrap();

    does(&harness, json!({ "workflow": "describe" })).await;
    let added = does(
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
    let begun = does(&harness, connect).await;
    let consent = Consent::accept(&organization.uuid);
    let callback = webex.authorize(begun["url"].as_str().unwrap(), &consent);
    let callback = callback.unwrap();
    let complete = json!({ "workflow": "complete-connect", "pkid": pkid, "callback": callback });
    does(&harness, complete).await;
    harness.advance(8 * DAY).await;

    let another = harness.another_host().await.unwrap();
    let refresh = json!({ "workflow": "refresh", "pkid": pkid });
    let refresh = harness.call_on(another, serde_json::from_value(refresh).unwrap());
    assert!(refresh.await.result.is_ok());
    does(
        &harness,
        json!({ "workflow": "check-expiry", "pkid": pkid }),
    )
    .await;
    let sync = json!({ "workflow": "sync", "pkid": pkid, "kind": "roles-licenses" });
    does(&harness, sync).await;
    harness.restart().await.unwrap();
    let modify = json!({ "workflow": "modify", "pkid": pkid, "fields": { "name": "Acme 2" } });
    does(&harness, modify).await;
    harness.advance(8 * DAY).await;
    let dry = json!({ "workflow": "delete", "pkid": pkid, "dry_run": true });
    does(&harness, dry).await;
    does(&harness, json!({ "workflow": "delete", "pkid": pkid })).await;
    let transcript = harness.finish().unwrap();

    let asked = |call: &Value| call["workflow"].as_str().unwrap_or("wake").to_owned();
    let called: BTreeSet<String> = transcript
        .calls
        .iter()
        .map(|call| asked(&call.asked))
        .collect();
    assert_eq!(called.len(), 10, "a workflow was not called: {called:?}");
    transcript.to_string()
}

#[tokio::test]
async fn every_call_shows_the_same_on_an_emulator_and_both_stores() {
    let once = everything(7, StoreKind::Memory).await;
    assert_eq!(everything(7, StoreKind::Memory).await, once);
    assert_eq!(everything(7, StoreKind::Sqlite).await, once);
    assert_ne!(everything(8, StoreKind::Memory).await, once);
}
