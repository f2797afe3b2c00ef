//! Waits at a loopback address for the one browser that comes back from a consent.
//!
//! Whoever else comes (another page in the browser, another user of the machine, a stale tab) does
//! not know the `state` of the consent that is waited for: they are sent away and end nothing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use crate::config::RedirectAddress;

/// How long a browser may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest header of a request, in bytes, and the most fields in it. A callback has about 1 KiB.
const HEADER: usize = 16 * 1024;
const FIELDS: usize = 64;
/// Connections at once; the others wait to be accepted.
const CONNECTIONS: usize = 16;
/// How long an answer that is on its way may take when the listener is done.
const GRACE: Duration = Duration::from_secs(2);
/// A pause before accepting again when the system has no connection to give.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Why nobody can wait there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no address of this machine alone.
    #[error("cannot wait for the browser at {0}: it is not a loopback address with http")]
    NotLoopback(String),
    /// Somebody else does, or the port is not ours to take.
    #[error("cannot wait for the browser at {socket}: {source}")]
    Bind {
        /// Where.
        socket: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A browser that came back.
pub struct Callback {
    /// The whole address to which it came. Holds the code.
    pub address: SecretString,
    answer: oneshot::Sender<Page>,
}

impl Callback {
    /// Shows it a page. It may have gone meanwhile.
    pub fn answer(self, page: Page) {
        let _ = self.answer.send(page);
    }
}

/// Waits at a redirect address.
pub struct Listener {
    door: Arc<Door>,
    callbacks: mpsc::Receiver<Callback>,
    stop: watch::Sender<bool>,
    sockets: JoinSet<()>,
}

/// What every connection shares.
struct Door {
    address: RedirectAddress,
    /// The `state` of the callback that is waited for, until it has come.
    state: Mutex<Option<String>>,
    callbacks: mpsc::Sender<Callback>,
}

impl Listener {
    /// Listens at exactly this address. Needs a tokio runtime.
    pub async fn bind(address: &RedirectAddress) -> Result<Self, ListenError> {
        let sockets = address
            .loopback()
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
        let door = Arc::new(Door {
            address: address.clone(),
            state: Mutex::default(),
            callbacks: sender,
        });
        let (stop, stopped) = watch::channel(false);
        let mut sockets = JoinSet::new();
        for listener in bound {
            sockets.spawn(accept(listener, Arc::clone(&door), stopped.clone()));
        }
        Ok(Self {
            door,
            callbacks,
            stop,
            sockets,
        })
    }

    /// The callback that brings this `state`.
    pub async fn callback(&mut self, state: &str) -> Callback {
        *lock(&self.door.state) = Some(state.to_owned());
        match self.callbacks.recv().await {
            Some(callback) => callback,
            // The door holds a sender, so this cannot be.
            None => std::future::pending().await,
        }
    }

    /// Stops listening, and lets the answers on their way arrive.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.sockets.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, drained).await;
    }
}

async fn accept(listener: TcpListener, door: Arc<Door>, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let door = Arc::clone(&door);
                    connections.spawn(async move {
                        serve(stream, door).await;
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

async fn serve(stream: TcpStream, door: Arc<Door>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(&request).await) }
    });
    // A browser that talks nonsense or goes away is of no interest to anybody.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADER)
        .max_headers(FIELDS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Door {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let page = match self.admit(request) {
            Ok(address) => self.let_in(address).await,
            Err(page) => page,
        };
        page.response()
    }

    /// The address of the callback that is waited for, or what anybody else is shown.
    fn admit<B>(&self, request: &Request<B>) -> Result<SecretString, Page> {
        let host = request.headers().get(header::HOST);
        let named = host.and_then(|host| host.to_str().ok());
        // A page elsewhere may have made its own name resolve to this machine.
        if !named.is_some_and(|host| host.eq_ignore_ascii_case(&self.address.authority())) {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                "Nobody is here by that name",
            ));
        }
        if request.uri().path() != self.address.path() {
            return Err(refusal(StatusCode::NOT_FOUND, "There is nothing here"));
        }
        if request.method() != Method::GET {
            return Err(refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "This can only be looked at",
            ));
        }
        let query = request.uri().query().unwrap_or_default();
        let mut states = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == "state")
            .map(|(_, value)| value);
        let brought = match (states.next(), states.next()) {
            (Some(state), None) => Some(state),
            _ => None,
        };
        let mut waited_for = lock(&self.state);
        let is_it = brought.is_some_and(|brought| waited_for.as_deref() == Some(&*brought));
        if !is_it {
            return Err(Page::new(
                StatusCode::BAD_REQUEST,
                "This is not the consent that is waited for",
                &[
                    "It may be an old one, or one that was answered already.",
                    "Open the link that the command shows now.",
                ],
            ));
        }
        *waited_for = None;
        Ok(format!("{}?{query}", self.address.as_str()).into())
    }

    async fn let_in(&self, address: SecretString) -> Page {
        let (answer, page) = oneshot::channel();
        let callback = Callback { address, answer };
        let over = || {
            Page::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The command has ended",
                &["Run it again; it shows what became of the connection."],
            )
        };
        if self.callbacks.send(callback).await.is_err() {
            return over();
        }
        page.await.unwrap_or_else(|_| over())
    }
}

fn refusal(status: StatusCode, title: &str) -> Page {
    Page::new(status, title, &[])
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
