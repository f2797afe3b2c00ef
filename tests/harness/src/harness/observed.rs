//! What a call did, all of it: its answer, its transaction, its HTTP, what it changed.

use std::fmt;

use relation_host::CallErrorKind;
use relation_host::transactions::Transaction;
use relation_host::types::{Failure, Reference, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::redaction::Redactor;
use crate::script::Unexpected;
use crate::storage::{Alert, Difference};
use crate::transcript::Exchange;

/// One call and everything that came of it.
///
/// What calls that run at the same time do shows in each of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed<T> {
    /// What was asked: [`super::Call::shown`], or `{"wakeup": …}` for one that was due.
    pub asked: Value,
    /// When it was asked.
    pub at: Timestamp,
    /// What it answered.
    #[serde(with = "outcome", bound(serialize = "T: Serialize"))]
    pub result: Result<T, Failed>,
    /// The record of it, with log and progress; none: it did not get that far.
    pub transaction: Option<Transaction>,
    /// What went over HTTP.
    pub http: Vec<Exchange>,
    /// What it changed.
    pub storage: Difference,
    /// The alerts that stand now.
    pub alerts: Vec<Alert>,
}

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failed {
    /// The workflow says no.
    #[error("{failure}")]
    Refused {
        /// Why, in the contract's words.
        failure: Failure,
    },
    /// The plugin gave no answer.
    #[error("the plugin gave no answer ({what}): {message}")]
    Guest {
        /// `panic`, `memory`, `time`, `limit`, `trap`, `link` or `host`.
        what: String,
        /// What happened.
        message: String,
    },
    /// Another host runs a workflow on the record.
    #[error("another call holds {subject} until {until} at the latest")]
    Busy {
        /// The record.
        subject: Reference,
        /// When its lease expires.
        until: Timestamp,
    },
    /// The store could not begin or end the call.
    #[error("{message}")]
    Store {
        /// Why.
        message: String,
    },
    /// It sent what the script does not expect, whatever it made of having no answer.
    #[error("{message}")]
    Script {
        /// Which request, and how it differs from the nearest step.
        message: String,
    },
    /// The harness could not see what it did.
    #[error("{message}")]
    Harness {
        /// Why.
        message: String,
    },
}

impl Failed {
    pub(crate) fn of(error: &CallErrorKind, redactor: &Redactor) -> Self {
        match error {
            CallErrorKind::Refused(failure) => Self::Refused {
                failure: failure.clone().map_texts(|text| redactor.text(text)),
            },
            CallErrorKind::Guest(error) => Self::Guest {
                what: error.kind.code().to_owned(),
                message: redactor.text(&error.to_string()),
            },
            CallErrorKind::Busy { subject, until } => Self::Busy {
                subject: subject.clone(),
                until: *until,
            },
            CallErrorKind::Store(error) => Self::Store {
                message: redactor.text(&error.to_string()),
            },
        }
    }

    pub(crate) fn unexpected(requests: &[Unexpected]) -> Option<Self> {
        let texts: Vec<String> = requests.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| Self::Script {
            message: texts.join("\n"),
        })
    }

    pub(crate) fn harness(error: &impl fmt::Display) -> Self {
        Self::Harness {
            message: format!("could not look at what the call did: {error}"),
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Failure> {
        match self {
            Self::Refused { failure } => Some(failure),
            _ => None,
        }
    }
}

impl<T> Observed<T> {
    /// The same with another form of the answer.
    pub(crate) fn and_then<U>(self, form: impl FnOnce(T) -> Result<U, Failed>) -> Observed<U> {
        Observed {
            asked: self.asked,
            at: self.at,
            result: self.result.and_then(form),
            transaction: self.transaction,
            http: self.http,
            storage: self.storage,
            alerts: self.alerts,
        }
    }
}

/// `{"answered": …}` or `{"failed": …}`.
mod outcome {
    use serde::{Serialize, Serializer};

    use super::Failed;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Outcome<'a, T> {
        Answered(&'a T),
        Failed(&'a Failed),
    }

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        result: &Result<T, Failed>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let outcome = match result {
            Ok(answer) => Outcome::Answered(answer),
            Err(failed) => Outcome::Failed(failed),
        };
        outcome.serialize(serializer)
    }
}
