//! What carries the requests of a harness's hosts: a script or another transport, with a record of everything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use relation_host::schedule::clock::{Clock, ManualClock};

use crate::redaction::Redactor;
use crate::script::{Fault, Playing, ScriptError, Unexpected};
use crate::transcript::{Exchange, Outcome, Request, Response};

/// Carries and records.
pub(super) struct Web {
    clock: Arc<ManualClock>,
    redactor: Redactor,
    carrier: Carrier,
    exchanges: Mutex<Vec<Exchange>>,
}

/// Who answers.
pub(super) enum Carrier {
    Script(Mutex<Playing>),
    Transport(Arc<dyn Transport>),
}

/// How far a record was, to see what came since.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    exchanges: usize,
    unexpected: usize,
}

impl Web {
    pub(super) fn new(clock: Arc<ManualClock>, redactor: Redactor, carrier: Carrier) -> Self {
        Self {
            clock,
            redactor,
            carrier,
            exchanges: Mutex::default(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            exchanges: lock(&self.exchanges).len(),
            unexpected: self.playing(|playing| playing.unexpected().len()),
        }
    }

    /// Everything that was sent.
    pub(super) fn all(&self) -> Vec<Exchange> {
        lock(&self.exchanges).clone()
    }

    /// What was sent since, in the order in which it was sent.
    pub(super) fn since(&self, mark: Mark) -> Vec<Exchange> {
        let exchanges = lock(&self.exchanges);
        exchanges.iter().skip(mark.exchanges).cloned().collect()
    }

    /// What was sent since and was not expected.
    pub(super) fn unexpected_since(&self, mark: Mark) -> Vec<Unexpected> {
        self.playing(|playing| {
            let unexpected = playing.unexpected().iter();
            unexpected.skip(mark.unexpected).cloned().collect()
        })
    }

    /// What is not as the script says.
    pub(super) fn verdict(&self) -> Result<(), ScriptError> {
        match &self.carrier {
            Carrier::Script(playing) => lock(playing).verdict(),
            Carrier::Transport(_) => Ok(()),
        }
    }

    /// The script as far as it was played; none: something else answers.
    pub(super) fn script(&self) -> Option<Playing> {
        match &self.carrier {
            Carrier::Script(playing) => Some(lock(playing).clone()),
            Carrier::Transport(_) => None,
        }
    }

    fn playing<T: Default>(&self, look: impl FnOnce(&Playing) -> T) -> T {
        match &self.carrier {
            Carrier::Script(playing) => look(&lock(playing)),
            Carrier::Transport(_) => T::default(),
        }
    }
}

#[async_trait]
impl Transport for Web {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let at = self.clock.now();
        let sent = Request::read(&request);
        let place = {
            let mut exchanges = lock(&self.exchanges);
            exchanges.push(Exchange {
                at,
                request: sent.redacted(&self.redactor),
                proxy: proxy.map(|proxy| proxy.origin().to_string()),
                outcome: Outcome::Fault("no answer yet".to_owned()),
            });
            exchanges.len() - 1
        };
        let answer = match &self.carrier {
            Carrier::Script(playing) => scripted(&mut lock(playing), &sent, &self.redactor),
            Carrier::Transport(transport) => transport.send(request, proxy).await,
        };
        let outcome = match &answer {
            Ok(response) => Outcome::Answer(Response::read(response, &self.redactor)),
            Err(fault) => Outcome::Fault(word(fault).to_owned()),
        };
        if let Some(exchange) = lock(&self.exchanges).get_mut(place) {
            exchange.outcome = outcome;
        }
        answer
    }
}

#[allow(
    clippy::result_large_err,
    reason = "the transport's own fault: it may carry the answer that came until then"
)]
fn scripted(
    playing: &mut Playing,
    sent: &Request,
    redactor: &Redactor,
) -> Result<http::Response<Bytes>, TransportError> {
    // The plugin is told that nothing was sent; the harness fails the call, whatever comes of that.
    let answer = playing
        .answer(sent, redactor)
        .map_err(|_| TransportError::Refused)?;
    let response = answer.response().map_err(|why| {
        playing.complain(why);
        TransportError::Refused
    })?;
    match answer.fault {
        None => Ok(response),
        Some(Fault::Timeout) => Err(TransportError::Timeout),
        Some(Fault::Refused) => Err(TransportError::Refused),
        Some(Fault::Reset) => Err(TransportError::Reset),
        Some(Fault::Unresolved) => Err(TransportError::Unresolved),
        Some(Fault::Untrusted) => Err(TransportError::Untrusted),
        Some(Fault::Garbled) => Err(TransportError::Garbled),
        Some(Fault::Cut) => Err(TransportError::Cut(half(response))),
        Some(Fault::Stalled) => Err(TransportError::Stalled(half(response))),
    }
}

/// The first half of the body.
fn half(response: http::Response<Bytes>) -> http::Response<Bytes> {
    response.map(|body| body.slice(..body.len() / 2))
}

fn word(fault: &TransportError) -> &'static str {
    match fault {
        TransportError::Unresolved => Fault::Unresolved,
        TransportError::Refused => Fault::Refused,
        TransportError::Untrusted => Fault::Untrusted,
        TransportError::Timeout => Fault::Timeout,
        TransportError::Reset => Fault::Reset,
        TransportError::Garbled => Fault::Garbled,
        TransportError::Cut(_) => Fault::Cut,
        TransportError::Stalled(_) => Fault::Stalled,
        TransportError::Egress(error) | TransportError::EgressInBody(_, error) => {
            return Fault::of(error).map_or("other", Fault::as_str);
        }
    }
    .as_str()
}

/// Locks, also after a holder has panicked: what is kept is a record, whole after every write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
