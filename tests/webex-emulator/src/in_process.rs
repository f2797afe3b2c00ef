//! Requests that come without a connection, and what their clients would see of one.

use std::fmt;
use std::time::Duration;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use http_body_util::BodyExt as _;

use crate::serve::{Latency, NoAnswer, carry_out};
use crate::webex::Webex;

/// How long a client waits and how much it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A latency as long as this makes the client hang up. Default: 30 s.
    pub time: Duration,
    /// Bytes of a body that the client reads. Of a longer body it gets one byte more than these,
    /// by which it knows. Default: 16 MiB.
    pub body: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            body: 16 * 1024 * 1024,
        }
    }
}

/// What a client sees of its request, and after how long.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What comes of it.
    pub arrival: Arrival,
    /// How long it would have taken by the latencies that were injected. Nothing has waited. If
    /// the client [hung up](Arrival::HungUp) this is its patience.
    pub after: Duration,
}

/// What comes of a request.
///
/// `Debug` shows no header and no body, for there are codes and tokens in them.
#[derive(Clone)]
#[non_exhaustive]
pub enum Arrival {
    /// An answer, to its end or to more than the client's patience.
    Whole(http::Response<Bytes>),
    /// The head of an answer and the part of its body that was sent before the connection ended.
    Cut(http::Response<Bytes>),
    /// The connection was reset.
    Reset {
        /// Whether the request was carried out. No client can know.
        processed: bool,
    },
    /// The client lost its patience.
    HungUp {
        /// Whether the request was carried out. No client can know.
        processed: bool,
    },
}

impl Webex {
    /// Answers one request as the listener does (it is recorded, held at gates, and meets its
    /// faults), but over no connection and without waiting for any latency.
    ///
    /// The request's address may be a whole one, on any host; without a `Host` header it is also
    /// the origin of the URLs in the answer. Dropping the future is the client hanging up. It
    /// runs anywhere, on no particular runtime.
    pub fn answer(
        &self,
        request: Request<Bytes>,
        patience: Patience,
    ) -> impl Future<Output = Answered> + Send + use<> {
        let webex = self.clone();
        async move {
            let mut latency = Latency::Told {
                passed: Duration::ZERO,
                patience: patience.time,
            };
            let bodiless = request.method() == Method::HEAD;
            let arrival = match carry_out(&webex, request, &mut latency).await {
                Ok(response) => read(response, patience.body, bodiless).await,
                Err(NoAnswer::Reset { processed }) => Arrival::Reset { processed },
                Err(NoAnswer::HungUp { processed }) => Arrival::HungUp { processed },
            };
            let after = match latency {
                Latency::Told { passed, patience } => passed.min(patience),
                Latency::Real => Duration::ZERO,
            };
            Answered { arrival, after }
        }
    }
}

/// The body as the connection would carry it, without what only a server in process knows.
async fn read(response: Response, most: usize, bodiless: bool) -> Arrival {
    let (head, mut body) = response.into_parts();
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let mut read = BytesMut::new();
    // A body made by this program cannot fail.
    while read.len() <= most
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
    }
    let too_long = read.len() > most;
    read.truncate(most.saturating_add(1));
    let cut = !bodiless && !too_long && announced.is_some_and(|length| read.len() < length);
    let mut response = http::Response::new(read.freeze());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if cut {
        Arrival::Cut(response)
    } else {
        Arrival::Whole(response)
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(response) => write!(f, "Whole({})", response.status()),
            Self::Cut(response) => write!(f, "Cut({})", response.status()),
            Self::Reset { processed } => write!(f, "Reset {{ processed: {processed} }}"),
            Self::HungUp { processed } => write!(f, "HungUp {{ processed: {processed} }}"),
        }
    }
}
