//! A plugin that misbehaves is stopped, the error names what it was, and other calls go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use std::time::Duration;

use relation_e2e::world::{CLIENT_SECRET, object};
use relation_e2e::{World, artifacts};
use relation_host::component::GuestErrorKind;
use relation_host::transactions::Status;
use relation_host::types::Failure;
use relation_host::{AddRequest, CallError, CallErrorKind, Limits};
use serde_json::json;

async fn world(how: &str) -> World {
    let limits = Limits {
        memory: 32 << 20,
        time: Duration::from_millis(1500),
        requests: 4,
        host_calls: 1000,
        log: 4 << 10,
        ..Limits::default()
    };
    World::builder()
        .component(artifacts::component_named("misbehaving"))
        .setting("misbehave", how)
        .limits(limits)
        .start()
        .await
}

fn request() -> AddRequest {
    AddRequest {
        hierarchy: "sys.Test".parse().unwrap(),
        fields: object(json!({ "name": "x" })),
        token_answer: None,
        idempotency_key: None,
    }
}

async fn failure_of(how: &str) -> (World, CallError) {
    let world = world(how).await;
    let error = world
        .host()
        .add(request())
        .await
        .expect_err("it misbehaves");
    (world, error)
}

async fn guest_error(how: &str) -> GuestErrorKind {
    let (world, error) = failure_of(how).await;
    let text = error.to_string();
    assert!(
        text.contains("misbehaving 0.0.1"),
        "the plugin is not named: {text}"
    );
    let id = error.transaction.expect("the call was a transaction");
    let transaction = world
        .host()
        .store()
        .transaction(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transaction.status, Status::Fail);
    assert_eq!(transaction.message, text);
    match error.kind {
        CallErrorKind::Guest(error) => error.kind,
        other => panic!("not the guest's error: {other}"),
    }
}

async fn refusal(how: &str) -> Failure {
    match failure_of(how).await.1.kind {
        CallErrorKind::Refused(failure) => failure,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_comes_with_its_message() {
    let GuestErrorKind::Panic { message } = guest_error("panic").await else {
        panic!("not told as a panic");
    };
    assert!(message.contains("the plugin's own words"), "{message}");
    assert!(message.contains("lib.rs"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_panic_does_not_leave_the_host() {
    let (_world, error) = failure_of("panic-with-secret").await;
    let everything = format!("{error} {error:?}");
    assert!(everything.contains("leaking [secret]"), "{everything}");
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_log_line_or_a_failure_does_not_leave_the_host() {
    let (world, error) = failure_of("log-secret").await;
    assert_eq!(error.to_string(), "leaking [secret]");
    let id = error.transaction.unwrap();
    let transaction = world
        .host()
        .store()
        .transaction(&id)
        .await
        .unwrap()
        .unwrap();
    let everything = format!("{transaction:?}");
    assert!(
        everything.matches("leaking [secret]").count() >= 3,
        "{everything}"
    );
    assert!(!everything.contains(CLIENT_SECRET), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let kind = guest_error("memory").await;
    assert!(
        matches!(kind, GuestErrorKind::Memory { limit } if limit == 32 << 20),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_bounded_and_others_go_on_meanwhile() {
    let world = world("loop").await;
    let endless = world.host().add(request());
    let others = async {
        for _ in 0..20 {
            world.host().describe().await.expect("others are served");
        }
    };
    let (endless, ()) = tokio::join!(endless, others);
    let kind = endless.expect_err("it never answers").kind;
    assert!(
        matches!(&kind, CallErrorKind::Guest(error) if matches!(error.kind, GuestErrorKind::Time { .. })),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_is_bounded() {
    let kind = guest_error("stack").await;
    assert!(
        matches!(&kind, GuestErrorKind::Trap { message } if message.contains("stack")),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn host_calls_are_bounded() {
    let kind = guest_error("host-calls").await;
    assert!(kind.to_string().contains("limits.host-calls"), "{kind}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut_and_says_so() {
    let world = world("log-flood").await;
    let limits = Limits {
        time: Duration::from_secs(20),
        host_calls: 20_000,
        ..world.host().plugin().limits().clone()
    };
    let world = World::builder()
        .component(artifacts::component_named("misbehaving"))
        .setting("misbehave", "log-flood")
        .limits(limits)
        .start()
        .await;
    let called = world
        .host()
        .add(request())
        .await
        .expect("only the log is cut");
    let transaction = world
        .host()
        .store()
        .transaction(&called.transaction)
        .await
        .unwrap()
        .unwrap();
    assert!(
        transaction.log.len() < 100,
        "{} lines",
        transaction.log.len()
    );
    assert!(
        transaction
            .log
            .last()
            .unwrap()
            .message
            .contains("limits.log")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_requests_is_bounded() {
    assert!(
        matches!(refusal("requests").await, Failure::LimitExceeded(text) if text.contains("connection-limit"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_not_reached_and_the_log_says_why() {
    let (world, error) = failure_of("forbidden-host").await;
    assert_eq!(error.to_string(), "http-request-denied");
    let transaction = world
        .host()
        .store()
        .transaction(&error.transaction.unwrap())
        .await
        .unwrap()
        .unwrap();
    let log = format!("{:?}", transaction.log);
    assert!(
        log.contains("egress.allow") && log.contains("169.254.169.254"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_commit_is_bounded() {
    assert!(
        matches!(refusal("huge-commit").await, Failure::LimitExceeded(text) if text.contains("limits.commit"))
    );
    assert!(
        matches!(refusal("many-changes").await, Failure::LimitExceeded(text) if text.contains("limits.changes"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_writes_no_record_whose_lease_it_does_not_hold() {
    assert!(
        matches!(refusal("foreign-record").await, Failure::LimitExceeded(text) if text.contains("lease"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_documents_and_keys_are_refused() {
    assert!(
        matches!(refusal("bad-body").await, Failure::Invalid(faults) if faults[0].field == "body")
    );
    assert!(
        matches!(refusal("bad-pkid").await, Failure::Invalid(faults) if faults[0].field == "pkid")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_between_calls() {
    let world = world("keep").await;
    for _ in 0..3 {
        let added = world.host().add(request()).await.unwrap();
        assert_eq!(added.value.connection.notes, "call 1 of this instance");
    }
}
