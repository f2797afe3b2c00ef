//! How many calls of one kind may begin in a second, by the injected clock.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// The time over which calls are counted.
const SECOND: Duration = Duration::from_secs(1);

/// A budget of so many beginnings in any second, whenever that second starts.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Option<NonZeroU32>,
    /// The monotonic moments of the latest beginnings, at most `rate` of them.
    spent: VecDeque<Duration>,
}

impl Budget {
    /// So many in a second; none: as many as there are.
    pub(super) fn of(rate: Option<NonZeroU32>) -> Self {
        Self {
            rate,
            spent: VecDeque::new(),
        }
    }

    /// Takes one for a call that begins at the monotonic moment `now`. An error says how long there
    /// is none; it is never zero.
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

    /// How long there is none, from the monotonic moment `now`.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        match (self.rate, self.spent.front()) {
            (Some(rate), Some(oldest)) if self.spent.len() >= rate.get() as usize => {
                oldest.saturating_add(SECOND).saturating_sub(now)
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
    fn no_second_has_more_than_the_rate_wherever_it_starts() {
        let mut budget = Budget::of(NonZeroU32::new(3));
        let mut begun = Vec::new();
        for now in (0..10_000).step_by(70).map(millis) {
            while budget.take(now).is_ok() {
                begun.push(now);
            }
        }
        for pair in begun.windows(4) {
            assert!(pair[3] - pair[0] >= SECOND, "{pair:?}");
        }
        assert!(begun.len() >= 27, "{}", begun.len());
    }

    #[test]
    fn who_has_to_wait_is_told_how_long() {
        let mut budget = Budget::of(NonZeroU32::new(2));
        assert_eq!(budget.take(millis(100)), Ok(()));
        assert_eq!(budget.take(millis(300)), Ok(()));
        assert_eq!(budget.take(millis(400)), Err(millis(700)));
        assert_eq!(budget.take(millis(1100)), Ok(()));
        assert_eq!(budget.take(millis(1100)), Err(millis(200)));
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut budget = Budget::of(None);
        assert!((0..1000).all(|_| budget.take(Duration::ZERO).is_ok()));
    }
}
