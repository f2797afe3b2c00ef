//! Schedule exploration: several calls at once, of which only one goes on at a time, from one import to the
//! next. Which one is drawn from a seed, so every order that is found can be had again.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use relation_harness::{Call, Harness, explore::{Turnstile, interleave}};
//! # async fn example(harness: Harness, turnstile: Arc<Turnstile>, one: Call, other: Call) {
//! // The harness was built with `.interceptor(turnstile.clone())` and has a second host. On a
//! // current-thread runtime whose time is paused.
//! let harness = Arc::new(harness);
//! let calls = [(0, one), (1, other)].map(|(host, call)| {
//!     let harness = Arc::clone(&harness);
//!     async move { harness.call_on(host, call).await }
//! });
//! let run = interleave(&turnstile, calls, 42).await;
//! println!("{run}");
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use relation_host::entropy::{Entropy as _, SeededEntropy};
use relation_host::imports::Import;
use tokio::task::JoinHandle;

mod turnstile;

pub use turnstile::Turnstile;

/// How often everybody else gets the thread before whoever has not come to an import is taken to wait
/// for something: another call's turn or lease.
const ROUNDS: usize = 32;

/// How long a host waits before it asks for a lease again, and more.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often that passes before the calls that are left are taken never to end: ten minutes, more than a
/// host gives any call.
const IN_VAIN: usize = 12_000;

/// One step of an order: which call, counted from 0, went on with which import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The call.
    pub call: usize,
    /// What it went on with.
    pub import: Import,
}

/// What came of calls that ran at once.
#[derive(Clone, Debug)]
pub struct Interleaved<T> {
    /// What the order was drawn from.
    pub seed: u64,
    /// The order.
    pub order: Vec<Turn>,
    /// What came of each call, in the order in which they were given. None: it was lost in a panic, or came
    /// to no end and was dropped where it was.
    pub calls: Vec<Option<T>>,
}

impl<T> Interleaved<T> {
    /// How often the thread went from one call to another: 0 is one after the other.
    pub fn switches(&self) -> usize {
        let pairs = self.order.windows(2);
        pairs
            .filter(|pair| matches!(pair, [a, b] if a.call != b.call))
            .count()
    }
}

impl<T: fmt::Debug> fmt::Display for Interleaved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        for Turn { call, import } in &self.order {
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

/// Runs calls at once, in an order that is drawn from `seed`. Calls on one record should each have a host
/// of their own: within a host they wait for each other before anything else.
///
/// Must run on a current-thread runtime whose time is paused (`tokio::time::pause`), else the order
/// depends on the machine. The harness must have been built with this turnstile as its interceptor.
///
/// # Panics
/// Where time is not paused and a call has to wait for another.
pub async fn interleave<T, F>(
    turnstile: &Arc<Turnstile>,
    calls: impl IntoIterator<Item = F>,
    seed: u64,
) -> Interleaved<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    turnstile.close();
    let calls = calls.into_iter().enumerate();
    let running: Vec<JoinHandle<T>> = calls
        .map(|(number, call)| tokio::spawn(Turnstile::as_call(number, call)))
        .collect();
    let entropy = SeededEntropy::new(seed);
    let mut order = Vec::new();
    let mut in_vain = 0;
    while running.iter().any(|call| !call.is_finished()) && in_vain < IN_VAIN {
        settle(turnstile, &running).await;
        let waiting = turnstile.waiting();
        match pick(&entropy, waiting.len()).and_then(|place| waiting.get(place)) {
            Some(turn) => {
                order.push(*turn);
                turnstile.pass(turn.call);
                in_vain = 0;
            }
            // Whoever is left waits for a lease: time passes.
            None => {
                tokio::time::advance(ASK_AGAIN).await;
                in_vain += 1;
            }
        }
    }
    for call in &running {
        // Without effect on those that have ended.
        call.abort();
    }
    turnstile.open();
    let mut calls = Vec::with_capacity(running.len());
    for call in running {
        calls.push(call.await.ok());
    }
    Interleaved { seed, order, calls }
}

/// Lets everybody run until nobody comes further.
async fn settle<T>(turnstile: &Turnstile, running: &[JoinHandle<T>]) {
    let state = || {
        let finished = running.iter().filter(|call| call.is_finished()).count();
        (turnstile.passed(), turnstile.waiting().len(), finished)
    };
    let mut was = state();
    let mut quiet = 0;
    while quiet < ROUNDS {
        tokio::task::yield_now().await;
        let is = state();
        quiet = if is == was { quiet + 1 } else { 0 };
        was = is;
    }
}

fn pick(entropy: &SeededEntropy, among: usize) -> Option<usize> {
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
    async fn a_call_that_comes_to_no_end_is_told_and_the_others_are_not_lost() {
        let turnstile = Arc::new(Turnstile::default());
        let calls = [false, true].map(|ends| async move {
            if !ends {
                pending::<()>().await;
            }
            "an end"
        });
        let run = interleave(&turnstile, calls, 1).await;
        assert_eq!(run.calls, [None, Some("an end")]);
        assert!(
            run.to_string()
                .contains("call 0 panicked or came to no end")
        );
    }
}
