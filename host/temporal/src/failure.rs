//! The failure of an activity: whether and when Temporal repeats it, and what its history says.

use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::types::{Failure, FieldError, Reference, Timestamp};
use relation_host::{CallError, CallErrorKind};
use serde::{Deserialize, Serialize};
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;

use crate::inputs::InputError;

/// The longest time between two attempts on a record that another call holds.
const MAX_BUSY_DELAY: Duration = Duration::from_secs(5);

/// The details of a failure, for workflows in any language. The failure's type is its `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureDetails {
    /// The kind, by who must act next, such as `invalid` or `rate-limited`.
    pub kind: String,
    /// The errors of single fields.
    #[serde(default)]
    pub field_errors: Vec<FieldError>,
    /// The transaction that has the details.
    pub transaction: Option<String>,
    /// The next step, for a person.
    pub hint: Option<String>,
    /// The time before which a repetition is useless.
    pub retry_at: Option<Timestamp>,
}

/// Returns whether a repetition without a change by anybody may succeed.
pub fn is_retryable(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Conflict | ErrorKind::Busy | ErrorKind::RateLimited | ErrorKind::Unavailable
    )
}

/// Converts the error of a call. `now` is the host's time.
pub fn from_call(error: CallError, now: Timestamp) -> ActivityError {
    let retry_at = match &error.kind {
        CallErrorKind::Stopped => return ActivityError::cancelled(),
        CallErrorKind::Refused(Failure::RateLimited(at)) => *at,
        _ => None,
    };
    convert(AppError::from(error), retry_at, now)
}

/// Converts an error besides calls, such as of the store.
pub fn from_error(error: impl Into<AppError>) -> ActivityError {
    convert(error.into(), None, Timestamp(0))
}

/// Converts the error of a stored input.
pub fn from_input(error: InputError) -> ActivityError {
    match error {
        InputError::Seal(error) => from_error(error),
        InputError::Missing(_) => from_error(AppError::new(ErrorKind::NotFound, error.to_string())),
        _ => from_error(AppError::new(ErrorKind::Invalid, error.to_string())),
    }
}

/// Returns the failure of a call on a record that another call holds, in this attempt of the activity. The retries stay
/// frequent: after the death of a worker, its call holds the record until the store gives it up.
pub fn busy(subject: &Reference, attempt: u32) -> ActivityError {
    let message = format!("another call holds {subject}");
    let delay = Duration::from_secs(u64::from(attempt)).min(MAX_BUSY_DELAY);
    with_delay(AppError::new(ErrorKind::Busy, message), None, Some(delay))
}

/// Refuses input whose fields have errors.
pub fn invalid(field_errors: Vec<FieldError>) -> ActivityError {
    from_error(Failure::Invalid(field_errors))
}

/// Returns the name of a kind, which is the failure's type.
fn kind_name(kind: ErrorKind) -> String {
    let name = serde_json::to_value(kind).ok();
    let name = name.as_ref().and_then(|name| name.as_str());
    name.unwrap_or("internal").to_owned()
}

fn convert(error: AppError, retry_at: Option<Timestamp>, now: Timestamp) -> ActivityError {
    // Not shorter than a moment: the server takes zero as its own backoff.
    let delay = retry_at.map(|at| at.since(now).max(Duration::from_millis(100)));
    with_delay(error, retry_at, delay)
}

/// Converts an error. Without a delay, the retry policy decides.
fn with_delay(
    error: AppError,
    retry_at: Option<Timestamp>,
    delay: Option<Duration>,
) -> ActivityError {
    let is_retryable = is_retryable(error.kind);
    let kind = kind_name(error.kind);
    let message = error.to_string();
    let details = FailureDetails {
        kind: kind.clone(),
        field_errors: error.field_errors,
        transaction: error.transaction,
        hint: error.hint,
        retry_at,
    };
    ActivityError::application(
        ApplicationFailure::builder(message)
            .type_name(kind)
            .non_retryable(!is_retryable)
            .maybe_next_retry_delay(delay.filter(|_| is_retryable))
            .details(details)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use relation_host::types::Pkid;

    use super::*;

    fn converted(failure: Failure) -> Box<ApplicationFailure> {
        let error = CallError {
            transaction: Some("t1".to_owned()),
            kind: CallErrorKind::Refused(failure),
        };
        match from_call(error, Timestamp(1000)) {
            ActivityError::Application(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn case_decides_about_repetition() {
        let text = || "text".to_owned();
        let record = Reference::record(Pkid::random());
        let cases = [
            (Failure::Invalid(Vec::new()), "invalid", false),
            (Failure::NotFound(record), "not-found", false),
            (Failure::Reauthorize(text()), "reauthorize", false),
            (Failure::LimitExceeded(text()), "limit-exceeded", false),
            (Failure::Internal(text()), "internal", false),
            (Failure::Conflict(text()), "conflict", true),
            (Failure::Unavailable(text()), "unavailable", true),
            (Failure::RateLimited(None), "rate-limited", true),
        ];
        for (failure, kind, retryable) in cases {
            let failure = converted(failure);
            assert_eq!(failure.type_name(), Some(kind));
            assert_eq!(failure.is_non_retryable(), !retryable, "{kind}");
            assert_eq!(failure.next_retry_delay(), None, "{kind}");
        }
    }

    #[test]
    fn moment_of_webex_is_the_next_retry() {
        let delay = |at| converted(Failure::RateLimited(Some(Timestamp(at)))).next_retry_delay();
        assert_eq!(delay(31_000), Some(Duration::from_secs(30)));
        assert_eq!(delay(0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn busy_record_is_tried_often() {
        let record = Reference::record(Pkid::random());
        let delay = |attempt| match busy(&record, attempt) {
            ActivityError::Application(failure) => {
                assert_eq!(failure.type_name(), Some("busy"));
                assert!(!failure.is_non_retryable());
                failure.next_retry_delay()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(delay(1), Some(Duration::from_secs(1)));
        assert_eq!(delay(100), Some(Duration::from_secs(5)));
    }
}
