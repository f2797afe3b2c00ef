//! The token requests as Webex has seen them: which host has sent which refresh token of which customer, and when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use webex_emulator::Digest;

/// Milliseconds since the start of the run.
pub type Millis = u64;

/// One request with a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest {
    /// The customer; none: a token that was never issued.
    pub customer: Option<usize>,
    /// The host that has sent it.
    pub host: usize,
    /// Its arrival.
    pub arrived: Millis,
    /// When Webex had carried it out.
    pub processed: Option<Millis>,
    /// When the response was given to the host; none: the host had gone.
    pub returned: Option<Millis>,
    /// Whether Webex accepted the token.
    pub is_accepted: bool,
}

/// The use of a token that Webex had already exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Reuse {
    /// The number of the request that has exchanged it.
    pub first: usize,
    /// The number of the later request.
    pub second: usize,
}

#[derive(Default)]
struct Inner {
    requests: Vec<TokenRequest>,
    /// The customer of each token, and the number of the request that has exchanged it.
    tokens: HashMap<Digest, (usize, Option<usize>)>,
    /// The requests in flight, by token.
    in_flight: HashMap<Digest, usize>,
    reuses: Vec<Reuse>,
    overlaps: Vec<Reuse>,
}

/// The record of all token requests.
#[derive(Clone)]
pub struct Ledger {
    start: Instant,
    inner: Arc<Mutex<Inner>>,
}

impl Ledger {
    /// Creates an empty record.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            inner: Arc::default(),
        }
    }

    /// Returns the time since the start.
    pub fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes the first token of a customer.
    pub fn note_issued(&self, customer: usize, token: &str) {
        let digest = Digest::from_secret(token);
        self.inner.lock().tokens.insert(digest, (customer, None));
    }

    /// Notes a request, and returns its number.
    pub fn begin(&self, host: usize, token: &str) -> usize {
        let arrived = self.now();
        let digest = Digest::from_secret(token);
        let mut inner = self.inner.lock();
        let number = inner.requests.len();
        let known = inner.tokens.get(&digest).copied();
        inner.requests.push(TokenRequest {
            customer: known.map(|(customer, _)| customer),
            host,
            arrived,
            processed: None,
            returned: None,
            is_accepted: false,
        });
        if let Some((_, Some(first))) = known {
            inner.reuses.push(Reuse {
                first,
                second: number,
            });
        }
        if let Some(first) = inner.in_flight.insert(digest, number) {
            inner.overlaps.push(Reuse {
                first,
                second: number,
            });
        }
        number
    }

    /// Notes that Webex has carried out a request, with the new token if it was accepted.
    pub fn note_processed(&self, number: usize, token: &str, issued: Option<&str>) {
        let now = self.now();
        let digest = Digest::from_secret(token);
        let mut inner = self.inner.lock();
        inner.in_flight.remove(&digest);
        let Some(request) = inner.requests.get_mut(number) else {
            return;
        };
        request.processed = Some(now);
        request.is_accepted = issued.is_some();
        let customer = request.customer;
        if let Some((customer, issued)) = customer.zip(issued) {
            if let Some(used) = inner.tokens.get_mut(&digest) {
                used.1 = Some(number);
            }
            let issued = Digest::from_secret(issued);
            inner.tokens.insert(issued, (customer, None));
        }
    }

    /// Notes that the response was given to the host.
    pub fn note_returned(&self, number: usize) {
        let now = self.now();
        if let Some(request) = self.inner.lock().requests.get_mut(number) {
            request.returned = Some(now);
        }
    }

    /// Returns the number of accepted requests that were processed from `from` up to `to`.
    pub fn count_accepted(&self, from: Millis, to: Millis) -> usize {
        let inner = self.inner.lock();
        // The latest requests are at the end; none is in flight for a minute.
        let recent = inner.requests.iter().rev();
        let recent = recent.take_while(|request| request.arrived + 60_000 >= from);
        let accepted = recent.filter(|request| request.is_accepted);
        accepted
            .filter(|request| request.processed.is_some_and(|at| from <= at && at < to))
            .count()
    }

    /// Returns accepted requests per second in the last `span`.
    pub fn rate(&self, span: Duration) -> f64 {
        let now = self.now();
        let from = now.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let count = u32::try_from(self.count_accepted(from, now)).unwrap_or(u32::MAX);
        f64::from(count) / span.as_secs_f64()
    }

    /// Returns all requests in the order of arrival.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.inner.lock().requests.clone()
    }

    /// Returns the customers of which a token was used that had been exchanged: Webex has revoked their tokens.
    pub fn disconnected(&self) -> BTreeSet<usize> {
        let inner = self.inner.lock();
        let first = inner
            .reuses
            .iter()
            .filter_map(|reuse| inner.requests.get(reuse.first));
        first.filter_map(|request| request.customer).collect()
    }

    /// Returns the uses of tokens that had been exchanged.
    pub fn reuses(&self) -> Vec<Reuse> {
        self.inner.lock().reuses.clone()
    }

    /// Returns the pairs of requests that were in flight with one token.
    pub fn overlaps(&self) -> Vec<Reuse> {
        self.inner.lock().overlaps.clone()
    }
}
