//! The transport of a harness's hosts: a script or another transport, with a record of all exchanges.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use relation_host::clock::{Clock, ManualClock};
use relation_host::egress::{ProxyUrl, Transport, TransportError};

use crate::redaction::Redactor;
use crate::script::{NetworkFault, Playback, ScriptError, UnexpectedRequest};
use crate::transcript::{Exchange, ExchangeOutcome, Request, Response};

/// A transport that sends requests to a backend and records the exchanges.
pub(super) struct TranscriptTransport {
    clock: Arc<ManualClock>,
    redactor: Redactor,
    backend: HttpBackend,
    exchanges: Mutex<Vec<Exchange>>,
}

/// The source of responses.
pub(super) enum HttpBackend {
    Script(Mutex<Playback>),
    Transport(Arc<dyn Transport>),
}

/// A position in the record.
#[derive(Clone, Copy)]
pub(super) struct TranscriptPosition {
    exchanges: usize,
    unexpected: usize,
}

impl TranscriptTransport {
    pub(super) fn new(clock: Arc<ManualClock>, redactor: Redactor, backend: HttpBackend) -> Self {
        Self {
            clock,
            redactor,
            backend,
            exchanges: Mutex::default(),
        }
    }

    pub(super) fn mark(&self) -> TranscriptPosition {
        TranscriptPosition {
            exchanges: self.exchanges.lock().len(),
            unexpected: self.with_playback(|playback| playback.unexpected().len()),
        }
    }

    /// Returns all exchanges.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().clone()
    }

    /// Returns the exchanges since a position, in the order in which they were sent.
    pub(super) fn since(&self, mark: TranscriptPosition) -> Vec<Exchange> {
        let exchanges = self.exchanges.lock();
        exchanges.iter().skip(mark.exchanges).cloned().collect()
    }

    /// Returns the unexpected requests since a position.
    pub(super) fn unexpected_since(&self, mark: TranscriptPosition) -> Vec<UnexpectedRequest> {
        self.with_playback(|playback| {
            let unexpected = playback.unexpected().iter();
            unexpected.skip(mark.unexpected).cloned().collect()
        })
    }

    /// Checks that the script was used as written.
    pub(super) fn verify(&self) -> Result<(), ScriptError> {
        match &self.backend {
            HttpBackend::Script(playback) => playback.lock().verify(),
            HttpBackend::Transport(_) => Ok(()),
        }
    }

    /// Returns the script's playback; `None` for another backend.
    pub(super) fn script(&self) -> Option<Playback> {
        match &self.backend {
            HttpBackend::Script(playback) => Some(playback.lock().clone()),
            HttpBackend::Transport(_) => None,
        }
    }

    fn with_playback<T: Default>(&self, look: impl FnOnce(&Playback) -> T) -> T {
        match &self.backend {
            HttpBackend::Script(playback) => look(&playback.lock()),
            HttpBackend::Transport(_) => T::default(),
        }
    }
}

#[async_trait]
impl Transport for TranscriptTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let at = self.clock.now();
        let sent = Request::from_http(&request);
        let place = {
            let mut exchanges = self.exchanges.lock();
            exchanges.push(Exchange {
                at,
                request: sent.redact(&self.redactor),
                proxy: proxy.map(|proxy| proxy.origin().to_string()),
                outcome: ExchangeOutcome::Fault("no response yet".to_owned()),
            });
            exchanges.len() - 1
        };
        let response = match &self.backend {
            HttpBackend::Script(playback) => scripted(&mut playback.lock(), &sent, &self.redactor),
            HttpBackend::Transport(transport) => transport.send(request, proxy).await,
        };
        let outcome = match &response {
            Ok(response) => {
                ExchangeOutcome::Response(Response::from_http(response, &self.redactor))
            }
            Err(fault) => ExchangeOutcome::Fault(fault_name(fault).to_owned()),
        };
        if let Some(exchange) = self.exchanges.lock().get_mut(place) {
            exchange.outcome = outcome;
        }
        response
    }
}

#[allow(
    clippy::result_large_err,
    reason = "the transport's own fault: it may contain the response received so far"
)]
fn scripted(
    playback: &mut Playback,
    sent: &Request,
    redactor: &Redactor,
) -> Result<http::Response<Bytes>, TransportError> {
    // The plugin sees that the request was not sent; the harness fails the call in any case.
    let step_response = playback
        .respond(sent, redactor)
        .map_err(|_| TransportError::Refused)?;
    let response = step_response.response().map_err(|reason| {
        playback.complain(reason);
        TransportError::Refused
    })?;
    match step_response.fault {
        None => Ok(response),
        Some(NetworkFault::Timeout) => Err(TransportError::Timeout),
        Some(NetworkFault::Refused) => Err(TransportError::Refused),
        Some(NetworkFault::Reset) => Err(TransportError::Reset),
        Some(NetworkFault::Unresolved) => Err(TransportError::Unresolved),
        Some(NetworkFault::Untrusted) => Err(TransportError::Untrusted),
        Some(NetworkFault::Garbled) => Err(TransportError::Garbled),
        Some(NetworkFault::Cut) => Err(TransportError::Cut(truncate_body(response))),
        Some(NetworkFault::Stalled) => Err(TransportError::Stalled(truncate_body(response))),
    }
}

/// Truncates the body to its first half.
fn truncate_body(response: http::Response<Bytes>) -> http::Response<Bytes> {
    response.map(|body| body.slice(..body.len() / 2))
}

fn fault_name(fault: &TransportError) -> &'static str {
    match fault {
        TransportError::Unresolved => NetworkFault::Unresolved,
        TransportError::Refused => NetworkFault::Refused,
        TransportError::Untrusted => NetworkFault::Untrusted,
        TransportError::Timeout => NetworkFault::Timeout,
        TransportError::Reset => NetworkFault::Reset,
        TransportError::Garbled => NetworkFault::Garbled,
        TransportError::Cut(_) => NetworkFault::Cut,
        TransportError::Stalled(_) => NetworkFault::Stalled,
        TransportError::Egress(error) | TransportError::EgressInBody(_, error) => {
            return NetworkFault::from_egress_error(error).map_or("other", NetworkFault::as_str);
        }
    }
    .as_str()
}
