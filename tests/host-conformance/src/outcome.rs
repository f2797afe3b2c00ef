//! The outcome of a check, and the assertions of checks.

use std::fmt::Debug;

use crate::bindings::automate::platform::types::Failure;

/// The reason why a check did not pass.
pub enum CheckFailure {
    /// The host violates the contract: the expected and the actual result.
    Failed(String),
    /// The check could not be tried, with the reason.
    Skipped(String),
}

/// The outcome of a check.
pub type Outcome = Result<(), CheckFailure>;

impl From<Failure> for CheckFailure {
    fn from(failure: Failure) -> Self {
        Self::Failed(format!("the host refused a valid operation: {failure:?}"))
    }
}

/// Fails the check with a reason.
pub fn fail<T>(reason: impl Into<String>) -> Result<T, CheckFailure> {
    Err(CheckFailure::Failed(reason.into()))
}

/// Skips the check with a reason.
pub fn skip<T>(reason: impl Into<String>) -> Result<T, CheckFailure> {
    Err(CheckFailure::Skipped(reason.into()))
}

/// Fails the check unless `found` equals `expected`.
pub fn ensure_eq<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        fail(format!(
            "{what}: expected {}, found {}",
            short(&expected),
            short(&found)
        ))
    }
}

/// Fails the check unless `holds` is true.
pub fn ensure(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { fail(what) }
}

/// Returns the contract's name for a failure.
pub fn failure_case(failure: &Failure) -> &'static str {
    match failure {
        Failure::Invalid(_) => "invalid",
        Failure::NotFound(_) => "not-found",
        Failure::Conflict(_) => "conflict",
        Failure::Reauthorize(_) => "reauthorize",
        Failure::RateLimited(_) => "rate-limited",
        Failure::Unavailable(_) => "unavailable",
        Failure::LimitExceeded(_) => "limit-exceeded",
        Failure::Internal(_) => "internal",
    }
}

/// Fails the check unless the host refused with the failure `by`.
pub fn ensure_refused<T>(what: &str, result: Result<T, Failure>, by: &str) -> Outcome {
    match result {
        Err(failure) if failure_case(&failure) == by => Ok(()),
        Err(failure) => fail(format!("{what}: expected {by}, found {}", short(&failure))),
        Ok(_) => fail(format!(
            "{what}: expected {by}, but the operation succeeded"
        )),
    }
}

/// Truncates long values.
fn short(value: &impl Debug) -> String {
    const MAX_CHARACTERS: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
