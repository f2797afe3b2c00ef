//! The record of requests, and the detection of forbidden ones.
//!
//! There are two rules. Both concern the client's knowledge, because a client can only be blamed
//! for what it could know:
//! - never two requests in flight with one refresh token;
//! - never a token or code that its holder knows to be invalid, because it was rotated out, exchanged, revoked by the
//!   holder itself, or rejected before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use crate::ids::Digest;

/// Over a connection, the emulator may see a client's next request before it sees that the client
/// has disconnected, by this much time at most.
pub(crate) const DISCONNECT_GRACE: Duration = Duration::from_millis(250);

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request has not ended yet.
    InFlight,
    /// The response had this status; it may be incomplete.
    Status(u16),
    /// The connection was reset before a response.
    Reset,
    /// The client disconnected before the response.
    Abandoned,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::InFlight => serializer.serialize_str("in-flight"),
            Self::Status(status) => serializer.serialize_u16(*status),
            Self::Reset => serializer.serialize_str("reset"),
            Self::Abandoned => serializer.serialize_str("abandoned"),
        }
    }
}

/// One request and its outcome. Secrets are digests.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// The path, including `/v1`.
    pub path: String,
    /// The query, without the values of secret parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Its arrival by the emulator's clock, in milliseconds since the Unix epoch.
    pub time: u64,
    /// Its outcome.
    pub status: Outcome,
    /// Whether the request was carried out. After a reset, only this field shows that.
    pub processed: bool,
    /// The kind of the fault that the request hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The tracking id of its response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_id: Option<String>,
    /// The form's `grant_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// The client named by the form or HTTP Basic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client secret in the form or HTTP Basic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Digest>,
    /// The form's refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Digest>,
    /// The form's authorization code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Digest>,
    /// The bearer token of the `Authorization` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Digest>,
}

/// Numbers of concurrent requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Now.
    pub now: usize,
    /// The maximum since the start.
    pub max: usize,
    /// The maximum with one refresh token, forgiven overlaps included.
    pub max_per_refresh_token: usize,
}

/// Tokens that the receiver of a response then knows to be invalid.
#[derive(Clone, Debug)]
pub(crate) struct InvalidatedTokens {
    pub(crate) tokens: Vec<Digest>,
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    requests: VecDeque<RecordedRequest>,
    /// The number of the oldest request still in `requests`.
    oldest: u64,
    next: u64,
    in_flight: InFlight,
    /// The numbers of the requests in flight with a refresh token.
    by_refresh_token: HashMap<Digest, Vec<u64>>,
    known_invalid: HashMap<Digest, &'static str>,
    violations: Vec<Violation>,
}

#[derive(Clone, Debug)]
struct Violation {
    text: String,
    /// For an overlap: its earlier request, and the arrival of the later one.
    overlap: Option<(u64, Instant)>,
}

impl Inner {
    fn get_mut(&mut self, number: u64) -> Option<&mut RecordedRequest> {
        let place = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        self.requests.get_mut(place)
    }
}

/// All requests of one emulator.
#[derive(Debug)]
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
    /// Notified whenever a flight has ended.
    flight_ended: Notify,
    capacity: usize,
    disconnect_grace: Duration,
}

