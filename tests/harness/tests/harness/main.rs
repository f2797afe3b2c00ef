//! The observations of the harness, and their determinism.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod determinism;
mod hosts;
mod options;
mod queue;

use std::path::PathBuf;
use std::time::Duration;

use relation_harness::redaction::digest;
use relation_harness::script::{RequestPattern, Script, ScriptedResponse, Step};
use relation_harness::transcript::Body;
use relation_harness::{Call, CallFailure, Harness, HarnessBuilder, Http};
use relation_host::component::ComponentCache;
use relation_host::reports::{Grant, RefreshOutcome, State};
use relation_host::types::{Failure, Pkid};
use relation_host::{AddRequest, ComponentSource};
use secrecy::SecretString;
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);
const ORGANIZATION: &str = "5c7f8a30-1b2d-4e6f-9a80-b1c2d3e4f506";
/// Base64url of `ciscospark://us/ORGANIZATION/<uuid>`.
const ORGANIZATION_ID: &str =
    "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi81YzdmOGEzMC0xYjJkLTRlNmYtOWE4MC1iMWMyZDNlNGY1MDY";
const TOKENS: &str = "https://webexapis.com/v1/access_token";
const SCOPES: &str = "spark-admin:organizations_read spark-admin:roles_read";

/// Returns a harness for the built component, which `cargo xtask build` stores in the target directory.
fn harness() -> HarnessBuilder {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let component: PathBuf = target.join("component").join("spark-customer.wasm");
    assert!(
        component.is_file(),
        "{} is not there: run `cargo xtask build`",
        component.display()
    );
    let cache = target.join("test-caches/relation-host/components");
    Harness::builder(ComponentSource::File(component))
        .component_cache(ComponentCache::new(cache))
        .setting("webex.client-id", "C0ffee")
        .setting("webex.scopes", SCOPES)
        .secret("webex.client-secret", SecretString::from("a-client-secret"))
}

fn tokens(number: u32) -> Value {
    json!({
        "access_token": format!("access-token-{number}"),
        "expires_in": 1_209_600,
        "refresh_token": format!("refresh-token-{number}"),
        "refresh_token_expires_in": 7_776_000,
        "scope": SCOPES,
    })
}

fn organizations() -> RequestPattern {
    RequestPattern::get(format!(
        "https://webexapis.com/v1/organizations/{ORGANIZATION_ID}"
    ))
    .header("authorization", "*")
}

fn refresh() -> RequestPattern {
    RequestPattern::post(TOKENS)
        .form("grant_type", "refresh_token")
        .form("*", "*")
}

/// Returns the script for an add with given tokens.
fn script() -> Script {
    let response = json!({ "id": ORGANIZATION_ID, "displayName": "Acme" });
    Script::default().always(organizations(), ScriptedResponse::json(200, response))
}

fn acme() -> AddRequest {
    let fields = json!({ "name": "Acme", "account_number": ORGANIZATION });
    AddRequest {
        hierarchy: "sys.Provider.Reseller.Acme".parse().unwrap(),
        fields: fields.as_object().unwrap().clone(),
        token_response: Some(SecretString::from(tokens(1).to_string())),
        idempotency_key: None,
    }
}

async fn add(harness: &Harness) -> Pkid {
    let added = harness.add(acme()).await;
    match added.result {
        Ok(added) => added.connection.pkid,
        Err(failed) => panic!("{failed}"),
    }
}

#[tokio::test]
async fn add_shows_all_its_effects() {
    let harness = harness()
        .http(Http::Script(script()))
        .start()
        .await
        .unwrap();
    let seen = harness.add(acme()).await;
    let added = seen.result.unwrap();
    assert_eq!(added.connection.state, State::Connected);

    let record = format!("data/SparkCustomer/{}", added.connection.pkid);
    assert_eq!(seen.storage.documents.added[&record].body["name"], "Acme");
    assert!(seen.storage.documents.added.len() > 3, "{}", seen.storage);
    let secrets = &seen.storage.secrets.added;
    assert_eq!(
        secrets[&format!("{record}#refresh_token")],
        digest("refresh-token-1")
    );
    assert!(
        seen.storage
            .wakeups
            .added
            .contains_key(&format!("{record}#refresh"))
    );
    assert_eq!(seen.alerts, []);
    let transaction = seen.transaction.unwrap();
    assert_eq!(
        (
            transaction.action.as_str(),
            transaction.subject_name.as_str()
        ),
        ("add", "Acme")
    );
    // The sent token is the stored one, and neither is shown.
    let sent = &seen.http[0].request.headers["authorization"];
    assert_eq!(
        *sent,
        format!("Bearer {}", secrets[&format!("{record}#token")])
    );
    let transcript = harness.finish().unwrap().to_string();
    for secret in ["access-token-1", "refresh-token-1", "a-client-secret"] {
        assert!(!transcript.contains(secret), "{secret} in {transcript}");
    }
}

