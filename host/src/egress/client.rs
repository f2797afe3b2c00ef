//! The client: one request in, one answer out, before one deadline.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{InUse, LimitedBody};
use super::connect::{Connector, Progress};
use super::error::{BoxError, EgressError, Stage};
use super::origin::Scheme;
use super::policy::Policy;
use super::pool::{BodyFailed, Keep, Pool, RequestBody, Route, Sender};
use super::proxy::Proxies;
use super::request;
use super::resolve::{Resolve, SystemResolver};
use super::tls::{self, Tls};
use super::transport::{self, Transport};
use super::tunnel;

/// How long a kept connection may take to become ready after its last answer has been read: its task has
/// only to run once. One that does not is still busy sending and is given up.
const GRACE: Duration = Duration::from_millis(50);

/// The bounds of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The most time for resolving, connecting, the proxy and TLS together; 10 s.
    pub connect_timeout: Duration,
    /// The largest header of a request or an answer, in bytes; 64 KiB.
    pub max_header_bytes: usize,
    /// The largest body of an answer, in bytes; 8 MiB.
    pub max_response_bytes: u64,
    /// Idle connections kept per target, proxy and credentials; 256.
    pub max_idle_per_route: usize,
    /// Idle connections kept in all; 2048.
    pub max_idle: usize,
    /// How long an idle connection is kept; 30 s, which is less than servers commonly do.
    pub idle_timeout: Duration,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub extra_ca_file: Option<PathBuf>,
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
        }
    }
}

/// A client cannot be made as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The file of certificate authorities is of no use.
    #[error("cannot use `{path}` as `egress.extra-ca`: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Sends requests to where the policy allows. Cheap to clone; one per process shares its connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    pool: Arc<Pool>,
    http: http1::Builder,
    options: ClientOptions,
    /// Carries everything in place of the connector's sockets.
    transport: Option<Arc<dyn Transport>>,
}

impl Client {
    /// A client that asks the operating system for addresses.
    ///
    /// # Errors
    /// [`ClientError::CaFile`] when the file of certificate authorities cannot be used.
    pub fn new(policy: Policy, options: ClientOptions) -> Result<Self, ClientError> {
        Self::with_resolver(policy, options, Arc::new(SystemResolver))
    }

    /// A client that asks `resolver` for addresses.
    ///
    /// # Errors
    /// [`ClientError::CaFile`] when the file of certificate authorities cannot be used.
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
        Ok(Self::of(connector, options))
    }

    /// A client that opens no socket and looks up no name: what the policy passes by its name goes to
    /// `transport`. What concerns connections among the options has no meaning here. For tests.
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
        Self::made(connector, options, Some(transport))
    }

    pub(super) fn of(connector: Connector, options: ClientOptions) -> Self {
        Self::made(connector, options, None)
    }

    fn made(
        connector: Connector,
        options: ClientOptions,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.max_header_size(options.max_header_bytes);
        let pool = Pool::new(Keep {
            per_route: options.max_idle_per_route,
            in_all: options.max_idle,
            idle: options.idle_timeout,
        });
        Self(Arc::new(Inner {
            connector,
            pool,
            http,
            options,
            transport,
        }))
    }

    /// Who may be reached.
    pub fn policy(&self) -> &Policy {
        &self.0.connector.policy
    }

    /// Sends a request and returns the answer's head; its body follows as it is read.
    ///
    /// `deadline` ends everything: resolving, connecting, sending, the head and the body of the answer.
    /// Must be called within a tokio runtime, in which the connection then lives.
    ///
    /// # Errors
    /// See [`EgressError`]; a status such as 302 or 500 is not an error. A 407 is one when a proxy was
    /// asked in absolute form, as it is the proxy's and not the target's.
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
        let target = inner
            .connector
            .policy
            .check_target(&parts.uri)
            .inspect_err(|denied| {
                tracing::warn!("{denied}");
            })?;
        let proxy = proxies.toward(target.origin().scheme());
        let length = body.size_hint().exact();
        let most_header_bytes = inner.options.max_header_bytes;
        request::prepare(&mut parts, &target, proxy, length, most_header_bytes)?;
        let body = body.map_err(|_| BodyFailed).boxed_unsync();
        let request = Request::from_parts(parts, body);
        let route = Route {
            target,
            proxy: proxy.cloned(),
        };
        if let Some(transport) = &inner.transport {
            let options = &inner.options;
            return transport::exchange(&**transport, request, &route, deadline, options).await;
        }
        let mut progress = Progress::default();
        let exchange = inner.exchange(request, &route, &mut progress, deadline);
        let (answer, sender) = match timeout_at(deadline, exchange).await {
            Ok(exchanged) => exchanged?,
            Err(_) => return Err(progress.timed_out(&route)),
        };
        inner.accept(answer, sender, route, deadline)
    }

    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.0.pool.kept()
    }
}

