//! Injected time: the machine's clock, and a clock that tests and the demo advance.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Timestamp;

/// The clock of the host and of its guests.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall-clock time, which may jump.
    fn now(&self) -> Timestamp;

    /// Returns the time since some fixed moment, which never goes back.
    fn monotonic(&self) -> Duration;

    /// Returns once `now()` is `at` or later.
    async fn sleep_until(&self, at: Timestamp);
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Uses the machine's clocks, with monotonic time counted from now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep_until(&self, at: Timestamp) {
        // The wall clock may be set during the sleep, so it is read again at least once a minute.
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }
}

/// A clock that only advances on request.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<Duration>,
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: Mutex::new(Duration::ZERO),
            now: watch::Sender::new(now),
        }
    }

    /// Advances the wall clock and the monotonic clock.
    pub fn advance(&self, by: Duration) {
        {
            let mut monotonic = self.state.lock();
            *monotonic = monotonic.saturating_add(by);
        }
        self.now.send_modify(|now| *now = now.after(by));
    }

    /// Advances the clocks to `to`, unless that is in the past.
    pub fn advance_to(&self, to: Timestamp) {
        self.advance(to.since(self.now()));
    }

    /// Sets only the wall clock, back or ahead, as an operator or NTP does.
    pub fn set_wall(&self, now: Timestamp) {
        self.now.send_replace(now);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn monotonic(&self) -> Duration {
        *self.state.lock()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut changes = self.now.subscribe();
        // The sender exists as long as this clock, so waiting cannot fail.
        let _ = changes.wait_for(|now| *now >= at).await;
    }
}
