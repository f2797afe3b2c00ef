//! The delay before a host takes over expired leases after an outage.
//!
//! A host that cannot reach the database writes responses to its stash, and its leases expire meanwhile. When the database is
//! back, that host applies its stash first. Another host that began a call on such a record at once would send a refresh
//! token that was already used. So each host leaves expired leases alone for a while after an outage, except to apply its own
//! stash.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_postgres::types::Type;

use super::{Lane, PostgresStore};
use crate::stash::APPLY_ACTION;
use crate::{CallStart, StoreError};
use relation_types::{Reference, Timestamp};

/// An answer that took longer is a sign of an outage, such as a frozen server. A host stashes no response sooner.
const SLOW_ANSWER: Duration = Duration::from_secs(2);

/// A lease that expired longer ago is taken over also by a host with lasting trouble, in milliseconds.
const LONGEST_DELAY: i64 = 60_000;

/// Returns whether another host holds the lease of a subject, or held it until a short time ago.
const IS_HELD: &str = "SELECT true FROM relation.leases AS l
    WHERE l.model = $1 AND l.pkid = $2 AND l.epoch > 0 AND l.holder <> $3 AND l.expires > relation.clock() - $4";

/// The last outage of the database, as this host knows it.
pub(super) struct LastOutage {
    pub(super) ended: Mutex<Instant>,
    delay: Duration,
}

impl LastOutage {
    /// Creates the state of a host that starts: an outage may just have ended.
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            ended: Mutex::new(Instant::now()),
            delay,
        }
    }

    /// Notes that the database has just been reached again.
    pub(super) fn note_end(&self) {
        *self.ended.lock() = Instant::now();
    }

    /// Notes how long a short statement has waited for its answer.
    pub(super) fn note_answer(&self, lane: Lane, waited: Duration) {
        if lane != Lane::Slow && waited > SLOW_ANSWER {
            self.note_end();
        }
    }

    /// Returns how long this host still leaves expired leases to their holders.
    fn remaining(&self) -> Option<Duration> {
        let elapsed = self.ended.lock().elapsed();
        self.delay
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())
    }
}

impl PostgresStore {
    /// Returns how long this host still leaves expired leases to their holders; `None`: it takes them over.
    pub(super) fn takeover_wait(&self) -> Option<Duration> {
        match self.is_by_database() {
            true => self.connections.shared().last_outage().remaining(),
            false => None,
        }
    }

    /// Returns the time until which a call waits because the holder of an expired lease may have a response in its stash.
    pub(super) async fn find_takeover_wait(
        &self,
        begin: &CallStart,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Some(wait) = self.takeover_wait() else {
            return Ok(None);
        };
        let Some(Reference { model, pkid }) = &begin.subject else {
            return Ok(None);
        };
        if begin.transaction.action == APPLY_ACTION {
            return Ok(None);
        }
        let (model, pkid) = (model.as_str(), pkid.as_str());
        let held = self
            .read(
                Lane::Read,
                IS_HELD,
                &[
                    (&model, Type::TEXT),
                    (&pkid, Type::TEXT),
                    (&self.holder, Type::TEXT),
                    (&LONGEST_DELAY, Type::INT8),
                ],
            )
            .await?;
        Ok((!held.is_empty()).then(|| begin.now.after(wait)))
    }

    /// Returns the time after which a lease counts as valid in a search for due wakeups, by the database's clock; `None`:
    /// now.
    pub(super) fn lease_time(&self, now: i64) -> Option<i64> {
        if !self.is_by_database() {
            return Some(now);
        }
        self.takeover_wait()?;
        let skew = self.clock_skew_millis();
        Some(now.saturating_add(skew).saturating_sub(LONGEST_DELAY))
    }
}
