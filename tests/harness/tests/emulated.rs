//! The emulated Webex as a transport: its responses, faults and determinism.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should fail"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LINK};
use http::{Request, StatusCode};
use relation_harness::EmulatedWebex;
use relation_harness::emulated::WEBEX_BASE_URL;
use relation_harness::harness::START_TIME;
use relation_host::clock::{Clock as _, ManualClock};
use relation_host::egress::{Transport, TransportError};
use webex_emulator::{
    ClientLimits, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Fault,
    FaultKind, Grant, Listing, Mode, Outcome, Paging, ProcessingStage,
};

const CLIENT_LIMITS: ClientLimits = ClientLimits {
    time: Duration::from_secs(10),
    body: 1000,
};

fn emulated() -> (EmulatedWebex, Grant) {
    let webex = Emulator::builder()
        .clock(Arc::new(|| 1_700_000_000_000))
        .seed(7)
        .mode(Mode::Rotate)
        .in_process();
    let organization = webex.create_organization("Example");
    let grant = webex.grant(&organization, DEFAULT_SCOPES);
    (
        EmulatedWebex::new(webex).client_limits(CLIENT_LIMITS),
        grant,
    )
}

fn get(address: &str, grant: &Grant) -> Request<Bytes> {
    let bearer = format!("Bearer {}", grant.access_token());
    let request = Request::get(address).header(AUTHORIZATION, bearer);
    request.body(Bytes::new()).unwrap()
}

fn refresh(grant: &Grant) -> Request<Bytes> {
    let form = format!(
        "grant_type=refresh_token&client_id={DEFAULT_CLIENT_ID}\
         &client_secret={DEFAULT_CLIENT_SECRET}&refresh_token={}",
        grant.refresh_token()
    );
    Request::post(format!("{WEBEX_BASE_URL}/access_token"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap()
}

/// Runs a paged import with a page that fails once, and two refreshes. Returns all responses and the record.
async fn run_exchanges() -> Vec<String> {
    let (emulated, grant) = emulated();
    let webex = emulated.webex();
    webex.set_paging(Listing::Roles, Paging::with_size(2));
    webex.inject(Fault::status("/v1/roles", 503).skipping(1));
    let mut seen = Vec::new();
    let mut next = Some(format!("{WEBEX_BASE_URL}/roles?max=2"));
    while let Some(address) = next {
        let page = emulated.send(get(&address, &grant), None).await.unwrap();
        next = match page.headers().get(LINK) {
            Some(link) => {
                let link = link.to_str().unwrap();
                Some(link.split(['<', '>']).nth(1).unwrap().to_owned())
            }
            None => (page.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(address),
        };
        seen.push(format!("{page:?}"));
    }
    for _ in 0..2 {
        let response = emulated.send(refresh(&grant), None).await.unwrap();
        seen.push(format!("{response:?}"));
    }
    seen.push(serde_json::to_string(&emulated.webex().requests()).unwrap());
    seen
}

#[tokio::test]
async fn same_requests_give_the_same_responses() {
    let first = run_exchanges().await;
    assert_eq!(first, run_exchanges().await);
    // Three pages, the failed one, two refreshes and the record.
    assert_eq!(first.len(), 7);
}

#[tokio::test]
async fn only_requests_to_the_base_url_get_responses() {
    let (emulated, grant) = emulated();
    for elsewhere in [
        "https://example.com/v1/people/me",
        "http://webexapis.com/v1/people/me",
        "https://webexapis.com:8443/v1/people/me",
    ] {
        let response = emulated.send(get(elsewhere, &grant), None).await;
        assert!(
            matches!(response, Err(TransportError::Unresolved)),
            "{elsewhere}: {response:?}"
        );
    }
    for (path, status) in [
        ("/v1/people/me", StatusCode::OK),
        ("/_emulator/requests", StatusCode::NOT_FOUND),
        ("/v1x", StatusCode::NOT_FOUND),
    ] {
        let address = format!("https://WebexAPIs.com:443{path}");
        let response = emulated.send(get(&address, &grant), None).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    assert_eq!(emulated.webex().requests().len(), 1);
}

/// Returns the result of a refresh with this fault, and whether the refresh was processed.
async fn meets(fault: FaultKind) -> (String, bool) {
    let (emulated, grant) = emulated();
    emulated
        .webex()
        .inject(Fault::new("/v1/access_token", fault));
    let carried = emulated.send(refresh(&grant), None).await;
    let seen = match carried {
        Ok(response) => format!("{} with {} bytes", response.status(), response.body().len()),
        Err(TransportError::Cut(response)) => {
            let length = response.headers()["content-length"].to_str().unwrap();
            let arrived = response.body().len();
            assert!(arrived < length.parse().unwrap());
            "cut".to_owned()
        }
        Err(fault) => format!("{fault:?}"),
    };
    let recorded = &emulated.webex().requests()[0];
    assert_ne!(recorded.status, Outcome::InFlight);
    (seen, recorded.processed)
}

#[tokio::test]
async fn faults_appear_as_transport_errors() {
    let latency = |seconds, stage| FaultKind::Latency {
        latency: Duration::from_secs(seconds),
        stage,
    };
    let huge = FaultKind::HugeBody {
        bytes: u64::MAX,
        announced: false,
    };
    for (fault, seen, processed) in [
        (FaultKind::ResetBefore, "Reset", false),
        (FaultKind::ResetAfter, "Reset", true),
        (FaultKind::TruncatedJson, "cut", true),
        (latency(10, ProcessingStage::Before), "Timeout", false),
        (latency(10, ProcessingStage::After), "Timeout", true),
        (huge, "200 OK with 1001 bytes", true),
    ] {
        let name = fault.name();
        assert_eq!(meets(fault).await, (seen.to_owned(), processed), "{name}");
    }
}

#[tokio::test]
async fn bearable_latency_takes_no_real_time() {
    let started = std::time::Instant::now();
    let (seen, processed) = meets(FaultKind::Latency {
        latency: Duration::from_secs(9),
        stage: ProcessingStage::After,
    })
    .await;
    assert!(seen.starts_with("200 OK"), "{seen}");
    assert!(processed);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn latency_advances_the_given_clock() {
    let clock = Arc::new(ManualClock::new(START_TIME));
    let (emulated, grant) = emulated();
    let emulated = emulated.clock(Arc::clone(&clock));
    emulated.send(refresh(&grant), None).await.unwrap();
    assert_eq!(clock.now(), START_TIME);
    let latency = Duration::from_secs(9);
    let stage = ProcessingStage::Before;
    let slow = FaultKind::Latency { latency, stage };
    emulated
        .webex()
        .inject(Fault::new("/v1/access_token", slow));
    emulated.send(refresh(&grant), None).await.unwrap();
    assert_eq!(clock.now(), START_TIME.after(latency));
}
