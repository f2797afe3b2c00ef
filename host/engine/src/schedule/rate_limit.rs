//! A rate limit for calls of one kind, by the injected clock.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// The window in which calls are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// A limit on the number of calls that begin in any period of one second.
#[derive(Debug)]
pub(super) struct RateLimit {
    rate: Option<NonZeroU32>,
    /// The monotonic times of the latest begun calls, at most `rate` of them.
    spent: VecDeque<Duration>,
}

impl RateLimit {
    /// Allows `rate` calls per second; `None`: no limit.
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        Self {
            rate,
            spent: VecDeque::new(),
        }
    }

    /// Counts a call that begins at the monotonic time `now`.
    ///
    /// # Errors
    /// The limit is reached; the error is the time to wait and never zero.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let wait = self.wait(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        if let Some(rate) = self.rate {
            if self.spent.len() >= rate.get() as usize {
                self.spent.pop_front();
            }
            self.spent.push_back(now);
        }
        Ok(())
    }

    /// Returns the time to wait at the monotonic time `now`; zero if a call may begin.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        match (self.rate, self.spent.front()) {
            (Some(rate), Some(oldest)) if self.spent.len() >= rate.get() as usize => {
                oldest.saturating_add(WINDOW).saturating_sub(now)
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn any_second_has_at_most_the_rate() {
        let mut rate_limit = RateLimit::new(NonZeroU32::new(3));
        let mut begun = Vec::new();
        for now in (0..10_000).step_by(70).map(millis) {
            while rate_limit.take(now).is_ok() {
                begun.push(now);
            }
        }
        for pair in begun.windows(4) {
            assert!(pair[3] - pair[0] >= WINDOW, "{pair:?}");
        }
        assert!(begun.len() >= 27, "{}", begun.len());
    }

    #[test]
    fn exhausted_limit_reports_the_wait() {
        let mut rate_limit = RateLimit::new(NonZeroU32::new(2));
        assert_eq!(rate_limit.take(millis(100)), Ok(()));
        assert_eq!(rate_limit.take(millis(300)), Ok(()));
        assert_eq!(rate_limit.take(millis(400)), Err(millis(700)));
        assert_eq!(rate_limit.take(millis(1100)), Ok(()));
        assert_eq!(rate_limit.take(millis(1100)), Err(millis(200)));
    }

    #[test]
    fn no_rate_means_no_wait() {
        let mut rate_limit = RateLimit::new(None);
        assert!((0..1000).all(|_| rate_limit.take(Duration::ZERO).is_ok()));
    }
}
