//! The delivery of a message to one recipient, and its result.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::Message;

/// An attempt at a delivery.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The delivery's id: the same in every attempt, so that a receiver can drop a repetition. It is derived from the
    /// message and the recipient.
    pub id: &'a str,
    /// The content.
    pub message: &'a Message,
    /// The time of this attempt.
    pub now: DateTime<Utc>,
}

/// Delivers messages to one recipient.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Makes one attempt, which takes a bounded time.
    ///
    /// # Errors
    /// [`DeliveryError`], which says whether a later attempt can succeed.
    async fn deliver(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError>;
}

/// The result of an attempt that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whether the receiver confirmed it. A trap is only sent.
    pub confirmed: bool,
    /// The receiver's reply, at most 500 characters and without secrets, such as `250 2.0.0 Ok: queued as 4F2`.
    pub reply: String,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DeliveryError {
    /// Whether a later attempt can succeed.
    pub kind: DeliveryErrorKind,
    /// The error for an administrator with the receiver's reply, without secrets.
    pub text: String,
}

/// The kind of a failed delivery, which says whether a later attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryErrorKind {
    /// The receiver accepted nothing; try again, not before the time that it named.
    Temporary {
        /// The wait that the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// The attempt was not made, since this host lacks a setting or a key; try again. The receiver is not at fault.
    NotAttempted,
    /// The receiver may have accepted it, since its reply was lost; repeat once with the same id.
    Unknown,
    /// No later attempt can succeed, such as an address that does not exist.
    Permanent,
    /// The receiver asked to send nothing any more (HTTP 410).
    Gone,
}
