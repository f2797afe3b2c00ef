//! The time of processes: the machine's, and as much more as a test lets pass between two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How far ahead of the machine's clock programs are. Clones go together.
#[derive(Clone, Default)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    /// Lets time pass, for every program that is started from now on.
    pub fn pass(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("a test has less time");
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    /// What `RELATION_TEST_CLOCK_AHEAD` is to be.
    pub fn ahead(&self) -> String {
        format!("{}ms", self.0.load(Ordering::SeqCst))
    }

    /// The same time for an emulator in this process.
    pub fn clock(&self) -> webex_emulator::Clock {
        let (machine, ahead) = (webex_emulator::system_clock(), Arc::clone(&self.0));
        Arc::new(move || machine() + ahead.load(Ordering::SeqCst))
    }
}
