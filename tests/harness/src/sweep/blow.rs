//! What can go wrong with an import, by the contract.

use std::fmt;

use relation_host::imports::{HttpError, Import, Intervention};
use relation_host::types::Failure;

/// One thing that goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The import is not carried out and says `unavailable`.
    Unavailable,
    /// The import is not carried out and says `conflict`.
    Conflict,
    /// The import is not carried out and says `limit-exceeded`.
    LimitExceeded,
    /// The import is not carried out and says `invalid`.
    Invalid,
    /// The import is not carried out and says `internal`.
    Internal,
    /// The request is not sent and ends with this code.
    NotSent(Code),
    /// The request is carried out, and its answer lost.
    AnswerLost,
    /// The guest traps once the import was carried out.
    Trap,
    /// The process is lost before the import is carried out.
    KilledBefore,
    /// The process is lost after the import was carried out.
    KilledAfter,
}

/// Codes of `wasi:http`, one or two of each group that a plugin tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `connection-refused`: certainly not sent.
    ConnectionRefused,
    /// `DNS-timeout`: certainly not sent.
    DnsTimeout,
    /// `HTTP-request-denied`: the operator's policy.
    Denied,
    /// `TLS-certificate-error`: certainly not sent.
    Certificate,
    /// `connection-terminated`: for all that anybody knows it was sent.
    Terminated,
    /// `HTTP-response-timeout`: for all that anybody knows it was sent.
    Timeout,
}

impl Code {
    const ALL: [Self; 6] = [
        Self::ConnectionRefused,
        Self::DnsTimeout,
        Self::Denied,
        Self::Certificate,
        Self::Terminated,
        Self::Timeout,
    ];

    fn code(self) -> HttpError {
        match self {
            Self::ConnectionRefused => HttpError::ConnectionRefused,
            Self::DnsTimeout => HttpError::DnsTimeout,
            Self::Denied => HttpError::HttpRequestDenied,
            Self::Certificate => HttpError::TlsCertificateError,
            Self::Terminated => HttpError::ConnectionTerminated,
            Self::Timeout => HttpError::HttpResponseTimeout,
        }
    }
}

impl Blow {
    /// Everything that can go wrong with an import.
    pub fn on(import: Import) -> Vec<Self> {
        let mut blows = match import {
            Import::StorageGet | Import::StorageGetMany | Import::StorageFind => {
                vec![Self::Unavailable, Self::LimitExceeded, Self::Internal]
            }
            Import::StorageCommit => vec![
                Self::Unavailable,
                Self::Conflict,
                Self::LimitExceeded,
                Self::Invalid,
                Self::Internal,
            ],
            Import::SchedulingWakeups => vec![Self::Unavailable, Self::Internal],
            Import::SecretsReveal | Import::SecretsRevealSetting => {
                vec![Self::Unavailable, Self::Internal]
            }
            Import::EgressUseProxies => vec![Self::Invalid, Self::LimitExceeded],
            Import::HttpHandle => {
                let mut blows: Vec<Self> = Code::ALL.map(Self::NotSent).to_vec();
                blows.push(Self::AnswerLost);
                blows
            }
            Import::EgressLastFault
            | Import::TransactionsLog
            | Import::TransactionsProgress
            | Import::TransactionsInterrupted => Vec::new(),
        };
        // What waits for an answer stands outside of the guest and cannot trap.
        if import != Import::HttpHandle {
            blows.push(Self::Trap);
        }
        blows.extend([Self::KilledBefore, Self::KilledAfter]);
        blows
    }

    /// Whether the import was carried out all the same.
    pub fn is_carried_out(self) -> bool {
        matches!(self, Self::AnswerLost | Self::Trap | Self::KilledAfter)
    }

    /// Whether the process is lost.
    pub fn is_a_kill(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }

    /// What an interceptor says in the import's place, or behind it.
    pub(super) fn intervention(self) -> Intervention {
        const SAID: &str = "said the sweep";
        let said = SAID.to_owned();
        match self {
            Self::Unavailable => Intervention::Fail(Failure::Unavailable(said)),
            Self::Conflict => Intervention::Fail(Failure::Conflict(said)),
            Self::LimitExceeded => Intervention::Fail(Failure::LimitExceeded(said)),
            Self::Invalid => Intervention::Fail(Failure::Invalid(Vec::new())),
            Self::Internal => Intervention::Fail(Failure::Internal(said)),
            Self::NotSent(code) => Intervention::FailHttp(code.code()),
            Self::AnswerLost | Self::Trap => Intervention::Trap(said),
            Self::KilledBefore | Self::KilledAfter => Intervention::Proceed,
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::LimitExceeded => "limit-exceeded",
            Self::Invalid => "invalid",
            Self::Internal => "internal",
            Self::NotSent(Code::ConnectionRefused) => "connection-refused",
            Self::NotSent(Code::DnsTimeout) => "DNS-timeout",
            Self::NotSent(Code::Denied) => "HTTP-request-denied",
            Self::NotSent(Code::Certificate) => "TLS-certificate-error",
            Self::NotSent(Code::Terminated) => "connection-terminated before it was sent",
            Self::NotSent(Code::Timeout) => "HTTP-response-timeout before it was sent",
            Self::AnswerLost => "carried out, and the answer lost",
            Self::Trap => "trap behind it",
            Self::KilledBefore => "killed before it",
            Self::KilledAfter => "killed behind it",
        })
    }
}
