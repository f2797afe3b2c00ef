//! The faults that can be injected at an import, according to the contract.

use std::fmt;

use relation_host::imports::{Import, Intervention};
use relation_host::types::Failure;

use super::HttpErrorCode;

/// A fault that is injected once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The import does not run and returns `unavailable`.
    Unavailable,
    /// The import does not run and returns `conflict`.
    Conflict,
    /// The import does not run and returns `limit-exceeded`.
    LimitExceeded,
    /// The import does not run and returns `invalid`.
    Invalid,
    /// The import does not run and returns `internal`.
    Internal,
    /// The request is not sent and fails with this code, even if the code implies that it was sent.
    NotSent(HttpErrorCode),
    /// The request is sent, and its response is lost.
    ResponseLost,
    /// The request is sent, the head of the response arrives, and reading the body fails with this code.
    ResponseCut(HttpErrorCode),
    /// The guest traps after the import.
    Trap,
    /// The process is killed before the import.
    KilledBefore,
    /// The process is killed after the import.
    KilledAfter,
}

impl InjectedFault {
    /// Returns all faults that can be injected at `import`.
    pub fn on(import: Import) -> Vec<Self> {
        let mut faults = match import {
            Import::StorageGet
            | Import::StorageGetMany
            | Import::StorageFind
            | Import::StorageFindPkids
            | Import::StorageCompare
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
                let mut faults: Vec<Self> = HttpErrorCode::ALL.map(Self::NotSent).to_vec();
                faults.push(Self::ResponseLost);
                faults.extend(HttpErrorCode::OF_BODY.map(Self::ResponseCut));
                faults
            }
            Import::EgressLastError
            | Import::TransactionsLog
            | Import::TransactionsProgress
            | Import::TransactionsRecordPart
            | Import::TransactionsInterrupted => Vec::new(),
        };
        // The wait for a response is outside of the guest, which cannot trap there.
        if import != Import::HttpHandle {
            faults.push(Self::Trap);
        }
        faults.extend([Self::KilledBefore, Self::KilledAfter]);
        faults
    }

    /// Returns whether the import has run.
    pub fn is_carried_out(self) -> bool {
        matches!(
            self,
            Self::ResponseLost | Self::ResponseCut(_) | Self::Trap | Self::KilledAfter
        )
    }

    /// Returns whether the process is killed.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }

    /// Returns the interceptor's intervention before or after the import. The injector kills a process
    /// itself.
    pub(super) fn intervention(self) -> Intervention {
        const MESSAGE: &str = "injected by the sweep";
        let message = MESSAGE.to_owned();
        match self {
            Self::Unavailable => Intervention::Fail(Failure::Unavailable(message)),
            Self::Conflict => Intervention::Fail(Failure::Conflict(message)),
            Self::LimitExceeded => Intervention::Fail(Failure::LimitExceeded(message)),
            Self::Invalid => Intervention::Fail(Failure::Invalid(Vec::new())),
            Self::Internal => Intervention::Fail(Failure::Internal(message)),
            Self::NotSent(code) | Self::ResponseCut(code) => {
                Intervention::FailHttp(code.to_host_error())
            }
            Self::ResponseLost | Self::Trap => Intervention::Trap(message),
            Self::KilledBefore | Self::KilledAfter => Intervention::Proceed,
        }
    }
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotSent(code) => return write!(f, "{code} before it was sent"),
            Self::ResponseCut(code) => return write!(f, "the response's body ends with {code}"),
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::LimitExceeded => "limit-exceeded",
            Self::Invalid => "invalid",
            Self::Internal => "internal",
            Self::ResponseLost => "sent, and the response lost",
            Self::Trap => "trap after it",
            Self::KilledBefore => "killed before it",
            Self::KilledAfter => "killed after it",
        };
        f.write_str(text)
    }
}
