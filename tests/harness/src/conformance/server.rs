//! The server for the suite's egress checks. The server is also a forward proxy for itself.
//!
//! | request | response |
//! |---|---|
//! | `/response` | 201, two headers `x-conformance` (`one`, `two`), the 256 bytes from 0 to 255 |
//! | `/echo` | 200, JSON: `method`, `target`, `form` (`origin` or `absolute`), `headers`, `body` |
//! | `/unavailable` | 503 |
//! | `/redirect` | 302 to `/echo` |
//! | `/never` | none |
//! | `/cut` | the head and half of the body, then the end of the connection |
//! | `/large?bytes=N` | N bytes |
//! | `/hold` | 200, once it is released |

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

/// The chunk size of a large response, in bytes.
const CHUNK: usize = 64 * 1024;

/// A function that returns a response in place of the table's, by method and address.
pub(super) type ResponseOverride =
    Arc<dyn Fn(&Method, &Uri) -> Option<Response<Bytes>> + Send + Sync>;

/// A server on this machine that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    held: Arc<HeldRequests>,
    task: JoinHandle<()>,
}

/// Requests for `/hold`.
#[derive(Debug)]
struct HeldRequests {
    /// A permit for each request that has arrived and was not reported yet.
    arrived: Semaphore,
    /// Whether the requests get their response.
    open: watch::Sender<bool>,
}

impl Server {
    /// Starts the server on a free port of the loopback interface.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(None).await
    }

    /// Starts the server, with other responses to some requests.
    pub(super) async fn start_with(
        response_override: Option<ResponseOverride>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let held = Arc::new(HeldRequests {
            arrived: Semaphore::new(0),
            open: watch::Sender::new(false),
        });
        let task = tokio::spawn(run(listener, Arc::clone(&held), response_override));
        Ok(Self {
            address,
            held,
            task,
        })
    }

    /// Returns `http://HOST:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds requests for `/hold` from now on, and forgets earlier ones.
    pub fn hold_requests(&self) {
        self.held.open.send_replace(false);
        self.held.arrived.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Waits until a request for `/hold` arrives that was not reported by an earlier call.
    pub async fn wait_for_held_request(&self) {
        // The semaphore is never closed, so waiting cannot fail.
        if let Ok(arrived) = self.held.arrived.acquire().await {
            arrived.forget();
        }
    }

    /// Responds to held requests, and to all later ones until [`Server::hold_requests`].
    pub fn release_requests(&self) {
        self.held.open.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    listener: TcpListener,
    held: Arc<HeldRequests>,
    response_override: Option<ResponseOverride>,
) {
    // The connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let (held, response_override) = (Arc::clone(&held), response_override.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let response_override = response_override.as_ref();
                        let response_override = response_override.and_then(|respond| respond(request.method(), request.uri()));
                        let held = Arc::clone(&held);
                        async move {
                            match response_override {
                                Some(response) => Ok(response.map(boxed)),
                                None => respond(request, held).await,
                            }
                        }
                    });
                    // Errors are visible to the client.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    held: Arc<HeldRequests>,
) -> Result<Response<Body>, Infallible> {
    let query = request.uri().query().map(str::to_owned);
    Ok(match request.uri().path() {
        "/response" => response_with(
            StatusCode::CREATED,
            &[("x-conformance", "one"), ("x-conformance", "two")],
            (0..=255).collect::<Vec<u8>>(),
        ),
        "/echo" => echo(request).await,
        "/unavailable" => response_with(StatusCode::SERVICE_UNAVAILABLE, &[], "not now"),
        "/redirect" => response_with(StatusCode::FOUND, &[("location", "/echo")], ""),
        "/never" => std::future::pending().await,
        "/cut" => truncated(),
        "/large" => large_response(query.as_deref()),
        "/hold" => {
            held.arrived.add_permits(1);
            // The sender outlives this request, so waiting cannot fail.
            let _ = held.open.subscribe().wait_for(|open| *open).await;
            response_with(StatusCode::OK, &[], "")
        }
        _ => response_with(StatusCode::NOT_FOUND, &[], "no such thing"),
    })
}

fn boxed(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn response_with(
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
        return response_with(StatusCode::BAD_REQUEST, &[], "half a request");
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
    let received = json!({
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map(|target| target.as_str()),
        "form": form,
        "headers": headers,
        "body": String::from_utf8_lossy(&body.to_bytes()),
    });
    response_with(
        StatusCode::OK,
        &[("content-type", "application/json")],
        received.to_string(),
    )
}

fn streamed(
    length: usize,
    chunks: impl Iterator<Item = io::Result<Bytes>> + Send + Sync + 'static,
) -> Response<Body> {
    let frames = chunks.map(|chunk| chunk.map(Frame::data));
    let body = StreamBody::new(stream::iter(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn truncated() -> Response<Body> {
    let half = Bytes::from_static(b"half of it, ");
    let rest = io::Error::other("the other half never comes, on purpose");
    streamed(2 * half.len(), [Ok(half), Err(rest)].into_iter())
}

fn large_response(query: Option<&str>) -> Response<Body> {
    let bytes = query
        .and_then(|query| query.strip_prefix("bytes="))
        .and_then(|bytes| bytes.parse().ok());
    let Some(bytes) = bytes else {
        return response_with(StatusCode::BAD_REQUEST, &[], "say bytes=N");
    };
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let chunks = (0..bytes).step_by(CHUNK).map(move |sent: usize| {
        let left = (bytes - sent).min(CHUNK);
        Ok(chunk.slice(..left))
    });
    streamed(bytes, chunks)
}
