//! What can go wrong with an import, by the contract.

use std::fmt;

use relation_host::imports::{Import, Intervention};
use relation_host::types::Failure;

use super::Code;

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
    /// The request is not sent and ends with this code, whatever the code says of that.
    NotSent(Code),
    /// The request is carried out, and its answer lost.
    AnswerLost,
    /// The request is carried out, the head of its answer comes, and the body ends with this code.
    AnswerCut(Code),
    /// The guest traps once the import was carried out.
    Trap,
    /// The process is lost before the import is carried out.
    KilledBefore,
    /// The process is lost after the import was carried out.
    KilledAfter,
}

impl Blow {
    /// Everything that can go wrong with an import.
    pub fn on(import: Import) -> Vec<Self> {
        let mut blows = match import {
            Import::StorageGet
            | Import::StorageGetMany
            | Import::StorageFind
            | Import::SchedulingWakeups
            | Import::SecretsReveal
            | Import::SecretsRevealSetting => vec![
                Self::Unavailable,
                Self::LimitExceeded,
                Self::Invalid,
                Self::Internal,
            ],
            Import::StorageCommit => vec![
                Self::Unavailable,
                Self::Conflict,
                Self::LimitExceeded,
                Self::Invalid,
                Self::Internal,
            ],
            Import::EgressUseProxies => vec![Self::Invalid, Self::LimitExceeded],
            Import::HttpHandle => {
                let mut blows: Vec<Self> = Code::ALL.map(Self::NotSent).to_vec();
                blows.push(Self::AnswerLost);
                blows.extend(Code::OF_BODIES.map(Self::AnswerCut));
                blows
            }
            Import::EgressLastError
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
        matches!(
            self,
            Self::AnswerLost | Self::AnswerCut(_) | Self::Trap | Self::KilledAfter
        )
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
            Self::NotSent(code) | Self::AnswerCut(code) => Intervention::FailHttp(code.code()),
            Self::AnswerLost | Self::Trap => Intervention::Trap(said),
            Self::KilledBefore | Self::KilledAfter => Intervention::Proceed,
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::NotSent(code) => return write!(f, "{code} before it was sent"),
            Self::AnswerCut(code) => return write!(f, "the answer's body ends with {code}"),
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::LimitExceeded => "limit-exceeded",
            Self::Invalid => "invalid",
            Self::Internal => "internal",
            Self::AnswerLost => "carried out, and the answer lost",
            Self::Trap => "trap behind it",
            Self::KilledBefore => "killed before it",
            Self::KilledAfter => "killed behind it",
        };
        f.write_str(word)
    }
}
