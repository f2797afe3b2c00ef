//! Every fault, as a client without a connection sees it. No test waits.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use webex_emulator::{ClientLimits, ClientOutcome, Fault, FaultKind, Outcome, ProcessingStage};

use crate::in_process::{InProcessWorld, json};
use crate::support::{TOKEN, text};

const LIMITS: ClientLimits = ClientLimits {
    time: Duration::from_secs(10),
    body: 1000,
};

/// Refreshes under this fault; returns the client's outcome and duration, and the record's outcome
/// and whether it was carried out.
async fn refresh(fault: FaultKind) -> (ClientOutcome, Duration, Outcome, bool) {
    let world = InProcessWorld::new();
    world.webex.inject(Fault::new(TOKEN, fault));
    let outcome = world.webex.handle(world.refresh(), LIMITS).await;
    let recorded = &world.webex.requests()[0];
    assert_eq!(world.webex.in_flight().now, 0);
    let (status, processed) = (recorded.status, recorded.processed);
    // Only a request that was carried out has rotated the token out.
    assert_eq!(world.webex.accepts(world.grant.refresh_token()), !processed);
    (outcome.outcome, outcome.elapsed, status, processed)
}

fn latency(seconds: u64, stage: ProcessingStage) -> FaultKind {
    let latency = Duration::from_secs(seconds);
    FaultKind::Latency { latency, stage }
}

#[tokio::test]
async fn reset_before_processing_has_no_effect() {
    let (outcome, elapsed, status, processed) = refresh(FaultKind::ResetBefore).await;
    assert!(matches!(outcome, ClientOutcome::Reset { processed: false }));
    assert_eq!((status, processed), (Outcome::Reset, false));
    assert_eq!(elapsed, Duration::ZERO);
}

#[tokio::test]
async fn reset_after_processing_is_processed() {
    let (outcome, _, status, processed) = refresh(FaultKind::ResetAfter).await;
    assert!(matches!(outcome, ClientOutcome::Reset { processed: true }));
    assert_eq!((status, processed), (Outcome::Reset, true));
}

#[tokio::test]
async fn truncated_response_announces_its_whole_length() {
    let (outcome, _, status, processed) = refresh(FaultKind::TruncatedJson).await;
    let ClientOutcome::Cut(response) = outcome else {
        panic!("not cut but {outcome:?}");
    };
    let announced: usize = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(response.body().len(), announced / 2);
    assert_eq!((status, processed), (Outcome::Status(200), true));
}

#[tokio::test]
async fn short_latency_is_reported_without_waiting() {
    for stage in [ProcessingStage::Before, ProcessingStage::After] {
        let (outcome, elapsed, status, processed) = refresh(latency(9, stage)).await;
        assert!(matches!(outcome, ClientOutcome::Complete(_)));
        assert_eq!(elapsed, Duration::from_secs(9));
        assert_eq!((status, processed), (Outcome::Status(200), true));
    }
}

#[tokio::test]
async fn client_disconnects_at_its_timeout() {
    for (stage, carried_out) in [
        (ProcessingStage::Before, false),
        (ProcessingStage::After, true),
    ] {
        let (outcome, elapsed, status, processed) = refresh(latency(10, stage)).await;
        assert!(
            matches!(outcome, ClientOutcome::Disconnected { processed } if processed == carried_out),
            "{outcome:?}"
        );
        assert_eq!(elapsed, LIMITS.time);
        assert_eq!((status, processed), (Outcome::Abandoned, carried_out));
    }
}

#[tokio::test]
async fn huge_body_is_read_up_to_the_limit() {
    for announced in [true, false] {
        let bytes = u64::MAX;
        let (outcome, ..) = refresh(FaultKind::HugeBody { bytes, announced }).await;
        let ClientOutcome::Complete(response) = outcome else {
            panic!("not whole but {outcome:?}");
        };
        assert_eq!(response.body().len(), LIMITS.body + 1);
        assert_eq!(response.headers().contains_key("content-length"), announced);
    }
}

#[tokio::test]
async fn a_status_comes_before_or_after_the_work() {
    for (stage, carried_out) in [
        (ProcessingStage::Before, false),
        (ProcessingStage::After, true),
    ] {
        let status = StatusCode::BAD_GATEWAY;
        let body = None;
        let fault = FaultKind::Status {
            status,
            body,
            stage,
        };
        let (outcome, _, recorded, processed) = refresh(fault).await;
        let ClientOutcome::Complete(response) = outcome else {
            panic!("not whole but {outcome:?}");
        };
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["trackingid"],
            text(&json(&response), "trackingId")
        );
        assert_eq!((recorded, processed), (Outcome::Status(502), carried_out));
    }
}

#[tokio::test]
async fn a_broken_body_arrives_whole() {
    let (outcome, ..) = refresh(FaultKind::MalformedJson).await;
    let ClientOutcome::Complete(response) = outcome else {
        panic!("not whole but {outcome:?}");
    };
    assert!(serde_json::from_slice::<Value>(response.body()).is_err());
}

#[tokio::test]
async fn head_response_is_not_truncated() {
    let world = InProcessWorld::new();
    let mut request = world.get("/people/me");
    *request.method_mut() = Method::HEAD;
    let response = world.whole(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.body().is_empty());
}

#[tokio::test]
async fn gate_holds_in_process_requests() {
    let world = InProcessWorld::new();
    let gate = world.webex.gate_after(TOKEN);
    let client = tokio::spawn(world.webex.handle(world.refresh(), LIMITS));
    gate.reached().await;
    assert!(world.webex.requests()[0].processed);
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!(world.webex.requests()[0].status, Outcome::Abandoned);
}
