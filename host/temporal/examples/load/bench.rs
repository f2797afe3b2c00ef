//! The waves: each refreshes every customer once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::stream::{self, StreamExt as _};
use relation_host::AddRequest;
use relation_host::clock::{Clock as _, SystemClock};
use relation_host::types::Pkid;
use relation_temporal::customer::{SparkCustomer, workflow_id};
use relation_test_postgres::{Cluster, Database};
use secrecy::SecretString;
use serde_json::json;
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowSignalOptions};
use tokio::process::{Child, Command};
use webex_emulator::{DEFAULT_SCOPES, Emulator};

use crate::processes::{processor_time, processor_time_with_children};
use crate::report::{Figures, History, Recovery, Wave};
use crate::support::customer::refreshes;
use crate::support::{self, World, WorldOptions};

/// The settings of the server, such as those in production. `fsync` and `synchronous_commit` are on.
const SETTINGS: &str = "shared_buffers = 512MB\nmax_wal_size = 2GB\ncheckpoint_timeout = 15min\n";
/// The pause between two looks at the progress of a wave.
const LOOK: Duration = Duration::from_millis(100);
/// The longest time of a wave.
const LIMIT: Duration = Duration::from_secs(1800);
/// The number of workflows whose histories are read.
const SAMPLES: usize = 50;
/// Signals in flight.
const SIGNALS: usize = 16;
/// A call of a living process ends sooner after its begin.
const CALL_TIME: Duration = Duration::from_secs(3);

/// Runs all waves.
pub async fn measure(customers: usize, server_in_memory: bool) -> Result<Figures> {
    let bench = Bench::start(customers, server_in_memory).await?;
    bench.add().await?;

    note("workers: the first refreshes");
    bench.make_due(Duration::ZERO)?;
    let mut workers = [bench.world.worker(), bench.world.worker()];
    let started = bench.wave(&workers, Duration::ZERO).await?;

    note("workers: refreshes by durable timers");
    // To read the new time is less work than a refresh.
    let lead = Duration::from_secs_f64(started.seconds / 2.0) + Duration::from_secs(15);
    let due = bench.set_timers(lead).await?;
    let before = bench.histories().await?;
    let timers = bench
        .wave(&workers, due.saturating_duration_since(Instant::now()))
        .await?;
    let history = bench.growth(&before).await?;

    note("workers: one is killed");
    let due = bench.set_timers(lead).await?;
    tokio::time::sleep_until(due.into()).await;
    let worker_killed = bench.kill(&mut workers[0]).await?;
    workers[1].kill().await?;

    note("dispatchers");
    bench.make_due(Duration::ZERO)?;
    let mut dispatchers = [bench.dispatcher()?, bench.dispatcher()?];
    let dispatched = bench.wave(&dispatchers, Duration::ZERO).await?;

    note("dispatchers: one is killed");
    bench.make_due(Duration::ZERO)?;
    let dispatcher_killed = bench.kill(&mut dispatchers[0]).await?;
    dispatchers[1].kill().await?;

    Ok(Figures {
        customers,
        server_in_memory,
        started,
        timers,
        history,
        worker_killed,
        dispatchers: dispatched,
        dispatcher_killed,
        token_requests: refreshes(&bench.world),
    })
}

/// The servers and the customers.
struct Bench {
    world: World,
    cluster: Cluster,
    database: Database,
    customers: usize,
}

impl Bench {
    async fn start(customers: usize, in_memory: bool) -> Result<Self> {
        let program = support::server_program().context("the program `temporal` is needed")?;
        let cluster = Cluster::start(SETTINGS)?.context("PostgreSQL is needed")?;
        let database = cluster.database()?;
        let options = WorldOptions {
            store: database.url().to_owned(),
            in_memory,
            ..WorldOptions::default()
        };
        let webex = Emulator::builder().recorded_requests(20 * customers);
        Ok(Self {
            world: World::start_with(&program, webex, options).await,
            cluster,
            database,
            customers,
        })
    }

    /// Adds the customers, with tokens. Their only wakeup that becomes due is the refresh.
    async fn add(&self) -> Result<()> {
        for number in 0..self.customers {
            let organization = self
                .world
                .webex
                .create_organization(&format!("Customer {number}"));
            let grant = self.world.webex.grant(&organization, DEFAULT_SCOPES);
            let tokens = json!({
                "access_token": grant.access_token(),
                "refresh_token": grant.refresh_token(),
                "expires_in": 1_209_599,
                "refresh_token_expires_in": 7_775_999,
            });
            let fields =
                json!({ "name": organization.display_name, "account_number": organization.id });
            let request = AddRequest {
                hierarchy: format!("sys.Provider.Customer{number}").parse()?,
                fields: fields.as_object().cloned().unwrap_or_default(),
                token_response: Some(SecretString::from(tokens.to_string())),
                idempotency_key: None,
            };
            let _added = self.world.parts.host.add(request).await?;
        }
        self.sql("UPDATE relation.wakeups SET due = due + 31536000000 WHERE id <> 'refresh'")?;
        self.sql("VACUUM ANALYZE")?;
        note(&format!("added {} customers", self.customers));
        Ok(())
    }

