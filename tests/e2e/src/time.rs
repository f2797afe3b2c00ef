//! The time of processes: the machine's, plus as much as a test lets pass between two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The clock of the programs, ahead of the machine's by these milliseconds. Clones share it.
#[derive(Clone, Default)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    /// Lets time pass for every program that is started from now on.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("a test has less time");
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    /// Returns the value of `RELATION_TEST_CLOCK_AHEAD`.
    pub fn ahead(&self) -> String {
        format!("{}ms", self.0.load(Ordering::SeqCst))
    }

    /// Returns the same time for an emulator in this process.
    pub fn clock(&self) -> webex_emulator::Clock {
        let (machine, ahead) = (webex_emulator::system_clock(), Arc::clone(&self.0));
        Arc::new(move || machine() + ahead.load(Ordering::SeqCst))
    }
}
