//! What each fault is to a client that asks without a connection. Nothing waits.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use webex_emulator::{Arrival, Fault, FaultKind, Outcome, Patience, Stage};

use crate::in_process::{Quiet, json};
use crate::support::{TOKEN, text};

const PATIENCE: Patience = Patience {
    time: Duration::from_secs(10),
    body: 1000,
};

/// What becomes of a refresh that meets this, after how long, and what the record says of it:
/// its end, and whether it was carried out.
async fn refresh(fault: FaultKind) -> (Arrival, Duration, Outcome, bool) {
    let quiet = Quiet::new();
    quiet.webex.inject(Fault::new(TOKEN, fault));
    let answered = quiet.webex.answer(quiet.refresh(), PATIENCE).await;
    let recorded = &quiet.webex.requests()[0];
    assert_eq!(quiet.webex.in_flight().now, 0);
    let (status, processed) = (recorded.status, recorded.processed);
    // Only what was carried out has rotated the token out.
    assert_eq!(quiet.webex.accepts(quiet.grant.refresh_token()), !processed);
    (answered.arrival, answered.after, status, processed)
}

fn latency(seconds: u64, stage: Stage) -> FaultKind {
    let latency = Duration::from_secs(seconds);
    FaultKind::Latency { latency, stage }
}

#[tokio::test]
async fn a_reset_before_is_one_and_nothing_was_done() {
    let (arrival, after, status, processed) = refresh(FaultKind::ResetBefore).await;
    assert!(matches!(arrival, Arrival::Reset { processed: false }));
    assert_eq!((status, processed), (Outcome::Reset, false));
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test]
async fn a_reset_after_is_one_and_all_was_done() {
    let (arrival, _, status, processed) = refresh(FaultKind::ResetAfter).await;
    assert!(matches!(arrival, Arrival::Reset { processed: true }));
    assert_eq!((status, processed), (Outcome::Reset, true));
}

#[tokio::test]
async fn a_truncated_answer_is_cut_in_the_middle_under_its_whole_length() {
    let (arrival, _, status, processed) = refresh(FaultKind::TruncatedJson).await;
    let Arrival::Cut(response) = arrival else {
        panic!("not cut but {arrival:?}");
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
async fn a_short_latency_is_told_and_not_waited_for() {
    for stage in [Stage::Before, Stage::After] {
        let (arrival, after, status, processed) = refresh(latency(9, stage)).await;
        assert!(matches!(arrival, Arrival::Whole(_)));
        assert_eq!(after, Duration::from_secs(9));
        assert_eq!((status, processed), (Outcome::Status(200), true));
    }
}

#[tokio::test]
async fn a_client_hangs_up_on_a_latency_as_long_as_its_patience() {
    for (stage, carried_out) in [(Stage::Before, false), (Stage::After, true)] {
        let (arrival, after, status, processed) = refresh(latency(10, stage)).await;
        assert!(
            matches!(arrival, Arrival::HungUp { processed } if processed == carried_out),
            "{arrival:?}"
        );
        assert_eq!(after, PATIENCE.time);
        assert_eq!((status, processed), (Outcome::Abandoned, carried_out));
    }
}

#[tokio::test]
async fn a_huge_body_arrives_as_far_as_it_is_read() {
    for announced in [true, false] {
        let bytes = u64::MAX;
        let (arrival, ..) = refresh(FaultKind::HugeBody { bytes, announced }).await;
        let Arrival::Whole(response) = arrival else {
            panic!("not whole but {arrival:?}");
        };
        assert_eq!(response.body().len(), PATIENCE.body + 1);
        assert_eq!(response.headers().contains_key("content-length"), announced);
    }
}

#[tokio::test]
async fn a_status_comes_before_or_after_the_work() {
    for (stage, carried_out) in [(Stage::Before, false), (Stage::After, true)] {
        let status = StatusCode::BAD_GATEWAY;
        let body = None;
        let fault = FaultKind::Status {
            status,
            body,
            stage,
        };
        let (arrival, _, recorded, processed) = refresh(fault).await;
        let Arrival::Whole(response) = arrival else {
            panic!("not whole but {arrival:?}");
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
    let (arrival, ..) = refresh(FaultKind::MalformedJson).await;
    let Arrival::Whole(response) = arrival else {
        panic!("not whole but {arrival:?}");
    };
    assert!(serde_json::from_slice::<Value>(response.body()).is_err());
}

#[tokio::test]
async fn an_answer_to_head_is_not_cut() {
    let quiet = Quiet::new();
    let mut request = quiet.get("/people/me");
    *request.method_mut() = Method::HEAD;
    let response = quiet.whole(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.body().is_empty());
}

#[tokio::test]
async fn a_gate_holds_a_request_in_process_until_it_is_released_or_dropped() {
    let quiet = Quiet::new();
    let gate = quiet.webex.gate_after(TOKEN);
    let client = tokio::spawn(quiet.webex.answer(quiet.refresh(), PATIENCE));
    gate.reached().await;
    assert!(quiet.webex.requests()[0].processed);
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!(quiet.webex.requests()[0].status, Outcome::Abandoned);
}
