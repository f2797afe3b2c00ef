//! The time that commands go by.

use std::sync::Arc;

use relation_host::schedule::clock::{Clock, SystemClock};

/// The machine's clock. In a build with debug assertions, as tests run it, one that is as far ahead of it
/// as `RELATION_TEST_CLOCK_AHEAD` says: a test of processes lets days pass between two of them.
pub fn clock() -> Arc<dyn Clock> {
    #[cfg(debug_assertions)]
    if let Some(by) = ahead::told() {
        return Arc::new(ahead::Ahead::new(by));
    }
    Arc::new(SystemClock::new())
}

#[cfg(debug_assertions)]
mod ahead {
    use std::time::Duration;

    use relation_host::schedule::clock::{Clock, SystemClock};
    use relation_host::types::Timestamp;

    /// How far ahead the environment wants it.
    pub fn told() -> Option<Duration> {
        let told = std::env::var("RELATION_TEST_CLOCK_AHEAD").ok()?;
        humantime::parse_duration(&told).ok()
    }

    /// The machine's clock, some time later.
    pub struct Ahead {
        machine: SystemClock,
        by: Duration,
    }

    impl Ahead {
        pub fn new(by: Duration) -> Self {
            Self {
                machine: SystemClock::new(),
                by,
            }
        }
    }

    #[async_trait::async_trait]
    impl Clock for Ahead {
        fn now(&self) -> Timestamp {
            self.machine.now().after(self.by)
        }

        fn monotonic(&self) -> Duration {
            self.machine.monotonic()
        }

        async fn sleep_until(&self, at: Timestamp) {
            let then = at.since(Timestamp(0)).saturating_sub(self.by);
            self.machine.sleep_until(Timestamp(0).after(then)).await;
        }
    }
}
