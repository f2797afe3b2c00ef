//! Metrics and health of `run` and `serve`, on a listener of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use relation_app::check::METRICS_TOKEN;
use relation_app::config::MetricsConfig;
use relation_app::secret_text::read_line_of_file;
use relation_app::{AppError, HostParts};
use relation_host::Host;
use relation_metrics::{EndpointOptions, Endpoints, Metrics, TokenSource, observe_response};
use relation_web::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Context;

/// How long the listener may take to close at the end.
const GRACE: Duration = Duration::from_secs(1);

/// Metrics and health. Without a listener, nothing is recorded.
pub struct Telemetry(Option<Active>);

struct Active {
    metrics: Metrics,
    endpoints: Endpoints,
    closing: CancellationToken,
    server: JoinHandle<Result<(), AppError>>,
}

impl Telemetry {
    /// Listens at `address`, or else at the configured one, if there is any. `stopping` is canceled when the process is
    /// asked to stop.
    ///
    /// # Errors
    /// The address cannot be listened on, or the token cannot be read.
    pub fn start(
        context: &Context,
        stopping: &CancellationToken,
        address: Option<SocketAddr>,
    ) -> Result<Self, AppError> {
        let installation = &context.installation;
        let config = &installation.config.metrics;
        let Some(listen) = address.or(config.listen) else {
            return Ok(Self::none());
        };
        let token = token_source(config);
        if let Some(source) = &token {
            source().map_err(AppError::usage)?;
        }
        let server = Server::bind(listen, None).map_err(|error| {
            error.hint(
                "end the other program, or set another address of this machine with --metrics or in metrics.listen",
            )
        })?;
        let address = server.address()?;
        let routes = relation_web::route_patterns();
        let clock = Arc::clone(&installation.clock);
        let metrics = Metrics::new(clock, env!("CARGO_PKG_VERSION"), &routes)
            .with_dropped_spans(Arc::clone(&context.dropped_spans));
        if let Some(hash) = &installation.config.hash {
            metrics.record_config(hash);
        }
        let options = EndpointOptions {
            token,
            per_connection: config.per_connection,
        };
        let endpoints = Endpoints::new(metrics.clone(), stopping.clone(), options);
        tracing::info!("metrics at http://{address}/metrics");
        let closing = CancellationToken::new();
        let server = tokio::spawn(server.run(endpoints.router(), closing.clone()));
        Ok(Self(Some(Active {
            metrics,
            endpoints,
            closing,
            server,
        })))
    }

    /// Returns telemetry that records nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Has the parts of a host report to the metrics.
    pub fn equip(&self, parts: &mut HostParts) {
        let Some(Active { metrics, .. }) = &self.0 else {
            return;
        };
        parts.store = metrics.observe_store(Arc::clone(&parts.store));
        let observer = Arc::new(metrics.clone());
        let notices = parts.notices.clone();
        parts.notices = notices.with_observer(observer.clone());
        parts.observers.push(observer);
    }

    /// Sets the host, which has started.
    pub fn attach(&self, host: &Host) {
        if let Some(active) = &self.0 {
            active.endpoints.attach(host);
        }
    }

    /// Adds a layer to the routes of the API and of the page.
    pub fn observe_router(&self, router: Router) -> Router {
        match &self.0 {
            Some(Active { metrics, .. }) => {
                router.layer(from_fn_with_state(metrics.clone(), observe_response))
            }
            None => router,
        }
    }

    /// Closes the listener, after the calls have ended.
    pub async fn close(self) {
        let Some(active) = self.0 else {
            return;
        };
        active.closing.cancel();
        active.endpoints.detach();
        let mut server = active.server;
        if tokio::time::timeout(GRACE, &mut server).await.is_err() {
            server.abort();
        }
    }
}

/// Returns the source of the token, which is read for each request.
fn token_source(config: &MetricsConfig) -> Option<Box<TokenSource>> {
    let file = config.token_file.clone()?;
    let read = move || {
        let token = read_line_of_file(&file, METRICS_TOKEN);
        token.map_err(|error| error.to_string())
    };
    Some(Box::new(read))
}