impl Inner {
    /// Sends the request over a kept connection or a new one.
    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        route: &Route,
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, Sender), EgressError> {
        while let Some(mut sender) = self.kept(route).await {
            progress.stage = Stage::Answer;
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok((answer, sender)),
                // The request comes back only if nothing of it was written: the server had closed the
                // connection while it was idle. In any other case it must not be sent again.
                Err(mut failed) => match failed.take_message() {
                    Some(untouched) => request = untouched,
                    None => {
                        let error = failed.into_error();
                        return Err(self.failed(&error, route, Stage::Answer));
                    }
                },
            }
        }
        let mut sender = self.open(route, progress, deadline).await?;
        progress.stage = Stage::Answer;
        match sender.try_send_request(request).await {
            Ok(answer) => Ok((answer, sender)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(_) => EgressError::Connect {
                    peer: route.far_end(),
                    reason: "it closed the connection before a request was sent".to_owned(),
                    refused: false,
                },
                None => self.failed(&failed.into_error(), route, Stage::Answer),
            }),
        }
    }

    /// A kept connection that can take a request now.
    async fn kept(&self, route: &Route) -> Option<Sender> {
        loop {
            let mut sender = self.pool.take(route)?;
            if sender.is_ready() || matches!(timeout(GRACE, sender.ready()).await, Ok(Ok(()))) {
                return Some(sender);
            }
        }
    }

    fn failed(&self, error: &hyper::Error, route: &Route, stage: Stage) -> EgressError {
        EgressError::of_hyper(error, route, stage, self.options.max_header_bytes)
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
            opened.map_err(|error| self.failed(&error, route, Stage::Connect))?;
        tokio::spawn(async move {
            // How it ended is told to the request that was under way, if there was one.
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
        });
        Ok(sender)
    }

    fn accept(
        &self,
        answer: Response<Incoming>,
        sender: Sender,
        route: Route,
        deadline: Instant,
    ) -> Result<Response<LimitedBody>, EgressError> {
        if let Some(error) = not_the_targets(answer.status(), &route) {
            return Err(error);
        }
        let from_proxy = route.target.origin().scheme() == Scheme::Http;
        let (parts, incoming) = answer.into_parts();
        let in_use = InUse {
            keep: !from_proxy || route.proxy.is_none() || says_keep_alive(&parts.headers),
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
            in_use,
            max_response_bytes,
            max_header_bytes,
            deadline,
        )?;
        Ok(Response::from_parts(parts, body))
    }
}

/// Why an answer with this status is not one of the target's, if it is not.
pub(super) fn not_the_targets(status: StatusCode, route: &Route) -> Option<EgressError> {
    let from_proxy = route.target.origin().scheme() == Scheme::Http;
    match (status, &route.proxy) {
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) if from_proxy => {
            Some(tunnel::refusal(status, proxy))
        }
        // Nothing ever asks for an upgrade.
        (StatusCode::SWITCHING_PROTOCOLS, _) => Some(EgressError::Protocol {
            peer: route.far_end(),
            reason: "it switched to another protocol unasked".to_owned(),
            stage: Stage::Answer,
        }),
        _ => None,
    }
}

/// Whether an answer promises in so many words that its connection stays open.
///
/// HTTP/1.1 implies it, but tinyproxy closes the connection behind each answer without a word. The next
/// request would be written into the closing connection, and nobody could tell whether it was sent on.
fn says_keep_alive(headers: &HeaderMap) -> bool {
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
