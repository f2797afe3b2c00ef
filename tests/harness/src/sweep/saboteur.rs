//! The interceptor of a sweep: counts imports, and strikes at one of them.

use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::{Blow, Point};

/// Counts the imports while it watches, and lets one of them go wrong. For calls that are made one after
/// the other.
#[derive(Default)]
pub struct Saboteur {
    state: Mutex<State>,
    killed: Notify,
}

#[derive(Default)]
struct State {
    watches: bool,
    point: Option<Point>,
    seen: Vec<Import>,
}

impl Saboteur {
    /// Counts from now on, and strikes at the point.
    pub fn watch(&self, point: Option<Point>) {
        *self.state() = State {
            watches: true,
            point,
            seen: Vec::new(),
        };
    }

    /// Ends that; what was seen.
    pub fn stop(&self) -> Vec<Import> {
        std::mem::take(&mut *self.state()).seen
    }

    /// Returns once a call stands where its process is to be lost.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// The blow for the import that was begun last, if it is its turn.
    fn strikes(&self, carried_out: bool) -> Option<Blow> {
        let state = self.state();
        let point = state.point.filter(|point| point.nth == state.seen.len())?;
        (state.watches && point.blow.is_carried_out() == carried_out).then_some(point.blow)
    }

    async fn strike(&self, blow: Option<Blow>) -> Intervention {
        match blow {
            None => Intervention::Proceed,
            Some(blow) if blow.is_a_kill() => {
                self.killed.notify_one();
                pending().await
            }
            Some(blow) => blow.intervention(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Interceptor for Saboteur {
    async fn before(&self, call: &ImportCall) -> Intervention {
        {
            let mut state = self.state();
            if state.watches {
                state.seen.push(call.import);
            }
        }
        self.strike(self.strikes(false)).await
    }

    async fn after(&self, _: &ImportCall) -> Intervention {
        self.strike(self.strikes(true)).await
    }
}
