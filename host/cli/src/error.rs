//! How an error of a command ends: the exit code, and the text or JSON on stderr.

use relation_app::{AppError, ErrorKind};
use serde_json::{Value, json};

use crate::invocation::complete;
use crate::output::{escape_control_chars, escape_control_chars_in_lines};
use crate::streams::stderr;

/// The meaning of the exit codes, shown in every help text.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done, also when the reader of stdout has closed the pipe (`| head`)
  1  failed, also when the result could not be written to stdout
  2  usage: the command line, the configuration or a field is wrong
  3  not found
  4  a person must reauthorize at Webex
  5  try again later
  6  the operator must correct the installation: a missing setting, the
     client secret, the key, the allow-list, a limit, a proxy, or the
     integration at Webex
A reason has the same code in every command.

With every code but 0, stderr has an error: `error:` and often `hint:` lines. With --json, stderr has
only one object {\"error\": {kind, message, hint, transaction, field_errors, warnings}}; logs then go to
--log-file, or, if they are warnings, into `warnings`.";

/// Returns the exit code of the process: the only place that decides it.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::BrokenPipe => 0,
        ErrorKind::Plugin | ErrorKind::Internal | ErrorKind::Failed => 1,
        ErrorKind::Usage | ErrorKind::Invalid | ErrorKind::KeyReused => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Reauthorize => 4,
        ErrorKind::Conflict
        | ErrorKind::Changed
        | ErrorKind::Busy
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable => 5,
        ErrorKind::LimitExceeded | ErrorKind::Problem => 6,
    }
}

/// Reports the error on stderr.
pub fn report(error: &AppError, as_json: bool) {
    if error.kind != ErrorKind::BrokenPipe {
        stderr::report(error, as_json);
    }
}

/// Returns the error as one JSON object, with the warnings logged before.
pub fn to_json(error: &AppError, warnings: Vec<String>) -> Value {
    let AppError {
        kind,
        message,
        hint,
        transaction,
        field_errors,
    } = error;
    let message = complete(message);
    let hint = hint.as_deref().map(complete);
    json!({ "error": {
        "kind": kind, "message": message, "hint": hint, "transaction": transaction,
        "field_errors": field_errors, "warnings": warnings,
    }})
}

/// Renders the error for people, as `error:`, `note:` and `hint:` lines.
pub fn render(error: &AppError) -> String {
    let mut text = format!("error: {}", escape_control_chars_in_lines(&error.message));
    for field_error in &error.field_errors {
        text.push_str(&format!(
            "\n  {}: {}",
            escape_control_chars(&field_error.field),
            escape_control_chars(&field_error.message)
        ));
    }
    if let Some(transaction) = &error.transaction {
        text.push_str(&format!(
            "\nnote: `relation-host transactions {transaction}` has the details"
        ));
    }
    if let Some(hint) = &error.hint {
        text.push_str(&format!("\nhint: {}", escape_control_chars_in_lines(hint)));
    }
    complete(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use relation_host::types::{Failure, FieldError, Timestamp};

    use super::*;

    #[test]
    fn exit_code_follows_the_failure() {
        let code = |failure: Failure| exit_code(AppError::from(failure).kind);
        let text = || "why".to_owned();
        assert_eq!(code(Failure::Invalid(Vec::new())), 2);
        let pkid = "0123456789abcdef01234567".parse().unwrap();
        let reference = relation_host::types::Reference::record(pkid);
        assert_eq!(code(Failure::NotFound(reference)), 3);
        assert_eq!(code(Failure::Reauthorize(text())), 4);
        assert_eq!(code(Failure::Conflict(text())), 5);
        assert_eq!(code(Failure::RateLimited(Some(Timestamp(0)))), 5);
        assert_eq!(code(Failure::Unavailable(text())), 5);
        assert_eq!(code(Failure::LimitExceeded(text())), 6);
        assert_eq!(code(Failure::Internal(text())), 1);
        assert_eq!(exit_code(ErrorKind::BrokenPipe), 0);
    }

    #[test]
    fn every_field_error_has_its_line() {
        let field_error = |field: &str| FieldError {
            field: field.to_owned(),
            message: "is required".to_owned(),
        };
        let error = AppError::from(Failure::Invalid(vec![
            field_error("name"),
            field_error("shadow[0].name"),
        ]));
        assert_eq!(
            render(&error),
            "error: the input is not right\n  name: is required\n  shadow[0].name: is required\n\
             hint: `relation-host describe` lists the fields and the actions with their rules"
        );
    }

    #[test]
    fn json_has_every_part_of_an_error() {
        let mut error = AppError::new(ErrorKind::NotFound, "no record").hint("look");
        error.transaction = Some("t1".to_owned());
        assert_eq!(
            to_json(&error, vec!["a warning".to_owned()]),
            json!({"error": {
                "kind": "not-found", "message": "no record", "hint": "look", "transaction": "t1",
                "field_errors": [], "warnings": ["a warning"]
            }})
        );
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        for code in 0..=6 {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