impl Recorder {
    /// Creates a record of up to this many requests. An overlap is forgiven if its first request
    /// turns out abandoned within `disconnect_grace`.
    pub(crate) fn new(capacity: usize, disconnect_grace: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            flight_ended: Notify::new(),
            capacity: capacity.max(1),
            disconnect_grace,
        }
    }

    /// Copies the record; requests in flight count as abandoned in the copy.
    pub(crate) fn fork(&self) -> Self {
        let mut inner = self.lock().clone();
        inner.in_flight.now = 0;
        inner.by_refresh_token.clear();
        for request in &mut inner.requests {
            if request.status == Outcome::InFlight {
                request.status = Outcome::Abandoned;
            }
        }
        Self {
            inner: Mutex::new(inner),
            ..Self::new(self.capacity, self.disconnect_grace)
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Records a request as it arrives. It is in flight until the response is finished or dropped.
    pub(crate) fn begin(self: &Arc<Self>, request: RecordedRequest) -> Flight {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.in_flight.now += 1;
        inner.in_flight.max = inner.in_flight.max.max(inner.in_flight.now);
        let at = format!("{} {} at {}", request.method, request.path, request.time);

        for (kind, token) in [
            ("refresh token", &request.refresh_token),
            ("access token", &request.access_token),
            ("authorization code", &request.code),
        ] {
            let invalidated = token
                .as_ref()
                .and_then(|t| Some((t, inner.known_invalid.get(t)?)));
            if let Some((token, reason)) = invalidated {
                let text = format!("{at}: {kind} {token} was used though {reason}");
                inner.violations.push(Violation {
                    text,
                    overlap: None,
                });
            }
        }
        if let Some(token) = &request.refresh_token {
            let flights = inner.by_refresh_token.entry(token.clone()).or_default();
            let earlier = flights.first().copied();
            flights.push(number);
            let together = flights.len();
            let max = &mut inner.in_flight.max_per_refresh_token;
            *max = together.max(*max);
            if let Some(earlier) = earlier {
                inner.violations.push(Violation {
                    text: format!("{at}: {together} requests in flight with refresh token {token}"),
                    overlap: Some((earlier, Instant::now())),
                });
            }
        }

        let refresh_token = request.refresh_token.clone();
        inner.requests.push_back(request);
        if inner.requests.len() > self.capacity {
            inner.requests.pop_front();
            inner.oldest += 1;
        }
        Flight {
            recorder: Arc::clone(self),
            number,
            refresh_token,
            ended: false,
        }
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        let inner = self.lock();
        inner.violations.iter().map(|v| v.text.clone()).collect()
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        self.lock().in_flight
    }

    /// Resolves once no request is in flight.
    pub(crate) async fn idle(&self) {
        loop {
            // Before the check, so that no end is missed between them.
            let ended = self.flight_ended.notified();
            if self.in_flight().now == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A request in flight. Dropped without an end, it was abandoned by its client.
#[derive(Debug)]
pub(crate) struct Flight {
    recorder: Arc<Recorder>,
    number: u64,
    refresh_token: Option<Digest>,
    ended: bool,
}

impl Flight {
    /// Records the fault that this request hits.
    pub(crate) fn note_fault(&self, fault: &'static str) {
        if let Some(request) = self.recorder.lock().get_mut(self.number) {
            request.fault = Some(fault);
        }
    }

    /// Records the tracking id of the response.
    pub(crate) fn note_tracking_id(&self, tracking_id: &str) {
        if let Some(request) = self.recorder.lock().get_mut(self.number) {
            request.tracking_id = Some(tracking_id.to_owned());
        }
    }

    /// Records that the request was carried out.
    pub(crate) fn note_processed(&self) {
        if let Some(request) = self.recorder.lock().get_mut(self.number) {
            request.processed = true;
        }
    }

    /// Ends the flight; `learned` is what the client learns from the response.
    pub(crate) fn end(mut self, outcome: Outcome, learned: Option<InvalidatedTokens>) {
        self.finish(outcome, learned);
    }

    fn finish(&mut self, outcome: Outcome, learned: Option<InvalidatedTokens>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut inner = self.recorder.lock();
        inner.in_flight.now = inner.in_flight.now.saturating_sub(1);
        if let Some(token) = &self.refresh_token
            && let Some(flights) = inner.by_refresh_token.get_mut(token)
        {
            flights.retain(|number| *number != self.number);
            if flights.is_empty() {
                inner.by_refresh_token.remove(token);
            }
        }
        if let Some(request) = inner.get_mut(self.number) {
            request.status = outcome;
        }
        if outcome == Outcome::Abandoned {
            inner.violations.retain(|violation| {
                !violation.overlap.is_some_and(|(earlier, since)| {
                    earlier == self.number && since.elapsed() < self.recorder.disconnect_grace
                })
            });
        }
        if let Some(invalidated) = learned {
            for token in invalidated.tokens {
                inner
                    .known_invalid
                    .entry(token)
                    .or_insert(invalidated.reason);
            }
        }
        drop(inner);
        self.recorder.flight_ended.notify_waiters();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.finish(Outcome::Abandoned, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh() -> RecordedRequest {
        RecordedRequest {
            method: "POST".to_owned(),
            path: "/v1/access_token".to_owned(),
            query: None,
            time: 0,
            status: Outcome::InFlight,
            processed: false,
            fault: None,
            tracking_id: None,
            grant_type: None,
            client_id: None,
            client_secret: None,
            refresh_token: Some(Digest::from_secret("token")),
            code: None,
            access_token: None,
        }
    }

    #[test]
    fn overlap_is_forgiven_if_the_first_was_abandoned() {
        let recorder = Arc::new(Recorder::new(10, DISCONNECT_GRACE));
        let first = recorder.begin(refresh());
        let second = recorder.begin(refresh());
        assert_eq!(recorder.violations().len(), 1);
        drop(first);
        assert!(recorder.violations().is_empty());
        second.end(Outcome::Status(200), None);
        assert_eq!(recorder.in_flight().now, 0);
    }

    #[test]
    fn overlap_counts_if_the_first_got_a_response() {
        let recorder = Arc::new(Recorder::new(10, DISCONNECT_GRACE));
        let first = recorder.begin(refresh());
        let second = recorder.begin(refresh());
        drop(second);
        first.end(Outcome::Status(200), None);
        assert_eq!(recorder.violations().len(), 1);
    }

    #[test]
    fn the_oldest_requests_are_forgotten_first() {
        let recorder = Arc::new(Recorder::new(2, DISCONNECT_GRACE));
        let flights = [(); 3].map(|()| recorder.begin(refresh()));
        for (status, flight) in (200..).zip(flights) {
            flight.end(Outcome::Status(status), None);
        }
        let kept: Vec<_> = recorder.requests().iter().map(|r| r.status).collect();
        assert_eq!(kept, [Outcome::Status(201), Outcome::Status(202)]);
    }
}
