//! Two calls on one record: while one is at work on it, and when one has outlived its lease.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use relation_host::store::layer::StoreLayer;
use relation_host::store::{Begin, BeginOutcome, Store, StoreError};
use relation_host::{CallError, CallErrorKind, Host};
use serde_json::json;
use tokio::sync::Notify;

use super::drive::Run;
use super::not_run::NotRun;

/// Tells when a store sends a call away because another one holds the record.
#[derive(Clone, Default)]
pub(super) struct TurnedAway(Arc<Notify>);

impl StoreLayer for TurnedAway {
    async fn begin(&self, inner: &dyn Store, begin: Begin) -> Result<BeginOutcome, StoreError> {
        let begun = inner.begin(begin).await?;
        if matches!(begun, BeginOutcome::Busy(_)) {
            self.0.notify_one();
        }
        Ok(begun)
    }
}

impl Run {
    /// One call is held at its work; then another host is asked for the same record, and so is the first
    /// host once more. The one is let go when another has shown what becomes of it: it was turned away,
    /// is at its work as well, or has ended. What they find the calls keep themselves.
    pub(super) async fn meet(
        &self,
        first: &Host,
        second: &Host,
        turned_away: &TurnedAway,
    ) -> Result<(), NotRun> {
        self.server.hold();
        let (one_ended, another_ended) = (Notify::new(), Notify::new());
        let call = async |host: &Host, ended: &Notify| {
            let met = self.try_modify(host, &json!({ "do": "meet" })).await;
            ended.notify_one();
            met.map(drop)
        };
        let others = async {
            tokio::select! {
                () = self.server.holds() => {}
                () = one_ended.notified() => {}
            }
            let lets_go = async {
                tokio::select! {
                    () = turned_away.0.notified() => {}
                    () = self.server.holds() => {}
                    () = another_ended.notified() => {}
                }
                self.server.let_go();
            };
            let asked = future::join(call(second, &another_ended), call(first, &another_ended));
            let ((theirs, again), ()) = future::join(asked, lets_go).await;
            theirs.and(again)
        };
        let (one, others) = future::join(call(first, &one_ended), others).await;
        one.and(others)
    }

    /// One call's lease is over while it waits for an answer, and another host takes the record over.
    pub(super) async fn outlive(&self, first: &Host, second: &Host) -> Result<(), NotRun> {
        self.server.hold();
        let ended = Notify::new();
        let outlives = async {
            let outlived = self.try_modify(first, &json!({ "do": "outlive" })).await;
            ended.notify_one();
            outlived
        };
        let takes_over = async {
            tokio::select! {
                () = self.server.holds() => {}
                // Then it is the suite that says why.
                () = ended.notified() => return Ok(()),
            }
            self.clock
                .advance(self.limits.lease() + Duration::from_secs(1));
            let taken = self.modify(second, &json!({ "do": "take-over" })).await;
            self.server.let_go();
            taken.map(drop)
        };
        let (outlived, taken) = tokio::join!(outlives, takes_over);
        taken?;
        let answered = match outlived? {
            Ok(_) => "nothing",
            Err(error) => case(&error),
        };
        let back = json!({ "do": "look-back", "answered": answered });
        self.modify(first, &back).await.map(drop)
    }
}

/// The case of a failure, in the words of the contract.
fn case(error: &CallError) -> &'static str {
    match &error.kind {
        CallErrorKind::Refused(failure) => failure.case(),
        CallErrorKind::Guest(_) => "a trap",
        CallErrorKind::Busy { .. } => "busy",
        CallErrorKind::Store(_) => "an error of the store",
    }
}
