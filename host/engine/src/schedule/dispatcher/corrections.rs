//! Corrections of stored data: times after a jump of the clock, and the leases of ended hosts.

use super::super::clock_jump::{ClockReading, Jump};
use super::Dispatcher;
use crate::text::format_span;

impl Dispatcher {
    /// Logs a jump of the wall clock since the last reading. At the first reading, and when the clock
    /// was set back, corrects times that were written while the clock was ahead.
    pub(super) async fn check_clock(&self) {
        let reading = ClockReading::new(self.clock.as_ref());
        let before = self.reading.lock().replace(reading);
        let jump = before.and_then(|before| before.jump(reading));
        match jump {
            Some(Jump::Ahead(by)) => tracing::warn!(
                "the wall clock went ahead by {}: it was set, or the machine was suspended; \
                 wakeups that came due with it run now",
                format_span(by)
            ),
            Some(Jump::Back(by)) => tracing::warn!(
                "the wall clock was set back by {}: wakeups that were scheduled before run now",
                format_span(by)
            ),
            None => {}
        }
        if before.is_none() || matches!(jump, Some(Jump::Back(_))) {
            self.redate().await;
        }
    }

    async fn redate(&self) {
        let now = self.clock.now();
        match self.store.redate(now).await {
            Ok(redating) => {
                if let Some(latest) = redating.latest {
                    tracing::warn!(
                        wakeups = redating.wakeups,
                        leases = redating.leases,
                        "the wall clock was ahead by up to {} when wakeups were scheduled: \
                         they run now",
                        format_span(latest.since(now))
                    );
                }
            }
            Err(error) => {
                tracing::error!(%error, "could not look for wakeups that were scheduled while the clock was ahead; trying again");
                // The next reading counts as the first one again.
                *self.reading.lock() = None;
            }
        }
    }

    pub(super) async fn recover(&self) {
        match self.store.recover(self.clock.now()).await {
            Ok(found) if found.leases > 0 || found.transactions > 0 => {
                tracing::warn!(
                    leases = found.leases,
                    transactions = found.transactions,
                    "resolved what an interrupted host left"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "could not look for ended hosts"),
        }
    }
}
