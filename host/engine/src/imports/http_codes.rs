//! Maps egress errors to `wasi:http` error codes, so that a plugin can tell from the code whether
//! its request may have reached the server.
//!
//! A plugin whose refresh token is replaced at each use has to know this, but the interface has no
//! field for it. So the codes are divided into two groups, based on the proxy error types of RFC
//! 9209:
//!
//! | the request | codes |
//! |---|---|
//! | was certainly not sent | `DNS-timeout`, `DNS-error`, `destination-*`, `connection-refused`, `connection-timeout`, `connection-limit-reached`, `TLS-*`, `HTTP-request-*`, `configuration-error` |
//! | may have been sent | every other code: `connection-terminated`, `HTTP-response-*`, `HTTP-protocol-error`, … |
//!
//! `internal-error` is not used, because other hosts use it for both groups. A code cannot contain
//! the error text: the transaction's log and `egress.last-error` have it.

use wasmtime_wasi_http::Error;

use crate::egress::{Denial, EgressError, Limit, RequestPhase};

/// Returns the error code of an egress error.
pub(super) fn error_code(error: &EgressError) -> Error {
    match error {
        EgressError::Denied(Denial::Target(_)) => Error::HttpRequestUriInvalid,
        EgressError::Denied(Denial::Origin { .. }) | EgressError::Refused { .. } => {
            Error::HttpRequestDenied
        }
        EgressError::Denied(Denial::Address { .. }) => Error::DestinationIpProhibited,
        EgressError::Limit { limit, bytes, .. } => match limit {
            Limit::RequestHead => Error::HttpRequestHeaderSectionSize(u32::try_from(*bytes).ok()),
            Limit::ResponseHead => Error::HttpResponseHeaderSectionSize(u32::try_from(*bytes).ok()),
            Limit::ResponseBody => Error::HttpResponseBodySize(Some(*bytes)),
        },
        EgressError::Resolve { reason, .. } => Error::DnsError {
            rcode: Some(reason.clone()),
            info_code: None,
        },
        EgressError::Connect { refused: true, .. } => Error::ConnectionRefused,
        EgressError::Connect { refused: false, .. } => Error::DestinationUnavailable,
        EgressError::Tls {
            certificate: true, ..
        } => Error::TlsCertificateError,
        EgressError::Tls {
            certificate: false, ..
        } => Error::TlsProtocolError,
        EgressError::Proxy { .. } if error.is_about_proxy_credentials() => {
            Error::ConfigurationError
        }
        EgressError::Proxy { .. } => Error::DestinationUnavailable,
        EgressError::Timeout { phase, .. } => match phase {
            RequestPhase::Resolve => Error::DnsTimeout,
            RequestPhase::Budget
            | RequestPhase::Connect
            | RequestPhase::Proxy
            | RequestPhase::Tls => Error::ConnectionTimeout,
            RequestPhase::Response | RequestPhase::Body => Error::HttpResponseTimeout,
        },
        EgressError::Closed { phase, .. } => match phase {
            RequestPhase::Budget
            | RequestPhase::Resolve
            | RequestPhase::Connect
            | RequestPhase::Proxy
            | RequestPhase::Tls => Error::DestinationUnavailable,
            RequestPhase::Response => Error::ConnectionTerminated,
            RequestPhase::Body => Error::HttpResponseIncomplete,
        },
        EgressError::Protocol { phase, .. } => match phase {
            RequestPhase::Budget
            | RequestPhase::Resolve
            | RequestPhase::Connect
            | RequestPhase::Proxy
            | RequestPhase::Tls => Error::DestinationUnavailable,
            RequestPhase::Response | RequestPhase::Body => Error::HttpProtocolError,
        },
        EgressError::RequestBody { .. } => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{AddressClass, Origin, OriginError, Peer, Setting};

    const PHASES: [RequestPhase; 7] = [
        RequestPhase::Budget,
        RequestPhase::Resolve,
        RequestPhase::Connect,
        RequestPhase::Proxy,
        RequestPhase::Tls,
        RequestPhase::Response,
        RequestPhase::Body,
    ];

    /// Returns whether a code says that nothing was sent, as a plugin decides it: by a list of codes.
    fn is_certainly_not_sent(code: &Error) -> bool {
        matches!(
            code,
            Error::DnsTimeout
                | Error::DnsError { .. }
                | Error::DestinationNotFound
                | Error::DestinationUnavailable
                | Error::DestinationIpProhibited
                | Error::DestinationIpUnroutable
                | Error::ConnectionRefused
                | Error::ConnectionTimeout
                | Error::ConnectionLimitReached
                | Error::TlsProtocolError
                | Error::TlsCertificateError
                | Error::TlsAlertReceived { .. }
                | Error::HttpRequestDenied
                | Error::HttpRequestLengthRequired
                | Error::HttpRequestBodySize(_)
                | Error::HttpRequestMethodInvalid
                | Error::HttpRequestUriInvalid
                | Error::HttpRequestUriTooLong
                | Error::HttpRequestHeaderSectionSize(_)
                | Error::HttpRequestHeaderSize { .. }
                | Error::HttpRequestTrailerSectionSize(_)
                | Error::HttpRequestTrailerSize { .. }
                | Error::ConfigurationError
        )
    }

    fn origin() -> Origin {
        Origin::from_uri(&http::Uri::from_static("https://webexapis.com")).unwrap()
    }

    /// Returns every kind of error in every phase, with its expected code.
    fn errors() -> Vec<(EgressError, &'static str)> {
        let peer = || Peer::Target(origin());
        let proxy = |status: u16| EgressError::Proxy {
            proxy: origin(),
            status: http::StatusCode::from_u16(status).unwrap(),
            had_credentials: true,
        };
        let reason = || "words".to_owned();
        let limit = |limit| EgressError::Limit {
            limit,
            origin: origin(),
            bytes: 10,
        };
        let connect = |refused| EgressError::Connect {
            peer: peer(),
            reason: reason(),
            refused,
        };
        let tls = |certificate| EgressError::Tls {
            peer: peer(),
            reason: reason(),
            certificate,
        };
        let mut errors = vec![
            (
                Denial::Target(OriginError::UserInfo).into(),
                "HttpRequestUriInvalid",
            ),
            (
                EgressError::Denied(Denial::Origin {
                    setting: Setting::Allow,
                    origin: origin(),
                    nothing_listed: true,
                }),
                "HttpRequestDenied",
            ),
            (
                EgressError::Denied(Denial::Address {
                    setting: Setting::Proxies,
                    origin: origin(),
                    addresses: vec![([127, 0, 0, 1].into(), AddressClass::Loopback)],
                }),
                "DestinationIpProhibited",
            ),
            (
                EgressError::Refused { reason: reason() },
                "HttpRequestDenied",
            ),
            (
                limit(Limit::RequestHead),
                "HttpRequestHeaderSectionSize(Some(10))",
            ),
            (
                limit(Limit::ResponseHead),
                "HttpResponseHeaderSectionSize(Some(10))",
            ),
            (limit(Limit::ResponseBody), "HttpResponseBodySize(Some(10))"),
            (
                EgressError::Resolve {
                    peer: peer(),
                    reason: reason(),
                },
                "DnsError { rcode: Some(\"words\"), info_code: None }",
            ),
            (connect(true), "ConnectionRefused"),
            (connect(false), "DestinationUnavailable"),
            (tls(true), "TlsCertificateError"),
            (tls(false), "TlsProtocolError"),
            (proxy(407), "ConfigurationError"),
            (proxy(401), "ConfigurationError"),
            (proxy(403), "DestinationUnavailable"),
            (proxy(502), "DestinationUnavailable"),
            (
                EgressError::RequestBody { origin: origin() },
                "ConnectionTerminated",
            ),
        ];
        let late = [
            [
                "ConnectionTimeout",
                "DestinationUnavailable",
                "DestinationUnavailable",
            ],
            [
                "DnsTimeout",
                "DestinationUnavailable",
                "DestinationUnavailable",
            ],
            [
                "ConnectionTimeout",
                "DestinationUnavailable",
                "DestinationUnavailable",
            ],
            [
                "ConnectionTimeout",
                "DestinationUnavailable",
                "DestinationUnavailable",
            ],
            [
                "ConnectionTimeout",
                "DestinationUnavailable",
                "DestinationUnavailable",
            ],
            [
                "HttpResponseTimeout",
                "ConnectionTerminated",
                "HttpProtocolError",
            ],
            [
                "HttpResponseTimeout",
                "HttpResponseIncomplete",
                "HttpProtocolError",
            ],
        ];
        for (phase, [timeout, closed, protocol]) in PHASES.into_iter().zip(late) {
            let peer = peer();
            errors.extend([
                (
                    EgressError::Timeout {
                        peer: peer.clone(),
                        phase,
                    },
                    timeout,
                ),
                (
                    EgressError::Closed {
                        peer: peer.clone(),
                        phase,
                    },
                    closed,
                ),
                (
                    EgressError::Protocol {
                        peer,
                        reason: reason(),
                        phase,
                    },
                    protocol,
                ),
            ]);
        }
        errors
    }

    #[test]
    fn each_error_has_its_code() {
        for (error, expected) in errors() {
            assert_eq!(format!("{:?}", error_code(&error)), expected, "{error:?}");
        }
    }

    #[test]
    fn code_says_whether_it_may_have_been_sent() {
        for (error, _) in errors() {
            let code = error_code(&error);
            assert_eq!(
                is_certainly_not_sent(&code),
                !error.may_have_been_sent(),
                "{error:?} became {code:?}"
            );
        }
    }

    #[test]
    fn all_error_kinds_are_in_the_table() {
        let kind = |error: &EgressError| match error {
            EgressError::Denied(_) => 0,
            EgressError::Refused { .. } => 1,
            EgressError::Limit { .. } => 2,
            EgressError::Resolve { .. } => 3,
            EgressError::Connect { .. } => 4,
            EgressError::Tls { .. } => 5,
            EgressError::Proxy { .. } => 6,
            EgressError::Timeout { .. } => 7,
            EgressError::Closed { .. } => 8,
            EgressError::Protocol { .. } => 9,
            EgressError::RequestBody { .. } => 10,
        };
        let kinds: std::collections::BTreeSet<_> =
            errors().iter().map(|(error, _)| kind(error)).collect();
        assert_eq!(kinds.len(), 11);
    }
}
