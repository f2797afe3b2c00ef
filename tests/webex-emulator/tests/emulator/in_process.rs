//! The emulator without a listener: the same answers, by a seed, and copies of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, DATE, HOST, LINK};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use webex_emulator::{
    Answered, Arrival, Consent, DEFAULT_CLIENT_ID, DEFAULT_SCOPES, Emulator, Fault, Grant, Listing,
    Mode, Organization, Outcome, Paging, Patience, Webex,
};

use crate::support::{DAY, TestClock, refresh_request, text, token_request};

const BASE: &str = "https://webexapis.com/v1";

/// An emulator that does not listen, with one organisation and one grant in it.
pub struct Quiet {
    pub webex: Webex,
    pub clock: TestClock,
    pub organization: Organization,
    pub grant: Grant,
}

impl Quiet {
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

    pub async fn answer(&self, request: Request<Bytes>) -> Answered {
        self.webex.answer(request, Patience::default()).await
    }

    pub async fn whole(&self, request: Request<Bytes>) -> Response<Bytes> {
        whole(self.answer(request).await)
    }
}

fn get(path: &str, access_token: &str) -> Request<Bytes> {
    Request::get(format!("{BASE}{path}"))
        .header(AUTHORIZATION, format!("Bearer {access_token}"))
        .body(Bytes::new())
        .unwrap()
}

#[track_caller]
pub fn whole(answered: Answered) -> Response<Bytes> {
    match answered.arrival {
        Arrival::Whole(response) => response,
        other => panic!("no whole answer but {other:?}"),
    }
}

pub fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// All that a client can see, in its order.
fn transcript(response: &Response<Bytes>) -> String {
    let body = String::from_utf8_lossy(response.body());
    format!("{} {:?} {body}", response.status(), response.headers())
}

/// A consent, an exchange, refreshes, pages and refusals; everything that was answered.
async fn life(seed: u64) -> Vec<String> {
    let quiet = Quiet::seeded(seed);
    quiet.webex.set_paging(Listing::Roles, Paging::by(2));
    let link = format!(
        "{BASE}/authorize?response_type=code&client_id={DEFAULT_CLIENT_ID}\
         &redirect_uri=https%3A%2F%2Fclient.example%2Fback&scope=spark-admin%3Aroles_read&state=s"
    );
    let consent = Consent::accept(&quiet.organization);
    let location = quiet.webex.authorize(&link, &consent).unwrap();
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
    quiet.webex.inject(Fault::status("/v1/people", 503));
    let requests = [
        page,
        exchange.map(Bytes::from),
        quiet.get("/people/me"),
        quiet.get("/people/me"),
        quiet.get("/roles?max=2"),
        quiet.get("/nothing"),
        quiet.refresh(),
        quiet.refresh(),
    ];
    let mut seen = vec![location];
    for request in requests {
        seen.push(transcript(&quiet.whole(request).await));
        quiet.clock.advance(Duration::from_secs(1));
    }
    seen.push(serde_json::to_string(&quiet.webex.requests()).unwrap());
    seen
}

#[tokio::test]
async fn the_same_seed_and_requests_give_the_same_answers_byte_for_byte() {
    assert_eq!(life(1).await, life(1).await);
}

#[tokio::test]
async fn another_seed_gives_other_tokens() {
    let (first, second) = (Quiet::seeded(1), Quiet::seeded(2));
    assert_ne!(first.grant.refresh_token(), second.grant.refresh_token());
    assert_ne!(first.organization.uuid, second.organization.uuid);
}

#[tokio::test]
async fn an_answer_in_process_is_that_of_the_listener_but_for_the_date() {
    let clock = TestClock::new();
    let builder = Emulator::builder().clock(clock.clock()).seed(3);
    let listening = builder.clone().start().await.unwrap();
    let quiet = builder.in_process();
    for path in ["/v1/roles", "/v1/people/me", "/v1/nothing"] {
        let over_connection = Request::get(format!("http://{}{path}", listening.address()));
        let over_connection = over_connection.body(String::new()).unwrap();
        let mut seen = crate::support::send(over_connection).await.unwrap();
        assert!(seen.headers.remove(DATE).is_some());

        let request = Request::get(path).body(Bytes::new()).unwrap();
        let answered = whole(quiet.answer(request, Patience::default()).await);
        assert_eq!(answered.status(), seen.status);
        assert_eq!(answered.headers(), &seen.headers);
        assert_eq!(answered.body(), &seen.body);
    }
}

