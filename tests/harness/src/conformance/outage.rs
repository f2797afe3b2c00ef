//! A temporary outage of the store, during which a call commits a response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::store::{Commit, Store, StoreError};
use serde_json::json;
use tokio::sync::Notify;

use super::drive::Run;
use super::error::ConformanceError;
use super::overlap::failure_case;

/// An outage of a store for commits.
#[derive(Clone, Default)]
struct Outage(Arc<OutageState>);

#[derive(Default)]
struct OutageState {
    lasts: AtomicBool,
    refused: Notify,
}

impl StoreLayer for Outage {
    async fn commit(&self, inner: &dyn Store, commit: Commit) -> Result<(), StoreError> {
        if self.0.lasts.load(Ordering::Acquire) {
            self.0.refused.notify_one();
            let text = "the store refuses commits, on purpose".to_owned();
            return Err(StoreError::Unavailable(text));
        }
        inner.commit(commit).await
    }
}

impl Run {
    /// Lets a call commit a response with `keep` while the store refuses commits, until the host gives up.
    /// Then restores the store and checks the result by another call.
    pub(super) async fn keep(&self, store: &Arc<dyn Store>) -> Result<(), ConformanceError> {
        let outage = Outage::default();
        let layered = Layered::new(Arc::clone(store), outage.clone());
        let host = self
            .build_host(&(Arc::new(layered) as Arc<dyn Store>))
            .await?;
        self.server.hold_requests();
        let ended = Notify::new();
        let keeps = async {
            let kept = self
                .try_modify(&host, &json!({ "do": "commit-in-outage" }))
                .await;
            ended.notify_one();
            kept
        };
        let fails = async {
            tokio::select! {
                () = self.server.wait_for_held_request() => {}
                // The suite reports the reason.
                () = ended.notified() => return,
            }
            outage.0.lasts.store(true, Ordering::Release);
            self.server.release_requests();
            loop {
                tokio::select! {
                    // The next attempt becomes due; after several, the lease has expired.
                    () = outage.0.refused.notified() => self.clock.advance(self.limits.lease() / 8),
                    () = ended.notified() => return,
                }
            }
        };
        let (kept, ()) = tokio::join!(keeps, fails);
        outage.0.lasts.store(false, Ordering::Release);
        let failure = match kept? {
            Ok(_) => "nothing",
            Err(error) => failure_case(&error),
        };
        let look = json!({ "do": "after-outage", "failure": failure });
        self.modify(&host, &look).await.map(drop)
    }
}
