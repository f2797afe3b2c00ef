//! Observes a call: a snapshot before it, and its effects after it.

use relation_host::store::StoreError;
use relation_host::types::Timestamp;
use relation_host::{CallError, Host};
use serde_json::Value;

use super::call::CallReport;
use super::transport::TranscriptPosition;
use super::{Call, CallFailure, Harness, ObservedCall};
use crate::storage::Snapshot;

/// The state before a call.
pub(super) struct StateBefore {
    at: Timestamp,
    mark: TranscriptPosition,
    stored: Result<Snapshot, StoreError>,
}

impl Harness {
    /// Makes a call on the first host. The result is JSON, as in [`relation_host::reports`].
    pub async fn call(&self, call: Call) -> ObservedCall<Value> {
        self.call_on(0, call).await
    }

    /// Makes a call on a host by its index; see [`Harness::another_host`]. For an unknown host the call fails
    /// with [`CallFailure::Harness`].
    pub async fn call_on(&self, number: usize, call: Call) -> ObservedCall<Value> {
        let before = self.capture_before().await;
        let input = call.to_redacted_json(&self.redactor);
        let Some(host) = self.host_at(number) else {
            let failed = CallFailure::Harness {
                message: format!("there is no host {number}: start it with `another_host`"),
            };
            return self
                .observe_result(before, input, self.host(), None, Err(failed))
                .await;
        };
        let report = call.run_on(host).await;
        self.observe(before, input, host, report).await
    }

    pub(super) async fn capture_before(&self) -> StateBefore {
        StateBefore {
            at: self.now(),
            mark: self.transport.mark(),
            stored: self.snapshot().await,
        }
    }

    /// Observes the effects of a call.
    pub(super) async fn observe(
        &self,
        before: StateBefore,
        input: Value,
        host: &Host,
        report: Result<CallReport<Value>, CallError>,
    ) -> ObservedCall<Value> {
        match report {
            Ok(CallReport { transaction, value }) => {
                self.observe_result(before, input, host, transaction, Ok(value))
                    .await
            }
            Err(error) => {
                let failed = CallFailure::from_error(&error.kind, &self.redactor);
                self.observe_result(before, input, host, error.transaction, Err(failed))
                    .await
            }
        }
    }

    /// Observes the effects of a call with this result.
    async fn observe_result(
        &self,
        before: StateBefore,
        input: Value,
        host: &Host,
        id: Option<String>,
        mut result: Result<Value, CallFailure>,
    ) -> ObservedCall<Value> {
        if let Some(failed) =
            CallFailure::from_unexpected(&self.transport.unexpected_since(before.mark))
        {
            result = Err(failed);
        }
        let after = self.snapshot().await;
        let transaction = match id {
            Some(id) => host.store().transaction(&id).await,
            None => Ok(None),
        };
        let (storage, alerts, transaction) = match (before.stored, after, transaction) {
            (Ok(was), Ok(is), Ok(transaction)) => (was.difference(&is), is.alerts(), transaction),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                result = Err(CallFailure::from_harness(&error));
                Default::default()
            }
        };
        let observed = ObservedCall {
            input,
            at: before.at,
            // Only now are all secrets known that the result could contain.
            result: result.map(|value| self.redactor.json(&value)),
            transaction: transaction.map(|record| self.redactor.transaction(record)),
            http: self.transport.since(before.mark),
            storage,
            alerts,
        };
        self.append(observed.clone());
        observed
    }

    fn append(&self, observed: ObservedCall<Value>) {
        self.transcript.lock().push(observed);
    }
}
