//! The error of an operation: its kind, its message for people and programs, and the next step.

mod from;
mod transfer;

pub(crate) use transfer::explain_mark;

use std::fmt;

use relation_host::types::{Failure, FieldError};
use serde::Serialize;

/// The kind of an error, by who must act next. The key is `kind` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The caller: the command line or the configuration is wrong.
    Usage,
    /// The caller: fields are wrong.
    Invalid,
    /// The caller: the named object does not exist.
    NotFound,
    /// A person, at Webex: connect the customer again.
    Reauthorize,
    /// No person: something changed in the meantime; run the command again.
    Conflict,
    /// The caller: the object was changed since the caller read it; read it again.
    Changed,
    /// The caller: an idempotency key was used for another request; use a new key.
    KeyReused,
    /// No person: another call works on the record.
    Busy,
    /// No person: Webex limits the rate of requests.
    RateLimited,
    /// No person: a transient error.
    Unavailable,
    /// The operator: a setting is missing, a limit or a policy was hit, a proxy refuses its credentials, or Webex
    /// refuses the integration.
    LimitExceeded,
    /// The plugin's author.
    Plugin,
    /// The author of the plugin or the host.
    Internal,
    /// The operator: the installation has a problem, such as a wrong key or a missing client secret.
    Problem,
    /// A person has to investigate.
    Failed,
    /// The reader of stdout has closed it, so no message is needed.
    BrokenPipe,
}

/// The error of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppError {
    /// The person or party that must act next.
    pub kind: ErrorKind,
    /// The attempted action, its object, and the reason for the failure.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
    /// The transaction that has the details.
    pub transaction: Option<String>,
    /// The errors of single fields.
    pub field_errors: Vec<FieldError>,
}

impl AppError {
    /// Creates an error.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            transaction: None,
            field_errors: Vec::new(),
        }
    }

    /// Creates an error of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Adds what to do next, unless that is known already.
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        match self.hint {
            Some(_) => self,
            None => self.hint(hint),
        }
    }

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for FieldError { field, message } in &self.field_errors {
            write!(f, "\n  {field}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AppError {}

impl From<Failure> for AppError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let kind = match &failure {
            Failure::Invalid(_) => ErrorKind::Invalid,
            Failure::NotFound(_) => ErrorKind::NotFound,
            Failure::Conflict(_) => ErrorKind::Conflict,
            Failure::Reauthorize(_) => ErrorKind::Reauthorize,
            Failure::RateLimited(_) => ErrorKind::RateLimited,
            Failure::Unavailable(_) => ErrorKind::Unavailable,
            Failure::LimitExceeded(_) => ErrorKind::LimitExceeded,
            Failure::Internal(_) => ErrorKind::Internal,
        };
        let error = Self::new(kind, message);
        match failure {
            Failure::Invalid(field_errors) => Self {
                message: "the input is not right".to_owned(),
                field_errors,
                ..error
            }
            .hint("`relation-host describe` lists the fields and the actions with their rules"),
            Failure::NotFound(_) => error.hint("`relation-host list` shows what is there"),
            Failure::RateLimited(_) => Self {
                message: format!("Webex {}", error.message),
                ..error
            },
            _ => error,
        }
    }
}

/// The hint for a store that does not exist, if nothing more is known.
pub(crate) const MAKE_STORE: &str = "run it in the directory of the installation, or name its configuration by --config or the store by --store; \
     `relation-host init` makes a new installation here";
