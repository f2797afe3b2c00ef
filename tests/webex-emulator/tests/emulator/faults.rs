//! Every fault, as the client meets it and as the record tells it.

use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use serde_json::json;
use webex_emulator::{Fault, FaultKind, Mode, Outcome, Stage};

use crate::support::{TOKEN, World, send, text};

#[tokio::test]
async fn a_status_fault_answers_without_carrying_the_request_out() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::status(TOKEN, 503).times(2));
    for _ in 0..2 {
        let answer = world.refresh(world.grant.refresh_token()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text(&answer.json(), "trackingId").starts_with("ROUTER_"));
    }
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::OK);

    let recorded: Vec<_> = world
        .webex
        .requests()
        .iter()
        .map(|request| (request.status, request.processed, request.fault))
        .collect();
    assert_eq!(
        recorded,
        [
            (Outcome::Status(503), false, Some("status")),
            (Outcome::Status(503), false, Some("status")),
            (Outcome::Status(200), true, None),
        ]
    );
}

#[tokio::test]
async fn a_status_fault_can_come_after_the_work_with_any_body() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::new(
        TOKEN,
        FaultKind::Status {
            status: StatusCode::BAD_GATEWAY,
            body: Some(json!("<html>bad gateway</html>")),
            stage: Stage::After,
        },
    ));
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.body, "<html>bad gateway</html>");
    let again = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(again.json()["error"], "invalid_grant");
    // The client never saw the new token, so its second try is no fault of its own.
    world.webex.assert_sound();
}

#[tokio::test]
async fn faults_meet_their_path_and_what_is_below_it() {
    let world = World::new().await;
    world.webex.inject(Fault::status("/v1/organizations", 500));
    assert!(world.lives(world.grant.access_token()).await);
    let path = format!("/v1/organizations/{}", world.organization.id);
    let answer = world.get(&path, world.grant.access_token()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn cleared_faults_meet_nobody() {
    let world = World::new().await;
    world.webex.inject(Fault::status(TOKEN, 500).always());
    world.webex.clear_faults();
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_requests_come_with_any_retry_after() {
    let world = World::new().await;
    for retry_after in ["194", "rand(30),add(30)", "-1", ""] {
        world.webex.inject(Fault::rate_limited(TOKEN, retry_after));
        let answer = world.refresh(world.grant.refresh_token()).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header("retry-after"), retry_after);
    }
    let retry_after = None;
    let fault = Fault::new(TOKEN, FaultKind::RateLimited { retry_after });
    world.webex.inject(fault);
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert!(!answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn malformed_json_is_whole_http_but_no_json() {
    let world = World::new().await;
    world.webex.inject(Fault::malformed_json(TOKEN));
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    let parsed = serde_json::from_slice::<serde_json::Value>(&answer.body);
    assert!(parsed.is_err());
}

#[tokio::test]
async fn truncated_json_breaks_off_before_its_announced_end() {
    let world = World::new().await;
    world.webex.inject(Fault::truncated_json(TOKEN));
    let error = world
        .try_refresh(world.grant.refresh_token())
        .await
        .unwrap_err();
    assert!(
        error.contains("end of file before message length reached"),
        "{error}"
    );
}

#[tokio::test]
async fn a_truncated_answer_does_send_its_first_half() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let world = World::new().await;
    world.webex.inject(Fault::truncated_json("/v1"));
    let mut stream = tokio::net::TcpStream::connect(world.webex.address())
        .await
        .unwrap();
    stream
        .write_all(b"GET /v1/people/me HTTP/1.1\r\nhost: webex\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let announced: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(body.len(), announced / 2);
}

#[tokio::test]
async fn a_huge_body_is_streamed_with_or_without_its_length() {
    let world = World::new().await;
    let bytes = 3_000_000;
    world.webex.inject(Fault::huge_body(TOKEN, bytes));
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.body.len() as u64, bytes);
    assert!(!answer.headers.contains_key("content-length"));

    let announced = true;
    let fault = Fault::new(TOKEN, FaultKind::HugeBody { bytes, announced });
    world.webex.inject(fault);
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.body.len() as u64, bytes);
    assert_eq!(answer.header("content-length"), "3000000");
}

#[tokio::test]
async fn a_reset_before_processing_changes_nothing() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::reset_before(TOKEN));
    let error = world
        .try_refresh(world.grant.refresh_token())
        .await
        .unwrap_err();
    assert!(error.contains("reset"), "{error}");
    let request = &world.webex.requests()[0];
    assert_eq!((request.status, request.processed), (Outcome::Reset, false));
    let again = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(again.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reset_after_processing_loses_the_answer_but_not_its_effect() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::reset_after(TOKEN));
    let error = world
        .try_refresh(world.grant.refresh_token())
        .await
        .unwrap_err();
    assert!(error.contains("reset"), "{error}");
    let request = &world.webex.requests()[0];
    assert_eq!((request.status, request.processed), (Outcome::Reset, true));
    let again = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(again.json()["error"], "invalid_grant");
    world.webex.assert_sound();
}

#[tokio::test]
async fn the_content_type_can_be_wrong() {
    let world = World::new().await;
    world.webex.inject(Fault::content_type(TOKEN, "text/html"));
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.header("content-type"), "text/html");
    assert!(answer.json().get("access_token").is_some());
}

#[tokio::test]
async fn the_proper_answer_can_come_under_another_status() {
    let world = World::new().await;
    let status = StatusCode::CREATED;
    let fault = Fault::new(TOKEN, FaultKind::Relabel { status });
    world.webex.inject(fault);
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(world.lives(text(&answer.json(), "access_token")).await);
    let recorded = &world.webex.requests()[0];
    assert_eq!(
        recorded.tracking_id.as_deref(),
        Some(answer.header("trackingid"))
    );
}

#[tokio::test]
async fn the_proper_answer_can_come_behind_a_text() {
    let world = World::new().await;
    let text = "\u{feff}".to_owned();
    world
        .webex
        .inject(Fault::new(TOKEN, FaultKind::Prefix { text }));
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert!(answer.body.starts_with(b"\xef\xbb\xbf{"));
}

#[tokio::test]
async fn a_patch_changes_adds_and_leaves_out_fields() {
    let world = World::new().await;
    let patch = json!({"expires_in": -1, "refresh_token_expires_in": null, "surprise": [1]});
    world.webex.inject(Fault::patch(TOKEN, patch));
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert_eq!(body["expires_in"], -1);
    assert!(body.get("refresh_token_expires_in").is_none());
    assert_eq!(body["surprise"], json!([1]));
    assert!(world.lives(text(&body, "access_token")).await);
}

#[tokio::test]
async fn latency_delays_the_answer_and_joins_with_another_fault() {
    let world = World::new().await;
    let latency = Duration::from_millis(30);
    world.webex.inject(Fault::status(TOKEN, 500));
    world.webex.inject(Fault::latency(TOKEN, latency));
    let start = Instant::now();
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert!(start.elapsed() >= latency);
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.webex.requests()[0].fault, Some("status"));
}

#[tokio::test]
async fn a_request_body_beyond_all_measure_is_refused() {
    let world = World::new().await;
    let request = Request::post(world.url(TOKEN))
        .body("a".repeat(2 * 1024 * 1024))
        .unwrap();
    // The refusal may overtake the rest of the body, and then the client sees a broken connection.
    if let Ok(answer) = send(request).await {
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(world.webex.requests().is_empty());
}
