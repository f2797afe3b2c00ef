//! The sides of the benchmark, each a process of this program: a host, or the plain loops.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use relation_host::schedule::DispatcherOptions;
use relation_host::store::postgres::{PostgresOptions, PostgresStore};

use super::plain::PlainLoops;
use crate::measure::Meter;
use crate::phases::Phases;
use crate::side;
use crate::suites::Plan;
use crate::suites::refresh::GOAL_LANES;
use crate::world::BenchWorld;

// Arguments of a worker. A doc comment would replace that of the program.
#[derive(Debug, clap::Args)]
pub struct PostgresWorker {
    /// Run as a side of the benchmark `postgres`, on this database
    #[arg(long, value_name = "URL", hide = true, requires = "worker")]
    pub database: Option<String>,
    /// The file of the store's key
    #[arg(long, value_name = "FILE", hide = true, requires = "database")]
    key: Option<PathBuf>,
    /// The largest number of refreshes in flight
    #[arg(long, value_name = "N", hide = true, requires = "database")]
    in_flight: Option<usize>,
    /// Run hand-written SQL, with this many customers
    #[arg(long, value_name = "CUSTOMERS", hide = true, requires = "database")]
    plain: Option<u64>,
}

/// Runs a side in this process.
pub async fn work(
    plan: &Plan,
    webex: SocketAddr,
    url: &str,
    worker: &PostgresWorker,
) -> Result<()> {
    let lanes = worker.in_flight.unwrap_or(GOAL_LANES);
    if let Some(customers) = worker.plain {
        // For its sealer and its HTTP client.
        let world = plan.world_at("plain", webex).await?;
        let loops = PlainLoops::new(&world.parts, url, lanes, customers).await?;
        return side::serve(async |time| loops.run(time).await).await;
    }
    let key = worker.key.as_deref().context("no key")?;
    let world = open(plan, url, key, webex).await?;
    let dispatcher = world.host.dispatcher(DispatcherOptions {
        concurrency: lanes,
        ..DispatcherOptions::default()
    });
    side::serve(async |time| {
        let meter = Meter::start();
        let summary = dispatcher.run(tokio::time::sleep(time)).await;
        ensure!(summary.failed == 0, "the dispatcher summary {summary:?}");
        Ok(meter.stop(summary.refreshed))
    })
    .await
}

/// Opens a store, and creates a host on it.
pub async fn open(plan: &Plan, url: &str, key: &Path, webex: SocketAddr) -> Result<BenchWorld> {
    let mut options = PostgresOptions::new(url)?;
    options.host_name = format!("bench-{}", std::process::id());
    let store = Arc::new(PostgresStore::open(options).await?);
    BenchWorld::start(plan, store, key, webex, Phases::off().into()).await
}
