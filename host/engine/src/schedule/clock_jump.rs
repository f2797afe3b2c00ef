//! Detection of jumps of the wall clock by comparison with the monotonic clock.

use std::time::Duration;

use crate::clock::Clock;
use crate::types::Timestamp;

/// The largest difference between both clocks since the last reading that is not a jump: clocks are
/// slewed, and reading both takes time.
const TOLERANCE: Duration = Duration::from_secs(30);

/// A jump of the wall clock and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    /// The clock was set ahead, or the machine was suspended.
    Ahead(Duration),
    /// The clock was set back.
    Back(Duration),
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    wall: Timestamp,
    monotonic: Duration,
}

impl ClockReading {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// Returns the jump of the wall clock between this reading and a `later` one.
    pub(super) fn jump(self, later: Self) -> Option<Jump> {
        let expected = self
            .wall
            .after(later.monotonic.saturating_sub(self.monotonic));
        let (ahead, back) = (later.wall.since(expected), expected.since(later.wall));
        if ahead > TOLERANCE {
            Some(Jump::Ahead(ahead))
        } else if back > TOLERANCE {
            Some(Jump::Back(back))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall: u64, monotonic: u64) -> ClockReading {
        ClockReading {
            wall: Timestamp(wall * 1_000),
            monotonic: Duration::from_secs(monotonic),
        }
    }

    #[test]
    fn jump_is_detected_in_both_directions() {
        let before = reading(1_000_000, 50);
        let seconds = Duration::from_secs;
        for (wall, jump) in [
            (1_000_060, None),
            (1_000_090, None),
            (1_000_030, None),
            (1_000_091, Some(Jump::Ahead(seconds(31)))),
            (1_000_029, Some(Jump::Back(seconds(31)))),
            (4_600_060, Some(Jump::Ahead(seconds(3_600_000)))),
            (0, Some(Jump::Back(seconds(1_000_060)))),
        ] {
            assert_eq!(before.jump(reading(wall, 110)), jump, "{wall}");
        }
    }
}
