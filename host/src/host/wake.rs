//! What the dispatcher runs when a wakeup is due, and when a failed one is due again.

use std::time::Duration;

use async_trait::async_trait;

use super::call::{Ask, Start};
use super::outcome::wake_ending;
use super::{CallError, CallErrorKind, Called, Host, wake_action};
use crate::component::convert;
use crate::imports::bindings::automate::platform::scheduling;
use crate::imports::convert as shared;
use crate::reports::WakeReport;
use crate::schedule::dispatcher::{Dispatcher, DispatcherOptions, RunOutcome, Runner};
use crate::store::{DueWakeup, StoreError, WakeupSettlement};
use crate::types::{Failure, Timestamp};

/// After the first failure of a call; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// The longest pause between two tries of the same wakeup.
const LAST_RETRY: Duration = Duration::from_secs(3600);

impl Host {
    /// A dispatcher of this host's wakeups. One for each host is enough.
    pub fn dispatcher(&self, options: DispatcherOptions) -> Dispatcher {
        Dispatcher::new(
            self.store().clone(),
            self.clock().clone(),
            std::sync::Arc::new(self.clone()),
            options,
        )
    }
}

/// What came of a wakeup that was to be answered.
#[derive(Debug)]
pub enum Fired {
    /// Another host holds the record, until this moment at the latest: the wakeup waits.
    Busy(Timestamp),
    /// Somebody else answered, moved or cancelled it meanwhile.
    Gone,
    /// The call was made; one that failed leaves the wakeup to be due again later.
    Called(Box<Result<Called<WakeReport>, CallError>>),
}

/// What came of answering a wakeup.
pub(super) enum Answer {
    /// Another host holds the record, until this moment at the latest.
    Busy(Timestamp),
    /// It was answered, moved or taken away meanwhile.
    Gone,
    /// The transaction's id, and what the call said.
    Given(String, Box<Result<WakeReport, CallErrorKind>>),
}

impl Host {
    /// Makes the call that a wakeup asks for, due or not, as the dispatcher does, and says what it
    /// answered. For whoever dispatches by themselves.
    ///
    /// # Errors
    /// The store could not be reached before the call began: the wakeup is still due.
    pub async fn fire(&self, due: DueWakeup) -> Result<Fired, StoreError> {
        Ok(match self.answer(due).await? {
            Answer::Busy(until) => Fired::Busy(until),
            Answer::Gone => Fired::Gone,
            Answer::Given(transaction, result) => Fired::Called(Box::new(match *result {
                Ok(value) => Ok(Called { transaction, value }),
                Err(kind) => Err(CallError {
                    transaction: Some(transaction),
                    kind,
                }),
            })),
        })
    }

    /// Makes the call that a wakeup asks for, and settles the wakeup by what comes of it.
    pub(super) async fn answer(&self, due: DueWakeup) -> Result<Answer, StoreError> {
        let subject = due.wakeup.subject.clone();
        let mut ask = Ask::on(&wake_action(&due), subject.clone());
        ask.wakeup = Some(due.clone());
        let turn = self.parts.turns.take(&subject).await;
        let started = match self.start(&ask, due.wakeup.due).await? {
            Start::Started(started) => *started,
            Start::Busy(until) => return Ok(Answer::Busy(until)),
            Start::Gone => return Ok(Answer::Gone),
        };
        let wakeup: scheduling::Wakeup = shared::wakeup_out(due.wakeup.clone());
        let result: Result<WakeReport, CallErrorKind> = self
            .instance(Some(&started), async |workflows, store| {
                workflows.call_wake(store, &wakeup).await
            })
            .await
            .and_then(|report| convert::woken(report).map_err(CallErrorKind::Refused));
        let answered = match &result {
            Ok(_) => WakeupSettlement::Done(due),
            // What is gone needs no wakeup; the delete has removed it with the record.
            Err(CallErrorKind::Refused(Failure::NotFound(_))) => WakeupSettlement::Done(due),
            Err(kind) => {
                let again = again(kind, &due, self.clock().now());
                WakeupSettlement::Retry(due, again)
            }
        };
        self.finish(&started, &result, wake_ending, Some(answered))
            .await;
        drop(turn);
        let transaction = started.transaction().to_owned();
        Ok(Answer::Given(transaction, Box::new(result)))
    }
}

#[async_trait]
impl Runner for Host {
    async fn run(&self, due: DueWakeup) -> Result<RunOutcome, StoreError> {
        let kind = due.wakeup.kind().to_owned();
        Ok(self.fire(due).await?.ran(&kind))
    }

    fn scheduled(&self) -> &tokio::sync::Notify {
        &self.parts.services.scheduled
    }

    async fn run_housekeeping(&self) -> bool {
        self.settle_stash().await;
        self.prune_transactions().await
    }
}

/// When a wakeup whose call failed is due again: while its deadline is in the future, after half of
/// what is left until then at most.
fn again(kind: &CallErrorKind, due: &DueWakeup, now: Timestamp) -> Timestamp {
    let attempts = due.attempts;
    let at = match kind {
        CallErrorKind::Refused(Failure::RateLimited(Some(at))) => (*at).max(now),
        // Something changed while it ran: the next run sees it.
        CallErrorKind::Refused(Failure::Conflict(_)) if attempts == 0 => now,
        _ => now.after(
            FIRST_RETRY
                .saturating_mul(1 << attempts.min(16))
                .min(LAST_RETRY),
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
        let at = |deadline, now| again(&failed(), &due(9, Some(Timestamp(deadline))), now).0;
        assert_eq!(at(60_000, Timestamp(0)), 30_000);
        assert_eq!(at(1, Timestamp(0)), 0);
        assert_eq!(at(100_000_000, Timestamp(0)), 3_600_000);
        // One that has passed does not count.
        assert_eq!(at(60_000, Timestamp(60_000)), 3_660_000);
        let limited = CallErrorKind::Refused(Failure::RateLimited(Some(Timestamp(86_400_000))));
        let limited = again(&limited, &due(0, Some(Timestamp(80_000))), Timestamp(0));
        assert_eq!(limited, Timestamp(40_000));
    }

    fn failed() -> CallErrorKind {
        CallErrorKind::Refused(Failure::Unavailable("down".into()))
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pause = |attempts| again(&failed(), &due(attempts, None), Timestamp(0)).0 / 1000;
        assert_eq!(
            [pause(0), pause(1), pause(5), pause(6), pause(u32::MAX)],
            [60, 120, 1920, 3600, 3600]
        );
    }

    #[test]
    fn a_moment_that_was_asked_for_is_kept() {
        let kind = CallErrorKind::Refused(Failure::RateLimited(Some(Timestamp(5000))));
        assert_eq!(
            again(&kind, &due(0, None), Timestamp(1000)),
            Timestamp(5000)
        );
        assert_eq!(
            again(&kind, &due(0, None), Timestamp(9000)),
            Timestamp(9000)
        );
    }

    #[test]
    fn a_conflict_is_run_again_at_once_and_then_with_patience() {
        let kind = CallErrorKind::Refused(Failure::Conflict("changed".into()));
        assert_eq!(
            again(&kind, &due(0, None), Timestamp(1000)),
            Timestamp(1000)
        );
        assert_eq!(
            again(&kind, &due(1, None), Timestamp(1000)),
            Timestamp(121_000)
        );
    }
}
