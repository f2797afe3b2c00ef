//! Requests without a connection, and their outcome for the client.

use std::fmt;
use std::time::Duration;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use http_body_util::BodyExt as _;

use crate::serve::{ConnectionEnd, Latency, process_request};
use crate::webex::Webex;

/// A client's timeout and size limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Timeout: a latency as long as this makes the client disconnect. Default: 30 s.
    pub time: Duration,
    /// Maximum size of a body in bytes. A longer body reaches the client with one more byte, so that the client notices.
    /// Default: 16 MiB.
    pub body: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            body: 16 * 1024 * 1024,
        }
    }
}

/// The outcome of a request for the client, with its duration.
#[derive(Clone, Debug)]
pub struct TimedOutcome {
    /// The outcome.
    pub outcome: ClientOutcome,
    /// The duration according to the injected latencies; nothing has waited. If the client
    /// [disconnected](ClientOutcome::Disconnected), this is its timeout.
    pub elapsed: Duration,
}

/// The outcome of a request.
///
/// `Debug` shows no header and no body, because they contain codes and tokens.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientOutcome {
    /// A response, to its end or to more than the client's limit.
    Complete(http::Response<Bytes>),
    /// The head of a response and the part of its body that was sent before the connection ended.
    Cut(http::Response<Bytes>),
    /// The connection was reset.
    Reset {
        /// Whether the request was carried out. No client can know.
        processed: bool,
    },
    /// The client's timeout passed.
    Disconnected {
        /// Whether the request was carried out. No client can know.
        processed: bool,
    },
}

impl Webex {
    /// Handles one request as the listener does: it is recorded, held at gates, and hits its faults. There is no
    /// connection and no wait for a latency.
    ///
    /// The request's URI may be absolute, on any host; without a `Host` header it is also the
    /// origin of the URLs in the response. Dropping the future means that the client hangs up. It runs on
    /// any runtime, or none.
    pub fn handle(
        &self,
        request: Request<Bytes>,
        limits: ClientLimits,
    ) -> impl Future<Output = TimedOutcome> + Send + use<> {
        let webex = self.clone();
        async move {
            let mut latency = Latency::Simulated {
                elapsed: Duration::ZERO,
                timeout: limits.time,
            };
            let is_head = request.method() == Method::HEAD;
            let outcome = match process_request(&webex, request, &mut latency).await {
                Ok(response) => read(response, limits.body, is_head).await,
                Err(ConnectionEnd::Reset { processed }) => ClientOutcome::Reset { processed },
                Err(ConnectionEnd::Disconnected { processed }) => {
                    ClientOutcome::Disconnected { processed }
                }
            };
            let elapsed = match latency {
                Latency::Simulated { elapsed, timeout } => elapsed.min(timeout),
                Latency::Real => Duration::ZERO,
            };
            TimedOutcome { outcome, elapsed }
        }
    }
}

/// Reads the body as the connection would carry it, without extensions that only a server in
/// process sees.
async fn read(response: Response, max: usize, is_head: bool) -> ClientOutcome {
    let (head, mut body) = response.into_parts();
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let mut read = BytesMut::new();
    // The emulator's own body cannot fail.
    while read.len() <= max
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
    }
    let too_long = read.len() > max;
    read.truncate(max.saturating_add(1));
    let cut = !is_head && !too_long && announced.is_some_and(|length| read.len() < length);
    let mut response = http::Response::new(read.freeze());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if cut {
        ClientOutcome::Cut(response)
    } else {
        ClientOutcome::Complete(response)
    }
}

impl fmt::Debug for ClientOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(response) => write!(f, "Complete({})", response.status()),
            Self::Cut(response) => write!(f, "Cut({})", response.status()),
            Self::Reset { processed } => write!(f, "Reset {{ processed: {processed} }}"),
            Self::Disconnected { processed } => {
                write!(f, "Disconnected {{ processed: {processed} }}")
            }
        }
    }
}
