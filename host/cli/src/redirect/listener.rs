//! Listens at a loopback address for the browser's callback.
//!
//! Other requests (another page in the browser, another user of the machine, a stale tab) do not have the
//! `state` of the expected consent. They are refused, and waiting continues.

use relation_app::config::RedirectAddress;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Page;

/// The maximum time to receive a request header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum header size of a request, in bytes, and the maximum number of its fields. A callback has about
/// 1 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADER_FIELDS: usize = 64;
/// The maximum number of concurrent connections. Further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 16;
/// The maximum time to finish responses when the listener closes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before accepting again after an error.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The error of listening.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not a loopback address.
    #[error("cannot wait for the browser at {0}: it is not a loopback address with http")]
    NotLoopback(String),
    /// The port is in use, or not permitted.
    #[error("cannot wait for the browser at {socket}: {source}")]
    Bind {
        /// The socket.
        socket: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// A received callback.
pub struct Callback {
    /// The complete callback URL, which contains the code.
    pub address: SecretString,
    response: oneshot::Sender<Page>,
}

impl Callback {
    /// Sends the result page. The browser may have closed the connection.
    pub fn respond(self, page: Page) {
        let _ = self.response.send(page);
    }
}

/// The listener at a redirect address.
pub struct Listener {
    endpoint: Arc<CallbackEndpoint>,
    callbacks: mpsc::Receiver<Callback>,
    stop: watch::Sender<bool>,
    sockets: JoinSet<()>,
}

/// The state that all connections share.
struct CallbackEndpoint {
    address: RedirectAddress,
    /// The `state` of the expected callback, until it is received.
    state: Mutex<Option<String>>,
    callbacks: mpsc::Sender<Callback>,
}

impl Listener {
    /// Listens at exactly this address. Needs a tokio runtime.
    pub async fn bind(address: &RedirectAddress) -> Result<Self, ListenError> {
        let sockets = address
            .loopback_sockets()
            .ok_or_else(|| ListenError::NotLoopback(address.as_str().to_owned()))?;
        let mut bound: Vec<TcpListener> = Vec::new();
        for socket in sockets {
            match TcpListener::bind(socket).await {
                Ok(listener) => bound.push(listener),
                // `localhost` on a machine without IPv6.
                Err(error)
                    if !bound.is_empty() && error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(source) => return Err(ListenError::Bind { socket, source }),
            }
        }
        let (sender, callbacks) = mpsc::channel(1);
        let endpoint = Arc::new(CallbackEndpoint {
            address: address.clone(),
            state: Mutex::default(),
            callbacks: sender,
        });
        let (stop, stopped) = watch::channel(false);
        let mut sockets = JoinSet::new();
        for listener in bound {
            sockets.spawn(accept(listener, Arc::clone(&endpoint), stopped.clone()));
        }
        Ok(Self {
            endpoint,
            callbacks,
            stop,
            sockets,
        })
    }

    /// Accepts the callback with this `state` from now on. Call it before anybody can see the link: the browser may be
    /// faster than the command.
    pub fn expect(&self, state: &str) {
        *self.endpoint.state.lock() = Some(state.to_owned());
    }

    /// Waits for the expected callback.
    pub async fn callback(&mut self) -> Callback {
        match self.callbacks.recv().await {
            Some(callback) => callback,
            // The endpoint holds a sender, so the channel cannot close.
            None => std::future::pending().await,
        }
    }

    /// Stops listening, and lets responses in progress finish.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.sockets.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    }
}

async fn accept(
    listener: TcpListener,
    endpoint: Arc<CallbackEndpoint>,
    mut stopped: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let endpoint = Arc::clone(&endpoint);
                    connections.spawn(async move {
                        serve(stream, endpoint).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, endpoint: Arc<CallbackEndpoint>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(endpoint.respond(&request).await) }
    });
    // Invalid requests and closed connections are ignored.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADER_FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl CallbackEndpoint {
    async fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let page = match self.validate(request) {
            Ok(address) => self.deliver(address).await,
            Err(page) => page,
        };
        page.response()
    }

    /// Returns the URL of the expected callback, or the page that refuses the request.
    fn validate<B>(&self, request: &Request<B>) -> Result<SecretString, Page> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        // Against DNS rebinding: a foreign page may have made its own name resolve to this machine.
        if !host.is_some_and(|host| host.eq_ignore_ascii_case(&self.address.authority())) {
            return Err(error_page(StatusCode::BAD_REQUEST, "Unknown host name"));
        }
        if request.uri().path() != self.address.path() {
            return Err(error_page(StatusCode::NOT_FOUND, "Not found"));
        }
        if request.method() != Method::GET {
            return Err(error_page(
                StatusCode::METHOD_NOT_ALLOWED,
                "Only GET is allowed",
            ));
        }
        let query = request.uri().query().unwrap_or_default();
        let mut states = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == "state")
            .map(|(_, value)| value);
        let received = match (states.next(), states.next()) {
            (Some(state), None) => Some(state),
            _ => None,
        };
        let mut expected = self.state.lock();
        let matches = received.is_some_and(|received| expected.as_deref() == Some(&*received));
        if !matches {
            return Err(Page::new(
                StatusCode::BAD_REQUEST,
                "This is not the expected consent",
                &[
                    "It may be an old one, or one that was completed already.",
                    "Open the link that the command shows now.",
                ],
            ));
        }
        *expected = None;
        Ok(format!("{}?{query}", self.address.as_str()).into())
    }

    async fn deliver(&self, address: SecretString) -> Page {
        let (response, page) = oneshot::channel();
        let callback = Callback { address, response };
        let command_ended = || {
            Page::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The command has ended",
                &["Run it again to see the state of the connection."],
            )
        };
        if self.callbacks.send(callback).await.is_err() {
            return command_ended();
        }
        page.await.unwrap_or_else(|_| command_ended())
    }
}

fn error_page(status: StatusCode, title: &str) -> Page {
    Page::new(status, title, &[])
}
