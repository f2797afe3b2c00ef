//! What a harness is told when it is put together, what it finds in its store, and how much it lets run.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::harness::Given;
use relation_harness::{Failed, Http};
use relation_host::Limits;
use relation_host::schedule::clock::ManualClock;
use relation_host::types::{Document, Reference, Timestamp, Wakeup};
use serde_json::Value;

use crate::{acme, harness, script};

#[tokio::test]
async fn the_clock_shows_what_it_was_told_until_it_is_moved() {
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
async fn limits_are_those_of_the_call_and_the_error_names_the_one_that_was_hit() {
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
        matches!(&failed, Failed::Guest { message, .. } if message.contains("limits.host-calls")),
        "{failed}"
    );
}

#[tokio::test]
async fn what_may_be_reached_can_be_less_than_the_script_answers() {
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

/// Records of a kind that the plugin does not know, with wakeups that are due.
fn given(records: u64, wakeups: u64) -> Given {
    let mut given = Given::default();
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
async fn many_records_are_due_at_one_moment_but_one_that_never_comes_to_rest_is_told() {
    let quiet = harness().start().await.unwrap();
    quiet.put(given(60, 2)).await.unwrap();
    let calls = quiet.advance(Duration::ZERO).await;
    assert_eq!(calls.len(), 120);

    let restless = harness().start().await.unwrap();
    restless.put(given(1, 101)).await.unwrap();
    let calls = restless.advance(Duration::ZERO).await;
    assert_eq!(calls.len(), 101, "a hundred calls, and what is wrong");
    let told = calls.last().unwrap().result.as_ref().unwrap_err();
    let text = told.to_string();
    assert!(text.contains("does not come to rest"), "{text}");
    assert!(text.contains(&record(0).to_string()), "{text}");
    assert_eq!(calls[100].asked["wakeup"], Value::from("what is due"));
}