    /// Starts a dispatcher of the host on the same store.
    fn dispatcher(&self) -> Result<Child> {
        let config = self.world.directory().join("host.toml");
        let text = std::fs::read_to_string(self.world.directory().join("relation.toml"))?;
        std::fs::write(
            &config,
            text.replace("engine = \"temporal\"", "engine = \"host\""),
        )?;
        let started = Command::new(std::env::current_exe()?)
            .arg("--dispatcher")
            .arg(config)
            .kill_on_drop(true)
            .spawn();
        started.context("the dispatcher")
    }

    fn sql(&self, statement: &str) -> Result<String> {
        self.cluster.execute(self.database.name(), statement)
    }

    fn count(&self, rows: &str) -> Result<usize> {
        let count = self.sql(&format!("SELECT count(*) FROM relation.{rows}"))?;
        count.trim().parse().context("a number")
    }

    /// Makes the refresh of all customers due after a time.
    fn make_due(&self, after: Duration) -> Result<()> {
        let due = SystemClock::new().now().after(after).0;
        self.sql(&format!(
            "UPDATE relation.wakeups SET due = {due}, scheduled = {due}, deadline = DEFAULT, attempts = 0,
                revision = nextval('relation.numbers') WHERE id = 'refresh'"
        ))?;
        Ok(())
    }

    /// Returns the number of customers whose refresh is still to come. All have a next refresh after days.
    fn remaining(&self) -> Result<usize> {
        let soon = SystemClock::new().now().after(Duration::from_secs(3600)).0;
        self.count(&format!("wakeups WHERE id = 'refresh' AND due < {soon}"))
    }

    /// Makes all refreshes due after `lead`, and lets each workflow start its timer for it. Returns the due time.
    async fn set_timers(&self, lead: Duration) -> Result<Instant> {
        self.make_due(lead)?;
        let due = Instant::now() + lead;
        let pkids = self.pkids()?;
        let signals = stream::iter(pkids).map(|pkid| async move {
            let client = &self.world.client;
            let handle = client.get_workflow_handle::<SparkCustomer>(workflow_id(&pkid));
            let options = WorkflowSignalOptions::default();
            handle.signal(SparkCustomer::wake, (), options).await
        });
        let mut signals = signals.buffer_unordered(SIGNALS);
        while let Some(signaled) = signals.next().await {
            signaled?;
        }
        note(&format!(
            "all workflows are signaled, {:.1} s before the refreshes are due",
            due.saturating_duration_since(Instant::now()).as_secs_f64()
        ));
        // The workflows read the new time meanwhile.
        let rest = due.saturating_duration_since(Instant::now());
        tokio::time::sleep(rest.saturating_sub(Duration::from_secs(3))).await;
        Ok(due)
    }

    fn pkids(&self) -> Result<Vec<Pkid>> {
        let rows =
            self.sql("SELECT pkid FROM relation.wakeups WHERE id = 'refresh' ORDER BY pkid")?;
        let pkids = rows.lines().map(|row| Ok(row.parse()?));
        pkids.collect()
    }

    /// Waits until all customers are refreshed. The time begins after `rest`, or with the first refresh if that is zero.
    async fn wave(&self, processes: &[Child; 2], rest: Duration) -> Result<Wave> {
        let cpu = || {
            let pids = processes.iter().filter_map(Child::id);
            let workers: Duration = pids.map(processor_time).sum();
            let server = self.world.server().id().map(processor_time);
            let postgres = self.postmaster().map(processor_time_with_children);
            [
                workers,
                server.unwrap_or_default(),
                postgres.unwrap_or_default(),
            ]
        };
        tokio::time::sleep(rest).await;
        let limit = Instant::now() + LIMIT;
        let mut before = cpu();
        let mut began = Instant::now();
        if rest.is_zero() {
            let all = self.remaining()?;
            ensure!(all == self.customers, "{all} customers are due");
            while self.remaining()? == self.customers {
                ensure!(Instant::now() < limit, "no refresh in time");
                before = cpu();
                began = Instant::now();
                tokio::time::sleep(LOOK).await;
            }
        }
        self.wait_for_all(limit).await?;
        let seconds = began.elapsed().as_secs_f64();
        let after = cpu();
        let per_refresh = |index: usize| {
            let used = |times: &[Duration; 3]| times.get(index).copied().unwrap_or_default();
            let used = used(&after).saturating_sub(used(&before));
            used.as_secs_f64() * 1000.0 / self.customers as f64
        };
        let wave = Wave {
            seconds,
            per_second: self.customers as f64 / seconds,
            workers_ms: per_refresh(0),
            server_ms: per_refresh(1),
            postgres_ms: per_refresh(2),
        };
        note(&format!(
            "{:.1} s, {:.0} refreshes/s",
            wave.seconds, wave.per_second
        ));
        Ok(wave)
    }

