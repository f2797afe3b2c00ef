//! How a command fails: who acts next, what a person and a program are told, and the exit code.

use std::fmt;

use relation_host::types::{Failure, FieldError};
use serde::Serialize;
use serde_json::{Value, json};

use super::streams::stderr;

use super::output::{shown, shown_lines};

/// What went wrong, by who acts next. Its name is `kind` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Whoever typed it: the command line or the configuration is wrong.
    Usage,
    /// Whoever typed it: fields are wrong.
    Invalid,
    /// Whoever typed it: there is no such thing.
    NotFound,
    /// A person, at Webex: connect the customer again.
    Reauthorize,
    /// Nobody: something changed meanwhile; run it again.
    Conflict,
    /// Nobody: another call works on the record.
    Busy,
    /// Nobody: Webex asks for patience.
    RateLimited,
    /// Nobody: a passing fault.
    Unavailable,
    /// The operator: a limit or a policy.
    LimitExceeded,
    /// The plugin's author.
    Plugin,
    /// The author of the plugin or the host.
    Internal,
    /// Somebody has to look.
    Failed,
    /// The reader of the output has gone, so no message is needed.
    BrokenPipe,
}

/// What the exit codes mean; part of every help.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done, also when a reader of stdout has gone that had enough of it (`| head`)
  1  failed, also when the result could not be written to stdout
  2  usage: the command line, the configuration or a field is wrong
  3  not found
  4  a person must reauthorize at Webex
  5  try again later

Everything but 0 comes with an error on stderr: `error:` and often `hint:` lines. With --json stderr
holds nothing but one object {\"error\": {kind, message, hint, transaction, faults, warnings}};
logs then go to --log-file, or as far as they warn into `warnings`.";

impl Kind {
    /// The exit code of the process.
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

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Who acts next.
    pub kind: Kind,
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The transaction that has the details.
    pub transaction: Option<String>,
    /// What is wrong with which field.
    pub faults: Vec<FieldError>,
}

impl Failed {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            transaction: None,
            faults: Vec::new(),
        }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says so on stderr.
    pub fn report(&self, as_json: bool) {
        if self.kind != Kind::BrokenPipe {
            stderr::report(self, as_json);
        }
    }

    /// The error as one object, with what was warned of before.
    pub fn to_json(&self, warnings: Vec<String>) -> Value {
        let Self {
            kind,
            message,
            hint,
            transaction,
            faults,
        } = self;
        json!({ "error": {
            "kind": kind, "message": message, "hint": hint, "transaction": transaction,
            "faults": faults, "warnings": warnings,
        }})
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", shown_lines(&self.message))?;
        for fault in &self.faults {
            let (field, message) = (shown(&fault.field), shown(&fault.message));
            write!(f, "\n  {field}: {message}")?;
        }
        if let Some(transaction) = &self.transaction {
            write!(
                f,
                "\nnote: `relation-host transactions {transaction}` has the details"
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", shown_lines(hint))?;
        }
        Ok(())
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let kind = match &failure {
            Failure::Invalid(_) => Kind::Invalid,
            Failure::NotFound(_) => Kind::NotFound,
            Failure::Conflict(_) => Kind::Conflict,
            Failure::Reauthorize(_) => Kind::Reauthorize,
            Failure::RateLimited(_) => Kind::RateLimited,
            Failure::Unavailable(_) => Kind::Unavailable,
            Failure::LimitExceeded(_) => Kind::LimitExceeded,
            Failure::Internal(_) => Kind::Internal,
        };
        let failed = Self::new(kind, message);
        match failure {
            Failure::Invalid(faults) => Self {
                message: "the fields are not right".to_owned(),
                faults,
                ..failed
            }
            .hint("`relation-host describe` lists the fields and their rules"),
            Failure::NotFound(_) => failed.hint("`relation-host list` shows what is there"),
            Failure::Reauthorize(_) => failed.hint(CONNECT_AGAIN),
            Failure::RateLimited(_) => Self {
                message: format!("Webex {}", failed.message),
                ..failed
            },
            _ => failed,
        }
    }
}

/// What a person does about tokens that no longer work.
pub const CONNECT_AGAIN: &str = "`relation-host connect RECORD` connects it again, or `relation-host modify RECORD --tokens FILE`";

#[cfg(test)]
mod tests {
    use relation_host::types::Timestamp;

    use super::*;

    #[test]
    fn the_exit_code_says_who_acts_next() {
        let code = |failure: Failure| Failed::from(failure).kind.exit_code();
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
        assert_eq!(Kind::BrokenPipe.exit_code(), 0);
    }

    #[test]
    fn every_fault_has_its_line() {
        let fault = |field: &str| FieldError {
            field: field.to_owned(),
            message: "is required".to_owned(),
        };
        let failed = Failed::from(Failure::Invalid(vec![
            fault("name"),
            fault("shadow[0].name"),
        ]));
        assert_eq!(
            failed.to_string(),
            "error: the fields are not right\n  name: is required\n  shadow[0].name: is required\n\
             hint: `relation-host describe` lists the fields and their rules"
        );
    }

    #[test]
    fn json_has_every_part_of_an_error() {
        let mut failed = Failed::new(Kind::NotFound, "no record").hint("look");
        failed.transaction = Some("t1".to_owned());
        assert_eq!(
            failed.to_json(vec!["a warning".to_owned()]),
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
