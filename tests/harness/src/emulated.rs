//! The emulated Webex as a transport: in process, without a port and without waiting.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use relation_host::clock::{Clock as _, ManualClock};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use webex_emulator::{ClientLimits, ClientOutcome, Clock, TimedOutcome, Webex};

/// The base URL of the real service.
pub const WEBEX_BASE_URL: &str = "https://webexapis.com/v1";

/// Returns an emulator clock that follows a harness's clock.
pub fn emulator_clock(clock: &Arc<ManualClock>) -> Clock {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now().0)
}

/// A transport that passes requests for one base URL to a [`Webex`].
///
/// So are requests for the hosts of Contact Center. A request to another origin fails with
/// [`TransportError::Unresolved`]. One outside the base path gets 404,
/// which includes the emulator's control plane: tests use the [`Webex`] directly. Requests are not recorded,
/// and proxies are ignored.
#[derive(Clone, Debug)]
pub struct EmulatedWebex {
    webex: Webex,
    base: Uri,
    client_limits: ClientLimits,
    clock: Option<Arc<ManualClock>>,
}

impl EmulatedWebex {
    /// Creates a transport for [`WEBEX_BASE_URL`].
    pub fn new(webex: Webex) -> Self {
        Self::with_base(webex, Uri::from_static(WEBEX_BASE_URL))
    }

    /// Creates a transport for another base URL, which ends in `/v1`.
    pub fn with_base(webex: Webex, base: Uri) -> Self {
        Self {
            webex,
            base,
            client_limits: ClientLimits::default(),
            clock: None,
        }
    }

    /// Sets the latency at which a request times out, and how much of a body is read. A shorter latency
    /// advances the [clock](Self::clock), if one is set. The defaults are those of [`ClientLimits`].
    #[must_use]
    pub fn client_limits(mut self, client_limits: ClientLimits) -> Self {
        self.client_limits = client_limits;
        self
    }

    /// Advances this clock by the latency of each response. Without a clock no time passes.
    #[must_use]
    pub fn clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Returns the emulated service, to control and inspect it.
    pub fn webex(&self) -> &Webex {
        &self.webex
    }

    fn has_origin_of(&self, address: &Uri) -> bool {
        let same = |one: Option<&str>, other: Option<&str>| {
            one.zip(other)
                .is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        same(address.scheme_str(), self.base.scheme_str())
            && same(address.host(), self.base.host())
            && port(address) == port(&self.base)
    }

    fn contains_path_of(&self, address: &Uri) -> bool {
        let rest = address
            .path()
            .strip_prefix(self.base.path().trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Returns whether `host` is the real one of a region of Contact Center, such as `api.wxcc-us1.cisco.com`.
fn is_contact_center_host(host: &str) -> bool {
    host.starts_with("api.wxcc-") && host.ends_with(".cisco.com")
}

/// Returns the port, or the scheme's default port.
fn port(address: &Uri) -> Option<u16> {
    address.port_u16().or(match address.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

#[async_trait]
impl Transport for EmulatedWebex {
    async fn send(
        &self,
        request: Request<Bytes>,
        _proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        let is_contact_center = request.uri().host().is_some_and(is_contact_center_host);
        if !self.has_origin_of(request.uri()) && !is_contact_center {
            return Err(TransportError::Unresolved);
        }
        if !is_contact_center && !self.contains_path_of(request.uri()) {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
        let TimedOutcome {
            outcome: arrival,
            elapsed: after,
        } = self.webex.handle(request, self.client_limits).await;
        if let Some(clock) = self.clock.as_ref().filter(|_| !after.is_zero()) {
            clock.advance(after);
        }
        match arrival {
            ClientOutcome::Complete(response) => Ok(response),
            ClientOutcome::Cut(response) => Err(TransportError::Cut(response)),
            ClientOutcome::Disconnected { .. } => Err(TransportError::Timeout),
            // Any other arrival is not a response either.
            ClientOutcome::Reset { .. } | _ => Err(TransportError::Reset),
        }
    }
}
