//! The interceptor of a sweep: counts imports and injects a fault at one of them.

use std::future::pending;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use tokio::sync::Notify;

use super::{InjectedFault, Point};

/// Counts imports and injects a fault at one of them. For sequential calls only.
#[derive(Default)]
pub struct FaultInjector {
    state: Mutex<State>,
    killed: Notify,
}

#[derive(Default)]
struct State {
    is_active: bool,
    point: Option<Point>,
    imports: Vec<Import>,
}

impl FaultInjector {
    /// Starts counting, with a fault at `point`.
    pub fn start(&self, point: Option<Point>) {
        *self.state() = State {
            is_active: true,
            point,
            imports: Vec::new(),
        };
    }

    /// Stops, and returns the counted imports.
    pub fn stop(&self) -> Vec<Import> {
        std::mem::take(&mut *self.state()).imports
    }

    /// Waits until a call reaches the point at which its process is killed.
    pub async fn wait_for_kill(&self) {
        self.killed.notified().await;
    }

    /// Returns the fault for the last import, if it is due.
    fn due_fault(&self, carried_out: bool) -> Option<InjectedFault> {
        let state = self.state();
        let point = state
            .point
            .filter(|point| point.nth == state.imports.len())?;
        (state.is_active && point.fault.is_carried_out() == carried_out).then_some(point.fault)
    }

    async fn apply(&self, fault: Option<InjectedFault>) -> Intervention {
        match fault {
            None => Intervention::Proceed,
            Some(fault) if fault.is_kill() => {
                self.killed.notify_one();
                pending().await
            }
            Some(fault) => fault.intervention(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[async_trait]
impl Interceptor for FaultInjector {
    async fn before(&self, call: &ImportCall) -> Intervention {
        {
            let mut state = self.state();
            if state.is_active {
                state.imports.push(call.import);
            }
        }
        self.apply(self.due_fault(false)).await
    }

    async fn after(&self, _: &ImportCall) -> Intervention {
        self.apply(self.due_fault(true)).await
    }
}
