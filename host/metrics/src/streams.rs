//! Counts the open streams of events.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;

use crate::metrics::Metrics;

/// The body of a stream of events, which counts as open until it is dropped.
struct CountedStream {
    body: Body,
    metrics: Metrics,
}

impl Metrics {
    /// Counts the body of a stream of events while it is open.
    pub(crate) fn count_stream(&self, body: Body) -> Body {
        self.families.event_streams.add([], 1.0);
        let metrics = self.clone();
        Body::new(CountedStream { body, metrics })
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.metrics.families.event_streams.add([], -1.0);
    }
}

impl HttpBody for CountedStream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
