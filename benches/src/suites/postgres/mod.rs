//! Measures hosts on PostgreSQL: against hand-written SQL, two hosts against one, and costs by the number of stored
//! customers. Starts a server of its own, with the durability of production.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relation_host::clock::{Clock as _, SystemClock};
use relation_test_postgres::Database;

use self::server::Server;
use self::worker::open;
use super::refresh::GOAL_LANES;
use super::stored::{self, FilledStore, Work};
use super::{Plan, note};
use crate::customers::{self, Extent};
use crate::floor::Appender;
use crate::measure::{Measurement, Meter, Percentiles, Series, serially};
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::side::Side;
use crate::token_server::TokenServer;

mod fill;
mod plain;
mod server;
mod worker;

pub use worker::{PostgresWorker, work};

pub const TITLE: &str =
    "hosts on PostgreSQL: against plain SQL, two against one, by stored customers";

/// The bounds of the host's rate to that of one plain loop.
const TO_ONE_LOOP: Bounds = Bounds::goal(Bound::AtLeast(0.6)).and_limit(Bound::AtLeast(0.3));
/// The bounds of the host's rate to that of as many plain loops as the host has refreshes in flight.
const TO_LOOPS: Bounds = Bounds::limit(Bound::AtLeast(0.1));
/// The bounds of the rate of two hosts to that of one.
const TO_ONE_HOST: Bounds = Bounds::goal(Bound::AtLeast(1.6)).and_limit(Bound::AtLeast(1.2));
/// The bounds of the costs in the large store to those in the small one.
const TO_SMALL: Bounds = Bounds::goal(Bound::AtMost(1.5)).and_limit(Bound::AtMost(3.0));

/// Calls in flight of each host where the token endpoint is the limit.
const FEW_LANES: usize = 8;
/// The time of a response there.
const SLOW: Duration = Duration::from_millis(100);
/// The plain loops refresh so many times as many customers as a host.
const PLAIN_FACTOR: u64 = 4;
/// The time after which each host knows which others run, and leaves them their share of what is due.
const SETTLING: Duration = Duration::from_secs(21);

const WORKS: [(Work, &str); 6] = [
    (Work::Page, "list: the first page of 50"),
    (Work::NodePage, "list: a page of 50 at one node and below"),
    (Work::StatePage, "list: a page of 50 in one state"),
    (Work::Show, "show: one of 1000 records that are in use"),
    (Work::FindDue, "find due wakeups: 32 of them"),
    (
        Work::Dispatch,
        "dispatch a wakeup: its share of the search, begin, end",
    ),
];

/// The database of the hosts, the customers in it, and the server.
struct Bench<'a> {
    plan: &'a Plan,
    server: &'a Server,
    hosts: Database,
    /// The customers, which are stored with all their documents. They are more than are refreshed in a slot.
    customers: u64,
}

impl Bench<'_> {
    fn key(&self) -> PathBuf {
        self.plan.directory.join("postgres.key")
    }

    fn slot(&self) -> Duration {
        self.plan.slot * 2
    }

    /// Prepares a side with this many refreshes in flight.
    fn side(&self, database: &Database, webex: &TokenServer, lanes: usize) -> Result<Command> {
        let program = std::env::current_exe().context("finding this program's own file")?;
        let mut side = Command::new(program);
        side.args(["--worker", &webex.address().to_string(), "--component"])
            .arg(&self.plan.component_file)
            .arg("--directory")
            .arg(&self.plan.directory)
            .arg("--cache")
            .arg(&self.plan.cache)
            .args(["--database", database.url(), "--key"])
            .arg(self.key())
            .args(["--in-flight", &lanes.to_string()]);
        Ok(side)
    }

    /// Stores the customers, and returns the bytes on the disk that each needs.
    async fn populate(&self) -> Result<f64> {
        let webex = self.plan.webex();
        let world = open(self.plan, self.hosts.url(), &self.key(), webex).await?;
        let before = self.size("pg_database_size(current_database())")?;
        let begun = Instant::now();
        customers::populate(&world.parts, 0, self.customers, Extent::Whole).await?;
        self.server.execute(&self.hosts, "VACUUM (ANALYZE)")?;
        let took = begun.elapsed().as_secs_f64();
        note(&format!(
            "postgres: {} whole customers in {took:.1} s",
            self.customers
        ));
        let after = self.size("pg_database_size(current_database())")?;
        Ok((after - before) / to_f64(self.customers))
    }

    fn size(&self, expression: &str) -> Result<f64> {
        self.server
            .number(&self.hosts, &format!("SELECT {expression}"))
    }

    /// Makes the refresh of all customers due.
    fn make_due(&self) -> Result<()> {
        let now = SystemClock::new().now().0;
        let make_due = format!(
            "UPDATE relation.wakeups SET due = {now}, scheduled = {now}, deadline = DEFAULT, attempts = 0,
                revision = nextval('relation.numbers') WHERE id = 'refresh'"
        );
        self.server.execute(&self.hosts, &make_due)?;
        // The rows before the update are not those of a host.
        self.server
            .execute(&self.hosts, "VACUUM relation.wakeups")?;
        Ok(())
    }
}

