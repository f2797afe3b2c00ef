//! Errors of outbound requests. Their texts are for an administrator and contain no secret.

use std::fmt;

use http::StatusCode;

use super::origin::Origin;
use super::policy::Denial;
use super::pool::{RequestBodyError, Route};

/// An error of the caller's request body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The peer that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The server of the request.
    Target(Origin),
    /// The proxy in use.
    Proxy(Origin),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(origin) => write!(f, "`{origin}`"),
            Self::Proxy(origin) => write!(f, "proxy `{origin}`"),
        }
    }
}

/// The phase of a request, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestPhase {
    /// Waiting for the request budget of the server.
    Budget,
    /// Resolving a name.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake with the proxy, or waiting for its response to `CONNECT`.
    Proxy,
    /// The TLS handshake with the target.
    Tls,
    /// Sending the request and waiting for the response head.
    Response,
    /// Reading the response body.
    Body,
}

impl fmt::Display for RequestPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "waiting until the server's request limit allows another request",
            Self::Resolve => "looking up the name",
            Self::Connect => "connecting",
            Self::Proxy => "connecting through the proxy",
            Self::Tls => "doing the TLS handshake",
            Self::Response => "waiting for the response",
            Self::Body => "reading the response body",
        })
    }
}

/// The part of a message that is limited in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Request line and header fields of the request.
    RequestHead,
    /// Status line and header fields of the response.
    ResponseHead,
    /// The response body.
    ResponseBody,
}

impl Limit {
    /// Returns the name of the limit's setting in the configuration file.
    pub fn setting(self) -> &'static str {
        match self {
            Self::RequestHead | Self::ResponseHead => "limits.headers",
            Self::ResponseBody => "limits.response",
        }
    }

    fn size_hint_text(self) -> &'static str {
        match self {
            Self::ResponseHead => {
                ", has more than 100 fields or announces a body of invalid length"
            }
            Self::RequestHead => " or has more than 100 fields",
            Self::ResponseBody => "",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestHead => "the header of the request to",
            Self::ResponseHead => "the header of the response from",
            Self::ResponseBody => "the body of the response from",
        })
    }
}

/// The reason why there is no complete response.
///
/// No variant holds a credential, a header value, a query string or a part of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The operator's policy denies the request.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The request itself is not permitted.
    #[error("the request is not sent: {reason}")]
    Refused {
        /// The offending part, without its value.
        reason: String,
    },
    /// A part of a message exceeds its limit.
    #[error("{limit} `{origin}` is larger than {bytes} bytes{}, the limit `{}`", .limit.size_hint_text(), .limit.setting())]
    Limit {
        /// The part that is too large.
        limit: Limit,
        /// The server.
        origin: Origin,
        /// The limit, in bytes.
        bytes: u64,
    },
    /// The name was not found, or the name service does not respond.
    #[error(
        "cannot find the address of {peer}: {reason}; check the name and this host's name service"
    )]
    Resolve {
        /// The peer that could not be resolved.
        peer: Peer,
        /// The error text of the resolver.
        reason: String,
    },
    /// No address accepted a connection.
    #[error("cannot connect to {peer}: {reason}")]
    Connect {
        /// The peer of the connection.
        peer: Peer,
        /// The operating system's error text for the last address.
        reason: String,
        /// Whether the last error was "connection refused".
        refused: bool,
    },
    /// The peer's certificate was rejected, or no common TLS version or cipher exists.
    #[error("no secure connection to {peer}: {reason}")]
    Tls {
        /// The peer of the handshake.
        peer: Peer,
        /// The reason.
        reason: String,
        /// Whether the peer's certificate was rejected.
        certificate: bool,
    },
    /// The proxy refused the request.
    #[error("proxy `{proxy}` {}", proxy_refusal(*.status, *.had_credentials))]
    Proxy {
        /// The proxy.
        proxy: Origin,
        /// The status of the proxy's response.
        status: StatusCode,
        /// Whether the proxy was sent a user name and password.
        had_credentials: bool,
    },
    /// The call's deadline or the connect timeout expired.
    #[error("{peer} took too long: the time was up while {phase}{}", deadline_hint(*.phase))]
    Timeout {
        /// The peer that did not respond in time.
        peer: Peer,
        /// The phase at that time.
        phase: RequestPhase,
    },
    /// The connection ended before the response was complete.
    #[error("the connection to {peer} ended while {phase}{}", execution_hint(*.phase))]
    Closed {
        /// The peer of the connection.
        peer: Peer,
        /// The phase at that time. From [`RequestPhase::Response`] on, the request may have been
        /// sent.
        phase: RequestPhase,
    },
    /// The response is not valid HTTP/1.1.
    #[error("{peer} sent an invalid HTTP response: {reason}")]
    Protocol {
        /// The sender of the response.
        peer: Peer,
        /// The problem.
        reason: String,
        /// The phase at that time. From [`RequestPhase::Response`] on, the request may have been
        /// sent.
        phase: RequestPhase,
    },
    /// The caller's request body failed while it was being sent.
    #[error("the body of the request to `{origin}` ended with an error before it was sent in full")]
    RequestBody {
        /// The server.
        origin: Origin,
    },
}

