//! Every fault, as the client sees it and as the record describes it.

use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use serde_json::json;
use webex_emulator::{Fault, FaultKind, Mode, Outcome, ProcessingStage};

use crate::support::{TOKEN, World, send, text};

#[tokio::test]
async fn status_fault_prevents_processing() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::status(TOKEN, 503).times(2));
    for _ in 0..2 {
        let response = world.refresh(world.grant.refresh_token()).await;
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text(&response.json(), "trackingId").starts_with("ROUTER_"));
    }
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::OK);

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
async fn status_fault_after_processing_has_any_body() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    world.webex.inject(Fault::new(
        TOKEN,
        FaultKind::Status {
            status: StatusCode::BAD_GATEWAY,
            body: Some(json!("<html>bad gateway</html>")),
            stage: ProcessingStage::After,
        },
    ));
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::BAD_GATEWAY);
    assert_eq!(response.body, "<html>bad gateway</html>");
    let again = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(again.json()["error"], "invalid_grant");
    // The client never saw the new token, so its second attempt is not a violation.
    world.webex.assert_sound();
}

#[tokio::test]
async fn faults_apply_to_their_path_and_below() {
    let world = World::new().await;
    world.webex.inject(Fault::status("/v1/organizations", 500));
    assert!(world.access_token_works(world.grant.access_token()).await);
    let path = format!("/v1/organizations/{}", world.organization.id);
    let response = world.get(&path, world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn cleared_faults_do_not_apply() {
    let world = World::new().await;
    world.webex.inject(Fault::status(TOKEN, 500).always());
    world.webex.clear_faults();
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::OK);
}

#[tokio::test]
async fn rate_limit_fault_sends_any_retry_after() {
    let world = World::new().await;
    for retry_after in ["194", "rand(30),add(30)", "-1", ""] {
        world.webex.inject(Fault::rate_limited(TOKEN, retry_after));
        let response = world.refresh(world.grant.refresh_token()).await;
        assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.header("retry-after"), retry_after);
    }
    let retry_after = None;
    let fault = Fault::new(TOKEN, FaultKind::RateLimited { retry_after });
    world.webex.inject(fault);
    let response = world.refresh(world.grant.refresh_token()).await;
    assert!(!response.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn malformed_json_is_valid_http() {
    let world = World::new().await;
    world.webex.inject(Fault::malformed_json(TOKEN));
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("content-type"), "application/json");
    let parsed = serde_json::from_slice::<serde_json::Value>(&response.body);
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
async fn truncated_response_sends_its_first_half() {
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
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let announced: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(body.len(), announced / 2);
}

#[tokio::test]
async fn huge_body_is_streamed() {
    let world = World::new().await;
    let bytes = 3_000_000;
    world.webex.inject(Fault::huge_body(TOKEN, bytes));
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.body.len() as u64, bytes);
    assert!(!response.headers.contains_key("content-length"));

    let announced = true;
    let fault = Fault::new(TOKEN, FaultKind::HugeBody { bytes, announced });
    world.webex.inject(fault);
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.body.len() as u64, bytes);
    assert_eq!(response.header("content-length"), "3000000");
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
async fn reset_after_processing_keeps_the_effect() {
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
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.header("content-type"), "text/html");
    assert!(response.json().get("access_token").is_some());
}

#[tokio::test]
async fn proper_response_can_have_another_status() {
    let world = World::new().await;
    let status = StatusCode::CREATED;
    let fault = Fault::new(TOKEN, FaultKind::Relabel { status });
    world.webex.inject(fault);
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::CREATED);
    assert!(
        world
            .access_token_works(text(&response.json(), "access_token"))
            .await
    );
    let recorded = &world.webex.requests()[0];
    assert_eq!(
        recorded.tracking_id.as_deref(),
        Some(response.header("trackingid"))
    );
}

#[tokio::test]
async fn proper_response_can_have_a_prefix() {
    let world = World::new().await;
    let text = "\u{feff}".to_owned();
    world
        .webex
        .inject(Fault::new(TOKEN, FaultKind::Prefix { text }));
    let response = world.refresh(world.grant.refresh_token()).await;
    assert!(response.body.starts_with(b"\xef\xbb\xbf{"));
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
    assert!(world.access_token_works(text(&body, "access_token")).await);
}

#[tokio::test]
async fn latency_combines_with_another_fault() {
    let world = World::new().await;
    let latency = Duration::from_millis(30);
    world.webex.inject(Fault::status(TOKEN, 500));
    world.webex.inject(Fault::latency(TOKEN, latency));
    let start = Instant::now();
    let response = world.refresh(world.grant.refresh_token()).await;
    assert!(start.elapsed() >= latency);
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.webex.requests()[0].fault, Some("status"));
}

#[tokio::test]
async fn oversized_request_body_is_rejected() {
    let world = World::new().await;
    let request = Request::post(world.url(TOKEN))
        .body("a".repeat(2 * 1024 * 1024))
        .unwrap();
    // The rejection may overtake the rest of the body, and then the client sees a broken
    // connection.
    if let Ok(response) = send(request).await {
        assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert!(world.webex.requests().is_empty());
}
