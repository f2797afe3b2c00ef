//! The tasks of an open store: its heartbeat, its clock, and the removal of old rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};
use tokio_postgres::types::Type;

use super::Lane;
use super::connections::{Connections, Shared, jitter};
use super::error::Result;
use super::inspect::{NOW, compare_clocks};
use crate::HostShare;

/// The time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
const CLOCK_CHECK: Duration = Duration::from_secs(60);
const REMOVAL: Duration = Duration::from_secs(10 * 60);

/// The number of rows that one statement removes.
const BATCH: i64 = 5000;

/// Returns how many other hosts run a dispatcher, how many of them have a lower id, and how many other hosts there are.
const BEAT: &str = "WITH beat AS (
        INSERT INTO relation.holders (id, name, version, seen, dispatches)
        VALUES ($1, $2, $3, clock_timestamp(), $4)
        ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, dispatches = excluded.dispatches
        WHERE holders.seen > '-infinity')
    SELECT count(*) FILTER (WHERE dispatches), count(*) FILTER (WHERE dispatches AND id < $1), count(*)
    FROM relation.holders WHERE id <> $1 AND seen > clock_timestamp() - interval '15 seconds'";

/// Stores that this host has ended: a late heartbeat does not change that any more.
const GOODBYE: &str = "UPDATE relation.holders SET seen = '-infinity' WHERE id = $1";

/// The time for the goodbye, which delays the end of a process. Without it, leases end by their time.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// A host that has said goodbye is removed by a recovery.
const REMOVE_HOLDERS: &str = "DELETE FROM relation.holders
    WHERE seen > '-infinity' AND seen < clock_timestamp() - interval '1 hour'";

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
    let dispatches = shared.dispatches();
    let rows = shared
        .read(
            Lane::Read,
            BEAT,
            &[
                (&holder.id, Type::TEXT),
                (&holder.name, Type::TEXT),
                (&version, Type::TEXT),
                (&dispatches, Type::BOOL),
            ],
        )
        .await?;
    if let Some(row) = rows.first() {
        let (others, lower): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let alive: i64 = row.try_get(2)?;
        let number = |count: i64| u32::try_from(count).unwrap_or_default();
        let share = HostShare::new(number(lower), number(others).saturating_add(1));
        shared.note_hosts(share, number(alive).saturating_add(1));
    }
    Ok(())
}

/// Stores that this host has ended. It uses a runtime of its own, because that of the store may end at this moment.
pub(super) fn say_goodbye(connections: &Connections, holder: &str) {
    let shared = connections.share();
    if shared.is_read_only() {
        return;
    }
    let holder = holder.to_owned();
    let saying = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.is_ok_and(|runtime| {
            let said = shared.run_alone(GOODBYE, &holder);
            runtime.block_on(async { tokio::time::timeout(GOODBYE_LIMIT, said).await.is_ok() })
        })
    });
    if !saying.join().unwrap_or_default() {
        tracing::debug!("the database was not told that this host has ended");
    }
}

/// Stores periodically that this host is alive.
pub(super) async fn keep_beating(shared: Arc<Shared>, holder: Holder) {
    let mut times = repeat(HEARTBEAT, HEARTBEAT);
    loop {
        times.tick().await;
        note(beat(&shared, &holder).await);
    }
}

/// Compares the clocks periodically.
pub(super) async fn watch_clock(shared: Arc<Shared>) {
    let mut times = repeat(CLOCK_CHECK, CLOCK_CHECK);
    loop {
        times.tick().await;
        note(check_clock(&shared).await);
    }
}

async fn check_clock(shared: &Shared) -> Result<()> {
    let sent = Instant::now();
    let rows = shared.read(Lane::Read, NOW, &[]).await?;
    if let Some(row) = rows.first() {
        shared.note_skew(compare_clocks(row.try_get(0)?, sent.elapsed()));
    }
    Ok(())
}

/// Removes old rows periodically.
pub(super) async fn remove_periodically(shared: Arc<Shared>) {
    let mut times = repeat(jitter(REMOVAL), REMOVAL);
    loop {
        times.tick().await;
        note(remove_old(&shared).await);
    }
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

fn repeat(first: Duration, period: Duration) -> Interval {
    let mut times = tokio::time::interval_at((Instant::now() + first).into(), period);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    times
}

/// Reports an error for debugging only: whatever else uses the database reports it too.
fn note(done: Result<()>) {
    if let Err(error) = done {
        tracing::debug!("upkeep of the database: {}", error.0);
    }
}