#[tokio::test]
async fn what_is_asked_in_process_is_recorded() {
    let quiet = Quiet::new();
    let answer = quiet.whole(quiet.get("/people/me")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let recorded = &quiet.webex.requests()[0];
    assert_eq!(recorded.path, "/v1/people/me");
    assert_eq!(
        (recorded.status, recorded.processed),
        (Outcome::Status(200), true)
    );
    assert_eq!(
        recorded.tracking_id.as_deref().unwrap(),
        answer.headers()["trackingid"]
    );
    assert_eq!(quiet.webex.in_flight().now, 0);
}

#[tokio::test]
async fn an_error_says_its_tracking_id_in_header_and_body() {
    let quiet = Quiet::new();
    let answer = quiet.whole(get("/people/me", "nobody")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.headers()["trackingid"],
        text(&json(&answer), "trackingId")
    );
    let length = answer.headers()[CONTENT_LENGTH].to_str().unwrap();
    assert_eq!(length, answer.body().len().to_string());
}

#[tokio::test]
async fn a_next_page_is_where_the_request_was_sent_to() {
    let quiet = Quiet::new();
    quiet.webex.set_paging(Listing::Roles, Paging::by(2));
    let answer = quiet.whole(quiet.get("/roles")).await;
    let link = answer.headers()[LINK].to_str().unwrap();
    assert!(
        link.starts_with("<https://webexapis.com/v1/roles?"),
        "{link}"
    );

    let mut request = quiet.get("/roles");
    let host = http::HeaderValue::from_static("other.example:8443");
    request.headers_mut().insert(HOST, host);
    let answer = quiet.whole(request).await;
    let link = answer.headers()[LINK].to_str().unwrap();
    assert!(
        link.starts_with("<https://other.example:8443/v1/roles?"),
        "{link}"
    );
}

#[tokio::test]
async fn a_copy_knows_what_the_original_knew_and_goes_its_own_way() {
    let quiet = Quiet::new();
    quiet.webex.inject(Fault::status("/v1/people", 503));
    quiet.whole(quiet.get("/roles")).await;
    let clock = TestClock::new();
    let copy = quiet.webex.fork(clock.clock());
    assert_eq!(copy.requests().len(), 1);

    // The same random numbers, faults and tokens …
    let answers = [&quiet.webex, &copy].map(|webex| {
        let patience = Patience::default();
        [quiet.get("/people/me"), quiet.refresh()].map(|request| webex.answer(request, patience))
    });
    let mut seen = Vec::new();
    for [fault, refresh] in answers {
        seen.push((
            transcript(&whole(fault.await)),
            transcript(&whole(refresh.await)),
        ));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].0.starts_with("503"));

    // … and another clock and another future.
    clock.advance(200 * DAY);
    assert!(quiet.webex.accepts(quiet.grant.access_token()));
    assert!(!copy.accepts(quiet.grant.access_token()));
    quiet.webex.revoke(&quiet.organization);
    assert_eq!(quiet.webex.requests().len(), copy.requests().len());
    quiet.whole(quiet.get("/roles")).await;
    assert_ne!(quiet.webex.requests().len(), copy.requests().len());
}

#[tokio::test]
async fn a_copy_made_in_mid_flight_has_nothing_in_flight() {
    let quiet = Quiet::new();
    let gate = quiet.webex.gate_after("/v1/access_token");
    let refresh = tokio::spawn(quiet.webex.answer(quiet.refresh(), Patience::default()));
    gate.reached().await;
    let copy = quiet.webex.fork(quiet.clock.clock());
    assert_eq!(copy.in_flight().now, 0);
    assert_eq!(copy.requests()[0].status, Outcome::Abandoned);
    assert_eq!(quiet.webex.requests()[0].status, Outcome::InFlight);
    gate.release();
    refresh.await.unwrap();
    // The answer that rotated the token out never came to anybody in the copy.
    let request = quiet.refresh();
    let refused = whole(copy.answer(request, Patience::default()).await);
    assert_eq!(json(&refused)["error"], "invalid_grant");
    copy.assert_sound();
}

#[tokio::test]
async fn an_overlap_in_process_is_one_unless_its_first_request_was_dropped() {
    let quiet = Quiet::new();
    let gate = quiet.webex.gate("/v1/access_token");
    let first = tokio::spawn(quiet.webex.answer(quiet.refresh(), Patience::default()));
    gate.reached().await;
    let second = tokio::spawn(quiet.webex.answer(quiet.refresh(), Patience::default()));
    gate.reached_by(2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(quiet.webex.violations().len(), 1);

    let third = tokio::spawn(quiet.webex.answer(quiet.refresh(), Patience::default()));
    gate.reached_by(3).await;
    assert_eq!(quiet.webex.violations().len(), 2);
    gate.release();
    second.await.unwrap();
    third.await.unwrap();
}

#[test]
fn it_answers_on_no_runtime_at_all() {
    let quiet = Quiet::new();
    let answer = futures_executor(quiet.whole(quiet.get("/people/me")));
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Runs a future that never has to wait.
fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it had to wait"),
    }
}