/// The rounds of a side with the work of the server for it.
#[derive(Default)]
struct Rounds {
    side: Series,
    /// Microseconds of the server's processor time per refresh.
    server_cpu: Vec<f64>,
    /// Kilobytes of the server's log per refresh.
    wal: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, bench: &Bench<'_>, side: &mut Side, customers: u64) -> Result<()> {
        let wal = bench.server.wal_bytes(&bench.hosts)?;
        let cpu = bench.server.read_cpu()?;
        let slot = side.run(bench.slot())?;
        let used = bench.server.read_cpu()?.since(&cpu);
        let written = bench.server.wal_bytes(&bench.hosts)? - wal;
        ensure!(
            slot.done < customers,
            "all {customers} customers were refreshed before the slot ended: choose a shorter --slot"
        );
        let done = to_f64(slot.done.max(1));
        self.server_cpu.push(used.as_secs_f64() * 1e6 / done);
        self.wal.push(written / 1e3 / done);
        self.side.add(slot);
        Ok(())
    }

    fn rate(&self, label: &str) -> Result<Row> {
        let rate = self.side.percentiles(Measurement::rate)?;
        let cpu = self.side.percentiles(Measurement::cpu_each)?;
        Ok(Row::new(label, rate, Unit::PerSecond).cpu(cpu))
    }
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report {
        bench: "postgres",
        title: TITLE,
        rows: Vec::new(),
        notes: Vec::new(),
    };
    let Some(server) = Server::start()? else {
        let skipped = "SKIPPED: PostgreSQL is not installed (apt-get install postgresql)";
        report.notes.push(skipped.to_owned());
        return Ok(report);
    };
    let bench = Bench {
        plan,
        hosts: server.database()?,
        server: &server,
        customers: if plan.quick { 64 } else { 8192 },
    };
    let whole = bench.populate().await?;
    report.rows.extend(against_plain(&bench)?);
    report.rows.extend(two_hosts(&bench)?);
    report.rows.push(flat(
        "bytes of a whole customer",
        whole / 1e3,
        Unit::Kilobytes,
    )?);
    report.rows.extend(by_stored(&bench).await?);
    report.rows.push(disk(&bench).await?);
    report.notes.extend(NOTES.map(str::to_owned));
    Ok(report)
}

