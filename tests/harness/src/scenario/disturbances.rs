//! Injects the disturbances of a step between plugin and host.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use relation_host::imports::{ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::model::{Disturbance, DisturbanceKind, DisturbancePoint};

/// An interceptor for the disturbances of a step.
#[derive(Default)]
pub struct DisturbanceInterceptor {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    left: Vec<Disturbance>,
    /// The number of calls of each import in this step.
    calls: BTreeMap<&'static str, u32>,
}

impl DisturbanceInterceptor {
    /// Starts injecting disturbances.
    pub fn begin(&self, disturbances: &[Disturbance]) {
        *self.lock() = State {
            left: disturbances.to_vec(),
            calls: BTreeMap::new(),
        };
    }

    /// Ends the step. Returns the disturbances that did not occur.
    pub fn end(&self) -> Vec<Disturbance> {
        std::mem::take(&mut *self.lock()).left
    }

    /// Waits until a call crashes.
    pub async fn wait_for_crash(&self) {
        self.crashed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn take_due(&self, name: &'static str, when: DisturbancePoint) -> Option<DisturbanceKind> {
        let mut state = self.lock();
        let count = *state.calls.get(name).unwrap_or(&0);
        let position = state
            .left
            .iter()
            .position(|one| one.import == name && one.nth == count && one.when == when)?;
        Some(state.left.remove(position).with)
    }

    async fn intervene(&self, disturbance: Option<DisturbanceKind>) -> Intervention {
        match disturbance {
            None => Intervention::Proceed,
            Some(DisturbanceKind::Failure(failure)) => Intervention::Fail(failure),
            Some(DisturbanceKind::Crash) => {
                self.crashed.notify_one();
                // The step's runner drops the call, which never continues.
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Interceptor for DisturbanceInterceptor {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let name = call.import.name();
        *self.lock().calls.entry(name).or_default() += 1;
        let disturbance = self.take_due(name, DisturbancePoint::Before);
        self.intervene(disturbance).await
    }

    async fn after(&self, call: &ImportCall) -> Intervention {
        let disturbance = self.take_due(call.import.name(), DisturbancePoint::After);
        self.intervene(disturbance).await
    }
}
