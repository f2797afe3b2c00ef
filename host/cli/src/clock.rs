//! The clock of the commands.

use std::sync::Arc;

use relation_host::clock::{Clock, SystemClock};

/// Returns the system clock. In builds with debug assertions, `RELATION_TEST_CLOCK_AHEAD` moves the clock
/// forward, so that end-to-end tests can let days pass between two processes.
pub fn clock() -> Arc<dyn Clock> {
    #[cfg(debug_assertions)]
    if let Some(offset) = offset::read_env() {
        return Arc::new(offset::OffsetClock::new(offset));
    }
    Arc::new(SystemClock::new())
}

#[cfg(debug_assertions)]
mod offset {
    use std::time::Duration;

    use relation_host::clock::{Clock, SystemClock};
    use relation_host::types::Timestamp;

    /// Reads `RELATION_TEST_CLOCK_AHEAD`.
    pub fn read_env() -> Option<Duration> {
        let text = std::env::var("RELATION_TEST_CLOCK_AHEAD").ok()?;
        humantime::parse_duration(&text).ok()
    }

    /// The system clock, moved forward by a fixed offset.
    pub struct OffsetClock {
        machine: SystemClock,
        offset: Duration,
    }

    impl OffsetClock {
        pub fn new(offset: Duration) -> Self {
            Self {
                machine: SystemClock::new(),
                offset,
            }
        }
    }

    #[async_trait::async_trait]
    impl Clock for OffsetClock {
        fn now(&self) -> Timestamp {
            self.machine.now().after(self.offset)
        }

        fn monotonic(&self) -> Duration {
            self.machine.monotonic()
        }

        async fn sleep_until(&self, at: Timestamp) {
            let then = at.since(Timestamp(0)).saturating_sub(self.offset);
            self.machine.sleep_until(Timestamp(0).after(then)).await;
        }
    }
}
