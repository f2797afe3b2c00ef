//! The state of a database and its server, for a person who checks it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connections::Shared;
use super::migrations::MIGRATIONS;
use super::open::{OpenError, connect_once, schema_version};
use super::options::PostgresOptions;
use super::servers::Servers;
use super::{Lane, PostgresStore};

/// The tables whose dead rows slow the store down when they are not removed.
const BUSY_TABLES: &[&str] = &["documents", "leases", "wakeups", "writes"];

const SETTINGS: &str = "SELECT
    current_setting('server_version'),
    current_setting('fsync') = 'on',
    current_setting('full_page_writes') = 'on',
    current_setting('synchronous_commit'),
    current_setting('synchronous_standby_names'),
    current_setting('transaction_read_only') = 'on',
    (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid())";

/// Only members of `pg_read_all_stats` see the start of other users' sessions.
const OLDEST_TRANSACTION: &str =
    "SELECT (1000 * extract(epoch FROM max(clock_timestamp() - began)))::bigint FROM (
    SELECT xact_start AS began FROM pg_catalog.pg_stat_activity WHERE pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    UNION ALL SELECT prepared FROM pg_catalog.pg_prepared_xacts) AS transactions";

const DEAD_ROWS: &str = "SELECT coalesce(sum(n_dead_tup), 0)::bigint
    FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'relation'";

const ROWS: &str =
    "SELECT relname::text, n_live_tup, n_dead_tup FROM pg_catalog.pg_stat_user_tables
    WHERE schemaname = 'relation' AND relname::text = ANY($1) ORDER BY relname";

const HOSTS: &str =
    "SELECT id, name, version, (1000 * extract(epoch FROM clock_timestamp() - seen))::bigint
    FROM relation.holders WHERE isfinite(seen) ORDER BY seen DESC";

pub(super) const NOW: &str = "SELECT (1000 * extract(epoch FROM clock_timestamp()))::bigint";

/// The state of a database and its server.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The server's version, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: String,
    /// The version of the schema; 0: there is none yet.
    pub schema_version: u64,
    /// The version of the schema that this release brings a database to.
    pub known_schema_version: u64,
    /// Whether the connection is encrypted. Behind PgBouncer: its connection to the server.
    pub tls: bool,
    /// Whether the server refuses writes, such as a standby.
    pub read_only: bool,
    /// Whether the server flushes commits to its disk. Without it, a crash loses and damages data.
    pub fsync: bool,
    /// Whether the server logs whole pages. Without it, a crash can damage data.
    pub full_page_writes: bool,
    /// The server's `synchronous_commit` for this user: `off` can lose acknowledged commits.
    pub synchronous_commit: String,
    /// The standbys that a commit waits for. Empty: a failover to a standby can lose acknowledged commits.
    pub synchronous_standby_names: String,
    /// The database's clock minus this machine's, in milliseconds.
    pub clock_skew_millis: i64,
    /// The age of the oldest open transaction of all databases. Dead rows newer than it cannot be removed.
    pub oldest_transaction: Option<Duration>,
    /// The rows of the busiest tables.
    pub tables: Vec<TableRows>,
    /// The hosts that use the store, the latest seen first.
    pub hosts: Vec<HostSeen>,
}

/// The estimated numbers of rows of a table.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The name of the table.
    pub table: String,
    /// The number of rows.
    pub live: u64,
    /// The number of dead rows, which the autovacuum removes.
    pub dead: u64,
}

/// A host that uses the store.
#[derive(Clone, Debug)]
pub struct HostSeen {
    /// Its id in this store, new at each start.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The time since its last heartbeat, by the database's clock.
    pub seen_ago: Duration,
}

impl PostgresStore {
    /// Reads the state of a database and its server. Changes nothing, and brings no schema up to date.
    pub async fn inspect(options: &PostgresOptions) -> Result<Inspection, OpenError> {
        let live = connect_once(&Servers::new(options, true)?).await?;
        Ok(read(live.client()).await?)
    }
}

async fn read(client: &Client) -> Result<Inspection, tokio_postgres::Error> {
    let settings = client.query_typed_one(SETTINGS, &[]).await?;
    let schema_version = schema_version(client).await?;
    let clock_skew_millis = measure_skew(client).await?;
    let oldest = client.query_typed_one(OLDEST_TRANSACTION, &[]).await?;
    let oldest: Option<i64> = oldest.try_get(0)?;
    let mut tables = Vec::new();
    let mut hosts = Vec::new();
    if schema_version > 0 {
        for row in client
            .query_typed(ROWS, &[(&BUSY_TABLES, Type::TEXT_ARRAY)])
            .await?
        {
            tables.push(TableRows {
                table: row.try_get(0)?,
                live: row.try_get::<_, i64>(1)?.unsigned_abs(),
                dead: row.try_get::<_, i64>(2)?.unsigned_abs(),
            });
        }
        for row in client.query_typed(HOSTS, &[]).await? {
            hosts.push(HostSeen {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                version: row.try_get(2)?,
                seen_ago: to_duration(row.try_get(3)?),
            });
        }
    }
    Ok(Inspection {
        server_version: settings.try_get(0)?,
        schema_version,
        known_schema_version: MIGRATIONS.len() as u64,
        fsync: settings.try_get(1)?,
        full_page_writes: settings.try_get(2)?,
        synchronous_commit: settings.try_get(3)?,
        synchronous_standby_names: settings.try_get(4)?,
        read_only: settings.try_get(5)?,
        tls: settings.try_get::<_, Option<bool>>(6)?.unwrap_or(false),
        clock_skew_millis,
        oldest_transaction: oldest.map(to_duration),
        tables,
        hosts,
    })
}

/// Figures of the server, for metrics.
pub(super) struct ServerFigures {
    pub(super) dead_rows: u64,
    pub(super) oldest_transaction: Duration,
}

/// Reads the figures of the server that show whether old rows can be removed.
pub(super) async fn read_figures(shared: &Shared) -> super::error::Result<ServerFigures> {
    let dead = shared.read(Lane::Slow, DEAD_ROWS, &[]).await?;
    let dead: Option<i64> = dead.first().map(|row| row.try_get(0)).transpose()?;
    let oldest = shared.read(Lane::Slow, OLDEST_TRANSACTION, &[]).await?;
    let oldest = oldest.first().map(|row| row.try_get::<_, Option<i64>>(0));
    let oldest = oldest.transpose()?.flatten();
    Ok(ServerFigures {
        dead_rows: dead.unwrap_or_default().unsigned_abs(),
        oldest_transaction: oldest.map(to_duration).unwrap_or_default(),
    })
}

fn to_duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Returns the database's clock minus this machine's, in milliseconds. The error is at most half of the round trip.
pub(super) async fn measure_skew(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let sent = Instant::now();
    let row = client.query_typed_one(NOW, &[]).await?;
    let theirs: i64 = row.try_get(0)?;
    Ok(compare_clocks(theirs, sent.elapsed()))
}

/// Returns the database's clock minus this machine's, when the answer came after a round trip of the given length.
pub(super) fn compare_clocks(theirs: i64, round_trip: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let middle = now.saturating_sub(round_trip / 2).as_millis();
    theirs.saturating_sub(i64::try_from(middle).unwrap_or(i64::MAX))
}
