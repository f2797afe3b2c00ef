//! The library's errors as failures of a command.

use relation_host::component::{GuestError, GuestErrorKind};
use relation_host::store::StoreError;
use relation_host::store::seal::{KeyError, SealError};
use relation_host::store::sqlite::OpenError;
use relation_host::{BuildError, CallError, CallErrorKind};

use super::failure::{Failed, Kind};
use crate::config::ConfigError;

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        let failed = Self::new(Kind::Failed, error.to_string());
        match error {
            OpenError::Missing(_) => Self {
                kind: Kind::NotFound,
                ..failed
            }
            .hint(
                "`store` in the configuration or --store names the store; \
                 `relation-host add` makes a new one with its first customer",
            ),
            OpenError::NoDirectory { .. } => Self {
                kind: Kind::Usage,
                ..failed
            },
            OpenError::ReadOnly { .. } => failed.hint(
                "make it writable; what only reads, such as `list` and `show`, works on it as it is",
            ),
            OpenError::Store { source, .. } => Self {
                message: failed.message,
                ..Self::from(source)
            },
            _ => failed,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Conflict(_) | StoreError::Fenced { .. } => Kind::Conflict,
            StoreError::Unavailable(_) | StoreError::StaleKey(_) => Kind::Unavailable,
            StoreError::Invalid(_) => Kind::Usage,
            StoreError::Corrupt(_) => Kind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<SealError> for Failed {
    fn from(error: SealError) -> Self {
        let message = error.to_string();
        match error {
            SealError::Store(error) => Self {
                message,
                ..Self::from(error)
            },
            SealError::UsedElsewhere { .. } => Self::new(Kind::Failed, message).hint(
                "`relation-host stash list` shows what is kept, `relation-host stash apply` applies it",
            ),
            SealError::Key(KeyError::Malformed { .. }) => {
                Self::usage(message)
            }
            SealError::NoKey { .. } | SealError::WrongKey { .. } => {
                Self::new(Kind::Failed, message)
                    .hint("the configuration names the store as `store`, and the key as `key-file`, `key-env` or `key-command`")
            }
            _ => Self::new(Kind::Failed, message),
        }
    }
}

impl From<GuestError> for Failed {
    fn from(error: GuestError) -> Self {
        if let GuestErrorKind::Room { .. } = &error.kind {
            return Self::new(Kind::LimitExceeded, error.kind.to_string());
        }
        let mut failed = Self::new(Kind::Plugin, error.to_string());
        if !error.stderr.trim().is_empty() {
            failed.hint = Some(format!("the plugin wrote: {}", error.stderr.trim()));
        }
        failed
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Plugin(error) if matches!(error.kind, GuestErrorKind::Room { .. }) => {
                Self::from(error)
            }
            BuildError::Plugin(error) => Self::from(error)
                .hint("`relation-host inspect` says of every import whether this host has it"),
            BuildError::Store(error) => Self::from(error),
            other => Self::new(Kind::Failed, other.to_string()),
        }
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let failed = match error.kind {
            CallErrorKind::Refused(failure) => Self::from(failure),
            CallErrorKind::Guest(error) => Self::from(error),
            CallErrorKind::Busy { .. } => Self::new(Kind::Busy, message),
            CallErrorKind::Store(error) => Self::from(error),
        };
        Self {
            transaction: error.transaction,
            ..failed
        }
    }
}
