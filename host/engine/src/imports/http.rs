//! `wasi:http/outgoing-handler`: wasmtime's implementation of the interface with the host's own
//! client.
//!
//! Before sending a request, the host checks the call's limits. It also checks that the call's lease
//! outlives the request's deadline: a host that was paused must not use a token that another call
//! owns by now.

use std::sync::Arc;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tracing::Instrument as _;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::http_codes::error_code;
use super::{Gate, Redactor, Services, UnreportedEffects};
use crate::egress::{Client, EgressError, Policy, Proxies};
use crate::imports::journal::Journal;
use crate::limits::{Limit, LimitExceeded};
use crate::observer::RequestEnded;
use crate::spans;
use crate::transactions::Level;

/// The outbound HTTP state of one call.
pub(crate) struct OutgoingHttp {
    client: Client,
    services: Arc<Services>,
    journal: Journal,
    /// Passed by every import of the call.
    pub(super) gate: Gate,
    /// Set by `automate:platform/egress`.
    pub(crate) proxies: Proxies,
    /// The monotonic time until which the call may rely on its lease.
    lease_until: Option<Duration>,
    effects: Arc<UnreportedEffects>,
    /// The secrets of the call.
    redactor: Redactor,
    sent: u32,
    /// The reason why the latest request has no complete response.
    pub(crate) last_error: Arc<Mutex<Option<String>>>,
    /// Set when a server has responded.
    pub(crate) response_received: Arc<AtomicBool>,
    /// The exceeded limit, for the call's error.
    pub(crate) exceeded: Arc<Mutex<Option<LimitExceeded>>>,
}

impl OutgoingHttp {
    /// Creates the outbound HTTP state of one call.
    pub(crate) fn new(
        client: Client,
        services: Arc<Services>,
        journal: Journal,
        gate: Gate,
        lease_until: Option<Duration>,
        effects: Arc<UnreportedEffects>,
        redactor: Redactor,
    ) -> Self {
        Self {
            gate,
            client,
            services,
            journal,
            proxies: Proxies::default(),
            lease_until,
            effects,
            redactor,
            sent: 0,
            last_error: Arc::default(),
            response_received: Arc::default(),
            exceeded: Arc::default(),
        }
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.client.policy()
    }

    /// Logs why a request was not sent, and stores the text as the last error.
    fn note(&self, level: Level, message: String) {
        *self.last_error.lock() = Some(message.clone());
        self.journal.log(self.services.clock.now(), level, message);
    }

    /// Checks the request limit and the lease; returns the error for a request that may not be
    /// sent.
    fn check_limits(&mut self) -> Option<Error> {
        self.sent += 1;
        let limits = &self.services.limits;
        if self.sent > limits.requests {
            spans::note_limit(Limit::Requests);
            let exceeded = limits.exceeded(Limit::Requests);
            self.note(Level::Error, exceeded.to_string());
            *self.exceeded.lock() = Some(exceeded);
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
                // This code means "not sent": no time was left to connect.
                return Some(Error::ConnectionTimeout);
            }
        }
        None
    }
}

type SendResult = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for OutgoingHttp {
    /// Accepts each scheme: the client rejects others itself, with a code that means "not sent".
    fn is_supported_scheme(&mut self, _: &http::uri::Scheme) -> bool {
        true
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = SendResult> + Send> {
        *self.last_error.lock() = None;
        if let Some(refusal) = self.check_limits() {
            return Box::new(async move { Err(refusal) });
        }
        let client = self.client.clone();
        let proxies = self.proxies.clone();
        let deadline = effective_timeout(options, self.services.limits.request_time);
        let (journal, services) = (self.journal.clone(), Arc::clone(&self.services));
        let observed = (!services.observers.is_empty()).then(|| {
            let path = request.uri().path().to_owned();
            (path, Arc::clone(&services))
        });
        let last_error = Arc::clone(&self.last_error);
        let report_error = move |error: EgressError| {
            let words = error.to_string();
            *last_error.lock() = Some(words.clone());
            journal.log(services.clock.now(), Level::Warning, words);
            error_code(&error)
        };
        let response_received = Arc::clone(&self.response_received);
        // A safe request uses up no token.
        if !request.method().is_safe() {
            self.effects.note_sent();
        }
        // Created within the call, because sending is a task of its own.
        let request_span = spans::request_span(&request, self.client.policy(), &self.redactor);
        let span = tracing::debug_span!("http");
        let interceptor = self.gate.interceptor.clone();
        let sending = self.gate.begin_sending();
        Box::new(async move {
            interceptor.before_sending().await?;
            let began = observed
                .as_ref()
                .map(|(_, services)| services.clock.monotonic());
            let response = client
                .send(request, &proxies, tokio::time::Instant::now() + deadline)
                .instrument(span)
                .instrument(request_span.clone())
                .await;
            let retry_after = response.as_ref().ok().and_then(read_retry_after);
            spans::record_response(&request_span, response.as_ref(), retry_after);
            drop(request_span);
            if let (Some((path, services)), Some(began)) = (observed, began) {
                let event = RequestEnded {
                    path: &path,
                    result: response.as_ref().map(http::Response::status),
                    duration: services.clock.monotonic().saturating_sub(began),
                    retry_after,
                };
                services
                    .observers
                    .notify(|observer| observer.request_ended(&event));
            }
            let body_error = interceptor.after_sending().await?;
            drop(sending);
            match response {
                Ok(response) => {
                    response_received.store(true, Ordering::Release);
                    let response = response.map(|body| match body_error {
                        None => body.map_err(report_error).boxed_unsync(),
                        Some(code) => StreamBody::new(stream::iter([Err(code)])).boxed_unsync(),
                    });
                    let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                        Box::new(async { Ok(()) });
                    Ok((response, done))
                }
                Err(error) => Err(report_error(error)),
            }
        })
    }
}

/// Returns the pause that a response asks for, if it is a number of seconds.
fn read_retry_after<B>(response: &http::Response<B>) -> Option<Duration> {
    let pause = response.headers().get(http::header::RETRY_AFTER)?;
    pause
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Returns the timeout: the guest may shorten the host's maximum but not extend it.
fn effective_timeout(options: Option<RequestOptions>, allowed: Duration) -> Duration {
    let requested = options.and_then(|options| {
        let connect = options.connect_timeout?;
        let first_byte = options.first_byte_timeout?;
        let between_bytes = options.between_bytes_timeout?;
        Some(
            connect
                .saturating_add(first_byte)
                .saturating_add(between_bytes),
        )
    });
    requested.map_or(allowed, |requested| requested.min(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_timeout_is_the_allowed_maximum() {
        let allowed = Duration::from_secs(15);
        assert_eq!(effective_timeout(None, allowed), allowed);
        assert_eq!(
            effective_timeout(Some(RequestOptions::default()), allowed),
            allowed
        );
    }

    #[test]
    fn guest_can_shorten_but_not_extend_the_timeout() {
        let request = |seconds| {
            let each = Some(Duration::from_secs(seconds));
            Some(RequestOptions {
                connect_timeout: each,
                first_byte_timeout: each,
                between_bytes_timeout: each,
            })
        };
        let allowed = Duration::from_secs(15);
        assert_eq!(
            effective_timeout(request(1), allowed),
            Duration::from_secs(3)
        );
        assert_eq!(effective_timeout(request(60), allowed), allowed);
    }
}
