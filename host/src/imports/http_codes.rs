//! What a fault of the way out is in the codes of `wasi:http`, so that a plugin can tell by the code
//! alone whether its request may have reached the server.
//!
//! A plugin whose refresh token is exchanged for a new one at each use has to know this. The interface
//! has no field for it, so the codes are divided, after the proxy error types of RFC 9209 from which
//! they were taken:
//!
//! | the request | codes |
//! |---|---|
//! | was certainly not sent | `DNS-timeout`, `DNS-error`, `destination-*`, `connection-refused`, `connection-timeout`, `connection-limit-reached`, `TLS-*`, `HTTP-request-*`, `configuration-error` |
//! | may have been sent | every other code: `connection-terminated`, `HTTP-response-*`, `HTTP-protocol-error`, … |
//!
//! `internal-error` is not used: other hosts use it for both. The words of a fault do not fit into a
//! code; the transaction's log and `egress.last-error` have them.

use wasmtime_wasi_http::Error;

use crate::egress::{Denied, EgressError, Limit, Stage};

/// The code for an error of the way out.
pub(super) fn code(error: &EgressError) -> Error {
    match error {
        EgressError::Denied(Denied::Target(_)) => Error::HttpRequestUriInvalid,
        EgressError::Denied(Denied::Origin { .. }) | EgressError::Refused { .. } => {
            Error::HttpRequestDenied
        }
        EgressError::Denied(Denied::Address { .. }) => Error::DestinationIpProhibited,
        EgressError::Limit { limit, bytes, .. } => match limit {
            Limit::RequestHead => Error::HttpRequestHeaderSectionSize(u32::try_from(*bytes).ok()),
            Limit::AnswerHead => Error::HttpResponseHeaderSectionSize(u32::try_from(*bytes).ok()),
            Limit::AnswerBody => Error::HttpResponseBodySize(Some(*bytes)),
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
        EgressError::Timeout { stage, .. } => match stage {
            Stage::Resolve => Error::DnsTimeout,
            Stage::Connect | Stage::Proxy | Stage::Tls => Error::ConnectionTimeout,
            Stage::Answer | Stage::Body => Error::HttpResponseTimeout,
        },
        EgressError::Closed { stage, .. } => match stage {
            Stage::Resolve | Stage::Connect | Stage::Proxy | Stage::Tls => {
                Error::DestinationUnavailable
            }
            Stage::Answer => Error::ConnectionTerminated,
            Stage::Body => Error::HttpResponseIncomplete,
        },
        EgressError::Protocol { stage, .. } => match stage {
            Stage::Resolve | Stage::Connect | Stage::Proxy | Stage::Tls => {
                Error::DestinationUnavailable
            }
            Stage::Answer | Stage::Body => Error::HttpProtocolError,
        },
        EgressError::RequestBody { .. } => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{AddressClass, Origin, OriginProblem, Peer, Setting};

    const STAGES: [Stage; 6] = [
        Stage::Resolve,
        Stage::Connect,
        Stage::Proxy,
        Stage::Tls,
        Stage::Answer,
        Stage::Body,
    ];

    /// The division as a plugin reads it: a list of codes, everything else may have been sent.
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
        Origin::of(&http::Uri::from_static("https://webexapis.com")).unwrap()
    }

    /// Each kind of fault at each stage, with the code it has to have.
    fn faults() -> Vec<(EgressError, &'static str)> {
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
        let mut faults = vec![
            (
                Denied::Target(OriginProblem::UserInfo).into(),
                "HttpRequestUriInvalid",
            ),
            (
                EgressError::Denied(Denied::Origin {
                    setting: Setting::Allow,
                    origin: origin(),
                    nothing_listed: true,
                }),
                "HttpRequestDenied",
            ),
            (
                EgressError::Denied(Denied::Address {
                    setting: Setting::Proxies,
                    origin: origin(),
                    addresses: vec![([127, 0, 0, 1].into(), AddressClass::Loopback)],
                }),
                "DestinationIpProhibited",
            ),
            (EgressError::Refused { what: reason() }, "HttpRequestDenied"),
            (
                limit(Limit::RequestHead),
                "HttpRequestHeaderSectionSize(Some(10))",
            ),
            (
                limit(Limit::AnswerHead),
                "HttpResponseHeaderSectionSize(Some(10))",
            ),
            (limit(Limit::AnswerBody), "HttpResponseBodySize(Some(10))"),
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
        for (stage, [timeout, closed, protocol]) in STAGES.into_iter().zip(late) {
            let peer = peer();
            faults.extend([
                (
                    EgressError::Timeout {
                        peer: peer.clone(),
                        stage,
                    },
                    timeout,
                ),
                (
                    EgressError::Closed {
                        peer: peer.clone(),
                        stage,
                    },
                    closed,
                ),
                (
                    EgressError::Protocol {
                        peer,
                        reason: reason(),
                        stage,
                    },
                    protocol,
                ),
            ]);
        }
        faults
    }

    #[test]
    fn each_fault_has_its_code() {
        for (fault, expected) in faults() {
            assert_eq!(format!("{:?}", code(&fault)), expected, "{fault:?}");
        }
    }

    #[test]
    fn a_code_tells_whether_the_request_may_have_been_sent() {
        for (fault, _) in faults() {
            let code = code(&fault);
            assert_eq!(
                is_certainly_not_sent(&code),
                !fault.may_have_been_sent(),
                "{fault:?} became {code:?}"
            );
        }
    }

    #[test]
    fn no_kind_of_fault_is_missing_in_the_table() {
        let kind = |fault: &EgressError| match fault {
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
            faults().iter().map(|(fault, _)| kind(fault)).collect();
        assert_eq!(kinds.len(), 11);
    }
}
