//! The interceptor of an exploration: blocks each import until the scheduler resumes it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use relation_host::imports::{ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::ScheduledImport;

tokio::task_local! {
    /// The index of the call that this task makes.
    static CALL: usize;
}

/// An interceptor that blocks each import of the explored calls until it is resumed. Other calls are not blocked.
#[derive(Default)]
pub struct StepScheduler {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_blocking: bool,
    waiting: Vec<BlockedImport>,
    resumed: usize,
    /// The call of each transaction.
    calls: HashMap<String, usize>,
}

impl State {
    /// Returns the index of a call. Most imports, including a call's first one, run in the call's own task;
    /// requests are sent by another task.
    fn call_number(&mut self, call: &ImportCall) -> Option<usize> {
        match CALL.try_with(|number| *number) {
            Ok(number) => {
                self.calls.insert(call.transaction.clone(), number);
                Some(number)
            }
            Err(_) => self.calls.get(&call.transaction).copied(),
        }
    }
}

struct BlockedImport {
    import: ScheduledImport,
    resume_signal: Arc<Notify>,
}

impl StepScheduler {
    /// Runs `work` as the call with this index.
    pub(super) async fn run_as_call<T>(number: usize, work: impl Future<Output = T>) -> T {
        CALL.scope(number, work).await
    }

    pub(super) fn start_blocking(&self) {
        self.state().is_blocking = true;
    }

    /// Resumes all imports and stops blocking.
    pub(super) fn release_all(&self) {
        let mut state = self.state();
        state.is_blocking = false;
        for waiting in state.waiting.drain(..) {
            waiting.resume_signal.notify_one();
        }
    }

    /// Returns the blocked imports, ordered by call.
    pub(super) fn blocked(&self) -> Vec<ScheduledImport> {
        let mut imports: Vec<ScheduledImport> =
            self.state().waiting.iter().map(|one| one.import).collect();
        imports.sort_by_key(|import| import.call);
        imports
    }

    /// Returns the number of imports resumed so far.
    pub(super) fn resumed_count(&self) -> usize {
        self.state().resumed
    }

    /// Resumes a call until its next import.
    pub(super) fn resume(&self, call: usize) {
        let mut state = self.state();
        if let Some(position) = state.waiting.iter().position(|one| one.import.call == call) {
            state.waiting.remove(position).resume_signal.notify_one();
            state.resumed += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[async_trait]
impl Interceptor for StepScheduler {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let resume_signal = {
            let mut state = self.state();
            if !state.is_blocking {
                return Intervention::Proceed;
            }
            let Some(number) = state.call_number(call) else {
                return Intervention::Proceed;
            };
            let resume_signal = Arc::new(Notify::new());
            state.waiting.push(BlockedImport {
                import: ScheduledImport {
                    call: number,
                    import: call.import,
                },
                resume_signal: Arc::clone(&resume_signal),
            });
            resume_signal
        };
        resume_signal.notified().await;
        Intervention::Proceed
    }
}
