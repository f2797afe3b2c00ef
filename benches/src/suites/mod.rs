//! The benchmarks, one file each, and their shared parts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use relation_host::Limits;
use relation_host::store::sqlite::SqliteOptions;
use relation_metrics::Metrics;

use crate::phases::Phases;
use crate::report::Report;
use crate::token_server::TokenServer;
use crate::world::{BenchWorld, Observation, open_store};

pub mod commits;
pub mod drain;
pub mod fresh;
pub mod instructions;
pub mod metrics;
pub mod postgres;
pub mod profile;
pub mod program;
pub mod refresh;
pub mod stored;
pub mod web;

/// Names in running order, each with its measured quantity.
pub const BENCHES: [(&str, &str); 11] = [
    ("fresh", fresh::TITLE),
    ("refresh", refresh::TITLE),
    ("drain", drain::TITLE),
    ("commits", commits::TITLE),
    ("program", program::TITLE),
    ("stored", stored::TITLE),
    ("web", web::TITLE),
    ("metrics", metrics::TITLE),
    ("instructions", instructions::TITLE),
    ("postgres", postgres::TITLE),
    ("profile", profile::TITLE),
];

/// The selected benchmarks, their size and their component.
pub struct Plan {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// The component's file.
    pub component_file: PathBuf,
    /// Directory for the stores, on the disk to measure.
    pub directory: PathBuf,
    /// Directory of the compiled component, which all worlds share.
    pub cache: PathBuf,
    /// The limits of a call.
    pub limits: Limits,
    /// The token endpoint.
    pub server: TokenServer,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// How long each side runs per round.
    pub slot: Duration,
    /// Numbers of operations in flight.
    pub lanes: Vec<usize>,
    /// Numbers of stored customers in ascending order; the smallest is the baseline.
    pub sizes: Vec<u64>,
    /// Number of due customers for a dispatcher.
    pub backlog: u64,
    /// Whether this is a run with tiny counts, whose figures mean nothing.
    pub quick: bool,
}

impl Plan {
    /// Creates a world on a new store called `name`.
    pub async fn world(&self, name: &str, phases: Phases) -> Result<BenchWorld> {
        self.start(name, self.webex(), phases.into()).await
    }

    /// Creates a world on a new store called `name`, whose host reports to these metrics.
    pub async fn world_with_metrics(&self, name: &str, metrics: Metrics) -> Result<BenchWorld> {
        let observation = Observation {
            phases: Phases::off(),
            metrics: Some(metrics),
        };
        self.start(name, self.webex(), observation).await
    }

    /// Creates a world on a new store called `name`, with the token endpoint of another process.
    pub async fn world_at(&self, name: &str, webex: SocketAddr) -> Result<BenchWorld> {
        self.start(name, webex, Phases::off().into()).await
    }

    async fn start(
        &self,
        name: &str,
        webex: SocketAddr,
        observation: Observation,
    ) -> Result<BenchWorld> {
        let store = open_store(&self.directory, name, &SqliteOptions::default())?;
        let key = self.directory.join(format!("{name}.key"));
        BenchWorld::start(self, store, &key, webex, observation).await
    }

    /// Returns the address of the token endpoint.
    pub fn webex(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the largest number of operations in flight.
    pub fn most_lanes(&self) -> usize {
        self.lanes.iter().copied().max().unwrap_or(1)
    }
}

/// Runs the benchmark `name`; returns `None` when it does not exist.
pub async fn run(name: &str, plan: &Plan) -> Result<Option<Report>> {
    Ok(Some(match name {
        "fresh" => fresh::run(plan).await?,
        "refresh" => refresh::run(plan).await?,
        "drain" => drain::run(plan).await?,
        "program" => program::run(plan).await?,
        "commits" => commits::run(plan).await?,
        "stored" => stored::run(plan).await?,
        "web" => web::run(plan).await?,
        "metrics" => metrics::run(plan).await?,
        "instructions" => instructions::run(plan).await?,
        "postgres" => postgres::run(plan).await?,
        "profile" => profile::run(plan).await?,
        _ => return Ok(None),
    }))
}

/// Reports progress on stderr.
pub fn note(text: &str) {
    eprintln!("    {text}");
}
