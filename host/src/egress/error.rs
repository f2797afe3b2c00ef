//! What can go wrong on the way out, in words for an administrator and without anything secret.

use std::fmt;

use http::StatusCode;

use super::origin::Origin;
use super::policy::Denied;
use super::pool::{BodyFailed, Route};

/// An error of the caller's request body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whom a fault is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The server that the request is for.
    Target(Origin),
    /// The proxy on the way.
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

/// Where a request was when its time ran out. In the order in which they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Looking up a name.
    Resolve,
    /// Connecting by TCP.
    Connect,
    /// A TLS handshake with the proxy, or waiting for its answer to `CONNECT`.
    Proxy,
    /// The TLS handshake with the target.
    Tls,
    /// Sending the request and waiting for the head of the answer.
    Answer,
    /// Reading the body of the answer.
    Body,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the name",
            Self::Connect => "connecting",
            Self::Proxy => "setting up the way through the proxy",
            Self::Tls => "doing the TLS handshake",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the body of the answer",
        })
    }
}

/// What was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Request line and header fields of the request.
    RequestHead,
    /// Status line and header fields of the answer.
    AnswerHead,
    /// The body of the answer.
    AnswerBody,
}

impl Limit {
    /// The setting that holds the limit, as the configuration file spells it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::RequestHead | Self::AnswerHead => "limits.headers",
            Self::AnswerBody => "limits.response",
        }
    }

    fn or_many(self) -> &'static str {
        match self {
            Self::AnswerHead => ", has more than 100 fields or announces an absurd body",
            Self::RequestHead => " or has more than 100 fields",
            Self::AnswerBody => "",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestHead => "the header of the request to",
            Self::AnswerHead => "the header of the answer of",
            Self::AnswerBody => "the body of the answer of",
        })
    }
}

/// Why there is no answer, or no whole one.
///
/// No variant holds a credential, a header value, a query string or a part of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The operator does not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request is of a kind that is not sent.
    #[error("the request is not sent: {what}")]
    Refused {
        /// The offending part, without its value.
        what: String,
    },
    /// Something was larger than it may be.
    #[error("{limit} `{origin}` is larger than {bytes} bytes{}, the limit `{}`", .limit.or_many(), .limit.setting())]
    Limit {
        /// What.
        limit: Limit,
        /// The server.
        origin: Origin,
        /// How large it may be.
        bytes: u64,
    },
    /// The name was not found, or the name service does not answer.
    #[error(
        "cannot find the address of {peer}: {reason}; check the name and this host's name service"
    )]
    Resolve {
        /// Whose name.
        peer: Peer,
        /// The resolver's words.
        reason: String,
    },
    /// No address could be connected to.
    #[error("cannot connect to {peer}: {reason}")]
    Connect {
        /// To whom.
        peer: Peer,
        /// The operating system's words about the last address.
        reason: String,
        /// Whether those words are that the connection was refused.
        refused: bool,
    },
    /// The peer's certificate was refused, or there is no common ground for TLS.
    #[error("no secure connection to {peer}: {reason}")]
    Tls {
        /// With whom.
        peer: Peer,
        /// Why.
        reason: String,
        /// Whether it is the peer's certificate that was refused.
        certificate: bool,
    },
    /// The proxy did not do as asked.
    #[error("proxy `{proxy}` {}", proxy_refusal(*.status, *.had_credentials))]
    Proxy {
        /// Which.
        proxy: Origin,
        /// What it answered instead.
        status: StatusCode,
        /// Whether it was given a user name and password.
        had_credentials: bool,
    },
    /// The call's deadline, or the time for connecting, ended.
    #[error("{peer} took too long: the time was up while {stage}{}", deadline(*.stage))]
    Timeout {
        /// Who kept us waiting.
        peer: Peer,
        /// With what.
        stage: Stage,
    },
    /// The connection ended before a whole answer had come.
    #[error("the connection to {peer} ended while {stage}{}", may_be_done(*.stage))]
    Closed {
        /// Whose.
        peer: Peer,
        /// [`Stage::Answer`] or [`Stage::Body`].
        stage: Stage,
    },
    /// The answer is not HTTP/1.1 as it should be.
    #[error("{peer} gave an answer that cannot be understood: {reason}")]
    Protocol {
        /// Who.
        peer: Peer,
        /// What is wrong with it.
        reason: String,
        /// Where; the request is on its way from [`Stage::Answer`] on.
        stage: Stage,
    },
    /// The caller's request body failed while it was being sent.
    #[error("the body of the request to `{origin}` ended with an error before it was sent in full")]
    RequestBody {
        /// The server.
        origin: Origin,
    },
}

fn may_be_done(stage: Stage) -> &'static str {
    if stage >= Stage::Answer {
        "; the request may have been carried out"
    } else {
        ""
    }
}

/// Before that it may be the time for connecting that is over, which has no setting.
fn deadline(stage: Stage) -> &'static str {
    if stage >= Stage::Answer {
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

/// Whether a proxy's status is about its user name and password. tinyproxy says 401 of wrong ones and
/// 407 only of missing ones.
fn is_about_credentials(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED
    )
}

impl EgressError {
    /// What hyper's error means, met at `stage`. Its own text is not passed on where it may quote bytes.
    pub(super) fn of_hyper(
        error: &hyper::Error,
        route: &Route,
        stage: Stage,
        most_header_bytes: usize,
    ) -> Self {
        let origin = || route.target.origin().clone();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if inner.is::<BodyFailed>() {
                return Self::RequestBody { origin: origin() };
            }
            cause = inner.source();
        }
        let peer = route.far_end();
        if error.is_parse_too_large() {
            Self::Limit {
                limit: Limit::AnswerHead,
                origin: origin(),
                bytes: u64::try_from(most_header_bytes).unwrap_or(u64::MAX),
            }
        } else if error.is_parse() {
            let reason = "it is not valid HTTP/1.1".to_owned();
            Self::Protocol {
                peer,
                reason,
                stage,
            }
        } else {
            Self::Closed { peer, stage }
        }
    }

    /// Whether a proxy refused the customer's user name and password, or misses them.
    pub fn is_about_proxy_credentials(&self) -> bool {
        matches!(self, Self::Proxy { status, .. } if is_about_credentials(*status))
    }

    /// Whether the target may have got the request, or a part of it, and may have acted on it.
    ///
    /// False is certain; true is not.
    pub fn may_have_been_sent(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Refused { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. } => false,
            Self::Limit { limit, .. } => *limit != Limit::RequestHead,
            Self::Timeout { stage, .. }
            | Self::Closed { stage, .. }
            | Self::Protocol { stage, .. } => *stage >= Stage::Answer,
            Self::RequestBody { .. } => true,
        }
    }
}
