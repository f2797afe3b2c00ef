//! Waits until Webex has carried out a change.

use std::time::Duration;

use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind, quote_for_shell};
use relation_host::types::Timestamp;
use relation_host::{CallOutput, Host};
use serde_json::{Map, Value};

use crate::progress;
use crate::streams::stderr;

/// The action that asks Webex for a customer.
pub const CHECK: &str = "CheckWholesaleCustomer";

/// The longest pause between two checks, and the shortest.
const MAX_PAUSE: Duration = Duration::from_secs(300);
const MIN_PAUSE: Duration = Duration::from_millis(200);

/// Checks a change until it has ended. If that is not possible, or `no_wait` is set, a wakeup continues the change, and
/// the last known report is returned.
pub async fn follow(
    host: &Host,
    record: &StoredRecord,
    mut call_output: CallOutput<Value>,
    no_wait: bool,
) -> CallOutput<Value> {
    while let Some(continues) = find_continuation(&call_output.value) {
        if no_wait {
            stderr::note("`relation-host run` must be running: it continues the change.");
            break;
        }
        let pause = Duration::from_millis(continues.0.saturating_sub(host.clock().now().0));
        let message = text(&call_output.value, "message").to_owned();
        let pause = tokio::time::sleep(pause.clamp(MIN_PAUSE, MAX_PAUSE));
        progress::show_while(&message, None, pause).await;
        let customer = text(&call_output.value, "customer");
        let arguments = Map::from_iter([("customer".to_owned(), customer.into())]);
        let call = host.invoke(CHECK, &record.pkid, arguments);
        match progress::show_while(&message, None, call).await {
            Ok(next) => call_output = next,
            Err(error) => {
                let error = AppError::from(error);
                tracing::warn!(
                    "the change cannot be followed: {error}; `relation-host run` continues it, and this is its last \
                     known progress"
                );
                break;
            }
        }
    }
    call_output
}

fn find_continuation(report: &Value) -> Option<Timestamp> {
    report.get("continues")?.as_u64().map(Timestamp)
}

fn text<'a>(report: &'a Value, name: &str) -> &'a str {
    report.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the error of a change that has not succeeded.
///
/// # Errors
/// The change failed, timed out, or ended with errors.
pub fn check_end(record: &StoredRecord, report: &Value) -> Result<(), AppError> {
    let customer = quote_for_shell(text(report, "customer"));
    let ask = format!(
        "`relation-host wholesale show {} {customer} --check` asks Webex again",
        record.selector()
    );
    match text(report, "state") {
        "failed" => {
            let message = text(report, "message");
            Err(AppError::new(ErrorKind::Failed, message)
                .hint("correct the reason, and run the command again"))
        }
        "provisioned-with-errors" => {
            let message = "Webex has provisioned the customer with errors";
            Err(AppError::new(ErrorKind::Failed, message).hint(ask))
        }
        "timed-out" => {
            let message = text(report, "message");
            Err(AppError::new(ErrorKind::Unavailable, message).hint(ask))
        }
        _ => Ok(()),
    }
}
