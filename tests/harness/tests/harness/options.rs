//! The options, the initial state and the limits of a harness.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::harness::InitialState;
use relation_harness::{CallFailure, Http};
use relation_host::Limits;
use relation_host::clock::ManualClock;
use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use serde_json::Value;

use crate::{acme, harness, script};

#[tokio::test]
async fn clock_shows_its_start_until_advanced() {
    let now = Timestamp(1_900_000_000_000);
    let harness = harness()
        .clock(Arc::new(ManualClock::new(now)))
        .start()
        .await
        .unwrap();
    let seen = harness.describe().await;
    assert_eq!((seen.at, harness.now()), (now, now));
    harness.advance(Duration::from_millis(5)).await;
    assert_eq!(harness.now(), Timestamp(now.0 + 5));
}

#[tokio::test]
async fn exceeded_limit_is_named_in_the_error() {
    let limits = Limits {
        host_calls: 3,
        ..Limits::default()
    };
    let harness = harness()
        .limits(limits)
        .http(Http::Script(script()))
        .start()
        .await
        .unwrap();
    let failed = harness.add(acme()).await.result.unwrap_err();
    assert!(
        matches!(&failed, CallFailure::Guest { message, .. } if message.contains("limits.host-calls")),
        "{failed}"
    );
}

#[tokio::test]
async fn allow_list_can_be_narrower_than_the_script() {
    let harness = harness()
        .allow(["https://elsewhere.example"])
        .http(Http::Script(script()))
        .start()
        .await
        .unwrap();
    let seen = harness.add(acme()).await;
    assert_eq!(seen.http, [], "nothing is sent");
    let log = serde_json::to_string(&seen.transaction).unwrap();
    assert!(log.contains("`egress.allow` has no entry"), "{log}");
}

fn record(number: u64) -> Reference {
    Reference::record(format!("{number:024x}").parse().unwrap())
}

/// Returns records that the plugin does not know, with due wakeups.
fn given(records: u64, wakeups: u64) -> InitialState {
    let mut given = InitialState::default();
    for number in 0..records {
        given.documents.push(Document {
            reference: record(number),
            hierarchy: "sys.P".parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: Vec::new(),
        });
        given.wakeups.extend((0..wakeups).map(|id| Wakeup {
            id: format!("w{id}"),
            subject: record(number),
            due: Timestamp(0),
            deadline: None,
            payload: String::new(),
        }));
    }
    given
}

#[tokio::test]
async fn endlessly_rescheduling_record_is_an_error() {
    let quiet = harness().start().await.unwrap();
    quiet.put(given(60, 2)).await.unwrap();
    let calls = quiet.advance(Duration::ZERO).await;
    assert_eq!(calls.len(), 120);

    let restless = harness().start().await.unwrap();
    restless.put(given(1, 101)).await.unwrap();
    let calls = restless.advance(Duration::ZERO).await;
    assert_eq!(calls.len(), 101, "a hundred calls, and what is wrong");
    let failure = calls.last().unwrap().result.as_ref().unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("does not come to rest"), "{text}");
    assert!(text.contains(&record(0).to_string()), "{text}");
    assert_eq!(calls[100].input["wakeup"], Value::from("what is due"));
}
