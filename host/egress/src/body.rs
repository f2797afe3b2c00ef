//! The body of a response, limited in size and time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::{EgressError, Limit, RequestPhase};
use super::pool::{Pool, Route, Sender};

/// A connection in use: returned to its pool when the response has been read completely, otherwise
/// closed.
pub(super) struct ActiveConnection {
    pub(super) pool: Arc<Pool>,
    pub(super) route: Route,
    pub(super) sender: Sender,
    /// Whether the connection can take another request.
    pub(super) is_reusable: bool,
}

/// The body of a response, with a size limit and the call's deadline.
///
/// After an error the body has ended and its connection is closed. Dropping an unfinished body
/// closes the connection too.
pub struct LimitedBody(Source);

enum Source {
    Network(NetworkBody),
    Buffered(BufferedBody),
}

impl LimitedBody {
    /// Creates a body that is read from the network.
    ///
    /// # Errors
    /// [`EgressError::Limit`] if the response announces a body that is too large.
    pub(super) fn new(
        incoming: Incoming,
        active: ActiveConnection,
        max_bytes: u64,
        max_header_bytes: usize,
        deadline: Instant,
    ) -> Result<Self, EgressError> {
        let body = NetworkBody::new(incoming, active, max_bytes, max_header_bytes, deadline)?;
        Ok(Self(Source::Network(body)))
    }

    /// Creates a body from bytes, which ends with `error` if there is one.
    pub(super) fn buffered(bytes: Bytes, error: Option<EgressError>) -> Self {
        Self(Source::Buffered(BufferedBody { bytes, error }))
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        match &mut self.get_mut().0 {
            Source::Network(body) => body.poll_frame(cx),
            Source::Buffered(body) => Poll::Ready(body.next()),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Network(body) => body.open.is_none(),
            Source::Buffered(body) => body.bytes.is_empty() && body.error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Network(body) => body.size_hint(),
            Source::Buffered(body) if body.error.is_none() => {
                SizeHint::with_exact(u64::try_from(body.bytes.len()).unwrap_or(u64::MAX))
            }
            Source::Buffered(_) => SizeHint::default(),
        }
    }
}

/// A body that has been received completely.
struct BufferedBody {
    bytes: Bytes,
    error: Option<EgressError>,
}

impl BufferedBody {
    fn next(&mut self) -> Option<Result<Frame<Bytes>, EgressError>> {
        if self.bytes.is_empty() {
            return self.error.take().map(Err);
        }
        Some(Ok(Frame::data(std::mem::take(&mut self.bytes))))
    }
}

/// A body that is read from the network.
struct NetworkBody {
    /// The unread body and its connection; `None` after the end of the body or an error.
    open: Option<(Incoming, ActiveConnection)>,
    max_bytes: u64,
    /// The limit of the trailers, in bytes.
    max_header_bytes: usize,
    bytes_left: u64,
    deadline: Instant,
    /// Created when the body first has to wait: most responses arrive whole.
    timer: Option<Pin<Box<Sleep>>>,
}

impl NetworkBody {
    fn new(
        incoming: Incoming,
        active: ActiveConnection,
        max_bytes: u64,
        max_header_bytes: usize,
        deadline: Instant,
    ) -> Result<Self, EgressError> {
        if incoming.size_hint().lower() > max_bytes {
            return Err(too_large(&active.route, max_bytes));
        }
        let mut body = Self {
            open: Some((incoming, active)),
            max_bytes,
            max_header_bytes,
            bytes_left: max_bytes,
            deadline,
            timer: None,
        };
        body.finish_if_read();
        Ok(body)
    }

    /// Returns the connection to the pool if the body has ended.
    fn finish_if_read(&mut self) {
        if self
            .open
            .as_ref()
            .is_some_and(|(incoming, _)| incoming.is_end_stream())
        {
            self.finish();
        }
    }

    /// Ends the body: returns a reusable connection to the pool, and closes any other.
    fn finish(&mut self) {
        if let Some((incoming, active)) = self.open.take() {
            drop(incoming);
            if active.is_reusable {
                active.pool.put(active.route, active.sender);
            }
        }
    }

    /// Subtracts the frame's data from the bytes left. Fails if the body exceeds its limit.
    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), ()> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(())?;
        Ok(())
    }

    fn is_past_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).is_ready()
    }

    /// Ends the body with `error`, and closes the connection.
    fn fail<T>(
        &mut self,
        error: impl FnOnce(&Route) -> EgressError,
    ) -> Poll<Option<Result<T, EgressError>>> {
        Poll::Ready(
            self.open
                .take()
                .map(|(_, active)| Err(error(&active.route))),
        )
    }
}

impl NetworkBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let Some((incoming, _)) = &mut self.open else {
            return Poll::Ready(None);
        };
        let timed_out = |route: &Route| EgressError::Timeout {
            peer: route.responder(),
            phase: RequestPhase::Body,
        };
        // The timer is polled only while no data is ready, which a peer could prevent by sending continuously.
        if Instant::now() >= self.deadline {
            return self.fail(timed_out);
        }
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.count(&frame).is_err() {
                    let max_bytes = self.max_bytes;
                    return self.fail(|route| too_large(route, max_bytes));
                }
                self.finish_if_read();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let max_header_bytes = self.max_header_bytes;
                self.fail(|route| {
                    EgressError::from_hyper(&error, route, RequestPhase::Body, max_header_bytes)
                })
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending if self.is_past_deadline(cx) => self.fail(timed_out),
            Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            Some((incoming, _)) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

fn too_large(route: &Route, bytes: u64) -> EgressError {
    EgressError::Limit {
        limit: Limit::ResponseBody,
        origin: route.target.origin().clone(),
        bytes,
    }
}

impl fmt::Debug for LimitedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedBody").finish_non_exhaustive()
    }
}