#[tokio::test]
async fn advance_runs_wakeups_in_order_when_due() {
    let script = script().always(refresh(), ScriptedResponse::json(200, tokens(2)));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    add(&harness).await;
    let start = harness.now();
    let calls = harness.advance(30 * DAY).await;
    let moments: Vec<u64> = calls.iter().map(|call| call.at.0).collect();
    assert!(moments.is_sorted() && moments.len() >= 4, "{moments:?}");
    for call in &calls {
        assert_eq!(call.input["wakeup"]["due"], call.at.0);
        assert!(call.result.is_ok(), "{:?}", call.result);
    }
    assert_eq!(harness.now(), start.after(30 * DAY));
    assert!(harness.advance(Duration::ZERO).await.is_empty());
}

#[tokio::test]
async fn unexpected_request_fails_its_call() {
    let other = RequestPattern::post(TOKENS)
        .form("grant_type", "authorization_code")
        .form("client_secret", "another-secret")
        .form("*", "*");
    let script =
        script().then(Step::new(other, ScriptedResponse::status(500)).named("exchange the code"));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    let pkid = add(&harness).await;
    let seen = harness.refresh(&pkid, Grant::Organization).await;
    let Err(CallFailure::Script { message }) = seen.result else {
        panic!("{:?}", seen.result);
    };
    let expected = [
        "the script expects no POST https://webexapis.com/v1/access_token",
        "nearest: exchange the code; - expected, + sent",
        "    form grant_type\n      - authorization_code\n      + refresh_token\n",
    ];
    for part in expected {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    for secret in ["a-client-secret", "another-secret", "refresh-token-1"] {
        assert!(!message.contains(secret), "{message}");
    }
    // The plugin treats the error as a network failure and will retry; the test fails all the same.
    let error = harness.finish().unwrap_err();
    assert_eq!((error.unexpected.len(), error.unused.len()), (1, 1));
}

#[tokio::test]
async fn unused_step_fails_finish() {
    let script =
        script().then(Step::new(refresh(), ScriptedResponse::json(200, tokens(2))).times(2));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    let pkid = add(&harness).await;
    harness.refresh(&pkid, Grant::Organization).await;
    let error = harness.finish().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("step 1 was used 1 of 2 times: POST {TOKENS}")
    );
}

#[tokio::test]
#[should_panic(expected = "step 1 was used 0 of 1 times")]
async fn dropped_harness_verifies_its_script() {
    let script = script().then(Step::new(refresh(), ScriptedResponse::status(503)));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    drop(harness);
}

#[tokio::test]
async fn call_and_refusal_are_serializable() {
    let harness = harness().start().await.unwrap();
    let call: Call = serde_json::from_value(json!({
        "workflow": "add",
        "hierarchy": "sys.Provider",
        "fields": { "name": "", "token": "pasted-secret" },
    }))
    .unwrap();
    assert!(!format!("{call:?}").contains("pasted-secret"));
    let seen = harness.call(call).await;
    let failed = seen.result.as_ref().unwrap_err();
    assert!(
        matches!(failed.refusal(), Some(Failure::Invalid(_))),
        "{failed}"
    );
    let shown = serde_json::to_value(&seen).unwrap();
    assert_eq!(shown["result"]["failed"]["failure"]["kind"], "invalid");
    assert_eq!(shown["input"]["workflow"], "add");
    assert!(seen.storage.is_empty());
    let unknown = serde_json::from_value::<Call>(json!({ "workflow": "refresh", "pkids": 1 }));
    assert!(unknown.is_err());
}

#[tokio::test]
async fn fork_is_independent() {
    let script = script().then(Step::new(refresh(), ScriptedResponse::json(200, tokens(2))));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    let pkid = add(&harness).await;
    let fork = harness.fork().await.unwrap();
    let before = harness.snapshot().await.unwrap();
    assert_eq!(fork.snapshot().await.unwrap(), before);
    let seen = fork.refresh(&pkid, Grant::Organization).await;
    assert_eq!(seen.result.unwrap().outcome, RefreshOutcome::Connected);
    assert_eq!(harness.snapshot().await.unwrap(), before);
    assert!(fork.finish().is_ok());
    assert_eq!(harness.finish().unwrap_err().unused.len(), 1);
}

#[tokio::test]
async fn forms_are_shown_field_by_field() {
    let script = script().then(Step::new(refresh(), ScriptedResponse::json(200, tokens(2))));
    let harness = harness().http(Http::Script(script)).start().await.unwrap();
    let pkid = add(&harness).await;
    let seen = harness.refresh(&pkid, Grant::Organization).await;
    let Body::Form(fields) = &seen.http[0].request.body else {
        panic!("{:?}", seen.http);
    };
    let sent = |name: &str| {
        fields
            .iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(sent("grant_type"), Some("refresh_token"));
    assert_eq!(
        sent("refresh_token"),
        Some(digest("refresh-token-1").as_str())
    );
    assert_eq!(
        sent("client_secret"),
        Some(digest("a-client-secret").as_str())
    );
    // A script can repeat the recorded request, including digests.
    let again = fields
        .iter()
        .fold(RequestPattern::post(TOKENS), |pattern, (name, value)| {
            pattern.form(name, value)
        });
    harness.finish().unwrap();
    let script = self::script().then(Step::new(again, ScriptedResponse::json(200, tokens(2))));
    let harness = self::harness()
        .http(Http::Script(script))
        .start()
        .await
        .unwrap();
    let pkid = add(&harness).await;
    assert!(
        harness
            .refresh(&pkid, Grant::Organization)
            .await
            .result
            .is_ok()
    );
    harness.finish().unwrap();
}