fn execution_hint(phase: RequestPhase) -> &'static str {
    if phase >= RequestPhase::Response {
        "; the request may have been carried out"
    } else {
        ""
    }
}

/// Returns the hint about a deadline. In earlier phases the connect timeout may have expired, which has no setting.
fn deadline_hint(phase: RequestPhase) -> &'static str {
    if phase >= RequestPhase::Response {
        " (`limits.request-time`)"
    } else {
        ""
    }
}

fn proxy_refusal(status: StatusCode, had_credentials: bool) -> String {
    let number = status.as_u16();
    match (is_about_credentials(status), had_credentials) {
        (true, true) => format!(
            "refused the user name or password ({number}); correct them in the proxy setting"
        ),
        (true, false) => {
            format!("wants a user name and password ({number}); add them to the proxy setting")
        }
        (false, _) => format!("refused to open a tunnel to the target ({number})"),
    }
}

/// Returns whether a proxy's status is about its user name and password. tinyproxy sends 401 for wrong
/// credentials and 407 only for missing ones.
fn is_about_credentials(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED
    )
}

impl EgressError {
    /// Converts hyper's error in `phase`. Its own text is dropped where it may quote bytes.
    pub(super) fn from_hyper(
        error: &hyper::Error,
        route: &Route,
        phase: RequestPhase,
        max_header_bytes: usize,
    ) -> Self {
        let origin = || route.target.origin().clone();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if inner.is::<RequestBodyError>() {
                return Self::RequestBody { origin: origin() };
            }
            cause = inner.source();
        }
        let peer = route.responder();
        if error.is_parse_too_large() {
            Self::Limit {
                limit: Limit::ResponseHead,
                origin: origin(),
                bytes: u64::try_from(max_header_bytes).unwrap_or(u64::MAX),
            }
        } else if error.is_parse() {
            let reason = "it is not valid HTTP/1.1".to_owned();
            Self::Protocol {
                peer,
                reason,
                phase,
            }
        } else {
            Self::Closed { peer, phase }
        }
    }

    /// Returns whether a proxy rejected the customer's user name and password, or requires them.
    pub fn is_about_proxy_credentials(&self) -> bool {
        matches!(self, Self::Proxy { status, .. } if is_about_credentials(*status))
    }

    /// Returns the class of the error in metrics and traces. Trouble with a proxy is `proxy`, whatever the error is.
    pub fn class(&self) -> &'static str {
        let by_peer = |peer: &Peer, class| match peer {
            Peer::Target(_) => class,
            Peer::Proxy(_) => "proxy",
        };
        match self {
            Self::Denied(_) | Self::Refused { .. } => "denied",
            Self::Limit { .. } => "limit",
            Self::Resolve { peer, .. } => by_peer(peer, "dns"),
            Self::Connect { peer, .. } => by_peer(peer, "connect"),
            Self::Tls { peer, .. } => by_peer(peer, "tls"),
            Self::Proxy { .. } => "proxy",
            Self::Timeout { peer, .. } => by_peer(peer, "timeout"),
            Self::Closed { peer, .. } | Self::Protocol { peer, .. } => by_peer(peer, "broken"),
            Self::RequestBody { .. } => "broken",
        }
    }

    /// Returns whether the target may have received a part of the request and acted on it.
    ///
    /// `false` is certain, `true` is not.
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Refused { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. } => false,
            Self::Limit { limit, .. } => *limit != Limit::RequestHead,
            Self::Timeout { phase, .. }
            | Self::Closed { phase, .. }
            | Self::Protocol { phase, .. } => *phase >= RequestPhase::Response,
            Self::RequestBody { .. } => true,
        }
    }
}
