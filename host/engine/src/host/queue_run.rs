//! Runs and cancels queued calls.

use std::sync::Arc;
use std::time::Duration;

use super::call::{CallRequest, StartedCall};
use super::outcome::CallSummary;
use super::queue::{CANCELED, QueueError, QueuedCall, StoredCall, queued_call};
use super::queued_run::QueuedRun;
use super::{CallError, CallErrorKind, CallOutput, Host, WakeupOutcome};
use crate::reports::WakeReport;
use crate::store::seal::SealError;
use crate::store::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, StoreError, WakeupSettlement,
};
use crate::transactions::{
    Level, LogLine, NewTransaction, Status, Transaction, TransactionOutcome, TransactionUpdate,
};
use crate::types::{Failure, Filter, Key, Pkid, QUEUED_CALL_MODEL, RECORD_KEY};
use crate::wakeup_kinds;

/// How often a cancellation looks for the state of a call that begins or ends concurrently.
const MAX_LOOKS: u32 = 10;
/// The maximum number of requests of one record that its deletion removes.
const MAX_REQUESTS: u32 = 1000;

impl Host {
    /// Runs the queued call of a wakeup under the id of its transaction.
    pub(super) async fn run_queued(&self, due: &DueWakeup) -> Result<WakeupOutcome, StoreError> {
        let StoredCall {
            pkid,
            call,
            expected_version,
        } = match self.open_call(&due.wakeup.subject).await {
            Ok(Some(stored)) => stored,
            Err(SealError::Store(error @ StoreError::Unavailable(_))) => return Err(error),
            Ok(None) => {
                return self
                    .end_unrun(due, "its request is not stored any more")
                    .await;
            }
            Err(error) => return self.end_unrun(due, &error.to_string()).await,
        };
        let transaction = due.wakeup.payload.clone();
        let run = Arc::new(QueuedRun::new(due, pkid, &call));
        let host = Self {
            queued: Some(Arc::clone(&run)),
            originator: None,
            expected_version,
            transaction: None,
            ..self.clone()
        };
        let result = match host.run_call(call, &transaction).await {
            Err(CallError {
                transaction: None,
                kind,
            }) => {
                return match kind {
                    CallErrorKind::Busy { until, .. } => Ok(WakeupOutcome::Busy(until)),
                    CallErrorKind::Canceled => Ok(WakeupOutcome::Gone),
                    CallErrorKind::Store(error) => Err(error),
                    kind => self.end_unrun(due, &kind.to_string()).await,
                };
            }
            Err(error) if !run.is_done_already(&error.kind) => Err(error),
            _ => Ok(CallOutput {
                transaction,
                value: WakeReport::Nothing("the queued call has run".to_owned()),
            }),
        };
        Ok(WakeupOutcome::Finished(Box::new(result)))
    }

    /// Runs a call. `transaction` is the idempotency key of an add without one.
    async fn run_call(&self, call: QueuedCall, transaction: &str) -> Result<(), CallError> {
        match call {
            QueuedCall::Add(mut request) => {
                let key = || transaction.to_owned();
                request.idempotency_key.get_or_insert_with(key);
                self.add(request).await.map(drop)
            }
            QueuedCall::Modify {
                pkid,
                fields,
                token_response,
            } => self.modify(&pkid, fields, token_response).await.map(drop),
            QueuedCall::Delete { pkid } => self.delete(&pkid, false).await.map(drop),
            QueuedCall::Refresh { pkid, grant } => self.refresh_grant(&pkid, grant).await.map(drop),
            QueuedCall::CheckExpiry { pkid, grant } => {
                self.check_grant(&pkid, grant).await.map(drop)
            }
            QueuedCall::Sync {
                pkid,
                sync,
                accept_removals,
            } => self.sync(&pkid, sync, accept_removals).await.map(drop),
            QueuedCall::Invoke {
                pkid,
                action,
                arguments,
            } => self.invoke(&action, &pkid, arguments).await.map(drop),
        }
    }

    /// Ends a queued call that cannot run, as failed.
    async fn end_unrun(&self, due: &DueWakeup, message: &str) -> Result<WakeupOutcome, StoreError> {
        self.end_queued(due, message).await?;
        Ok(WakeupOutcome::Gone)
    }

