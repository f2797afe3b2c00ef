//! Schedule exploration: concurrent calls of which one continues at a time, from one import to the next. The order
//! is drawn from a seed, so each order can be repeated.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use relation_harness::{Call, Harness, explore::{StepScheduler, interleave}};
//! # async fn example(harness: Harness, scheduler: Arc<StepScheduler>, one: Call, other: Call) {
//! // The harness was built with `.interceptor(scheduler.clone())` and has a second host. On a
//! // current-thread runtime whose time is paused.
//! let harness = Arc::new(harness);
//! let calls = [(0, one), (1, other)].map(|(host, call)| {
//!     let harness = Arc::clone(&harness);
//!     async move { harness.call_on(host, call).await }
//! });
//! let run = interleave(&scheduler, calls, 42).await;
//! println!("{run}");
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use relation_host::entropy::{Entropy as _, SeededEntropy};
use relation_host::imports::Import;
use tokio::task::JoinHandle;

mod step_scheduler;

pub use step_scheduler::StepScheduler;

/// The number of yields without progress after which all calls count as blocked, at an import or by another
/// call.
const QUIET_ROUNDS: usize = 32;

/// At least the time that a host waits before it claims a lease again.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The number of such intervals after which the remaining calls count as endless: ten minutes, longer than any
/// host allows.
const MAX_IDLE_POLLS: usize = 12_000;

/// One step of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScheduledImport {
    /// The index of the call.
    pub call: usize,
    /// The import with which the call continued.
    pub import: Import,
}

/// The outcome of concurrent calls.
#[derive(Clone, Debug)]
pub struct Interleaving<T> {
    /// The seed of the order.
    pub seed: u64,
    /// The steps in their order.
    pub order: Vec<ScheduledImport>,
    /// The outcome of each call, in the order in which the calls were given. `None`: the call panicked, or did
    /// not end and was dropped.
    pub calls: Vec<Option<T>>,
}

impl<T> Interleaving<T> {
    /// Counts the switches from one call to another. 0 means that the calls ran one after the other.
    pub fn switches(&self) -> usize {
        let pairs = self.order.windows(2);
        pairs
            .filter(|pair| matches!(pair, [a, b] if a.call != b.call))
            .count()
    }
}

impl<T: fmt::Debug> fmt::Display for Interleaving<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        for ScheduledImport { call, import } in &self.order {
            writeln!(f, "  {call}: {}", import.name())?;
        }
        for (number, call) in self.calls.iter().enumerate() {
            match call {
                None => writeln!(f, "call {number} panicked or came to no end")?,
                Some(call) => writeln!(f, "call {number}: {call:?}")?,
            }
        }
        Ok(())
    }
}

/// Runs calls concurrently, in an order drawn from `seed`. Calls on one record should each use a host of their
/// own, because calls within a host wait for each other.
///
/// Requires a current-thread runtime with paused time (`tokio::time::pause`), or the order depends on the
/// machine. The harness must have been built with this scheduler as its interceptor.
///
/// # Panics
/// If time is not paused and a call has to wait for another.
pub async fn interleave<T, F>(
    scheduler: &Arc<StepScheduler>,
    calls: impl IntoIterator<Item = F>,
    seed: u64,
) -> Interleaving<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    scheduler.start_blocking();
    let calls = calls.into_iter().enumerate();
    let running: Vec<JoinHandle<T>> = calls
        .map(|(number, call)| tokio::spawn(StepScheduler::run_as_call(number, call)))
        .collect();
    let entropy = SeededEntropy::new(seed);
    let mut order = Vec::new();
    let mut idle_polls = 0;
    while running.iter().any(|call| !call.is_finished()) && idle_polls < MAX_IDLE_POLLS {
        run_until_blocked(scheduler, &running).await;
        let blocked = scheduler.blocked();
        match draw_index(&entropy, blocked.len()).and_then(|index| blocked.get(index)) {
            Some(turn) => {
                order.push(*turn);
                scheduler.resume(turn.call);
                idle_polls = 0;
            }
            // The remaining calls wait for a lease, so time has to pass.
            None => {
                tokio::time::advance(LEASE_POLL_INTERVAL).await;
                idle_polls += 1;
            }
        }
    }
    for call in &running {
        // No effect on calls that have ended.
        call.abort();
    }
    scheduler.release_all();
    let mut calls = Vec::with_capacity(running.len());
    for call in running {
        calls.push(call.await.ok());
    }
    Interleaving { seed, order, calls }
}

/// Lets all calls run until each is blocked or has ended.
async fn run_until_blocked<T>(scheduler: &StepScheduler, running: &[JoinHandle<T>]) {
    let state = || {
        let finished = running.iter().filter(|call| call.is_finished()).count();
        (
            scheduler.resumed_count(),
            scheduler.blocked().len(),
            finished,
        )
    };
    let mut was = state();
    let mut quiet = 0;
    while quiet < QUIET_ROUNDS {
        tokio::task::yield_now().await;
        let is = state();
        quiet = if is == was { quiet + 1 } else { 0 };
        was = is;
    }
}

fn draw_index(entropy: &SeededEntropy, among: usize) -> Option<usize> {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    let drawn = usize::try_from(u64::from_le_bytes(bytes) >> 1).unwrap_or_default();
    drawn.checked_rem(among)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn endless_call_is_reported_and_others_finish() {
        let scheduler = Arc::new(StepScheduler::default());
        let calls = [false, true].map(|ends| async move {
            if !ends {
                pending::<()>().await;
            }
            "an end"
        });
        let run = interleave(&scheduler, calls, 1).await;
        assert_eq!(run.calls, [None, Some("an end")]);
        assert!(
            run.to_string()
                .contains("call 0 panicked or came to no end")
        );
    }
}
