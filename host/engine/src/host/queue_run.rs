//! Runs queued calls.

use std::sync::Arc;
use std::time::Duration;

use super::queue::{QueuedCall, StoredCall};
use super::queued_run::QueuedRun;
use super::{CallError, CallErrorKind, CallOutput, Host, WakeupOutcome};
use crate::reports::WakeReport;
use crate::store::seal::SealError;
use crate::store::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, StoreError, WakeupSettlement,
};
use crate::transactions::{NewTransaction, Status, TransactionOutcome, TransactionUpdate};
use crate::types::{Filter, Key, Pkid, QUEUED_CALL_MODEL, RECORD_KEY};

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
    pub(super) async fn end_queued(
        &self,
        due: &DueWakeup,
        message: &str,
    ) -> Result<bool, StoreError> {
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
