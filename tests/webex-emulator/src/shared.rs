//! Shared parts of a running emulator.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::faults::Faults;
use crate::gate::Gates;
use crate::record::Recorder;
use crate::settings::{Clock, Settings};
use crate::state::State;

/// A handle on all parts.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Parts>);

pub(crate) struct Parts {
    settings: Settings,
    state: Mutex<State>,
    pub(crate) faults: Faults,
    pub(crate) gates: Gates,
    pub(crate) recorder: Arc<Recorder>,
}

impl Shared {
    pub(crate) fn new(state: State, recorder: Recorder) -> Self {
        Self::from_parts(state, Faults::default(), recorder)
    }

    fn from_parts(state: State, faults: Faults, recorder: Recorder) -> Self {
        Self(Arc::new(Parts {
            settings: state.settings().clone(),
            state: Mutex::new(state),
            faults,
            gates: Gates::default(),
            recorder: Arc::new(recorder),
        }))
    }

    /// Creates a copy that shares nothing with this one.
    pub(crate) fn fork(&self, clock: Clock) -> Self {
        let state = self.state().fork(clock);
        Self::from_parts(state, self.faults.fork(), self.recorder.fork())
    }
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns milliseconds since the Unix epoch by the emulator's clock.
    pub(crate) fn now(&self) -> u64 {
        self.settings.now()
    }

    /// Locks the state; never hold the guard across an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
