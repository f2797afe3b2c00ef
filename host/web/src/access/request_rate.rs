//! The limit on the requests of one principal: generous, against programs that run wild.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use relation_host::types::Pkid;

/// A limit on the requests of each principal in a minute. A minute's requests may come in a burst.
#[derive(Debug)]
pub(super) struct RequestRate {
    per_minute: NonZeroU32,
    /// The monotonic time when the requests until now would have been made at an even pace (GCRA).
    paces: HashMap<Pkid, Duration>,
}

impl RequestRate {
    const BURST: Duration = Duration::from_secs(60);

    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute,
            paces: HashMap::new(),
        }
    }

    /// Counts a request at the monotonic time `now`.
    ///
    /// # Errors
    /// The limit is reached; the error is the time to wait.
    pub(super) fn take(&mut self, principal: &Pkid, now: Duration) -> Result<(), Duration> {
        let interval = Self::BURST / self.per_minute.get();
        let pace = self.paces.get(principal).copied().unwrap_or_default();
        let next = pace.max(now).saturating_add(interval);
        let wait = next.saturating_sub(now.saturating_add(Self::BURST));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.paces.insert(principal.clone(), next);
        Ok(())
    }

    /// Forgets principals without recent requests.
    pub(super) fn prune(&mut self, now: Duration) {
        self.paces.retain(|_, pace| *pace > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_limited_and_recovers() {
        let mut rate = RequestRate::new(NonZeroU32::new(60).unwrap());
        let (one, other) = (Pkid::random(), Pkid::random());
        let start = Duration::from_secs(5);
        for _ in 0..60 {
            assert_eq!(rate.take(&one, start), Ok(()));
        }
        let second = Duration::from_secs(1);
        assert_eq!(rate.take(&one, start), Err(second));
        assert_eq!(rate.take(&other, start), Ok(()));
        assert_eq!(rate.take(&one, start + second), Ok(()));
        assert_eq!(rate.take(&one, start + second), Err(second));
        rate.prune(start + Duration::from_secs(120));
        assert!(rate.paces.is_empty());
    }
}
