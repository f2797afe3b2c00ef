//! The client: sends one request and returns one response before one deadline.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{ActiveConnection, LimitedBody};
use super::budget::{Pacer, RequestBudget};
use super::connect::{Connector, Progress};
use super::error::{BoxError, EgressError, Peer, RequestPhase};
use super::origin::Scheme;
use super::policy::Policy;
use super::pool::{Pool, PoolLimits, RequestBody, RequestBodyError, Route, Sender};
use super::proxy::Proxies;
use super::request;
use super::resolve::{Resolve, SystemResolver};
use super::tls::{self, Tls};
use super::transport::{self, Transport};
use super::tunnel;

/// How long a pooled connection may take to become ready after its last response has been read. Its
/// task only has to run once; a connection that takes longer is still sending and is dropped.
const READY_TIMEOUT: Duration = Duration::from_millis(50);

/// The options of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The maximum time for resolving, connecting, the proxy and TLS together; 10 s by default.
    pub connect_timeout: Duration,
    /// The maximum size of the header of a request or response, in bytes; 64 KiB by default.
    pub max_header_bytes: usize,
    /// The maximum size of a response body, in bytes; 8 MiB by default.
    pub max_response_bytes: u64,
    /// Maximum idle connections per target, proxy and credentials; 256 by default.
    pub max_idle_per_route: usize,
    /// Maximum idle connections in total; 2048 by default.
    pub max_idle: usize,
    /// How long an idle connection is kept; 30 s by default, which is less than most servers keep
    /// it.
    pub idle_timeout: Duration,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub extra_ca_file: Option<PathBuf>,
    /// The budgets of APIs that publish a limit; none by default.
    pub budgets: Vec<RequestBudget>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            max_header_bytes: 64 * 1024,
            max_response_bytes: 8 * 1024 * 1024,
            max_idle_per_route: 256,
            max_idle: 2048,
            idle_timeout: Duration::from_secs(30),
            extra_ca_file: None,
            budgets: Vec::new(),
        }
    }
}

/// The reason why a client could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The file of certificate authorities cannot be used.
    #[error("cannot use `{path}` as `egress.extra-ca`: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// A client that sends requests to permitted origins. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    pool: Arc<Pool>,
    http: http1::Builder,
    options: ClientOptions,
    pacers: Vec<Pacer>,
    /// Sends requests in place of the connector's sockets, if set.
    transport: Option<Arc<dyn Transport>>,
}

impl Client {
    /// Creates a client that uses the operating system's resolver.
    ///
    /// # Errors
    /// [`ClientError::CaFile`] if the file of certificate authorities cannot be used.
    pub fn new(policy: Policy, options: ClientOptions) -> Result<Self, ClientError> {
        Self::with_resolver(policy, options, Arc::new(SystemResolver))
    }

    /// Creates a client that uses `resolver`.
    ///
    /// # Errors
    /// [`ClientError::CaFile`] if the file of certificate authorities cannot be used.
    pub fn with_resolver(
        policy: Policy,
        options: ClientOptions,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, ClientError> {
        let further = match &options.extra_ca_file {
            None => Vec::new(),
            Some(path) => tls::read_ca_file(path).map_err(|reason| ClientError::CaFile {
                path: path.clone(),
                reason,
            })?,
        };
        let connector = Connector {
            policy,
            resolver,
            tls: Tls::new(further),
        };
        Ok(Self::from_connector(connector, options))
    }

    /// Creates a client without sockets and name resolution: requests that the policy permits by
    /// name go to `transport`. Options of connections have no effect. For tests.
    pub fn with_transport(
        policy: Policy,
        options: ClientOptions,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let connector = Connector {
            policy,
            resolver: Arc::new(SystemResolver),
            tls: Tls::new(Vec::new()),
        };
        Self::build(connector, options, Some(transport))
    }

    pub(super) fn from_connector(connector: Connector, options: ClientOptions) -> Self {
        Self::build(connector, options, None)
    }

    fn build(
        connector: Connector,
        options: ClientOptions,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.max_header_size(options.max_header_bytes);
        let pool = Pool::new(PoolLimits {
            per_route: options.max_idle_per_route,
            total: options.max_idle,
            idle_timeout: options.idle_timeout,
        });
        Self(Arc::new(Inner {
            connector,
            pool,
            http,
            pacers: options.budgets.iter().filter_map(Pacer::new).collect(),
            options,
            transport,
        }))
    }

    /// Returns the policy of permitted origins.
    pub fn policy(&self) -> &Policy {
        &self.0.connector.policy
    }

    /// Sends a request and returns the response head; the body is read afterwards.
    ///
    /// `deadline` limits resolving, connecting, sending, and reading the head and body of the
    /// response. Must be called within a tokio runtime, which then runs the connection.
    ///
    /// # Errors
    /// See [`EgressError`]. A status such as 302 or 500 is not an error. A 407 is an error if the
    /// request went to a proxy in absolute form, because it comes from the proxy instead of the
    /// target.
    pub async fn send<B>(
        &self,
        request: Request<B>,
        proxies: &Proxies,
        deadline: Instant,
    ) -> Result<Response<LimitedBody>, EgressError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let inner = &*self.0;
        let (mut parts, body) = request.into_parts();
        let uri = parts.uri.clone();
        let target = inner
            .connector
            .policy
            .check_target(&parts.uri)
            .inspect_err(|denied| {
                tracing::warn!("{denied}");
            })?;
        let proxy = proxies.for_scheme(target.origin().scheme());
        let length = body.size_hint().exact();
        let max_header_bytes = inner.options.max_header_bytes;
        request::prepare(&mut parts, &target, proxy, length, max_header_bytes)?;
        let body = body.map_err(|_| RequestBodyError).boxed_unsync();
        let request = Request::from_parts(parts, body);
        let route = Route {
            target,
            proxy: proxy.cloned(),
        };
        inner.wait_for_budget(&uri, &route, deadline).await?;
        if let Some(transport) = &inner.transport {
            let options = &inner.options;
            return transport::exchange(&**transport, request, &route, deadline, options).await;
        }
        let mut progress = Progress::default();
        let exchange = inner.exchange(request, &route, &mut progress, deadline);
        let (response, sender) = match timeout_at(deadline, exchange).await {
            Ok(exchanged) => exchanged?,
            Err(_) => return Err(progress.timeout_error(&route)),
        };
        inner.accept_response(response, sender, route, deadline)
    }

    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.0.pool.idle_count()
    }
}

