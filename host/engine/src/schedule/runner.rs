//! The executor of a dispatcher's wakeups.

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::WakeupOutcome;
use crate::store::{DueWakeup, StoreError};

/// The executor of a dispatcher's wakeups.
#[async_trait]
pub trait WakeupRunner: Send + Sync + 'static {
    /// Runs the call for one wakeup, and settles the wakeup in the store. An error means that the store
    /// could not be reached before the call began: the wakeup is still due.
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError>;

    /// Returns the notification of wakeups that were scheduled in this process.
    fn scheduled(&self) -> &Notify;

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
