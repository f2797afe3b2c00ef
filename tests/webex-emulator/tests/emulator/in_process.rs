//! Tests of the emulator without a listener: responses are those of the listener, repeatable by a seed, and the
//! emulator can be forked.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, DATE, HOST, LINK};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use webex_emulator::{
    ClientLimits, ClientOutcome, Consent, DEFAULT_CLIENT_ID, DEFAULT_SCOPES, Emulator, Fault,
    Grant, Listing, Mode, Organization, Outcome, Paging, TimedOutcome, Webex,
};

use crate::support::{DAY, TestClock, refresh_request, text, token_request};

const BASE: &str = "https://webexapis.com/v1";

/// An emulator without a listener, with one organization and one grant.
pub struct InProcessWorld {
    pub webex: Webex,
    pub clock: TestClock,
    pub organization: Organization,
    pub grant: Grant,
}

impl InProcessWorld {
    pub fn new() -> Self {
        Self::seeded(7)
    }

    fn seeded(seed: u64) -> Self {
        let clock = TestClock::new();
        let webex = Emulator::builder()
            .clock(clock.clock())
            .seed(seed)
            .mode(Mode::Rotate)
            .redirect_uri("https://client.example/back")
            .in_process();
        let organization = webex.create_organization("Example");
        let grant = webex.grant(&organization, DEFAULT_SCOPES);
        Self {
            webex,
            clock,
            organization,
            grant,
        }
    }

    pub fn get(&self, path: &str) -> Request<Bytes> {
        get(path, self.grant.access_token())
    }

    pub fn refresh(&self) -> Request<Bytes> {
        refresh_request(BASE, self.grant.refresh_token()).map(Bytes::from)
    }

    pub async fn handle(&self, request: Request<Bytes>) -> TimedOutcome {
        self.webex.handle(request, ClientLimits::default()).await
    }

    pub async fn whole(&self, request: Request<Bytes>) -> Response<Bytes> {
        whole(self.handle(request).await)
    }
}

fn get(path: &str, access_token: &str) -> Request<Bytes> {
    Request::get(format!("{BASE}{path}"))
        .header(AUTHORIZATION, format!("Bearer {access_token}"))
        .body(Bytes::new())
        .unwrap()
}

#[track_caller]
pub fn whole(outcome: TimedOutcome) -> Response<Bytes> {
    match outcome.outcome {
        ClientOutcome::Complete(response) => response,
        other => panic!("no complete response but {other:?}"),
    }
}

pub fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// Returns all that a client sees of a response, in order.
fn transcript(response: &Response<Bytes>) -> String {
    let body = String::from_utf8_lossy(response.body());
    format!("{} {:?} {body}", response.status(), response.headers())
}

/// Runs a consent, an exchange, refreshes, pages and rejections; returns all responses.
async fn run_lifecycle(seed: u64) -> Vec<String> {
    let world = InProcessWorld::seeded(seed);
    world.webex.set_paging(Listing::Roles, Paging::with_size(2));
    let link = format!(
        "{BASE}/authorize?response_type=code&client_id={DEFAULT_CLIENT_ID}\
         &redirect_uri=https%3A%2F%2Fclient.example%2Fback&scope=spark-admin%3Aroles_read&state=s"
    );
    let consent = Consent::accept(&world.organization);
    let location = world.webex.authorize(&link, &consent).unwrap();
    let code = location.split("code=").nth(1).unwrap();
    let code = code.split('&').next().unwrap();
    let exchange = token_request(
        BASE,
        &[
            ("grant_type", "authorization_code"),
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", webex_emulator::DEFAULT_CLIENT_SECRET),
            ("code", code),
            ("redirect_uri", "https://client.example/back"),
        ],
    );
    let page = Request::get(&link).body(Bytes::new()).unwrap();
    world.webex.inject(Fault::status("/v1/people", 503));
    let requests = [
        page,
        exchange.map(Bytes::from),
        world.get("/people/me"),
        world.get("/people/me"),
        world.get("/roles?max=2"),
        world.get("/nothing"),
        world.refresh(),
        world.refresh(),
    ];
    let mut seen = vec![location];
    for request in requests {
        seen.push(transcript(&world.whole(request).await));
        world.clock.advance(Duration::from_secs(1));
    }
    seen.push(serde_json::to_string(&world.webex.requests()).unwrap());
    seen
}

#[tokio::test]
async fn same_seed_gives_identical_responses() {
    assert_eq!(run_lifecycle(1).await, run_lifecycle(1).await);
}

#[tokio::test]
async fn another_seed_gives_other_tokens() {
    let (first, second) = (InProcessWorld::seeded(1), InProcessWorld::seeded(2));
    assert_ne!(first.grant.refresh_token(), second.grant.refresh_token());
    assert_ne!(first.organization.uuid, second.organization.uuid);
}

#[tokio::test]
async fn in_process_response_equals_the_listeners() {
    let clock = TestClock::new();
    let builder = Emulator::builder().clock(clock.clock()).seed(3);
    let listening = builder.clone().start().await.unwrap();
    let world = builder.in_process();
    for path in ["/v1/roles", "/v1/people/me", "/v1/nothing"] {
        let over_connection = Request::get(format!("http://{}{path}", listening.address()));
        let over_connection = over_connection.body(String::new()).unwrap();
        let mut seen = crate::support::send(over_connection).await.unwrap();
        assert!(seen.headers.remove(DATE).is_some());

        let request = Request::get(path).body(Bytes::new()).unwrap();
        let outcome = whole(world.handle(request, ClientLimits::default()).await);
        assert_eq!(outcome.status(), seen.status);
        assert_eq!(outcome.headers(), &seen.headers);
        assert_eq!(outcome.body(), &seen.body);
    }
}

