//! Runs due wakeups as the host does, and notes what each call answered.

use async_trait::async_trait;
use relation_host::schedule::dispatcher::{RunOutcome, Runner};
use relation_host::store::{DueWakeup, StoreError};
use relation_host::{Host, WakeupOutcome};
use tokio::sync::{Mutex, Notify};

use super::Recorder;

/// A host whose calls are noted, one at a time.
pub(super) struct Noted {
    host: Host,
    recorder: Recorder,
    turn: Mutex<()>,
}

impl Noted {
    pub(super) fn new(host: Host, recorder: Recorder) -> Self {
        Self {
            host,
            recorder,
            turn: Mutex::default(),
        }
    }
}

#[async_trait]
impl Runner for Noted {
    async fn run(&self, due: DueWakeup) -> Result<RunOutcome, StoreError> {
        // A scenario says one thing after the other.
        let _turn = self.turn.lock().await;
        let kind = due.wakeup.kind().to_owned();
        let fired = self.host.run_wakeup(due).await?;
        if let WakeupOutcome::Finished(called) = &fired {
            self.recorder.ended(called).await;
        }
        Ok(fired.run_outcome(&kind))
    }

    fn scheduled(&self) -> &Notify {
        self.host.scheduled()
    }

    async fn run_housekeeping(&self) -> bool {
        self.host.run_housekeeping().await
    }
}
