//! The observed call: its result, transaction, HTTP exchanges and changes.

use std::fmt;

use relation_host::CallErrorKind;
use relation_host::transactions::Transaction;
use relation_host::types::{Failure, Reference, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::redaction::Redactor;
use crate::script::UnexpectedRequest;
use crate::storage::{Alert, Difference};
use crate::transcript::Exchange;

/// A call and its effects.
///
/// The effects of concurrent calls are included in each of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObservedCall<T> {
    /// The input: [`super::Call::to_redacted_json`], or `{"wakeup": …}` for a due wakeup.
    pub input: Value,
    /// The time of the call.
    pub at: Timestamp,
    /// The result.
    #[serde(with = "outcome", bound(serialize = "T: Serialize"))]
    pub result: Result<T, CallFailure>,
    /// The transaction with its log and progress; `None` if the call did not get that far.
    pub transaction: Option<Transaction>,
    /// The HTTP exchanges.
    pub http: Vec<Exchange>,
    /// The changes to the store.
    pub storage: Difference,
    /// The alerts after the call.
    pub alerts: Vec<Alert>,
}

/// The reason why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CallFailure {
    /// The workflow refused.
    #[error("{failure}")]
    Refused {
        /// The failure, as the contract defines it.
        failure: Failure,
    },
    /// The plugin did not return a result.
    #[error("the plugin returned no result ({code}): {message}")]
    Guest {
        /// `panic`, `memory`, `time`, `limit`, `trap`, `link` or `host`.
        #[serde(rename = "what")]
        code: String,
        /// The error message.
        message: String,
    },
    /// Another host runs a workflow on the record.
    #[error("another call holds {subject} until {until} at the latest")]
    Busy {
        /// The record.
        subject: Reference,
        /// The time when the lease expires.
        until: Timestamp,
    },
    /// The store could not begin or end the call.
    #[error("{message}")]
    Store {
        /// The error message.
        message: String,
    },
    /// The call sent a request that the script does not expect, whatever the plugin made of the missing
    /// response.
    #[error("{message}")]
    Script {
        /// The request, and its differences from the nearest step.
        message: String,
    },
    /// The harness could not observe the call.
    #[error("{message}")]
    Harness {
        /// The error message.
        message: String,
    },
}

impl CallFailure {
    pub(crate) fn from_error(error: &CallErrorKind, redactor: &Redactor) -> Self {
        match error {
            CallErrorKind::Refused(failure) => Self::Refused {
                failure: failure.clone().map_texts(|text| redactor.text(text)),
            },
            CallErrorKind::Guest(error) => Self::Guest {
                code: error.kind.code().to_owned(),
                message: redactor.text(&error.to_string()),
            },
            CallErrorKind::Busy { subject, until } => Self::Busy {
                subject: subject.clone(),
                until: *until,
            },
            error => Self::Store {
                message: redactor.text(&error.to_string()),
            },
        }
    }

    pub(crate) fn from_unexpected(requests: &[UnexpectedRequest]) -> Option<Self> {
        let texts: Vec<String> = requests.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| Self::Script {
            message: texts.join("\n"),
        })
    }

    pub(crate) fn from_harness(error: &impl fmt::Display) -> Self {
        Self::Harness {
            message: format!("could not look at what the call did: {error}"),
        }
    }

    /// Returns the refusal, if the failure is one.
    pub fn refusal(&self) -> Option<&Failure> {
        match self {
            Self::Refused { failure } => Some(failure),
            _ => None,
        }
    }
}

impl<T> ObservedCall<T> {
    /// Converts the result.
    pub(crate) fn and_then<U>(
        self,
        form: impl FnOnce(T) -> Result<U, CallFailure>,
    ) -> ObservedCall<U> {
        ObservedCall {
            input: self.input,
            at: self.at,
            result: self.result.and_then(form),
            transaction: self.transaction,
            http: self.http,
            storage: self.storage,
            alerts: self.alerts,
        }
    }
}

/// `{"returned": …}` or `{"failed": …}`.
mod outcome {
    use serde::{Serialize, Serializer};

    use super::CallFailure;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Outcome<'a, T> {
        Returned(&'a T),
        Failed(&'a CallFailure),
    }

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        result: &Result<T, CallFailure>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let outcome = match result {
            Ok(value) => Outcome::Returned(value),
            Err(failed) => Outcome::Failed(failed),
        };
        outcome.serialize(serializer)
    }
}
