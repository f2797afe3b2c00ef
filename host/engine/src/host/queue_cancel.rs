//! Cancels queued calls, and asks running imports to end.

use tracing::Instrument as _;

use super::call::{CallRequest, StartedCall};
use super::outcome::CallSummary;
use super::queue::{QueueError, queued_call};
use super::{CallError, CallErrorKind, Host};
use crate::store::{Change, Commit, StoreError};
use crate::transactions::{
    Level, LogLine, Status, Transaction, TransactionFilter, TransactionUpdate,
};
use crate::types::{Failure, Timestamp};
use crate::wakeup_kinds;

/// How often a cancellation looks for the state of a call that begins or ends concurrently.
const MAX_LOOKS: u32 = 10;
/// The number of parts in one page of a bulk.
const PAGE: u32 = 1000;
/// The message of a transaction that was canceled.
const CANCELED: &str = "Transaction canceled";

/// The effect of [`Host::cancel`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancellation {
    /// The number of calls that do not run any more.
    pub canceled: usize,
    /// The number of calls that had begun. Their transactions have the outcome.
    pub running: usize,
}

impl Host {
    /// Cancels a transaction. A queued call does not run, and ends as `Fail`. A running import ends by itself, but has no
    /// further step and no further attempt. Another running call cannot be stopped. For a bulk, all calls that have not
    /// begun are canceled.
    ///
    /// For a running import, this waits for its end, at most for the duration of a call.
    ///
    /// # Errors
    /// The transaction does not exist, has ended, or runs and cannot be stopped.
    pub async fn cancel(&self, id: &str) -> Result<Cancellation, QueueError> {
        let transaction = self.read_transaction(id).await?;
        let is_bulk = transaction.request.is_none() && transaction.status == Status::Queued;
        if !is_bulk {
            return self.cancel_call(transaction).await;
        }
        let mut effect = Cancellation::default();
        let mut stopped = 0;
        for status in [Status::Queued, Status::Processing] {
            let filter = TransactionFilter {
                parent: Some(id.to_owned()),
                status: Some(status),
                ..TransactionFilter::default()
            };
            loop {
                let calls = self.store().transactions(&filter, None, PAGE).await?.items;
                let is_last = calls.len() < PAGE as usize || status == Status::Processing;
                for call in calls {
                    match self.cancel_call(call).await {
                        Ok(one) => {
                            effect.canceled += one.canceled;
                            stopped += one.running;
                        }
                        // A call that has just begun is counted with those that run.
                        Err(QueueError::Running(_)) if status == Status::Queued => {}
                        Err(QueueError::Running(_)) => effect.running += 1,
                        Err(QueueError::Ended { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                if is_last {
                    break;
                }
            }
        }
        if effect.canceled + stopped == 0 {
            let status = self.read_transaction(id).await?.status;
            let id = id.to_owned();
            return Err(match status.is_ended() {
                true => QueueError::Ended { id, status },
                false => QueueError::Running(id),
            });
        }
        effect.running += stopped;
        Ok(effect)
    }

    /// Cancels one call.
    async fn cancel_call(&self, mut transaction: Transaction) -> Result<Cancellation, QueueError> {
        for _ in 0..MAX_LOOKS {
            match (transaction.status, &transaction.request) {
                (Status::Processing, _) if transaction.is_import() => {
                    self.stop_import(&transaction).await?;
                    return Ok(Cancellation {
                        canceled: 0,
                        running: 1,
                    });
                }
                (Status::Processing, _) => return Err(QueueError::Running(transaction.id)),
                (Status::Queued, Some(request)) => {
                    let mut wakeups = self.store().wakeups(&queued_call(request.clone())).await?;
                    if let Some(due) = wakeups.pop()
                        && self.end_queued(&due, CANCELED).await?
                    {
                        return Ok(Cancellation {
                            canceled: 1,
                            running: 0,
                        });
                    }
                }
                (status, _) => {
                    return Err(QueueError::Ended {
                        id: transaction.id,
                        status,
                    });
                }
            }
            // The call has begun or ended since the transaction was read.
            transaction = self.read_transaction(&transaction.id).await?;
        }
        let text = format!(
            "the transaction {} changes too often: try again",
            transaction.id
        );
        Err(Failure::Conflict(text).into())
    }

    /// Cancels whatever continues a running import, once its call has ended.
    async fn stop_import(&self, transaction: &Transaction) -> Result<(), QueueError> {
        let now = self.clock().now();
        let text = "asked to end: this step goes on to its end, and no further one starts";
        let line = LogLine {
            at: now,
            level: Level::Warning,
            message: text.to_owned(),
        };
        let update = TransactionUpdate {
            id: transaction.id.clone(),
            lines: vec![line],
            ..TransactionUpdate::default()
        };
        self.store().report(update).await?;
        let Some(subject) = transaction.subject.clone() else {
            return Ok(());
        };
        let record_lock = self.parts.record_locks.acquire(&subject).await;
        let mut request = CallRequest::new("cancel", subject).with_name(&transaction.subject_name);
        request.originator = self.originator.as_deref().cloned();
        let span = request.span.clone();
        let canceled = self.cancel_in_span(&request, now, transaction);
        let result = canceled.instrument(span).await?;
        drop(record_lock);
        result?;
        Ok(())
    }

    /// Runs the call that cancels, in its span. The outer error is that of a call that did not begin.
    async fn cancel_in_span(
        &self,
        request: &CallRequest,
        now: Timestamp,
        transaction: &Transaction,
    ) -> Result<Result<usize, CallErrorKind>, CallError> {
        let started = self.claim(request, now).await?;
        let result = self.cancel_continuation(&started, transaction).await;
        let result = result.map_err(CallErrorKind::Store);
        let id = &transaction.id;
        let summary = |steps: &usize| match steps {
            0 => CallSummary::success(format!("nothing continues the transaction {id}")),
            _ => CallSummary::success(format!("canceled what continues the transaction {id}")),
        };
        self.finish(&started, &result, summary, None).await;
        Ok(result)
    }

    /// Removes the wakeups that continue an import of the record, and ends a queued call that would be attempted again.
    /// Returns the number of removed wakeups.
    async fn cancel_continuation(
        &self,
        started: &StartedCall,
        transaction: &Transaction,
    ) -> Result<usize, StoreError> {
        let mut canceled = 0;
        if let Some(subject) = &transaction.subject {
            let wakeups = self.store().wakeups(subject).await?.into_iter();
            let changes: Vec<Change> = wakeups
                .filter(|due| due.wakeup.kind() == wakeup_kinds::SYNC)
                .map(|due| Change::Cancel(subject.clone(), due.wakeup.id))
                .collect();
            canceled += changes.len();
            if !changes.is_empty() {
                let commit = Commit {
                    fence: started.lease.clone(),
                    changes,
                    now: self.clock().now(),
                    ..Commit::default()
                };
                self.store().commit(commit).await?;
            }
        }
        if let Some(request) = &transaction.request {
            for due in self.store().wakeups(&queued_call(request.clone())).await? {
                canceled += usize::from(self.end_queued(&due, CANCELED).await?);
            }
        }
        Ok(canceled)
    }
}
