//! The emulated Webex as what carries requests: in process, with no port and no waiting.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use relation_host::schedule::clock::{Clock as _, ManualClock};
use webex_emulator::{ClientLimits, ClientOutcome, Clock, TimedOutcome, Webex};

/// Where the real service is.
pub const WEBEX: &str = "https://webexapis.com/v1";

/// The time of a [`Webex`] that goes by a harness's clock.
pub fn time_of(clock: &Arc<ManualClock>) -> Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now().0)
}

/// A [`Webex`] that answers what is sent to one base address.
///
/// A request to another origin meets [`TransportError::Unresolved`], and one beside the base's path
/// gets 404: the control plane of the emulator is the test's, which holds the [`Webex`] itself.
/// Nothing is recorded here, and a proxy makes no difference.
#[derive(Clone, Debug)]
pub struct Emulated {
    webex: Webex,
    base: Uri,
    patience: ClientLimits,
    clock: Option<Arc<ManualClock>>,
}

impl Emulated {
    /// Answers at [`WEBEX`].
    pub fn new(webex: Webex) -> Self {
        Self::at(webex, Uri::from_static(WEBEX))
    }

    /// Answers at another base address, which ends in `/v1`.
    pub fn at(webex: Webex, base: Uri) -> Self {
        Self {
            webex,
            base,
            patience: ClientLimits::default(),
            clock: None,
        }
    }

    /// With what latency a request is given up, and how much of a body is read. By a shorter latency time
    /// passes on the clock, if there is [one](Self::clock). The defaults are those of [`ClientLimits`].
    #[must_use]
    pub fn patience(mut self, patience: ClientLimits) -> Self {
        self.patience = patience;
        self
    }

    /// What an answer takes passes on this clock. Without it no time passes.
    #[must_use]
    pub fn clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The emulated service, to be steered and looked at.
    pub fn webex(&self) -> &Webex {
        &self.webex
    }

    fn is_origin_of(&self, address: &Uri) -> bool {
        let same = |one: Option<&str>, other: Option<&str>| {
            one.zip(other)
                .is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        same(address.scheme_str(), self.base.scheme_str())
            && same(address.host(), self.base.host())
            && port(address) == port(&self.base)
    }

    fn is_above(&self, address: &Uri) -> bool {
        let rest = address
            .path()
            .strip_prefix(self.base.path().trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The port that is meant, where none is written too.
fn port(address: &Uri) -> Option<u16> {
    address.port_u16().or(match address.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

#[async_trait]
impl Transport for Emulated {
    async fn send(
        &self,
        request: Request<Bytes>,
        _proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        if !self.is_origin_of(request.uri()) {
            return Err(TransportError::Unresolved);
        }
        if !self.is_above(request.uri()) {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
        let TimedOutcome {
            outcome: arrival,
            elapsed: after,
        } = self.webex.handle(request, self.patience).await;
        if let Some(clock) = self.clock.as_ref().filter(|_| !after.is_zero()) {
            clock.advance(after);
        }
        match arrival {
            ClientOutcome::Whole(response) => Ok(response),
            ClientOutcome::Cut(response) => Err(TransportError::Cut(response)),
            ClientOutcome::HungUp { .. } => Err(TransportError::Timeout),
            // What else may come of a request is at least no answer.
            ClientOutcome::Reset { .. } | _ => Err(TransportError::Reset),
        }
    }
}
