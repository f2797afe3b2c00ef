//! Why there is no report.

use std::io;

use relation_host::store::StoreError;
use relation_host::{CallError, CallErrorKind};

use super::report::MalformedReport;

/// The suite could not be run to its end, so there is no report.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// A call that the suite needs failed.
    #[error("the suite could not go on: `{call}` failed: {error}")]
    Call {
        /// Which, such as `add`.
        call: &'static str,
        /// Why.
        error: CallError,
    },
    /// A call had no end: the host neither answered nor cut it off.
    #[error("the suite could not go on: `{call}` was not answered within {seconds} s")]
    Silent {
        /// Which, such as `modify`.
        call: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The checks were called again and again and did not come to an end.
    #[error("the suite could not go on: after {0} calls of `checks` it still asks for more")]
    Endless(usize),
    /// The component did not answer as the suite does.
    #[error(transparent)]
    Report(#[from] MalformedReport),
    /// The host could not be put together.
    #[error("the host could not be started: {0}")]
    Host(String),
    /// The server for the checks of the way out could not be started.
    #[error("the test server could not be started: {0}")]
    Server(#[from] io::Error),
    /// The store could not be opened again.
    #[error("the store could not be opened again: {0}")]
    Reopen(StoreError),
}

impl NotRun {
    pub(super) fn never_began(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::Call { error, .. } => matches!(error.kind, CallErrorKind::Busy { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use relation_host::types::{Failure, Pkid, Reference, Timestamp};

    use super::*;

    fn call(kind: CallErrorKind) -> NotRun {
        let transaction = None;
        let error = CallError { transaction, kind };
        let call = "modify";
        NotRun::Call { call, error }
    }

    #[test]
    fn a_call_that_was_turned_away_or_not_answered_never_began() {
        let silent = NotRun::Silent {
            call: "modify",
            seconds: 150,
        };
        assert!(silent.never_began());
        let busy = call(CallErrorKind::Busy {
            subject: Reference::record(Pkid::from_bits([0; 12])),
            until: Timestamp(0),
        });
        assert!(busy.never_began());
        let refused = Failure::Internal("on purpose".into());
        assert!(!call(CallErrorKind::Refused(refused)).never_began());
    }
}
