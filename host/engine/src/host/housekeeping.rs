//! Background work of a running host: the stash's disk reserve and the removal of old transactions.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Host;
use crate::store::stash::reserve_bytes;
use crate::store::{PruneReport, PruneRequest, StoreError};
use crate::types::Timestamp;

/// The interval between checks of the reserve, in real time.
const RESERVE_CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Transactions examined per step: few enough not to delay other writes.
const PRUNE_BATCH: u32 = 250;
/// The time between the starts of two scans of the transactions.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// The delay before a scan continues after a store error.
const PRUNE_RETRY_DELAY: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The retention of transactions, counted from their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Retention of successful transactions; 90 days by default.
    pub succeeded: Duration,
    /// Retention of failed transactions; 365 days by default.
    pub failed: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            succeeded: 90 * DAY,
            failed: 365 * DAY,
        }
    }
}

impl Retention {
    /// Returns the step of a scan at `now` that begins after the id `after`.
    fn step(&self, now: Timestamp, after: Option<String>) -> PruneRequest {
        let before = |keep: Duration| {
            let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
            Timestamp(now.0.saturating_sub(keep))
        };
        PruneRequest {
            succeeded_before: before(self.succeeded),
            failed_before: before(self.failed),
            after,
            limit: PRUNE_BATCH,
        }
    }
}

/// The progress of the background work.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    retention: Retention,
    walk: Mutex<PruneScan>,
    reserve: Mutex<ReserveCheck>,
}

impl Housekeeping {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }
}

/// The progress of a scan over all transactions.
#[derive(Clone, Debug, Default)]
struct PruneScan {
    /// The id after which the next step begins.
    after: Option<String>,
    /// The time of the next step, by the host's clock.
    due: Timestamp,
    /// The time when the scan began.
    began: Timestamp,
    removed: u64,
}

/// The result of the last check of the reserve.
#[derive(Debug, Default)]
struct ReserveCheck {
    last: Option<Instant>,
    lacking: bool,
}

impl Host {
    /// Runs one step of removing old transactions, if due. Returns whether another step is due now.
    pub(super) async fn prune_transactions(&self) -> bool {
        let housekeeping = &self.parts.housekeeping;
        let now = self.clock().now();
        let mut walk = housekeeping.walk.lock().clone();
        // A clock that was set back must not postpone the next scan.
        if now < walk.due && walk.due.since(now) <= PRUNE_INTERVAL {
            return false;
        }
        if walk.after.is_none() {
            walk = PruneScan {
                began: now,
                ..PruneScan::default()
            };
        }
        let step = housekeeping.retention.step(now, walk.after.clone());
        let done = self.store().prune_transactions(step).await;
        let is_more_due = walk.record_step(done, now);
        *housekeeping.walk.lock() = walk;
        is_more_due
    }

    /// Fills the stash's reserve if `may_fill`, and warns if there is no reserve.
    pub(super) async fn maintain_reserve(&self, may_fill: bool) {
        let Some(stash) = self.parts.services.stash.clone() else {
            return;
        };
        if !stash.wants_reserve() {
            return;
        }
        {
            let mut look = self.parts.housekeeping.reserve.lock();
            if look
                .last
                .is_some_and(|last| last.elapsed() < RESERVE_CHECK_INTERVAL)
            {
                return;
            }
            look.last = Some(Instant::now());
        }
        let directory = stash.directory().display().to_string();
        let filled = tokio::task::spawn_blocking(move || {
            if !stash.lacks_reserve() {
                return Ok(true);
            }
            let filled = match may_fill {
                true => stash.fill_reserve(),
                false => Ok(()),
            };
            // A partial reserve is enough for the first responses.
            match (reserve_bytes(stash.directory()) > 0, filled) {
                (true, _) => Ok(true),
                (false, Ok(())) => Ok(false),
                (false, Err(error)) => Err(error.to_string()),
            }
        });
        let found = match filled.await {
            Ok(found) => found,
            Err(error) => Err(error.to_string()),
        };
        let mut look = self.parts.housekeeping.reserve.lock();
        let lacked = std::mem::replace(&mut look.lacking, found != Ok(true));
        match found {
            Ok(true) if lacked => {
                tracing::info!(stash = directory, "there is room in reserve again")
            }
            Ok(true) => {}
            _ if lacked => {}
            Ok(false) => tracing::warn!(
                "no room is in reserve in the stash {directory}: while the disk is full, a response \
                 of Webex may be lost; free space on that disk, and the room is reserved again"
            ),
            Err(reason) => tracing::warn!(
                "no room can be reserved in the stash {directory}: {reason}; while the disk is full, a \
                 response of Webex may be lost"
            ),
        }
    }
}

impl PruneScan {
    /// Records the result of a step. Returns whether another step is due now.
    fn record_step(&mut self, done: Result<PruneReport, StoreError>, now: Timestamp) -> bool {
        match done {
            Ok(done) => {
                self.removed += done.removed;
                self.after = done.next;
            }
            Err(error) => {
                tracing::warn!(%error, "old transactions could not be removed yet");
                self.due = now.after(PRUNE_RETRY_DELAY);
                return false;
            }
        }
        if self.after.is_some() {
            self.due = now;
            return true;
        }
        if self.removed > 0 {
            tracing::info!(removed = self.removed, "removed old transactions");
        }
        self.due = self.began.after(PRUNE_INTERVAL);
        false
    }
}
