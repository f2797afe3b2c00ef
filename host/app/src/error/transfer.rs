//! The errors of moving a store to another one, with the next step.

use relation_host::store::transfer::{TransferError, TransferMark, TransferSide};

use super::{AppError, ErrorKind};
use crate::quote_for_shell;

/// Returns the error of a store that takes part in a move.
pub(crate) fn explain_mark(message: String, mark: &TransferMark) -> AppError {
    let other = quote_for_shell(&mark.other);
    let hint = match (mark.side, mark.finished) {
        (TransferSide::Source, true) => format!(
            "name that store in the configuration, or with --store {other}; `relation-host migrate --reopen` makes this \
             one usable again"
        ),
        (TransferSide::Source, false) => format!(
            "`relation-host migrate --to {other}` continues the move; `relation-host migrate --reopen` makes this store \
             usable again"
        ),
        (TransferSide::Target, _) => {
            format!(
                "`relation-host migrate --from {other}` with this store as --to continues the move"
            )
        }
    };
    AppError::new(ErrorKind::Problem, message).hint(hint)
}

impl From<TransferError> for AppError {
    fn from(error: TransferError) -> Self {
        let message = error.to_string();
        match error {
            TransferError::Store { source, .. } => Self {
                message,
                ..Self::from(source)
            }
            .or_hint("what was copied stays: run the command again to continue"),
            TransferError::Seal(error) => Self::from(error),
            TransferError::SameStore(_) => Self::usage(message),
            TransferError::InUse { .. } => Self::new(ErrorKind::Problem, message).hint(
                "stop `relation-host run`, `serve` and every other command on both stores, then run the command again",
            ),
            TransferError::OpenCalls { .. } => Self::new(ErrorKind::Unavailable, message).hint(
                "the lease of a host that has ended lasts for a minute or so: run the command again then",
            ),
            TransferError::NotEmpty { .. } => Self::new(ErrorKind::Problem, message)
                .hint("name a store that does not exist yet, or a new one from `relation-host init`"),
            TransferError::Different { .. } => Self::new(ErrorKind::Failed, message).hint(
                "another program has changed a store meanwhile: remove the target, and run the command again; the \
                 source has everything",
            ),
            TransferError::NotMoved(_) => Self::new(ErrorKind::NotFound, message)
                .hint("hosts can use it: `--reopen` is for a store that was moved to another one"),
            TransferError::Marked { .. } | TransferError::Unencodable(_) => {
                Self::new(ErrorKind::Problem, message)
            }
        }
    }
}
