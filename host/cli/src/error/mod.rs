//! The error of a command: its kind, its message for people and programs, and its exit code.

mod from;

use std::fmt;

use relation_host::types::{Failure, FieldError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::streams::stderr;

use crate::output::{escape_control_chars, escape_control_chars_in_lines};

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
    /// No person: another call works on the record.
    Busy,
    /// No person: Webex limits the rate of requests.
    RateLimited,
    /// No person: a transient error.
    Unavailable,
    /// The operator: a limit or a policy was hit.
    LimitExceeded,
    /// The plugin's author.
    Plugin,
    /// The author of the plugin or the host.
    Internal,
    /// A person has to investigate.
    Failed,
    /// The reader of stdout has closed it, so no message is needed.
    BrokenPipe,
}

/// The meaning of the exit codes, shown in every help text.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done, also when the reader of stdout has closed the pipe (`| head`)
  1  failed, also when the result could not be written to stdout
  2  usage: the command line, the configuration or a field is wrong
  3  not found
  4  a person must reauthorize at Webex
  5  try again later

With every code but 0, stderr has an error: `error:` and often `hint:` lines. With --json, stderr has
only one object {\"error\": {kind, message, hint, transaction, faults, warnings}}; logs then go to
--log-file, or, if they are warnings, into `warnings`.";

impl ErrorKind {
    /// Returns the exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::LimitExceeded | Self::Plugin | Self::Internal | Self::Failed => 1,
            Self::Usage | Self::Invalid => 2,
            Self::NotFound => 3,
            Self::Reauthorize => 4,
            Self::Conflict | Self::Busy | Self::RateLimited | Self::Unavailable => 5,
        }
    }
}

/// The error of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CliError {
    /// The person or party that must act next.
    pub kind: ErrorKind,
    /// The attempted action, its object, and the reason of the failure.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
    /// The transaction that has the details.
    pub transaction: Option<String>,
    /// The errors of single fields.
    #[serde(rename = "faults")]
    pub field_errors: Vec<FieldError>,
}

impl CliError {
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

    /// Adds what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Reports the error on stderr.
    pub fn report(&self, as_json: bool) {
        if self.kind != ErrorKind::BrokenPipe {
            stderr::report(self, as_json);
        }
    }

    /// Returns the error as one JSON object, with the warnings logged before.
    pub fn to_json(&self, warnings: Vec<String>) -> Value {
        let Self {
            kind,
            message,
            hint,
            transaction,
            field_errors,
        } = self;
        json!({ "error": {
            "kind": kind, "message": message, "hint": hint, "transaction": transaction,
            "faults": field_errors, "warnings": warnings,
        }})
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", escape_control_chars_in_lines(&self.message))?;
        for field_error in &self.field_errors {
            let (field, message) = (
                escape_control_chars(&field_error.field),
                escape_control_chars(&field_error.message),
            );
            write!(f, "\n  {field}: {message}")?;
        }
        if let Some(transaction) = &self.transaction {
            write!(
                f,
                "\nnote: `relation-host transactions {transaction}` has the details"
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", escape_control_chars_in_lines(hint))?;
        }
        Ok(())
    }
}

impl From<Failure> for CliError {
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
                message: "the fields are not right".to_owned(),
                field_errors,
                ..error
            }
            .hint("`relation-host describe` lists the fields and their rules"),
            Failure::NotFound(_) => error.hint("`relation-host list` shows what is there"),
            Failure::Reauthorize(_) => error.hint(CONNECT_AGAIN),
            Failure::RateLimited(_) => Self {
                message: format!("Webex {}", error.message),
                ..error
            },
            _ => error,
        }
    }
}

/// The hint for tokens that no longer work.
pub const CONNECT_AGAIN: &str = "`relation-host connect RECORD` connects it again, or `relation-host modify RECORD --tokens FILE`";

#[cfg(test)]
mod tests {
    use relation_host::types::Timestamp;

    use super::*;

    #[test]
    fn exit_code_follows_the_failure() {
        let code = |failure: Failure| CliError::from(failure).kind.exit_code();
        let text = || "why".to_owned();
        assert_eq!(code(Failure::Invalid(Vec::new())), 2);
        let pkid = "0123456789abcdef01234567".parse().unwrap();
        let reference = relation_host::types::Reference::record(pkid);
        assert_eq!(code(Failure::NotFound(reference)), 3);
        assert_eq!(code(Failure::Reauthorize(text())), 4);
        assert_eq!(code(Failure::Conflict(text())), 5);
        assert_eq!(code(Failure::RateLimited(Some(Timestamp(0)))), 5);
        assert_eq!(code(Failure::Unavailable(text())), 5);
        assert_eq!(code(Failure::LimitExceeded(text())), 1);
        assert_eq!(code(Failure::Internal(text())), 1);
        assert_eq!(ErrorKind::BrokenPipe.exit_code(), 0);
    }

    #[test]
    fn every_field_error_has_its_line() {
        let field_error = |field: &str| FieldError {
            field: field.to_owned(),
            message: "is required".to_owned(),
        };
        let error = CliError::from(Failure::Invalid(vec![
            field_error("name"),
            field_error("shadow[0].name"),
        ]));
        assert_eq!(
            error.to_string(),
            "error: the fields are not right\n  name: is required\n  shadow[0].name: is required\n\
             hint: `relation-host describe` lists the fields and their rules"
        );
    }

    #[test]
    fn json_has_every_part_of_an_error() {
        let mut error = CliError::new(ErrorKind::NotFound, "no record").hint("look");
        error.transaction = Some("t1".to_owned());
        assert_eq!(
            error.to_json(vec!["a warning".to_owned()]),
            json!({"error": {
                "kind": "not-found", "message": "no record", "hint": "look", "transaction": "t1",
                "faults": [], "warnings": ["a warning"]
            }})
        );
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        for code in 0..=5 {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
