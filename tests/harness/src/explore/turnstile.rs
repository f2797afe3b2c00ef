//! The interceptor of an exploration: whoever calls an import waits until it is let on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use relation_host::imports::{ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::Turn;

tokio::task_local! {
    /// Which of the calls this task makes.
    static CALL: usize;
}

/// Holds every import of the calls of an exploration until it is let on. Other calls pass freely.
#[derive(Default)]
pub struct Turnstile {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    waiting: Vec<Waiting>,
    passed: usize,
    /// The calls by their transactions.
    calls: HashMap<String, usize>,
}

impl State {
    /// The number of a call. Most imports are called in the call's own task, the first one of each call
    /// among them; a request is sent by another.
    fn number_of(&mut self, call: &ImportCall) -> Option<usize> {
        match CALL.try_with(|number| *number) {
            Ok(number) => {
                self.calls.insert(call.transaction.clone(), number);
                Some(number)
            }
            Err(_) => self.calls.get(&call.transaction).copied(),
        }
    }
}

struct Waiting {
    turn: Turn,
    go: Arc<Notify>,
}

impl Turnstile {
    /// Makes `work` the call of this number.
    pub(super) async fn as_call<T>(number: usize, work: impl Future<Output = T>) -> T {
        CALL.scope(number, work).await
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    /// Lets everybody on, from now on.
    pub(super) fn open(&self) {
        let mut state = self.state();
        state.closed = false;
        for waiting in state.waiting.drain(..) {
            waiting.go.notify_one();
        }
    }

    /// Who waits, in the order of their numbers.
    pub(super) fn waiting(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = self.state().waiting.iter().map(|one| one.turn).collect();
        turns.sort_by_key(|turn| turn.call);
        turns
    }

    /// How many were let on so far.
    pub(super) fn passed(&self) -> usize {
        self.state().passed
    }

    /// Lets one call on, to its next import.
    pub(super) fn pass(&self, call: usize) {
        let mut state = self.state();
        if let Some(place) = state.waiting.iter().position(|one| one.turn.call == call) {
            state.waiting.remove(place).go.notify_one();
            state.passed += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Interceptor for Turnstile {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let go = {
            let mut state = self.state();
            if !state.closed {
                return Intervention::Proceed;
            }
            let Some(number) = state.number_of(call) else {
                return Intervention::Proceed;
            };
            let go = Arc::new(Notify::new());
            state.waiting.push(Waiting {
                turn: Turn {
                    call: number,
                    import: call.import,
                },
                go: Arc::clone(&go),
            });
            go
        };
        go.notified().await;
        Intervention::Proceed
    }
}
