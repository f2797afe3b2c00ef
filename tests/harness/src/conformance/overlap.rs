//! Overlapping calls on one record: concurrent calls, and a call that outlives its lease.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use relation_host::store::layer::StoreLayer;
use relation_host::store::{BeginOutcome, CallStart, Store, StoreError};
use relation_host::{CallError, CallErrorKind, Host};
use serde_json::json;
use tokio::sync::Notify;

use super::drive::Run;
use super::error::ConformanceError;

/// A signal that a store rejects a call because another call holds the record.
#[derive(Clone, Default)]
pub(super) struct BusyNotifier(Arc<Notify>);

impl StoreLayer for BusyNotifier {
    async fn begin(&self, inner: &dyn Store, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        let begun = inner.begin(begin).await?;
        if matches!(begun, BeginOutcome::Busy(_)) {
            self.0.notify_one();
        }
        Ok(begun)
    }
}

impl Run {
    /// Holds one call during its work, then makes two more calls on the record, on another host and on the same
    /// host. The first call is released when another call was rejected, is held too, or has ended. The calls
    /// record their own findings.
    pub(super) async fn check_concurrent_calls(
        &self,
        first: &Host,
        second: &Host,
        busy: &BusyNotifier,
    ) -> Result<(), ConformanceError> {
        self.server.hold_requests();
        let (one_ended, another_ended) = (Notify::new(), Notify::new());
        let call = async |host: &Host, ended: &Notify| {
            let result = self.try_modify(host, &json!({ "do": "overlap" })).await;
            ended.notify_one();
            result.map(drop)
        };
        let others = async {
            tokio::select! {
                () = self.server.wait_for_held_request() => {}
                () = one_ended.notified() => {}
            }
            let releases = async {
                tokio::select! {
                    () = busy.0.notified() => {}
                    () = self.server.wait_for_held_request() => {}
                    () = another_ended.notified() => {}
                }
                self.server.release_requests();
            };
            let other_calls =
                future::join(call(second, &another_ended), call(first, &another_ended));
            let ((theirs, again), ()) = future::join(other_calls, releases).await;
            theirs.and(again)
        };
        let (one, others) = future::join(call(first, &one_ended), others).await;
        one.and(others)
    }

    /// Lets a call's lease expire while the call waits for a response, and lets another host take the record
    /// over.
    pub(super) async fn check_lost_lease(
        &self,
        first: &Host,
        second: &Host,
    ) -> Result<(), ConformanceError> {
        self.server.hold_requests();
        let ended = Notify::new();
        let outlives = async {
            let outlived = self
                .try_modify(first, &json!({ "do": "outlive-lease" }))
                .await;
            ended.notify_one();
            outlived
        };
        let takes_over = async {
            tokio::select! {
                () = self.server.wait_for_held_request() => {}
                // The call has ended early, and the suite reports why.
                () = ended.notified() => return Ok(()),
            }
            self.clock
                .advance(self.limits.lease() + Duration::from_secs(1));
            let taken = self.modify(second, &json!({ "do": "take-over" })).await;
            self.server.release_requests();
            taken.map(drop)
        };
        let (outlived, taken) = tokio::join!(outlives, takes_over);
        taken?;
        let failure = match outlived? {
            Ok(_) => "nothing",
            Err(error) => failure_case(&error),
        };
        let back = json!({ "do": "after-take-over", "failure": failure });
        self.modify(first, &back).await.map(drop)
    }
}

/// Returns the contract's name for a call's error.
pub(super) fn failure_case(error: &CallError) -> &'static str {
    match &error.kind {
        CallErrorKind::Refused(failure) => failure.case(),
        CallErrorKind::Guest(_) => "a trap",
        CallErrorKind::Busy { .. } => "busy",
        CallErrorKind::Store(_) => "an error of the store",
        _ => "an error of the host",
    }
}