/// Measures a host against the plain loops, and what a refresh costs.
fn against_plain(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (plan, server) = (bench.plan, bench.server);
    let (tables, one_table) = (server.database()?, server.database()?);
    let webex = &plan.server;
    let plain_customers = bench.customers * PLAIN_FACTOR;
    let start_plain = |database: &Database, lanes: usize| {
        let mut side = bench.side(database, webex, lanes)?;
        Side::start(side.args(["--plain", &plain_customers.to_string()]))
    };
    let mut plain = start_plain(&tables, GOAL_LANES)?;
    let mut one_loop = start_plain(&one_table, 1)?;
    let mut host = Side::start(&mut bench.side(&bench.hosts, webex, GOAL_LANES)?)?;
    let connections = server.number(
        &bench.hosts,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'relation-host'",
    )?;
    let [mut by_host, mut by_plain, mut by_one_loop] = <[Rounds; 3]>::default();
    for round in 0..=plan.rounds {
        note(&format!(
            "postgres: host and plain SQL, round {round}/{}",
            plan.rounds
        ));
        bench.make_due()?;
        for database in [&tables, &one_table] {
            server.execute(database, plain::MAKE_DUE)?;
            server.execute(database, "VACUUM customers")?;
        }
        // Round 0 opens connections and fills caches.
        if round == 0 {
            host.run(plan.slot / 2)?;
            plain.run(plan.slot / 2)?;
            one_loop.run(plan.slot / 2)?;
            continue;
        }
        by_host.add(bench, &mut host, bench.customers)?;
        by_plain.add(bench, &mut plain, plain_customers)?;
        by_one_loop.add(bench, &mut one_loop, plain_customers)?;
    }
    let mut after_checkpoint = Rounds::default();
    bench.make_due()?;
    server.execute(&bench.hosts, "CHECKPOINT")?;
    after_checkpoint.add(bench, &mut host, bench.customers)?;

    let kept = bench.size(
        "(pg_total_relation_size('relation.transactions') + pg_total_relation_size('relation.transaction_nodes')
            + pg_total_relation_size('relation.transaction_news'))::float8
            / (SELECT count(*) FROM relation.transactions)",
    )?;
    let marker = bench.size(
        "pg_total_relation_size('relation.writes')::float8 / (SELECT count(*) FROM relation.writes)",
    )?;
    let to_loops = by_host.side.ratio(&by_plain.side, Measurement::rate)?;
    let to_one_loop = by_host.side.ratio(&by_one_loop.side, Measurement::rate)?;
    let loops = format!("plain SQL, {GOAL_LANES} loops");
    let single = "plain SQL, one loop";
    let by_cpu = total_cpu_ratio(&by_host, &by_plain)?;
    let figure = |label: &str, values: &[f64], unit| {
        let values = Percentiles::from_values(values.iter().copied());
        anyhow::Ok(Row::new(
            label,
            values.context("nothing was measured")?,
            unit,
        ))
    };
    let host_cpu = by_host.side.percentiles(Measurement::cpu_each)?;
    Ok(vec![
        by_host
            .rate(&format!("host, {GOAL_LANES} in flight"))?
            .ratio(single, to_one_loop, TO_ONE_LOOP)
            .ratio(&loops, to_loops, TO_LOOPS)
            .ratio(
                "plain SQL, processor time with the server's",
                by_cpu,
                Bounds::NONE,
            ),
        by_plain.rate(&loops)?,
        by_one_loop.rate(single)?,
        Row::new(
            "processor time of one refresh, the host",
            host_cpu,
            Unit::Micros,
        ),
        figure(
            "processor time of one refresh, the server",
            &by_host.server_cpu,
            Unit::Micros,
        )?,
        figure(
            "processor time of one refresh, the server, plain SQL",
            &by_plain.server_cpu,
            Unit::Micros,
        )?,
        figure("WAL of one refresh", &by_host.wal, Unit::Kilobytes)?,
        figure(
            "WAL of one refresh, plain SQL",
            &by_plain.wal,
            Unit::Kilobytes,
        )?,
        figure(
            "WAL of one refresh, right after a checkpoint",
            &after_checkpoint.wal,
            Unit::Kilobytes,
        )?,
        flat(
            "disk for one refresh while its transaction is kept",
            kept / 1e3,
            Unit::Kilobytes,
        )?,
        flat(
            "disk for one write, for a day",
            marker / 1e3,
            Unit::Kilobytes,
        )?,
        flat("connections of a host", connections, Unit::Count)?,
    ])
}

/// Returns the processor time of the plain loops to the host's, each with that of the server, round by round.
fn total_cpu_ratio(host: &Rounds, plain: &Rounds) -> Result<Percentiles> {
    let total = |rounds: &Rounds| {
        let own = rounds.side.values(Measurement::cpu_each);
        let both = own.zip(rounds.server_cpu.clone());
        both.map(|(own, server)| own + server).collect::<Vec<_>>()
    };
    let ratios = total(plain).into_iter().zip(total(host));
    Percentiles::from_values(ratios.map(|(plain, host)| plain / host.max(f64::MIN_POSITIVE)))
        .context("nothing was measured")
}

