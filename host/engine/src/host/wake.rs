//! Runs due wakeups and computes when a failed wakeup is due again.

use std::time::Duration;

use async_trait::async_trait;
use tracing::Instrument as _;

use super::call::CallRequest;
use super::outcome::summarize_wakeup;
use super::{CallError, CallErrorKind, CallOutput, Host};
use crate::component::convert;
use crate::imports::bindings::automate::platform::scheduling;
use crate::imports::convert as shared;
use crate::observer::WakeupEnded;
use crate::reports::WakeReport;
use crate::schedule::{Dispatcher, DispatcherOptions, HandledKind, WakeupRunner};
use crate::spans;
use crate::store::{BeginOutcome, DueWakeup, StoreError, WakeupSettlement};
use crate::types::{CALLBACK_MODEL, Failure, HOST_MODELS, QUEUED_CALL_MODEL, Timestamp};

/// The delay after the first failure; doubled for each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The maximum delay between two attempts of a wakeup.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

impl Host {
    /// Creates a dispatcher for this host's wakeups. One per host is enough.
    pub fn dispatcher(&self, options: DispatcherOptions) -> Dispatcher {
        Dispatcher::new(
            self.store().clone(),
            self.clock().clone(),
            std::sync::Arc::new(self.clone()),
            options,
        )
    }
}

/// The outcome of running a wakeup.
#[derive(Debug)]
#[non_exhaustive]
pub enum WakeupOutcome {
    /// Another host holds the record, at most until this time; the wakeup stays due.
    Busy(Timestamp),
    /// The wakeup was settled, moved or canceled concurrently.
    Gone,
    /// A [`WakeupHandler`](crate::WakeupHandler) ran, and the host has settled the wakeup.
    Handled,
    /// The call ran; if it failed, the wakeup is due again later.
    Finished(Box<Result<CallOutput<WakeReport>, CallError>>),
}

impl Host {
    /// Runs the call of a wakeup, due or not, and settles the wakeup with the outcome, as the
    /// dispatcher does. For engines with a dispatcher of their own.
    ///
    /// # Errors
    /// The store could not be reached before the call began: the wakeup is still due.
    pub async fn run_wakeup(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let begun = self.clock().now();
        let outcome = self.settle_wakeup(&due).await?;
        let event = WakeupEnded {
            due: &due,
            outcome: &outcome,
            begun,
        };
        let observers = &self.parts.services.observers;
        observers.notify(|observer| observer.wakeup_ended(&event));
        Ok(outcome)
    }

    async fn settle_wakeup(&self, due: &DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let subject = due.wakeup.subject.clone();
        if subject.model == QUEUED_CALL_MODEL {
            return self.run_queued(due).await;
        }
        if subject.model == CALLBACK_MODEL {
            return self.run_callback(due).await;
        }
        if subject.model.starts_with(HOST_MODELS) {
            return match self.find_handler(&due.wakeup) {
                Some(registered) => self.run_handler(registered, due).await,
                // Another host may have the handler.
                None => Ok(WakeupOutcome::Busy(
                    self.clock().now().after(MAX_RETRY_DELAY),
                )),
            };
        }
        let mut request = CallRequest::new(due.wakeup.action(), subject);
        request.wakeup = Some(due.clone());
        let span = request.span.clone();
        self.run_plugin_wakeup(request, due).instrument(span).await
    }

    /// Runs a wakeup of the plugin, in the span of the call.
    async fn run_plugin_wakeup(
        &self,
        request: CallRequest,
        due: &DueWakeup,
    ) -> Result<WakeupOutcome, StoreError> {
        let subject = &request.subject;
        let record_lock = self.parts.record_locks.acquire(subject).await;
        let started = match self.start(&request, due.wakeup.due).await? {
            BeginOutcome::Started(started) => *started,
            BeginOutcome::Busy(until) => {
                spans::record_outcome(&request.span, "busy", false);
                return Ok(WakeupOutcome::Busy(until));
            }
            BeginOutcome::Gone => {
                spans::record_outcome(&request.span, "gone", false);
                return Ok(WakeupOutcome::Gone);
            }
        };
        let wakeup: scheduling::Wakeup = shared::wakeup_out(due.wakeup.clone());
        let result: Result<WakeReport, CallErrorKind> = self
            .instance(Some(&started), async |workflows, store| {
                workflows.call_wake(store, &wakeup).await
            })
            .await
            .and_then(|report| convert::wake_report(report).map_err(CallErrorKind::Refused));
        let settlement = match &result {
            Ok(_) => WakeupSettlement::Done(due.clone()),
            // A missing record needs no wakeup; its deletion removed the wakeup as well.
            Err(CallErrorKind::Refused(Failure::NotFound(_))) => {
                WakeupSettlement::Done(due.clone())
            }
            Err(kind) => {
                let now = self.clock().now();
                let due_again = retry_time(kind, due, now);
                spans::note_retry(started.journal.span(), due_again.since(now));
                WakeupSettlement::Retry(due.clone(), due_again)
            }
        };
        self.finish(&started, &result, summarize_wakeup, Some(settlement))
            .await;
        drop(record_lock);
        let transaction = started.transaction().to_owned();
        Ok(WakeupOutcome::Finished(Box::new(match result {
            Ok(value) => Ok(CallOutput { transaction, value }),
            Err(kind) => Err(CallError {
                transaction: Some(transaction),
                kind,
            }),
        })))
    }
}

