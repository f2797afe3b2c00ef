//! The tasks of an open store: its heartbeat, its clock, and the removal of old rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_postgres::types::Type;

use super::Lane;
use super::connections::{Shared, jitter};
use super::error::Result;
use super::inspect::{NOW, compare_clocks};

/// The time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
const CLOCK_CHECK: Duration = Duration::from_secs(60);
const REMOVAL: Duration = Duration::from_secs(10 * 60);

/// The number of rows that one statement removes.
const BATCH: i64 = 5000;

const BEAT: &str = "INSERT INTO relation.holders (id, name, version, seen)
    VALUES ($1, $2, $3, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET seen = excluded.seen";

const REMOVE_HOLDERS: &str =
    "DELETE FROM relation.holders WHERE seen < clock_timestamp() - interval '1 hour'";

/// Rows that another host removes are skipped.
const REMOVE_WRITES: &str = "WITH removed AS (
        DELETE FROM relation.writes WHERE id IN (
            SELECT id FROM relation.writes WHERE at < clock_timestamp() - interval '1 day'
            ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM removed";

/// The row of this host in the table of hosts.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) id: String,
    pub(super) name: String,
}

/// Stores that this host is alive.
pub(super) async fn beat(shared: &Shared, holder: &Holder) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    shared
        .read(
            Lane::Read,
            BEAT,
            &[
                (&holder.id, Type::TEXT),
                (&holder.name, Type::TEXT),
                (&version, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

/// Stores periodically that this host is alive.
pub(super) async fn keep_beating(shared: Arc<Shared>, holder: Holder) {
    repeat(HEARTBEAT, HEARTBEAT, async || beat(&shared, &holder).await).await;
}

/// Compares the clocks periodically.
pub(super) async fn watch_clock(shared: Arc<Shared>) {
    repeat(CLOCK_CHECK, CLOCK_CHECK, async || {
        let sent = Instant::now();
        let rows = shared.read(Lane::Read, NOW, &[]).await?;
        if let Some(row) = rows.first() {
            shared.note_skew(compare_clocks(row.try_get(0)?, sent.elapsed()));
        }
        Ok(())
    })
    .await;
}

/// Removes old rows periodically.
pub(super) async fn remove_periodically(shared: Arc<Shared>) {
    repeat(jitter(REMOVAL), REMOVAL, async || remove_old(&shared).await).await;
}

/// Removes the ids of writes after a day, and hosts that were not seen for an hour.
pub(super) async fn remove_old(shared: &Shared) -> Result<()> {
    shared.read(Lane::Slow, REMOVE_HOLDERS, &[]).await?;
    loop {
        let rows = shared
            .read(Lane::Slow, REMOVE_WRITES, &[(&BATCH, Type::INT8)])
            .await?;
        let removed: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        if removed < BATCH {
            return Ok(());
        }
    }
}

/// Repeats work. An error is not reported here: whatever else uses the database reports it.
async fn repeat(first: Duration, period: Duration, work: impl AsyncFn() -> Result<()>) {
    let mut times = tokio::time::interval_at((Instant::now() + first).into(), period);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if let Err(error) = work().await {
            tracing::debug!("upkeep of the database: {}", error.0);
        }
    }
}