/// Measures two hosts against one, where the token endpoint is the limit.
fn two_hosts(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let plan = bench.plan;
    let (delay, settling) = if plan.quick {
        (Duration::from_millis(5), Duration::ZERO)
    } else {
        (SLOW, SETTLING)
    };
    let webex = TokenServer::start_with(delay)?;
    let start = || Side::start(&mut bench.side(&bench.hosts, &webex, FEW_LANES)?);
    let mut first = start()?;
    let [mut alone, mut both] = <[Series; 2]>::default();
    let warm = plan.slot / 2;
    let measure = |sides: &mut [Side], warm: Duration| {
        bench.make_due()?;
        let slot = bench.slot();
        for side in sides.iter_mut() {
            side.begin(warm + slot + plan.slot / 4)?;
        }
        std::thread::sleep(warm);
        let (before, meter) = (webex.served(), Meter::start());
        std::thread::sleep(slot);
        let measured = meter.stop(webex.served() - before);
        let mut done = 0;
        for side in sides {
            done += side.end()?.done;
        }
        ensure!(
            done < bench.customers,
            "all customers were refreshed before the slot ended"
        );
        anyhow::Ok(measured)
    };
    // A host that runs has a share of what is due, even if it does nothing: so the second one starts later.
    note("postgres: one host");
    measure(std::slice::from_mut(&mut first), settling)?;
    for _ in 0..plan.rounds {
        alone.add(measure(std::slice::from_mut(&mut first), warm)?);
    }
    note("postgres: two hosts");
    let mut sides = [first, start()?];
    measure(&mut sides, settling)?;
    for _ in 0..plan.rounds {
        both.add(measure(&mut sides, warm)?);
    }
    let limit = format!(
        "{FEW_LANES} in flight each, {} ms a token request",
        delay.as_millis()
    );
    let ratio = both.ratio(&alone, Measurement::rate)?;
    let rate = |label: &str, side: &Series| {
        let rate = side.percentiles(Measurement::rate)?;
        anyhow::Ok(Row::new(format!("{label}, {limit}"), rate, Unit::PerSecond))
    };
    Ok(vec![
        rate("two hosts", &both)?.ratio("one host", ratio, TO_ONE_HOST),
        rate("one host", &alone)?,
    ])
}

/// Measures the costs in a small and in a large store.
async fn by_stored(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (plan, server) = (bench.plan, bench.server);
    let large = plan.sizes.last().copied().context("no size")?;
    let mut stores = Vec::new();
    let mut bytes = 0.0;
    for customers in [(large / 100).max(100), large] {
        let database = server.database()?;
        let key = plan.directory.join(format!("postgres-{customers}.key"));
        let world = open(plan, database.url(), &key, plan.webex()).await?;
        let size = "SELECT pg_database_size(current_database())";
        let empty = server.number(&database, size)?;
        customers::populate(&world.parts, 0, 1, Extent::Record).await?;
        fill::copy_customer(server, &database, customers)?;
        bytes = (server.number(&database, size)? - empty) / to_f64(customers);
        stores.push(FilledStore::with_world(world, customers));
    }
    let bounds = |_, _| TO_SMALL;
    let mut rows = stored::compare(plan, "postgres", &WORKS, &mut stores, bounds).await?;
    let label = format!("bytes of a customer without data syncs and schedules; {large} stored");
    rows.push(flat(&label, bytes / 1e3, Unit::Kilobytes)?);
    Ok(rows)
}

/// Measures the disk of the server.
async fn disk(bench: &Bench<'_>) -> Result<Row> {
    let appender = Appender::start(bench.server.directory(), "fdatasync", false)?;
    let mut series = Series::default();
    for _ in 0..bench.plan.rounds {
        series.add(serially(bench.plan.slot / 4, async || appender.append().await).await?);
    }
    let each = series.percentiles(Measurement::each)?;
    Ok(Row::new(
        "one durable write of 4 KiB to the server's disk",
        each,
        Unit::Micros,
    ))
}

fn flat(label: &str, value: f64, unit: Unit) -> Result<Row> {
    let value = Percentiles::from_values([value]).context("no value")?;
    Ok(Row::new(label, value, unit))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of operations are far below 2^53"
)]
fn to_f64(count: u64) -> f64 {
    count as f64
}

const NOTES: [&str; 4] = [
    "a server of its own with fsync, full_page_writes and synchronous_commit on, below /tmp, behind a Unix socket; \
     hosts, server and token endpoint share this machine",
    "plain SQL: per refresh a claim with FOR UPDATE SKIP LOCKED, the same request by the same HTTP client, and one \
     transaction with the sealed tokens, the next due time and a row of history; a connection for each of its loops; no \
     component, no log of a call, no limits, no schedules",
    "ratios to plain SQL and to one host are of rates: higher is better; those to fewer stored customers are of times: \
     lower is better",
    "CPU EACH is that of the side alone, without server and token endpoint",
];
