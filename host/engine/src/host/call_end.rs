//! The end of a call: the transaction's outcome, the lease, the wakeup, and the log line.

use super::call::StartedCall;
use super::outcome::CallSummary;
use super::queued_run::QueuedRun;
use super::{CallErrorKind, Host};
use crate::component::{GuestError, GuestErrorKind};
use crate::imports::journal::Journal;
use crate::observer::CallEnded;
use crate::spans::{self, StoreSpan};
use crate::store::{CallEnd, WakeupSettlement};
use crate::transactions::{Level, Status, TransactionOutcome};
use crate::types::{Reference, Timestamp};

/// The maximum length of a transaction's message, in bytes; the excess is cut.
const MAX_MESSAGE_BYTES: usize = 4096;

impl Host {
    /// Closes the transaction, releases the lease and settles the wakeup. If the store is
    /// unavailable, the lease expires by itself and the wakeup stays due, so no work is lost.
    pub(super) async fn finish<T>(
        &self,
        started: &StartedCall,
        result: &Result<T, CallErrorKind>,
        summary: impl FnOnce(&T) -> CallSummary,
        wakeup: Option<WakeupSettlement>,
    ) {
        let services = &self.parts.services;
        let now = services.clock.now();
        let journal = &started.journal;
        let run = started.queued.as_deref();
        let is_done_already = |kind| run.is_some_and(|run| run.is_done_already(kind));
        let mut error = result.as_ref().err();
        let mut summary = match result {
            Ok(value) => summary(value),
            Err(kind) if is_done_already(kind) => {
                error = None;
                CallSummary::success(QueuedRun::describe_done(kind))
            }
            Err(kind) => {
                if let CallErrorKind::Guest(error) = kind {
                    note_stderr(journal, now, error);
                }
                CallSummary::error(kind)
            }
        };
        summary.message = shortened(summary.message);
        let mut wakeup = wakeup;
        if let Some(run) = run {
            let (status, settlement) = run.settle(error, summary.status, now);
            summary.status = status;
            wakeup = Some(settlement);
        }
        let end = CallEnd {
            transaction: journal.close(TransactionOutcome {
                status: summary.status,
                message: summary.message.clone(),
                completed: now,
            }),
            lease: started.lease.clone(),
            wakeup,
            interrupted: was_interrupted(started, result),
        };
        let ended = services.store.end(end);
        let ended = StoreSpan::End.run_operation(ended).await;
        if let Err(error) = &ended {
            tracing::error!(transaction = journal.id(), %error, "the end of a call could not be written");
        }
        let (action, subject, _) = &started.label;
        let event = CallEnded {
            transaction: journal.id(),
            action,
            subject,
            status: summary.status,
            error,
            duration: services.clock.monotonic().saturating_sub(started.claimed),
            stored: ended.is_ok(),
        };
        let failed = error.is_some() || summary.status == Status::Fail;
        spans::record_outcome(journal.span(), event.outcome(), failed);
        services
            .observers
            .notify(|observer| observer.call_ended(&event));
        // Last, because the name may have to be read and no caller should wait for that.
        self.log_summary(started, &summary).await;
    }
}

/// Returns whether the next call must know that this call may have used a token without storing the
/// response. A stopped instance cannot report this itself.
fn was_interrupted<T>(started: &StartedCall, result: &Result<T, CallErrorKind>) -> bool {
    let was_interrupted_before = || {
        let lease = started.lease.as_ref();
        lease.is_some_and(|lease| lease.interrupted.is_some())
    };
    match result {
        Err(CallErrorKind::Guest(_) | CallErrorKind::Stopped) => {
            started.effects.is_sent() || was_interrupted_before()
        }
        _ => started.effects.is_lost(),
    }
}

impl Host {
    /// Logs the outcome of a call and its customer.
    async fn log_summary(&self, started: &StartedCall, summary: &CallSummary) {
        if !summary.is_logged() {
            return;
        }
        let (action, subject, given_name) = &started.label;
        let name = match &summary.name {
            Some(name) => name.clone(),
            None => match started.journal.subject_name() {
                known if !known.is_empty() => known,
                _ if !given_name.is_empty() => given_name.clone(),
                _ => self.name_of(subject).await,
            },
        };
        summary.log(&name, subject.pkid.as_str(), action, started.transaction());
    }

    /// Returns the name of a record; empty if unknown.
    async fn name_of(&self, subject: &Reference) -> String {
        let found = self.store().get(std::slice::from_ref(subject)).await;
        let document = found
            .ok()
            .and_then(|found| found.into_iter().flatten().next());
        let mut keys = document.into_iter().flat_map(|document| document.keys);
        keys.find(|key| key.name == "name")
            .map(|key| key.value)
            .unwrap_or_default()
    }
}

/// Shortens a message to the stored length, because a plugin's text may be of any length.
fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    message
}

/// Logs the standard error of a failed instance in the transaction.
fn note_stderr(journal: &Journal, now: Timestamp, error: &GuestError) {
    let panicked = matches!(error.kind, GuestErrorKind::Panic { .. });
    if !error.stderr.is_empty() && !panicked {
        journal.log(now, Level::Error, format!("stderr: {}", error.stderr));
    }
}