#[tokio::test]
async fn in_process_requests_are_recorded() {
    let world = InProcessWorld::new();
    let response = world.whole(world.get("/people/me")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let recorded = &world.webex.requests()[0];
    assert_eq!(recorded.path, "/v1/people/me");
    assert_eq!(
        (recorded.status, recorded.processed),
        (Outcome::Status(200), true)
    );
    assert_eq!(
        recorded.tracking_id.as_deref().unwrap(),
        response.headers()["trackingid"]
    );
    assert_eq!(world.webex.in_flight().now, 0);
}

#[tokio::test]
async fn error_has_its_tracking_id_in_header_and_body() {
    let world = InProcessWorld::new();
    let response = world.whole(get("/people/me", "nobody")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()["trackingid"],
        text(&json(&response), "trackingId")
    );
    let length = response.headers()[CONTENT_LENGTH].to_str().unwrap();
    assert_eq!(length, response.body().len().to_string());
}

#[tokio::test]
async fn next_page_is_on_the_requested_host() {
    let world = InProcessWorld::new();
    world.webex.set_paging(Listing::Roles, Paging::with_size(2));
    let response = world.whole(world.get("/roles")).await;
    let link = response.headers()[LINK].to_str().unwrap();
    assert!(
        link.starts_with("<https://webexapis.com/v1/roles?"),
        "{link}"
    );

    let mut request = world.get("/roles");
    let host = http::HeaderValue::from_static("other.example:8443");
    request.headers_mut().insert(HOST, host);
    let response = world.whole(request).await;
    let link = response.headers()[LINK].to_str().unwrap();
    assert!(
        link.starts_with("<https://other.example:8443/v1/roles?"),
        "{link}"
    );
}

#[tokio::test]
async fn fork_copies_the_state_and_is_independent() {
    let world = InProcessWorld::new();
    world.webex.inject(Fault::status("/v1/people", 503));
    world.whole(world.get("/roles")).await;
    let clock = TestClock::new();
    let copy = world.webex.fork(clock.clock());
    assert_eq!(copy.requests().len(), 1);

    // The copy has the same random numbers, faults and tokens …
    let responses = [&world.webex, &copy].map(|webex| {
        let limits = ClientLimits::default();
        [world.get("/people/me"), world.refresh()].map(|request| webex.handle(request, limits))
    });
    let mut seen = Vec::new();
    for [fault, refresh] in responses {
        seen.push((
            transcript(&whole(fault.await)),
            transcript(&whole(refresh.await)),
        ));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].0.starts_with("503"));

    // … and its own clock and later changes.
    clock.advance(200 * DAY);
    assert!(world.webex.accepts(world.grant.access_token()));
    assert!(!copy.accepts(world.grant.access_token()));
    world.webex.revoke(&world.organization);
    assert_eq!(world.webex.requests().len(), copy.requests().len());
    world.whole(world.get("/roles")).await;
    assert_ne!(world.webex.requests().len(), copy.requests().len());
}

#[tokio::test]
async fn fork_has_no_request_in_flight() {
    let world = InProcessWorld::new();
    let gate = world.webex.gate_after("/v1/access_token");
    let refresh = tokio::spawn(world.webex.handle(world.refresh(), ClientLimits::default()));
    gate.reached().await;
    let copy = world.webex.fork(world.clock.clock());
    assert_eq!(copy.in_flight().now, 0);
    assert_eq!(copy.requests()[0].status, Outcome::Abandoned);
    assert_eq!(world.webex.requests()[0].status, Outcome::InFlight);
    gate.release();
    refresh.await.unwrap();
    // In the copy, the token was rotated, but the response never arrived.
    let request = world.refresh();
    let refused = whole(copy.handle(request, ClientLimits::default()).await);
    assert_eq!(json(&refused)["error"], "invalid_grant");
    copy.assert_sound();
}

#[tokio::test]
async fn in_process_overlap_counts_unless_first_is_dropped() {
    let world = InProcessWorld::new();
    let gate = world.webex.gate("/v1/access_token");
    let first = tokio::spawn(world.webex.handle(world.refresh(), ClientLimits::default()));
    gate.reached().await;
    let second = tokio::spawn(world.webex.handle(world.refresh(), ClientLimits::default()));
    gate.reached_by(2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(world.webex.violations().len(), 1);

    let third = tokio::spawn(world.webex.handle(world.refresh(), ClientLimits::default()));
    gate.reached_by(3).await;
    assert_eq!(world.webex.violations().len(), 2);
    gate.release();
    second.await.unwrap();
    third.await.unwrap();
}

#[test]
fn handles_requests_without_a_runtime() {
    let world = InProcessWorld::new();
    let response = poll_once(world.whole(world.get("/people/me")));
    assert_eq!(response.status(), StatusCode::OK);
}

/// Polls a future that is ready immediately, and returns its value.
fn poll_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it had to wait"),
    }
}
