//! What a check comes to, and the comparisons that it is made of.

use std::fmt::Debug;

use crate::bindings::automate::platform::types::Failure;

/// Why a check did not pass.
pub enum Verdict {
    /// The host does not keep the contract: what was expected, and what came.
    Failed(String),
    /// It could not be tried, and why.
    Skipped(String),
}

/// How a check ends.
pub type Outcome = Result<(), Verdict>;

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        Self::Failed(format!("the host refused what it should do: {failure:?}"))
    }
}

/// The check fails with these words.
pub fn failed<T>(why: impl Into<String>) -> Result<T, Verdict> {
    Err(Verdict::Failed(why.into()))
}

/// The check cannot be tried.
pub fn skipped<T>(why: impl Into<String>) -> Result<T, Verdict> {
    Err(Verdict::Skipped(why.into()))
}

/// `found` is what was expected.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        failed(format!(
            "{what}: expected {}, found {}",
            short(&expected),
            short(&found)
        ))
    }
}

/// `holds`, or the check fails.
pub fn holds(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { failed(what) }
}

/// The case of a failure, in the words of the contract.
pub fn case(failure: &Failure) -> &'static str {
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

/// The host refused, by this case.
pub fn refused<T>(what: &str, answer: Result<T, Failure>, by: &str) -> Outcome {
    match answer {
        Err(failure) if case(&failure) == by => Ok(()),
        Err(failure) => failed(format!("{what}: expected {by}, found {}", short(&failure))),
        Ok(_) => failed(format!("{what}: expected {by}, and it was done")),
    }
}

/// Values may be long.
fn short(value: &impl Debug) -> String {
    const LONGEST: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
