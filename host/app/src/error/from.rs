//! Converts the library's errors to errors of a command.

use relation_host::component::{GuestError, GuestErrorKind};
use relation_host::store::StoreError;
use relation_host::store::seal::SealError;
use relation_host::store::sqlite::OpenError;
use relation_host::{BuildError, CallError, CallErrorKind, QueueError};

use super::transfer::explain_mark;
use super::{AppError, ErrorKind, MAKE_STORE};
use crate::config::ConfigError;

impl From<ConfigError> for AppError {
    fn from(error: ConfigError) -> Self {
        let is_missing = match &error {
            ConfigError::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        };
        let error = Self::usage(error.to_string());
        match is_missing {
            true => error.hint(
                "correct --config or RELATION_CONFIG; `relation-host init` makes a new configuration",
            ),
            false => error,
        }
    }
}

impl From<OpenError> for AppError {
    fn from(error: OpenError) -> Self {
        let cli_error = Self::new(ErrorKind::Failed, error.to_string());
        match error {
            OpenError::Missing(_) => Self {
                kind: ErrorKind::NotFound,
                ..cli_error
            }
            .hint(MAKE_STORE),
            OpenError::NoDirectory { .. } => Self {
                kind: ErrorKind::Usage,
                ..cli_error
            },
            OpenError::ReadOnly { .. } => cli_error.hint(
                "make it writable; commands that only read, such as `list` and `show`, work on it as it is",
            ),
            OpenError::Store { source, .. } => Self {
                message: cli_error.message,
                ..Self::from(source)
            },
            OpenError::Marked { mark, .. } => explain_mark(cli_error.message, &mark),
            _ => cli_error,
        }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Conflict(_) | StoreError::Fenced { .. } => ErrorKind::Conflict,
            StoreError::Unavailable(_) | StoreError::StaleKey(_) => ErrorKind::Unavailable,
            StoreError::Invalid(_) => ErrorKind::Usage,
            StoreError::Corrupt(_) => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        let message = error.to_string();
        match error {
            SealError::Store(error) => Self {
                message,
                ..Self::from(error)
            },
            SealError::UsedElsewhere { .. } => Self::new(ErrorKind::Failed, message).hint(
                "`relation-host stash list` shows the stashed commits, `relation-host stash apply` applies them",
            ),
            SealError::Key(_)
            | SealError::NoKey { .. }
            | SealError::WrongKey { .. }
            | SealError::KeyReplaced { .. } => {
                Self::new(ErrorKind::Problem, message)
                    .hint("the configuration names the store as `store`, and the key as `key-file`, `key-env` or `key-command`")
            }
            _ => Self::new(ErrorKind::Failed, message),
        }
    }
}

impl From<GuestError> for AppError {
    fn from(error: GuestError) -> Self {
        if let GuestErrorKind::AddressSpace { .. } = &error.kind {
            return Self::new(ErrorKind::LimitExceeded, error.kind.to_string());
        }
        let mut cli_error = Self::new(ErrorKind::Plugin, error.to_string());
        if !error.stderr.trim().is_empty() {
            cli_error.hint = Some(format!("the plugin wrote: {}", error.stderr.trim()));
        }
        cli_error
    }
}

impl From<BuildError> for AppError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Plugin(error)
                if matches!(error.kind, GuestErrorKind::AddressSpace { .. }) =>
            {
                Self::from(error)
            }
            BuildError::Plugin(error) => Self::from(error).hint(
                "`relation-host inspect` shows for every import whether this host provides it",
            ),
            BuildError::Store(error) => Self::from(error),
            other => Self::new(ErrorKind::Failed, other.to_string()),
        }
    }
}

impl From<CallError> for AppError {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let cli_error = match error.kind {
            CallErrorKind::Refused(failure) => Self::from(failure),
            CallErrorKind::Guest(error) => Self::from(error),
            CallErrorKind::Busy { .. } => Self::new(ErrorKind::Busy, message),
            CallErrorKind::Store(error) => Self::from(error),
            CallErrorKind::Changed { .. } => Self::new(ErrorKind::Changed, message)
                .hint("read the record again, and repeat the change with its version"),
            _ => Self::new(ErrorKind::Failed, message),
        };
        Self {
            transaction: error.transaction,
            ..cli_error
        }
    }
}

impl From<QueueError> for AppError {
    fn from(error: QueueError) -> Self {
        let message = error.to_string();
        match error {
            QueueError::NotFound(_) => Self::new(ErrorKind::NotFound, message),
            QueueError::Ended { .. }
            | QueueError::Running(_)
            | QueueError::NotEnded(_)
            | QueueError::NotReplayable { .. } => Self::new(ErrorKind::Conflict, message),
            QueueError::Call(error) => error.into(),
            _ => Self::new(ErrorKind::Failed, message),
        }
    }
}