impl Inner {
    /// Waits until the budgets of the target allow a request.
    async fn wait_for_budget(
        &self,
        uri: &Uri,
        route: &Route,
        deadline: Instant,
    ) -> Result<(), EgressError> {
        let origin = route.target.origin();
        for pacer in &self.pacers {
            if pacer.covers(origin, uri.path()) && !pacer.wait(deadline).await {
                return Err(EgressError::Timeout {
                    peer: Peer::Target(origin.clone()),
                    phase: RequestPhase::Budget,
                });
            }
        }
        Ok(())
    }

    /// Sends the request over a pooled connection or a new one.
    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        route: &Route,
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, Sender), EgressError> {
        while let Some(mut sender) = self.take_idle(route).await {
            progress.phase = RequestPhase::Response;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                // The request is only returned if none of it was written: the server had closed the
                // idle connection. In any other case it must not be sent again.
                Err(mut failed) => match failed.take_message() {
                    Some(untouched) => request = untouched,
                    None => {
                        let error = failed.into_error();
                        return Err(self.hyper_error(&error, route, RequestPhase::Response));
                    }
                },
            }
        }
        let mut sender = self.open(route, progress, deadline).await?;
        progress.phase = RequestPhase::Response;
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(_) => EgressError::Connect {
                    peer: route.responder(),
                    reason: "it closed the connection before a request was sent".to_owned(),
                    refused: false,
                },
                None => self.hyper_error(&failed.into_error(), route, RequestPhase::Response),
            }),
        }
    }

    /// Takes an idle connection that is ready for a request.
    async fn take_idle(&self, route: &Route) -> Option<Sender> {
        loop {
            let mut sender = self.pool.take(route)?;
            if sender.is_ready()
                || matches!(timeout(READY_TIMEOUT, sender.ready()).await, Ok(Ok(())))
            {
                return Some(sender);
            }
        }
    }

    fn hyper_error(&self, error: &hyper::Error, route: &Route, phase: RequestPhase) -> EgressError {
        EgressError::from_hyper(error, route, phase, self.options.max_header_bytes)
    }

    async fn open(
        &self,
        route: &Route,
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<Sender, EgressError> {
        let until = deadline.min(Instant::now() + self.options.connect_timeout);
        let stream = self.connector.connect(route, progress, until).await?;
        let opened = self.http.handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            opened.map_err(|error| self.hyper_error(&error, route, RequestPhase::Connect))?;
        tokio::spawn(async move {
            // The request in flight, if any, receives the error as well.
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
        });
        Ok(sender)
    }

    fn accept_response(
        &self,
        response: Response<Incoming>,
        sender: Sender,
        route: Route,
        deadline: Instant,
    ) -> Result<Response<LimitedBody>, EgressError> {
        if let Some(error) = status_error(response.status(), &route) {
            return Err(error);
        }
        let from_proxy = route.target.origin().scheme() == Scheme::Http;
        let (parts, incoming) = response.into_parts();
        let active = ActiveConnection {
            is_reusable: !from_proxy || route.proxy.is_none() || has_keep_alive(&parts.headers),
            pool: Arc::clone(&self.pool),
            route,
            sender,
        };
        let ClientOptions {
            max_response_bytes,
            max_header_bytes,
            ..
        } = self.options;
        let body = LimitedBody::new(
            incoming,
            active,
            max_response_bytes,
            max_header_bytes,
            deadline,
        )?;
        Ok(Response::from_parts(parts, body))
    }
}

/// Returns the error for a status that does not come from the target.
pub(super) fn status_error(status: StatusCode, route: &Route) -> Option<EgressError> {
    let from_proxy = route.target.origin().scheme() == Scheme::Http;
    match (status, &route.proxy) {
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) if from_proxy => {
            Some(tunnel::refusal(status, proxy))
        }
        // The client never requests an upgrade.
        (StatusCode::SWITCHING_PROTOCOLS, _) => Some(EgressError::Protocol {
            peer: route.responder(),
            reason: "it switched to another protocol unasked".to_owned(),
            phase: RequestPhase::Response,
        }),
        _ => None,
    }
}

/// Returns whether a response explicitly promises to keep its connection open.
///
/// HTTP/1.1 implies it, but tinyproxy closes the connection after each response without notice. The
/// next request would be written to the closing connection, and it would be unknown whether the
/// proxy forwarded it.
fn has_keep_alive(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut tokens = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|token| token.trim().eq_ignore_ascii_case("keep-alive"))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("policy", self.policy())
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
