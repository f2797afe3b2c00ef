//! The work that a running host does besides calls: room in reserve for the stash, and the removal of
//! old transactions.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Host;
use crate::store::stash::reserve_bytes;
use crate::store::{PruneReport, PruneRequest, StoreError};
use crate::sync::lock;
use crate::types::Timestamp;

/// How often the reserve is looked at, in real time.
const LOOK: Duration = Duration::from_secs(60);
/// How many transactions one step of a walk looks at: few enough that other writes need not wait.
const STEP: u32 = 250;
/// From the beginning of one walk over the transactions to that of the next.
const WALK: Duration = Duration::from_secs(3600);
/// Until a walk goes on that the store has stopped.
const PAUSE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long transactions are kept after they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Those that succeeded; 90 days by default.
    pub succeeded: Duration,
    /// Those that failed; 365 days by default.
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
    /// Returns the step of a walk at `now` that begins after the id `after`.
    fn step(&self, now: Timestamp, after: Option<String>) -> PruneRequest {
        let before = |keep: Duration| {
            let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
            Timestamp(now.0.saturating_sub(keep))
        };
        PruneRequest {
            succeeded_before: before(self.succeeded),
            failed_before: before(self.failed),
            after,
            limit: STEP,
        }
    }
}

/// How far the work is.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    retention: Retention,
    walk: Mutex<Walk>,
    reserve: Mutex<Look>,
}

impl Housekeeping {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }
}

/// A walk over all transactions.
#[derive(Clone, Debug, Default)]
struct Walk {
    /// Where its next step begins.
    after: Option<String>,
    /// When the next step is due, by the host's clock.
    due: Timestamp,
    /// When the walk began.
    began: Timestamp,
    removed: u64,
}

/// The result of the last look at the reserve.
#[derive(Debug, Default)]
struct Look {
    last: Option<Instant>,
    lacking: bool,
}

impl Host {
    /// Carries out one step of the removal of old transactions, if it is due. Whether another one is
    /// due at once.
    pub(super) async fn prune_transactions(&self) -> bool {
        let housekeeping = &self.parts.housekeeping;
        let now = self.clock().now();
        let mut walk = lock(&housekeeping.walk).clone();
        // A clock that was set back must not put the next walk off.
        if now < walk.due && walk.due.since(now) <= WALK {
            return false;
        }
        if walk.after.is_none() {
            walk = Walk {
                began: now,
                ..Walk::default()
            };
        }
        let step = housekeeping.retention.step(now, walk.after.clone());
        let done = self.store().prune_transactions(step).await;
        let goes_on = walk.go_on(done, now);
        *lock(&housekeeping.walk) = walk;
        goes_on
    }

    /// Makes what is missing of the reserve beside the stash, if it `may_fill` it, and says when there
    /// is none.
    pub(super) async fn keep_reserve(&self, may_fill: bool) {
        let Some(stash) = self.parts.services.stash.clone() else {
            return;
        };
        if !stash.wants_reserve() {
            return;
        }
        {
            let mut look = lock(&self.parts.housekeeping.reserve);
            if look.last.is_some_and(|last| last.elapsed() < LOOK) {
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
            // A part of it is enough for the first responses.
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
        let mut look = lock(&self.parts.housekeeping.reserve);
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
            Err(why) => tracing::warn!(
                "no room can be reserved in the stash {directory}: {why}; while the disk is full, a \
                 response of Webex may be lost"
            ),
        }
    }
}

impl Walk {
    /// Notes what a step has done; whether another one is due at once.
    fn go_on(&mut self, done: Result<PruneReport, StoreError>, now: Timestamp) -> bool {
        match done {
            Ok(done) => {
                self.removed += done.removed;
                self.after = done.next;
            }
            Err(error) => {
                tracing::warn!(%error, "old transactions could not be removed yet");
                self.due = now.after(PAUSE);
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
        self.due = self.began.after(WALK);
        false
    }
}
