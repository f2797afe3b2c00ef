//! A plain HTTP client and a controlled clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use url::form_urlencoded::Serializer;
use webex_emulator::{
    Builder, Clock, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Grant,
    Organization,
};

pub const TOKEN: &str = "/v1/access_token";
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that stands still between two calls of `advance`.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Arc::new(move || time.load(Ordering::SeqCst))
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub struct TestResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl TestResponse {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// The error in place of a response, with all its causes.
pub type SendError = String;

pub async fn send(request: Request<String>) -> Result<TestResponse, SendError> {
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .retry_canceled_requests(false)
        .build_http::<Full<Bytes>>();
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let response = client.request(request).await.map_err(causes)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(causes)?.to_bytes();
    Ok(TestResponse {
        status: head.status,
        headers: head.headers,
        body,
    })
}

fn causes(error: impl std::error::Error) -> SendError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Returns `http://address/path` for a base address that ends in `/v1`, and a path that begins with
/// it.
pub fn url(base_url: &str, path: &str) -> String {
    format!("{}{path}", base_url.trim_end_matches("/v1"))
}

pub fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// An emulator with one organization and one grant in it.
pub struct World {
    pub webex: Emulator,
    pub clock: TestClock,
    pub organization: Organization,
    pub grant: Grant,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = TestClock::new();
        let builder = configure(Emulator::builder().clock(clock.clock()));
        let webex = builder.start().await.unwrap();
        let organization = webex.create_organization("Example");
        let grant = webex.grant(&organization, DEFAULT_SCOPES);
        Self {
            webex,
            clock,
            organization,
            grant,
        }
    }

    pub fn url(&self, path: &str) -> String {
        url(&self.webex.base_url(), path)
    }

    pub async fn post_form(&self, fields: &[(&str, &str)]) -> Result<TestResponse, SendError> {
        send(token_request(&self.webex.base_url(), fields)).await
    }

    /// Refreshes and expects a response.
    pub async fn refresh(&self, refresh_token: &str) -> TestResponse {
        self.try_refresh(refresh_token).await.unwrap()
    }

    pub async fn try_refresh(&self, refresh_token: &str) -> Result<TestResponse, SendError> {
        send(refresh_request(&self.webex.base_url(), refresh_token)).await
    }

    pub async fn get(&self, path: &str, access_token: &str) -> TestResponse {
        self.call("GET", path, access_token).await
    }

    pub async fn delete(&self, path: &str, access_token: &str) -> TestResponse {
        self.call("DELETE", path, access_token).await
    }

    async fn call(&self, method: &str, path: &str, access_token: &str) -> TestResponse {
        let request = Request::builder()
            .method(method)
            .uri(self.url(path))
            .header(AUTHORIZATION, format!("Bearer {access_token}"))
            .body(String::new())
            .unwrap();
        send(request).await.unwrap()
    }

    /// Returns whether the API accepts this access token.
    pub async fn access_token_works(&self, access_token: &str) -> bool {
        let response = self.get("/v1/people/me", access_token).await;
        response.status == StatusCode::OK
    }
}

pub fn token_request(base_url: &str, fields: &[(&str, &str)]) -> Request<String> {
    Request::post(format!("{base_url}/access_token"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(fields))
        .unwrap()
}

pub fn refresh_request(base_url: &str, refresh_token: &str) -> Request<String> {
    token_request(
        base_url,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", DEFAULT_CLIENT_SECRET),
            ("refresh_token", refresh_token),
        ],
    )
}

pub fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap()
}