    /// Ends a queued call as failed, without running it. Returns false if the call has begun or ended meanwhile.
    async fn end_queued(&self, due: &DueWakeup, message: &str) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let id = due.wakeup.payload.clone();
        let begin = CallStart {
            transaction: NewTransaction {
                id: id.clone(),
                started: now,
                ..NewTransaction::default()
            },
            subject: None,
            lease: Duration::ZERO,
            now,
            wakeup: Some(due.clone()),
        };
        match self.store().begin(begin).await {
            Ok(BeginOutcome::Started(_)) => {}
            Ok(_) | Err(StoreError::Conflict(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let outcome = TransactionOutcome {
            status: Status::Fail,
            message: message.to_owned(),
            completed: now,
        };
        let end = CallEnd {
            transaction: TransactionUpdate {
                id,
                outcome: Some(outcome),
                ..TransactionUpdate::default()
            },
            lease: None,
            wakeup: Some(WakeupSettlement::Done(due.clone())),
            interrupted: false,
        };
        self.store().end(end).await?;
        self.wake_callbacks(&due.wakeup.payload).await;
        Ok(true)
    }

    /// Cancels one call.
    pub(super) async fn cancel_call(&self, mut transaction: Transaction) -> Result<(), QueueError> {
        for _ in 0..MAX_LOOKS {
            match (transaction.status, &transaction.request) {
                (Status::Processing, _) => return self.cancel_running(&transaction).await,
                (Status::Queued, Some(request)) => {
                    let mut wakeups = self.store().wakeups(&queued_call(request.clone())).await?;
                    if let Some(due) = wakeups.pop()
                        && self.end_queued(&due, CANCELED).await?
                    {
                        return Ok(());
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

    /// Cancels whatever continues a running call, once the call has ended.
    async fn cancel_running(&self, transaction: &Transaction) -> Result<(), QueueError> {
        let now = self.clock().now();
        let text = "canceled: this call ends, and nothing that continues it starts";
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
        let may_continue = is_import(transaction) || transaction.request.is_some();
        let Some(subject) = transaction.subject.clone().filter(|_| may_continue) else {
            return Ok(());
        };
        let record_lock = self.parts.record_locks.acquire(&subject).await;
        let mut request = CallRequest::new("cancel", subject).with_name(&transaction.subject_name);
        request.originator = self.originator.as_deref().cloned();
        let started = self.claim(&request, now).await?;
        let result = self.cancel_continuation(&started, transaction).await;
        let result = result.map_err(CallErrorKind::Store);
        let id = &transaction.id;
        let summary = |steps: &usize| match steps {
            0 => CallSummary::success(format!("nothing continues the transaction {id}")),
            _ => CallSummary::success(format!("canceled what continues the transaction {id}")),
        };
        self.finish(&started, &result, summary, None).await;
        drop(record_lock);
        result?;
        Ok(())
    }

    /// Removes the wakeups that continue an import of the record, and ends a queued call that would be attempted again.
    /// Returns the number of removed wakeups.
    async fn cancel_continuation(
        &self,
        started: &StartedCall,
        transaction: &Transaction,
    ) -> Result<usize, StoreError> {
        let mut canceled = 0;
        if let Some(subject) = transaction
            .subject
            .as_ref()
            .filter(|_| is_import(transaction))
        {
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

    /// Removes the kept requests of failed calls on a record that was deleted. One that is left is removed with its
    /// transaction.
    pub(super) async fn forget_requests(&self, record: &Pkid) {
        let filter = Filter {
            model: QUEUED_CALL_MODEL.to_owned(),
            hierarchy: None,
            equals: vec![Key {
                name: RECORD_KEY.to_owned(),
                value: record.to_string(),
            }],
        };
        let removed = async {
            let mut changes = Vec::new();
            for document in self.store().find(&filter, None, MAX_REQUESTS).await?.items {
                let wakeups = self.store().wakeups(&document.reference).await?;
                // A call that waits finds out by itself that the record does not exist.
                if wakeups.is_empty() {
                    changes.push(Change::Delete(document.reference));
                }
            }
            match changes.is_empty() {
                true => Ok(()),
                false => {
                    let commit = Commit {
                        changes,
                        ..Commit::default()
                    };
                    self.store().commit(commit).await
                }
            }
        };
        if let Err(error) = removed.await {
            tracing::warn!(%record, %error, "requests of a deleted record could not be removed");
        }
    }
}

/// Whether wakeups may continue the import that the call began or continued.
fn is_import(transaction: &Transaction) -> bool {
    wakeup_kinds::IMPORT_ACTIONS.contains(&transaction.action.as_str())
}
