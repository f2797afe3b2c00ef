//! The limit of a channel's concurrent runs: a server that does not respond leaves runs to the other channels and to the
//! routing.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::clock::Clock;
use tokio::sync::Notify;

/// The maximum number of concurrent runs of a channel.
const MAX_RUNS: usize = 5;
/// A channel is slow if one of its runs began so long ago.
const SLOW: Duration = Duration::from_secs(5);

/// The runs in progress.
#[derive(Default)]
pub(super) struct ChannelLimit {
    /// For each channel, by the id of its wakeups: when its runs began, by the monotonic clock.
    runs: Mutex<HashMap<String, Vec<Duration>>>,
    ended: Notify,
}

/// A run of a channel, until it is dropped.
pub(super) struct ChannelRun<'l> {
    limit: &'l ChannelLimit,
    channel: String,
    began: Duration,
}

impl ChannelLimit {
    /// Begins a run of a channel. If the channel has as many as it may have, waits for the end of one; `None` if the
    /// channel is slow.
    pub(super) async fn enter(&self, channel: &str, clock: &dyn Clock) -> Option<ChannelRun<'_>> {
        loop {
            // Before the look, so that no end is missed.
            let ended = self.ended.notified();
            let wait = match self.try_enter(channel, clock.monotonic()) {
                Ok(run) => return Some(run),
                Err(wait) => wait?,
            };
            tokio::select! {
                () = ended => {}
                () = clock.sleep_until(clock.now().after(wait)) => {}
            }
        }
    }

    /// Begins a run, or returns the time after which the channel is slow; `None`: now.
    fn try_enter(&self, channel: &str, now: Duration) -> Result<ChannelRun<'_>, Option<Duration>> {
        let mut runs = self.runs.lock();
        let began = runs.entry(channel.to_owned()).or_default();
        if began.len() < MAX_RUNS {
            began.push(now);
            return Ok(ChannelRun {
                limit: self,
                channel: channel.to_owned(),
                began: now,
            });
        }
        let oldest = began.iter().min().copied().unwrap_or_default();
        let left = SLOW.checked_sub(now.saturating_sub(oldest));
        Err(left.filter(|left| !left.is_zero()))
    }
}

impl Drop for ChannelRun<'_> {
    fn drop(&mut self) {
        let mut runs = self.limit.runs.lock();
        if let Some(began) = runs.get_mut(&self.channel)
            && let Some(position) = began.iter().position(|began| *began == self.began)
        {
            began.swap_remove(position);
        }
        drop(runs);
        self.limit.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use relation_host::clock::ManualClock;
    use relation_host::types::Timestamp;

    use super::*;

    #[tokio::test]
    async fn slow_channel_leaves_runs_to_others() {
        let clock = ManualClock::new(Timestamp(1));
        let limit = ChannelLimit::default();
        let mut runs = Vec::new();
        for _ in 0..MAX_RUNS {
            runs.push(limit.enter("mail", &clock).await.unwrap());
        }
        // The next one waits for the end of a run, or until the channel is slow.
        let end = async {
            runs.pop();
        };
        let (next, ()) = tokio::join!(limit.enter("mail", &clock), end);
        let next = next.unwrap();
        let pass = async { clock.advance(SLOW) };
        let (late, ()) = tokio::join!(limit.enter("mail", &clock), pass);
        assert!(late.is_none());
        // From now on, further ones do not wait. Another channel is not affected.
        assert!(limit.enter("mail", &clock).await.is_none());
        assert!(limit.enter("webhook", &clock).await.is_some());
        drop((runs, next));
        assert!(limit.enter("mail", &clock).await.is_some());
    }
}
