//! The executor of a dispatcher's wakeups.

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::WakeupOutcome;
use crate::store::{DueWakeup, StoreError};

/// A kind of wakeups that run beside the calls of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledKind {
    /// The kind ([`Wakeup::kind`](crate::types::Wakeup::kind)).
    pub kind: String,
    /// The largest number of them in flight.
    pub concurrency: usize,
}

/// The executor of a dispatcher's wakeups.
#[async_trait]
pub trait WakeupRunner: Send + Sync + 'static {
    /// Runs the call for one wakeup, and settles the wakeup in the store. An error means that the store
    /// could not be reached before the call began: the wakeup is still due.
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError>;

    /// Returns the notification of wakeups that were scheduled in this process.
    fn scheduled(&self) -> &Notify;

    /// Notes how long a wakeup of the kind with a limited rate has waited for that limit; zero: not at all.
    fn note_budget_wait(&self, waited: std::time::Duration) {
        let _ = waited;
    }

    /// Returns the kinds of wakeups that have a concurrency of their own. They neither use nor wait for the places of
    /// other wakeups.
    fn handled_kinds(&self) -> Vec<HandledKind> {
        Vec::new()
    }

    /// Waits for work that wakeups have started and that outlasts their calls. Returns whether there was any.
    async fn wait_for_background(&self) -> bool {
        false
    }

    /// Does one part of the work besides wakeups. Called at the start and then once per poll. Returns
    /// whether more work is ready, for a dispatcher that ends when it is idle.
    async fn run_housekeeping(&self) -> bool {
        false
    }
}
