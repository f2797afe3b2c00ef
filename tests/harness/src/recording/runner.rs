//! Runs due wakeups like the host, and records each result.

use async_trait::async_trait;
use relation_host::schedule::{HandledKind, WakeupRunner};
use relation_host::store::{DueWakeup, StoreError};
use relation_host::{Host, WakeupOutcome};
use tokio::sync::{Mutex, Notify};

use super::Recorder;

/// A host whose calls run, and are recorded, one at a time.
pub(super) struct RecordingRunner {
    host: Host,
    recorder: Recorder,
    call_lock: Mutex<()>,
}

impl RecordingRunner {
    pub(super) fn new(host: Host, recorder: Recorder) -> Self {
        Self {
            host,
            recorder,
            call_lock: Mutex::default(),
        }
    }
}

#[async_trait]
impl WakeupRunner for RecordingRunner {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        // The steps of a scenario are sequential.
        let _guard = self.call_lock.lock().await;
        let outcome = self.host.run_wakeup(due).await?;
        if let WakeupOutcome::Finished(called) = &outcome {
            self.recorder.note_call_end(called).await;
        }
        Ok(outcome)
    }

    fn scheduled(&self) -> &Notify {
        self.host.scheduled()
    }

    fn note_budget_wait(&self, waited: std::time::Duration) {
        self.host.note_budget_wait(waited);
    }

    fn handled_kinds(&self) -> Vec<HandledKind> {
        self.host.handled_kinds()
    }

    async fn wait_for_background(&self) -> bool {
        self.host.wait_for_background().await
    }

    async fn run_housekeeping(&self) -> bool {
        self.host.run_housekeeping().await
    }
}
