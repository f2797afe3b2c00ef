//! The body of an answer, bounded in size and time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::error::{EgressError, Limit, Stage};
use super::pool::{Pool, Route, Sender};

/// A connection in use: goes back to its pool when the answer has been read, and is closed otherwise.
pub(super) struct InUse {
    pub(super) pool: Arc<Pool>,
    pub(super) route: Route,
    pub(super) sender: Sender,
    /// Whether the other end will take another request.
    pub(super) keep: bool,
}

/// The body of an answer: at most so many bytes, until the call's deadline.
///
/// After an error it is at its end and its connection is closed; so it is when dropped half-read.
pub struct LimitedBody(Source);

enum Source {
    Wire(WireBody),
    Carried(CarriedBody),
}

impl LimitedBody {
    /// # Errors
    /// [`EgressError::Limit`] when the answer already says that it will be too large.
    pub(super) fn new(
        incoming: Incoming,
        in_use: InUse,
        most_bytes: u64,
        most_header_bytes: usize,
        deadline: Instant,
    ) -> Result<Self, EgressError> {
        let wire = WireBody::new(incoming, in_use, most_bytes, most_header_bytes, deadline)?;
        Ok(Self(Source::Wire(wire)))
    }

    /// One that a transport has brought, and the error that it ends with.
    pub(super) fn carried(bytes: Bytes, ends: Option<EgressError>) -> Self {
        Self(Source::Carried(CarriedBody { bytes, ends }))
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
            Source::Wire(body) => body.poll_frame(cx),
            Source::Carried(body) => Poll::Ready(body.next()),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Wire(body) => body.rest.is_none(),
            Source::Carried(body) => body.bytes.is_empty() && body.ends.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Wire(body) => body.size_hint(),
            Source::Carried(body) if body.ends.is_none() => {
                SizeHint::with_exact(u64::try_from(body.bytes.len()).unwrap_or(u64::MAX))
            }
            Source::Carried(_) => SizeHint::default(),
        }
    }
}

/// A body that is here already.
struct CarriedBody {
    bytes: Bytes,
    ends: Option<EgressError>,
}

impl CarriedBody {
    fn next(&mut self) -> Option<Result<Frame<Bytes>, EgressError>> {
        if self.bytes.is_empty() {
            return self.ends.take().map(Err);
        }
        Some(Ok(Frame::data(std::mem::take(&mut self.bytes))))
    }
}

/// A body on its way.
struct WireBody {
    /// None once all has been read or an error was given.
    rest: Option<(Incoming, InUse)>,
    most_bytes: u64,
    /// The limit of trailers.
    most_header_bytes: usize,
    bytes_left: u64,
    deadline: Instant,
    /// Made when first there is something to wait for: most answers come whole.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WireBody {
    fn new(
        incoming: Incoming,
        in_use: InUse,
        most_bytes: u64,
        most_header_bytes: usize,
        deadline: Instant,
    ) -> Result<Self, EgressError> {
        if incoming.size_hint().lower() > most_bytes {
            return Err(too_large(&in_use.route, most_bytes));
        }
        let mut body = Self {
            rest: Some((incoming, in_use)),
            most_bytes,
            most_header_bytes,
            bytes_left: most_bytes,
            deadline,
            timer: None,
        };
        body.finish_if_read();
        Ok(body)
    }

    /// Gives the connection back if nothing more can come.
    fn finish_if_read(&mut self) {
        if self
            .rest
            .as_ref()
            .is_some_and(|(incoming, _)| incoming.is_end_stream())
        {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((incoming, in_use)) = self.rest.take() {
            drop(incoming);
            if in_use.keep {
                in_use.pool.put(in_use.route, in_use.sender);
            }
        }
    }

    /// Counts a frame. An error when it is one byte too many.
    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), ()> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(())?;
        Ok(())
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).is_ready()
    }

    fn fail<T>(
        &mut self,
        error: impl FnOnce(&Route) -> EgressError,
    ) -> Poll<Option<Result<T, EgressError>>> {
        Poll::Ready(
            self.rest
                .take()
                .map(|(_, in_use)| Err(error(&in_use.route))),
        )
    }
}

impl WireBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let Some((incoming, _)) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let timed_out = |route: &Route| EgressError::Timeout {
            peer: route.far_end(),
            stage: Stage::Body,
        };
        // A peer that always has one more byte ready would otherwise never meet the timer.
        if Instant::now() >= self.deadline {
            return self.fail(timed_out);
        }
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.count(&frame).is_err() {
                    let most_bytes = self.most_bytes;
                    return self.fail(|route| too_large(route, most_bytes));
                }
                self.finish_if_read();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let most_header_bytes = self.most_header_bytes;
                self.fail(|route| {
                    EgressError::of_hyper(&error, route, Stage::Body, most_header_bytes)
                })
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending if self.is_late(cx) => self.fail(timed_out),
            Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some((incoming, _)) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

fn too_large(route: &Route, bytes: u64) -> EgressError {
    EgressError::Limit {
        limit: Limit::AnswerBody,
        origin: route.target.origin().clone(),
        bytes,
    }
}

impl fmt::Debug for LimitedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedBody").finish_non_exhaustive()
    }
}
