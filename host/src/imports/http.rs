//! `wasi:http/outgoing-handler`: wasmtime's implementation of the interface, our own sending.
//!
//! Before anything is sent the call's bounds are checked, and that its lease outlives the request's
//! total deadline: a host that was stopped for a while must not use a token that is another's by now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use tracing::Instrument as _;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::http_codes::code;
use super::{Gate, LimitHit, Services, Traces};
use crate::egress::{Client, EgressError, Policy, Proxies};
use crate::sync::lock;
use crate::transactions::Level;
use crate::transactions::journal::Journal;

/// What sending needs to know of its call.
pub(crate) struct Outgoing {
    client: Client,
    services: Arc<Services>,
    journal: Journal,
    /// Stands before every import of the call.
    pub(super) gate: Gate,
    /// Set by `automate:platform/egress`.
    pub(crate) proxies: Proxies,
    /// The monotonic moment until which the call's lease may be relied on.
    lease_until: Option<Duration>,
    traces: Arc<Traces>,
    sent: u32,
    /// Why the latest request has no whole answer.
    pub(crate) fault: Arc<std::sync::Mutex<Option<String>>>,
    /// Set once a server has answered.
    pub(crate) answered: Arc<AtomicBool>,
    /// A bound that was hit, for the error of the call.
    pub(crate) hit: Arc<std::sync::Mutex<Option<LimitHit>>>,
}

impl Outgoing {
    /// The way out of one call.
    pub(crate) fn new(
        client: Client,
        services: Arc<Services>,
        journal: Journal,
        gate: Gate,
        lease_until: Option<Duration>,
        traces: Arc<Traces>,
    ) -> Self {
        Self {
            gate,
            client,
            services,
            journal,
            proxies: Proxies::default(),
            lease_until,
            traces,
            sent: 0,
            fault: Arc::default(),
            answered: Arc::default(),
            hit: Arc::default(),
        }
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.client.policy()
    }

    /// Remembers and logs why a request was not sent.
    fn note(&self, level: Level, message: String) {
        *lock(&self.fault) = Some(message.clone());
        self.journal.log(self.services.clock.now(), level, message);
    }

    /// Why this request may not be sent at all.
    fn refusal(&mut self) -> Option<Error> {
        self.sent += 1;
        let bound = self.services.limits.requests;
        if self.sent > bound {
            let hit = LimitHit::Requests(bound);
            self.note(Level::Error, hit.to_string());
            *lock(&self.hit) = Some(hit);
            return Some(Error::ConnectionLimitReached);
        }
        let needed = self.services.limits.request_time;
        if let Some(until) = self.lease_until {
            let left = until.saturating_sub(self.services.clock.monotonic());
            if left < needed {
                let text = format!(
                    "not sent: the lease of this call ends in {} ms, before the request's deadline of {} ms",
                    left.as_millis(),
                    needed.as_millis()
                );
                self.note(Level::Error, text);
                // A code of the group that says "not sent": there was no time left to connect in.
                return Some(Error::ConnectionTimeout);
            }
        }
        None
    }
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Outgoing {
    /// The way out refuses other schemes itself, with the code for what was not sent.
    fn is_supported_scheme(&mut self, _: &http::uri::Scheme) -> bool {
        true
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        *lock(&self.fault) = None;
        if let Some(refusal) = self.refusal() {
            return Box::new(async move { Err(refusal) });
        }
        let client = self.client.clone();
        let proxies = self.proxies.clone();
        let deadline = total_time(options, self.services.limits.request_time);
        let (journal, services) = (self.journal.clone(), Arc::clone(&self.services));
        let fault = Arc::clone(&self.fault);
        let told = move |error: EgressError| {
            let words = error.to_string();
            *lock(&fault) = Some(words.clone());
            journal.log(services.clock.now(), Level::Warning, words);
            code(&error)
        };
        let answered = Arc::clone(&self.answered);
        // A request that only reads uses up no token.
        if !request.method().is_safe() {
            self.traces.note_sent();
        }
        // Opened here, within the call: what sends is a task of its own.
        let span = tracing::debug_span!("http");
        let lookout = self.gate.lookout.clone();
        Box::new(async move {
            lookout.before_sending().await?;
            let answer = client
                .send(request, &proxies, tokio::time::Instant::now() + deadline)
                .instrument(span)
                .await;
            let cut = lookout.after_sending().await?;
            match answer {
                Ok(answer) => {
                    answered.store(true, Ordering::Release);
                    let answer = answer.map(|body| match cut {
                        None => body.map_err(told).boxed_unsync(),
                        Some(code) => StreamBody::new(stream::iter([Err(code)])).boxed_unsync(),
                    });
                    let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                        Box::new(async { Ok(()) });
                    Ok((answer, done))
                }
                Err(error) => Err(told(error)),
            }
        })
    }
}

/// The guest may ask for less time than the host allows, never for more.
fn total_time(options: Option<RequestOptions>, allowed: Duration) -> Duration {
    let wished = options.and_then(|options| {
        let connect = options.connect_timeout?;
        let first_byte = options.first_byte_timeout?;
        let between_bytes = options.between_bytes_timeout?;
        Some(
            connect
                .saturating_add(first_byte)
                .saturating_add(between_bytes),
        )
    });
    wished.map_or(allowed, |wished| wished.min(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_wishes_nothing_gets_what_is_allowed() {
        let allowed = Duration::from_secs(15);
        assert_eq!(total_time(None, allowed), allowed);
        assert_eq!(
            total_time(Some(RequestOptions::default()), allowed),
            allowed
        );
    }

    #[test]
    fn a_guest_may_wish_for_less_and_not_for_more() {
        let wish = |seconds| {
            let each = Some(Duration::from_secs(seconds));
            Some(RequestOptions {
                connect_timeout: each,
                first_byte_timeout: each,
                between_bytes_timeout: each,
            })
        };
        let allowed = Duration::from_secs(15);
        assert_eq!(total_time(wish(1), allowed), Duration::from_secs(3));
        assert_eq!(total_time(wish(60), allowed), allowed);
    }
}
