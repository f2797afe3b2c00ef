//! Hooks for embedders, which report calls, wakeups, requests and alerts: for metrics, notices and live views.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::egress::EgressError;
use crate::store::DueWakeup;
use crate::transactions::{SecretAccessOutcome, Status};
use crate::types::{Document, Reference, Timestamp};
use crate::{CallErrorKind, WakeupOutcome};

/// A receiver of a host's events. The store has what an event reports, unless the event says otherwise.
///
/// A hook runs within the call that it reports, so it must return quickly: hand slow work to a
/// channel. A hook cannot fail a call or a commit: a panic is caught and logged.
///
/// Events never contain a secret and are not stored: a crash may lose an event, or repeat the alerts
/// of a stashed response. The store has the transactions and the alerts in full.
pub trait Observer: Send + Sync + 'static {
    /// Reports the end of a call that had a transaction. A call whose future is dropped has no end.
    fn call_ended(&self, event: &CallEnded<'_>) {
        let _ = event;
    }

    /// Reports the outcome of a wakeup, after the end of its call if there was one.
    fn wakeup_ended(&self, event: &WakeupEnded<'_>) {
        let _ = event;
    }

    /// Reports the response head of a plugin's outbound request, or its error. A request that the call's own limits
    /// refuse is not reported.
    fn request_ended(&self, event: &RequestEnded<'_>) {
        let _ = event;
    }

    /// Reports the end of an instance of the plugin. A call has one, or more if it is made again.
    fn instance_ended(&self, event: &InstanceEnded) {
        let _ = event;
    }

    /// Reports that the plugin has asked for a secret.
    fn secret_requested(&self, outcome: SecretAccessOutcome) {
        let _ = outcome;
    }

    /// Reports how long a due wakeup of a kind with a limited rate has waited for that limit; zero: not at all.
    fn budget_waited(&self, waited: Duration) {
        let _ = waited;
    }

    /// Reports that an alert was raised, repeated or cleared. Moving an alert with its record is
    /// not reported.
    fn alert_changed(&self, event: &AlertChanged<'_>) {
        let _ = event;
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallEnded<'a> {
    /// The id of the transaction, which has the call's message, log and times.
    pub transaction: &'a str,
    /// The action, such as `refresh`.
    pub action: &'a str,
    /// The record that the call worked on.
    pub subject: &'a Reference,
    /// The transaction's status. A `refresh` without new tokens is a failure without an
    /// `error`.
    pub status: Status,
    /// The error of a call that failed.
    pub error: Option<&'a CallErrorKind>,
    /// The time since the call claimed its lease, by the host's monotonic clock.
    pub duration: Duration,
    /// Whether the store has the call's end. Otherwise, the transaction stays `Processing` until
    /// the store recovers it.
    pub stored: bool,
}

impl CallEnded<'_> {
    /// Returns the name of the outcome in metrics and traces: success, the case of a failure, or the limit that the
    /// call exceeded. `no-tokens` is a refresh for which Webex issued no tokens.
    pub fn outcome(&self) -> &'static str {
        match self.error {
            None if self.status == Status::Success => "success",
            None if self.status == Status::SuccessWithAsyncFailures => "partial",
            None => "no-tokens",
            Some(CallErrorKind::Refused(failure)) => failure.case(),
            Some(CallErrorKind::Guest(error)) => error.kind.code(),
            Some(CallErrorKind::Busy { .. }) => "busy",
            Some(CallErrorKind::Store(_)) => "store",
            Some(CallErrorKind::Changed { .. }) => "changed",
            Some(CallErrorKind::Canceled) => "canceled",
            Some(CallErrorKind::Stopped) => "stopped",
        }
    }
}

/// The outcome of a wakeup.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WakeupEnded<'a> {
    /// The wakeup as it was due.
    pub due: &'a DueWakeup,
    /// The outcome.
    pub outcome: &'a WakeupOutcome,
    /// The wall-clock time at which the run began: before it waited for the record.
    pub begun: Timestamp,
}

/// The end of an outbound request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestEnded<'a> {
    /// The path of the request's address, without its query. It may have the id of a customer.
    pub path: &'a str,
    /// The status of the response, or why there is none.
    pub result: Result<StatusCode, &'a EgressError>,
    /// The time from sending to the response head, by the host's monotonic clock.
    pub duration: Duration,
    /// The pause that the response asks for (`Retry-After`), if it is a number of seconds.
    pub retry_after: Option<Duration>,
}

/// The end of an instance of the plugin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct InstanceEnded {
    /// The largest size of its memories, in bytes.
    pub memory: usize,
    /// The time from its creation to its end, by the host's monotonic clock.
    pub duration: Duration,
}

/// A change of an alert.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AlertChanged<'a> {
    /// The kind of change.
    pub change: AlertChange,
    /// The alert.
    pub alert: &'a Reference,
    /// The alert's code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`; `None` without a `document`.
    pub code: Option<&'a str>,
    /// The number of occurrences; 0 without a `document`.
    pub count: u32,
    /// The alert's document, for a cleared alert as it was before. `None` for a cleared alert that
    /// the call had not read, and that may have been absent.
    pub document: Option<&'a Document>,
    /// The record that the call worked on. An alert of the installation comes with any record.
    pub subject: &'a Reference,
    /// The id of the call's transaction.
    pub transaction: &'a str,
}

/// The kind of change of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertChange {
    /// The alert is new.
    Raised,
    /// The alert occurred again.
    Repeated,
    /// The alert is removed: its cause has ended, or its record is deleted.
    Cleared,
}

impl AlertChange {
    /// Returns the name of the change in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Repeated => "repeated",
            Self::Cleared => "cleared",
        }
    }
}

impl fmt::Display for AlertChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The observers of a host.
#[derive(Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: Arc<dyn Observer>) {
        self.0.push(observer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls a hook of every observer, and logs panics.
    pub(crate) fn notify(&self, hook: impl Fn(&dyn Observer)) {
        for observer in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| hook(observer.as_ref()))).is_err() {
                tracing::error!("an observer of the host panicked; the call is not affected");
            }
        }
    }
}
