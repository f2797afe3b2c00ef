//! The benchmarks: one file each, and what they share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::phases::Phases;
use crate::report::Report;
use crate::token_server::TokenServer;
use crate::world::World;

pub mod commits;
pub mod fresh;
pub mod profile;
pub mod refresh;
pub mod stored;

/// Names in the order in which they run, with what they measure.
pub const BENCHES: [(&str, &str); 5] = [
    ("fresh", fresh::TITLE),
    ("refresh", refresh::TITLE),
    ("commits", commits::TITLE),
    ("stored", stored::TITLE),
    ("profile", profile::TITLE),
];

/// How much is measured, and with what.
pub struct Plan {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// Where the stores are made: on the disk that is to be measured.
    pub directory: PathBuf,
    /// The token endpoint.
    pub server: TokenServer,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// How long each side runs in each round.
    pub slot: Duration,
    /// Operations in flight.
    pub lanes: Vec<usize>,
    /// Customers stored, the smallest number first: the baseline.
    pub sizes: Vec<u64>,
}

impl Plan {
    /// A world on a new store called `name`.
    pub async fn world(&self, name: &str, phases: Phases) -> Result<World> {
        let directory: &Path = &self.directory;
        World::start(directory, name, &self.component, self.webex(), phases).await
    }

    /// Where the token endpoint listens.
    pub fn webex(&self) -> SocketAddr {
        self.server.address()
    }

    /// The most operations in flight.
    pub fn most_lanes(&self) -> usize {
        self.lanes.iter().copied().max().unwrap_or(1)
    }
}

/// Runs the benchmark `name`; none when there is no such.
pub async fn run(name: &str, plan: &Plan) -> Result<Option<Report>> {
    Ok(Some(match name {
        "fresh" => fresh::run(plan).await?,
        "refresh" => refresh::run(plan).await?,
        "commits" => commits::run(plan).await?,
        "stored" => stored::run(plan).await?,
        "profile" => profile::run(plan).await?,
        _ => return Ok(None),
    }))
}

/// Says on stderr what is being done.
pub fn note(text: &str) {
    eprintln!("    {text}");
}