#[async_trait]
impl WakeupRunner for Host {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        self.run_wakeup(due).await
    }

    fn scheduled(&self) -> &tokio::sync::Notify {
        &self.parts.services.scheduled
    }

    fn note_budget_wait(&self, waited: Duration) {
        let observers = &self.parts.services.observers;
        observers.notify(|observer| observer.budget_waited(waited));
    }

    fn handled_kinds(&self) -> Vec<HandledKind> {
        let handlers = self.parts.handlers.iter();
        let kinds = handlers.map(|registered| HandledKind {
            kind: registered.kind.clone(),
            concurrency: registered.options.concurrency,
        });
        kinds.collect()
    }

    async fn wait_for_background(&self) -> bool {
        self.parts.callbacks.wait().await
    }

    async fn run_housekeeping(&self) -> bool {
        self.replay_stash().await;
        self.prune_transactions().await
    }
}

/// Returns when a failed wakeup is due again. If its deadline is in the future, that is after at
/// most half of the remaining time.
pub(super) fn retry_time(kind: &CallErrorKind, due: &DueWakeup, now: Timestamp) -> Timestamp {
    let attempts = due.attempts;
    let at = match kind {
        CallErrorKind::Refused(Failure::RateLimited(Some(at))) => (*at).max(now),
        // Something changed concurrently: the next attempt sees the change.
        CallErrorKind::Refused(Failure::Conflict(_)) if attempts == 0 => now,
        _ => now.after(
            FIRST_RETRY_DELAY
                .saturating_mul(1 << attempts.min(16))
                .min(MAX_RETRY_DELAY),
        ),
    };
    match due.wakeup.deadline {
        Some(deadline) if deadline > now => at.min(now.after(deadline.since(now) / 2)),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(attempts: u32, deadline: Option<Timestamp>) -> DueWakeup {
        DueWakeup {
            wakeup: crate::types::Wakeup {
                id: "refresh".into(),
                subject: crate::types::Reference::record(crate::types::Pkid::random()),
                due: Timestamp(0),
                deadline,
                payload: String::new(),
            },
            revision: 1,
            attempts,
        }
    }

    #[test]
    fn retry_comes_before_the_deadline() {
        let at = |deadline, now| retry_time(&failed(), &due(9, Some(Timestamp(deadline))), now).0;
        assert_eq!(at(60_000, Timestamp(0)), 30_000);
        assert_eq!(at(1, Timestamp(0)), 0);
        assert_eq!(at(100_000_000, Timestamp(0)), 3_600_000);
        // A deadline in the past does not count.
        assert_eq!(at(60_000, Timestamp(60_000)), 3_660_000);
        let limited = CallErrorKind::Refused(Failure::RateLimited(Some(Timestamp(86_400_000))));
        let limited = retry_time(&limited, &due(0, Some(Timestamp(80_000))), Timestamp(0));
        assert_eq!(limited, Timestamp(40_000));
    }

    fn failed() -> CallErrorKind {
        CallErrorKind::Refused(Failure::Unavailable("down".into()))
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pause = |attempts| retry_time(&failed(), &due(attempts, None), Timestamp(0)).0 / 1000;
        assert_eq!(
            [pause(0), pause(1), pause(5), pause(6), pause(u32::MAX)],
            [60, 120, 1920, 3600, 3600]
        );
    }

    #[test]
    fn requested_retry_time_is_kept() {
        let kind = CallErrorKind::Refused(Failure::RateLimited(Some(Timestamp(5000))));
        assert_eq!(
            retry_time(&kind, &due(0, None), Timestamp(1000)),
            Timestamp(5000)
        );
        assert_eq!(
            retry_time(&kind, &due(0, None), Timestamp(9000)),
            Timestamp(9000)
        );
    }

    #[test]
    fn conflict_retries_now_then_with_backoff() {
        let kind = CallErrorKind::Refused(Failure::Conflict("changed".into()));
        assert_eq!(
            retry_time(&kind, &due(0, None), Timestamp(1000)),
            Timestamp(1000)
        );
        assert_eq!(
            retry_time(&kind, &due(1, None), Timestamp(1000)),
            Timestamp(121_000)
        );
    }
}
