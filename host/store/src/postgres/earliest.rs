//! The bound before which no wakeup is due, so that a search does not read the dead rows before it. An old transaction
//! of any program keeps these, one for each call since it began.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::error::{Result, to_millis};
use super::{Lane, PostgresStore};
use relation_types::Timestamp;

const EARLIEST: &str = "SELECT due FROM relation.wakeups WHERE due >= $1 ORDER BY due LIMIT 1";

/// How often the bound is moved ahead.
const MOVED_EVERY: Duration = Duration::from_secs(5);

/// How often all rows count, because another host can have scheduled a wakeup before the bound.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// The bound is by so much, in milliseconds, before the earliest wakeup and before now: for the wakeups that other hosts
/// schedule, whose clocks differ.
const MARGIN: i64 = 10_000;

/// The bound of one store.
#[derive(Default)]
pub(super) struct EarliestDue(Mutex<State>);

struct State {
    bound: i64,
    /// The earliest due time that this host has scheduled since the last look began.
    scheduled: i64,
    moved: Option<Instant>,
    renewed: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            bound: 0,
            scheduled: i64::MAX,
            moved: None,
            renewed: None,
        }
    }
}

impl EarliestDue {
    /// Notes that this host has scheduled a wakeup, which is in the database now.
    pub(super) fn note(&self, due: i64) {
        let mut state = self.0.lock();
        state.scheduled = state.scheduled.min(due);
        state.bound = state.bound.min(due);
    }

    /// Returns a time before which no wakeup is due, as far as it is known.
    pub(super) async fn bound(&self, store: &PostgresStore, now: Timestamp) -> Result<i64> {
        let most = to_millis(now).saturating_sub(MARGIN).max(0);
        let from = {
            let mut state = self.0.lock();
            let is_recent = |at: Option<Instant>, limit| at.is_some_and(|at| at.elapsed() < limit);
            if is_recent(state.moved, MOVED_EVERY) {
                return Ok(state.bound.min(most));
            }
            state.moved = Some(Instant::now());
            state.scheduled = i64::MAX;
            if is_recent(state.renewed, RENEWED_EVERY) {
                state.bound.min(most)
            } else {
                state.renewed = state.moved;
                0
            }
        };
        let values = [(&from as _, Type::INT8)];
        let rows = store.read(Lane::Slow, EARLIEST, &values).await?;
        let found: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?;
        let mut state = self.0.lock();
        let found = found.map_or(i64::MAX, |due| due.saturating_sub(MARGIN));
        state.bound = found.min(most).min(state.scheduled).max(0);
        Ok(state.bound)
    }
}
