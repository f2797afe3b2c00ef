//! The errors that prevent a report.

use std::io;

use relation_host::store::StoreError;
use relation_host::{CallError, CallErrorKind};

use super::report::MalformedReport;

/// The suite could not be run to its end, so there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// A call that the suite needs failed.
    #[error("the suite cannot continue: `{call}` failed: {error}")]
    Call {
        /// The workflow, such as `add`.
        call: &'static str,
        /// The error of the call.
        error: CallError,
    },
    /// The host neither finished the call nor cut it off.
    #[error("the suite cannot continue: `{call}` did not return within {seconds} s")]
    TimedOut {
        /// The workflow, such as `modify`.
        call: &'static str,
        /// The time that was waited, in seconds.
        seconds: u64,
    },
    /// The suite kept asking for more calls of `checks`.
    #[error("the suite cannot continue: after {0} calls of `checks` it still requests more")]
    TooManyCalls(usize),
    /// The component's reply is not the suite's report.
    #[error(transparent)]
    Report(#[from] MalformedReport),
    /// The host could not be built.
    #[error("the host could not be started: {0}")]
    Host(String),
    /// The server for the egress checks could not be started.
    #[error("the test server could not be started: {0}")]
    Server(#[from] io::Error),
    /// The store could not be opened again.
    #[error("the store could not be opened again: {0}")]
    Reopen(StoreError),
}

impl ConformanceError {
    pub(super) fn has_not_begun(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Call { error, .. } => matches!(error.kind, CallErrorKind::Busy { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use relation_host::types::{Failure, Pkid, Reference, Timestamp};

    use super::*;

    fn call(kind: CallErrorKind) -> ConformanceError {
        let transaction = None;
        let error = CallError { transaction, kind };
        let call = "modify";
        ConformanceError::Call { call, error }
    }

    #[test]
    fn busy_or_timed_out_call_has_not_begun() {
        let silent = ConformanceError::TimedOut {
            call: "modify",
            seconds: 150,
        };
        assert!(silent.has_not_begun());
        let busy = call(CallErrorKind::Busy {
            subject: Reference::record(Pkid::from_bytes([0; 12])),
            until: Timestamp(0),
        });
        assert!(busy.has_not_begun());
        let refused = Failure::Internal("on purpose".into());
        assert!(!call(CallErrorKind::Refused(refused)).has_not_begun());
    }
}
