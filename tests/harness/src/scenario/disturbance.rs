//! Lets go wrong between plugin and host what a step says.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use relation_host::imports::{ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::model::{Disturbance, Trouble, When};

/// Stands between plugin and host.
#[derive(Default)]
pub struct Disturber {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    left: Vec<Disturbance>,
    /// How often each import was called in this step.
    calls: BTreeMap<&'static str, u32>,
}

impl Disturber {
    /// From now on these go wrong.
    pub fn begin(&self, disturbances: &[Disturbance]) {
        *self.lock() = State {
            left: disturbances.to_vec(),
            calls: BTreeMap::new(),
        };
    }

    /// Ends the step: what did not come to pass.
    pub fn end(&self) -> Vec<Disturbance> {
        std::mem::take(&mut *self.lock()).left
    }

    /// Waits until a call is to end as in a crash.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, name: &'static str, when: When) -> Option<Trouble> {
        let mut state = self.lock();
        let count = *state.calls.get(name).unwrap_or(&0);
        let position = state
            .left
            .iter()
            .position(|one| one.import == name && one.nth == count && one.when == when)?;
        Some(state.left.remove(position).with)
    }

    async fn intervene(&self, trouble: Option<Trouble>) -> Intervention {
        match trouble {
            None => Intervention::Proceed,
            Some(Trouble::Failure(failure)) => Intervention::Fail(failure),
            Some(Trouble::Crash) => {
                self.crashed.notify_one();
                // Whoever runs the step drops the call: nothing of it goes on.
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Interceptor for Disturber {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let name = call.import.name();
        *self.lock().calls.entry(name).or_default() += 1;
        let trouble = self.due(name, When::Before);
        self.intervene(trouble).await
    }

    async fn after(&self, call: &ImportCall) -> Intervention {
        let trouble = self.due(call.import.name(), When::After);
        self.intervene(trouble).await
    }
}
