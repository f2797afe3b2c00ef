//! The endpoints `/metrics`, `/livez` and `/readyz`, which have a listener of their own.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use relation_host::Host;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

use crate::collector::Collector;
use crate::families::CONTENT_TYPE;
use crate::health::{Health, Readiness};
use crate::metrics::Metrics;

/// The media type of a stream of events.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// The source of the bearer token of `/metrics`, which may change. An error denies every request.
pub type TokenSource = dyn Fn() -> Result<SecretString, String> + Send + Sync;

/// The endpoints of one host. Clones are the same.
#[derive(Clone)]
pub struct Endpoints(Arc<Parts>);

struct Parts {
    metrics: Metrics,
    health: Health,
    collector: Mutex<Option<Arc<Collector>>>,
    token: Option<Box<TokenSource>>,
    per_connection: bool,
}

/// The choices of the endpoints.
#[derive(Default)]
pub struct EndpointOptions {
    /// The token that is needed to read the metrics; `None`: everybody who reaches the listener may read them.
    pub token: Option<Box<TokenSource>>,
    /// Whether each customer has a gauge.
    pub per_connection: bool,
}

impl Endpoints {
    /// Creates the endpoints of a host that is starting. `stopping` is canceled when the process is asked to stop.
    #[must_use]
    pub fn new(metrics: Metrics, stopping: CancellationToken, options: EndpointOptions) -> Self {
        let health = Health::new(Arc::clone(&metrics.clock), stopping);
        Self(Arc::new(Parts {
            metrics,
            health,
            collector: Mutex::default(),
            token: options.token,
            per_connection: options.per_connection,
        }))
    }

    /// Sets the host, which has started.
    pub fn attach(&self, host: &Host) {
        self.0.metrics.record_component(host.plugin());
        let collector = Collector::new(self.0.metrics.clone(), host.clone(), self.0.per_connection);
        *self.0.collector.lock() = Some(Arc::new(collector));
        self.0.health.attach(host.clone());
    }

    /// Forgets the host, which then can be dropped.
    pub fn detach(&self) {
        self.0.collector.lock().take();
        self.0.health.detach();
    }

    /// Returns the metrics, as `/metrics` does.
    pub async fn scrape(&self) -> String {
        let collector = self.0.collector.lock().clone();
        if let Some(collector) = collector {
            collector.collect().await;
        }
        self.0.metrics.encode()
    }

    /// Returns the readiness, as `/readyz` does.
    pub async fn readiness(&self) -> Readiness {
        self.0.health.check().await
    }

    /// Returns the routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .with_state(self.clone())
    }

    /// Returns whether the request has the token, if there is one.
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(source) = &self.0.token else {
            return true;
        };
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        });
        let (Some(given), Ok(token)) = (
            given,
            source().inspect_err(|error| {
                tracing::warn!(%error, "the token of the metrics cannot be read");
            }),
        ) else {
            return false;
        };
        given
            .as_bytes()
            .ct_eq(token.expose_secret().as_bytes())
            .into()
    }
}

async fn metrics(State(endpoints): State<Endpoints>, headers: HeaderMap) -> Response {
    if !endpoints.is_allowed(&headers) {
        return deny();
    }
    let text = endpoints.scrape().await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

fn deny() -> Response {
    let text = "the bearer token of metrics.token-file is needed\n";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

/// Returns 200 if the host is ready, else 503. `?verbose` names each part.
async fn readyz(
    State(endpoints): State<Endpoints>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let is_verbose = query.is_some_and(|query| query.split('&').any(|each| each == "verbose"));
    if is_verbose && !endpoints.is_allowed(&headers) {
        return deny();
    }
    let readiness = endpoints.readiness().await;
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    match is_verbose {
        true => (status, axum::Json(readiness)).into_response(),
        false => (
            status,
            if readiness.ready {
                "ok\n"
            } else {
                "not ready\n"
            },
        )
            .into_response(),
    }
}

/// Counts and times a response, as a middleware around all routes of a program:
/// `from_fn_with_state(metrics, observe_response)`.
pub async fn observe_response(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = metrics.clock.monotonic();
    let response = next.run(request).await;
    let took = metrics.clock.monotonic().saturating_sub(began);
    // A request with a wrong method is none of the route's.
    let route = route.filter(|_| response.status() != StatusCode::METHOD_NOT_ALLOWED);
    let route = route.as_ref().map(MatchedPath::as_str);
    metrics.record_response(&method, route, response.status().as_u16(), took);
    let content_type = response.headers().get(header::CONTENT_TYPE);
    match content_type.is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM)) {
        true => response.map(|body| metrics.count_stream(body)),
        false => response,
    }
}