    async fn wait_for_all(&self, limit: Instant) -> Result<()> {
        let mut told = Instant::now();
        loop {
            let remaining = self.remaining()?;
            if remaining == 0 {
                return Ok(());
            }
            if told.elapsed() > Duration::from_secs(10) {
                note(&format!("{remaining} customers remain"));
                told = Instant::now();
            }
            ensure!(Instant::now() < limit, "{remaining} customers remain");
            tokio::time::sleep(LOOK).await;
        }
    }

    fn postmaster(&self) -> Option<u32> {
        let file: PathBuf = self.cluster.directory().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Kills a process when half of the customers are refreshed, and as many calls as may run wait for Webex. Its calls are
    /// those that a living process would have ended meanwhile.
    async fn kill(&self, process: &mut Child) -> Result<Recovery> {
        let limit = Instant::now() + LIMIT;
        while self.remaining()? > self.customers / 2 {
            ensure!(Instant::now() < limit, "half of the refreshes are not done");
            tokio::time::sleep(LOOK / 4).await;
        }
        let gate = self.world.webex.gate("/v1/access_token");
        let mut arrivals = 0;
        while arrivals == 0 || gate.arrivals() > arrivals {
            ensure!(Instant::now() < limit, "no request arrives");
            arrivals = gate.arrivals();
            tokio::time::sleep(CALL_TIME).await;
        }
        process.kill().await?;
        gate.release();
        let killed = Instant::now();
        let now = SystemClock::new().now().0;
        let remaining = self.remaining()?;
        tokio::time::sleep(CALL_TIME).await;
        let mut interrupted: Vec<String> = {
            let rows = self.sql(&format!(
                "SELECT pkid FROM relation.leases WHERE epoch <> 0 AND began < {now}"
            ))?;
            rows.lines().map(str::to_owned).collect()
        };
        let count = interrupted.len();
        let mut interrupted_s = 0.0;
        while !interrupted.is_empty() {
            let soon = SystemClock::new().now().after(Duration::from_secs(3600)).0;
            let rows = self.sql(&format!(
                "SELECT pkid FROM relation.wakeups WHERE id = 'refresh' AND due < {soon}"
            ))?;
            interrupted.retain(|pkid| rows.lines().any(|row| row == pkid));
            interrupted_s = killed.elapsed().as_secs_f64();
            ensure!(
                Instant::now() < limit,
                "{} interrupted calls",
                interrupted.len()
            );
            tokio::time::sleep(LOOK).await;
        }
        self.wait_for_all(limit).await?;
        let recovery = Recovery {
            interrupted: count,
            interrupted_s,
            remaining,
            all_s: killed.elapsed().as_secs_f64(),
        };
        note(&format!(
            "{count} interrupted calls are refreshed after {interrupted_s:.1} s, all customers after {:.1} s",
            recovery.all_s
        ));
        Ok(recovery)
    }

    /// Returns the numbers of events and bytes of some histories.
    async fn histories(&self) -> Result<Vec<(usize, usize)>> {
        let mut sizes = Vec::new();
        for pkid in self.pkids()?.iter().take(SAMPLES) {
            let client = &self.world.client;
            let handle = client.get_workflow_handle::<SparkCustomer>(workflow_id(pkid));
            let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
            let events = history.into_events().await?;
            let bytes = events.iter().map(prost::Message::encoded_len).sum();
            sizes.push((events.len(), bytes));
        }
        Ok(sizes)
    }

    /// Returns the mean growth of the histories since `before`.
    async fn growth(&self, before: &[(usize, usize)]) -> Result<History> {
        // The last steps of the workflows end after the refreshes.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = self.histories().await?;
        let grown = before.iter().zip(&after);
        let (mut events, mut bytes) = (0, 0);
        for ((old_events, old_bytes), (new_events, new_bytes)) in grown {
            events += new_events - old_events;
            bytes += new_bytes - old_bytes;
        }
        let sampled = after.len();
        Ok(History {
            events: events as f64 / sampled as f64,
            bytes: bytes as f64 / sampled as f64,
            sampled,
        })
    }
}

fn note(text: &str) {
    eprintln!("{text}");
}
