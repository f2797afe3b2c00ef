//! The server that the suite's checks of the way out talk to. It is a forward proxy for itself, too.
//!
//! | request | answer |
//! |---|---|
//! | `/answer` | 201, two headers `x-conformance` (`one`, `two`), the 256 bytes from 0 to 255 |
//! | `/echo` | 200, JSON: `method`, `target`, `form` (`origin` or `absolute`), `headers`, `body` |
//! | `/unavailable` | 503 |
//! | `/redirect` | 302 to `/echo` |
//! | `/never` | none |
//! | `/cut` | the head and half of the body, then the end of the connection |
//! | `/large?bytes=N` | N bytes |
//! | `/hold` | 200, once it is let go |

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

type Body = BoxBody<Bytes, io::Error>;

/// How much of a large answer is made at once, in bytes.
const PIECE: usize = 64 * 1024;

/// What is answered to a request of this method and address in place of the table's answer.
pub(super) type Instead = Arc<dyn Fn(&Method, &Uri) -> Option<Response<Bytes>> + Send + Sync>;

/// A server on this machine, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    held: Arc<Held>,
    task: JoinHandle<()>,
}

/// Requests for `/hold`.
#[derive(Debug)]
struct Held {
    /// A permit for each that has arrived and that nobody was told of.
    arrived: Semaphore,
    /// Whether they are answered.
    open: watch::Sender<bool>,
}

impl Server {
    /// Starts it on a free port of the loopback interface.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(None).await
    }

    /// As [`Server::start`], but answers some requests otherwise.
    pub(super) async fn start_with(instead: Option<Instead>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let held = Arc::new(Held {
            arrived: Semaphore::new(0),
            open: watch::Sender::new(false),
        });
        let task = tokio::spawn(run(listener, Arc::clone(&held), instead));
        Ok(Self {
            address,
            held,
            task,
        })
    }

    /// `http://HOST:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on requests for `/hold` wait. Those that came before are forgotten.
    pub fn hold(&self) {
        self.held.open.send_replace(false);
        self.held.arrived.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Returns once a request for `/hold` has arrived that this was not said of before.
    pub async fn holds(&self) {
        // It is never closed, so waiting cannot fail.
        if let Ok(arrived) = self.held.arrived.acquire().await {
            arrived.forget();
        }
    }

    /// Answers those that wait, and until [`Server::hold`] every one that comes.
    pub fn let_go(&self) {
        self.held.open.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, held: Arc<Held>, instead: Option<Instead>) {
    // With the server its connections end.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let (held, instead) = (Arc::clone(&held), instead.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let instead = instead.as_ref();
                        let instead = instead.and_then(|of| of(request.method(), request.uri()));
                        let held = Arc::clone(&held);
                        async move {
                            match instead {
                                Some(answer) => Ok(answer.map(boxed)),
                                None => answer(request, held).await,
                            }
                        }
                    });
                    // What breaks is the client's to complain about.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(request: Request<Incoming>, held: Arc<Held>) -> Result<Response<Body>, Infallible> {
    let query = request.uri().query().map(str::to_owned);
    Ok(match request.uri().path() {
        "/answer" => whole(
            StatusCode::CREATED,
            &[("x-conformance", "one"), ("x-conformance", "two")],
            (0..=255).collect::<Vec<u8>>(),
        ),
        "/echo" => echo(request).await,
        "/unavailable" => whole(StatusCode::SERVICE_UNAVAILABLE, &[], "not now"),
        "/redirect" => whole(StatusCode::FOUND, &[("location", "/echo")], ""),
        "/never" => std::future::pending().await,
        "/cut" => cut(),
        "/large" => large(query.as_deref()),
        "/hold" => {
            held.arrived.add_permits(1);
            // The sender lives as long as this request, so waiting cannot fail.
            let _ = held.open.subscribe().wait_for(|open| *open).await;
            whole(StatusCode::OK, &[], "")
        }
        _ => whole(StatusCode::NOT_FOUND, &[], "no such thing"),
    })
}

fn boxed(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn whole(
    status: StatusCode,
    headers: &[(&'static str, &'static str)],
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(boxed(body.into()));
    *response.status_mut() = status;
    for (name, value) in headers {
        let value = header::HeaderValue::from_static(value);
        response.headers_mut().append(*name, value);
    }
    response
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return whole(StatusCode::BAD_REQUEST, &[], "half a request");
    };
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value.into())
        })
        .collect();
    let form = match head.uri.scheme() {
        Some(_) => "absolute",
        None => "origin",
    };
    let seen = json!({
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map(|target| target.as_str()),
        "form": form,
        "headers": headers,
        "body": String::from_utf8_lossy(&body.to_bytes()),
    });
    whole(
        StatusCode::OK,
        &[("content-type", "application/json")],
        seen.to_string(),
    )
}

fn streamed(
    length: usize,
    pieces: impl Iterator<Item = io::Result<Bytes>> + Send + Sync + 'static,
) -> Response<Body> {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    let body = StreamBody::new(stream::iter(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn cut() -> Response<Body> {
    let half = Bytes::from_static(b"half of it, ");
    let rest = io::Error::other("the other half never comes, on purpose");
    streamed(2 * half.len(), [Ok(half), Err(rest)].into_iter())
}

fn large(query: Option<&str>) -> Response<Body> {
    let bytes = query
        .and_then(|query| query.strip_prefix("bytes="))
        .and_then(|bytes| bytes.parse().ok());
    let Some(bytes) = bytes else {
        return whole(StatusCode::BAD_REQUEST, &[], "say bytes=N");
    };
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = (0..bytes).step_by(PIECE).map(move |sent: usize| {
        let left = (bytes - sent).min(PIECE);
        Ok(piece.slice(..left))
    });
    streamed(bytes, pieces)
}
