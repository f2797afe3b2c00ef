//! Looking at what a call does: a snapshot before it, everything that it left behind it.

use relation_host::store::StoreError;
use relation_host::types::Timestamp;
use relation_host::{CallError, Host};
use serde_json::Value;

use super::call::Told;
use super::web::Mark;
use super::{Call, Failed, Harness, Observed};
use crate::storage::Snapshot;

/// How things were before a call.
pub(super) struct Before {
    at: Timestamp,
    mark: Mark,
    stored: Result<Snapshot, StoreError>,
}

impl Harness {
    /// Makes a call on the first host. The answer is JSON in the words of [`relation_host::reports`].
    pub async fn call(&self, call: Call) -> Observed<Value> {
        self.call_on(0, call).await
    }

    /// Makes a call on one of the hosts, counted from 0; see [`Harness::another_host`]. On one that is not
    /// there it fails as [`Failed::Harness`].
    pub async fn call_on(&self, number: usize, call: Call) -> Observed<Value> {
        let before = self.before().await;
        let asked = call.shown(&self.redactor);
        let Some(host) = self.host_at(number) else {
            let failed = Failed::Harness {
                message: format!("there is no host {number}: start it with `another_host`"),
            };
            return self
                .seen(before, asked, self.host(), None, Err(failed))
                .await;
        };
        let told = call.make(host).await;
        self.observed(before, asked, host, told).await
    }

    pub(super) async fn before(&self) -> Before {
        Before {
            at: self.now(),
            mark: self.web.mark(),
            stored: self.snapshot().await,
        }
    }

    /// What came of a call.
    pub(super) async fn observed(
        &self,
        before: Before,
        asked: Value,
        host: &Host,
        told: Result<Told<Value>, CallError>,
    ) -> Observed<Value> {
        match told {
            Ok(Told { transaction, value }) => {
                self.seen(before, asked, host, transaction, Ok(value)).await
            }
            Err(error) => {
                let failed = Failed::of(&error.kind, &self.redactor);
                self.seen(before, asked, host, error.transaction, Err(failed))
                    .await
            }
        }
    }

    /// What there is to see of a call that came to `result`.
    async fn seen(
        &self,
        before: Before,
        asked: Value,
        host: &Host,
        id: Option<String>,
        mut result: Result<Value, Failed>,
    ) -> Observed<Value> {
        if let Some(failed) = Failed::unexpected(&self.web.unexpected_since(before.mark)) {
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
                result = Err(Failed::harness(&error));
                Default::default()
            }
        };
        let observed = Observed {
            asked,
            at: before.at,
            // Only now is every secret known that the answer could show.
            result: result.map(|value| self.redactor.json(&value)),
            transaction: transaction.map(|record| self.redactor.transaction(record)),
            http: self.web.since(before.mark),
            storage,
            alerts,
        };
        self.record(observed.clone());
        observed
    }

    fn record(&self, observed: Observed<Value>) {
        let transcript = self.transcript.lock();
        transcript
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(observed);
    }
}
