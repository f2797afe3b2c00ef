//! Compares the whole host with peers: programs that refresh tokens with common libraries, see
//! `benches/peers/README.md`.
//!
//! The host and each peer are the sides of the comparison (see [`Side`]). They take turns, round by round, and use the
//! same token endpoint.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::measure::{Measurement, Series, in_flight};
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::side::{self, Side};
use crate::suites::refresh::{CustomerRotation, refresh_through_component};
use crate::suites::{Plan, note};

pub const TITLE: &str = "one refresh: the whole host against what people run today";

/// The number of refreshes in flight on each side.
const IN_FLIGHT: usize = 32;
/// The number of customers on each side.
const CUSTOMERS: usize = 512;

/// The goal for the host's processor time per refresh, in microseconds.
const PROCESSOR_TIME: Bounds = Bounds::goal(Bound::AtMost(200.0));

/// The peers, each with the bounds of the ratio of the host's rate to the peer's.
const PEERS: [Peer; 3] = [
    Peer {
        name: "aiohttp with SQLite",
        interpreter: Interpreter::Python,
        program: "aiohttp_sqlite.py",
        bounds: Bounds::goal(Bound::AtLeast(5.0)).and_limit(Bound::AtLeast(0.35)),
    },
    Peer {
        name: "authlib, 32 threads",
        interpreter: Interpreter::Python,
        program: "authlib_threads.py",
        bounds: Bounds::goal(Bound::AtLeast(15.0)).and_limit(Bound::AtLeast(1.0)),
    },
    Peer {
        name: "Node with better-sqlite3",
        interpreter: Interpreter::Node,
        program: "node/refresh.mjs",
        bounds: Bounds::goal(Bound::AtLeast(4.0)).and_limit(Bound::AtLeast(0.3)),
    },
];

struct Peer {
    name: &'static str,
    interpreter: Interpreter,
    program: &'static str,
    bounds: Bounds,
}

#[derive(Clone, Copy)]
enum Interpreter {
    Python,
    Node,
}

/// Runs the comparison. The directory `peers` has the peers' programs, and their packages if they could be installed.
pub fn run(plan: &Plan, peers: &Path) -> Result<Report> {
    let endpoint = format!("http://{}/v1/access_token", plan.webex());
    let mut notes = Vec::new();
    let mut sides = Vec::new();
    for peer in &PEERS {
        let Some(mut command) = peer.command(peers) else {
            notes.push(format!("{} is not installed: it was skipped", peer.name));
            continue;
        };
        let database = plan.directory.join(format!("peer-{}.db", sides.len()));
        command
            .args(["--endpoint", &endpoint, "--database"])
            .arg(database)
            .args(["--customers", &CUSTOMERS.to_string()])
            .args(["--in-flight", &IN_FLIGHT.to_string()]);
        let side = Side::start(&mut command).with_context(|| peer.name)?;
        sides.push((peer, side, Series::default()));
    }
    let mut own = Command::new(std::env::current_exe().context("finding this program's own file")?);
    own.args(["--worker", &plan.webex().to_string(), "--component"])
        .arg(&plan.component_file)
        .arg("--directory")
        .arg(&plan.directory)
        .arg("--cache")
        .arg(&plan.cache);
    let mut host = Side::start(&mut own).context("the host")?;
    let mut series = Series::default();
    host.run(plan.slot / 8)?;
    for (_, side, _) in &mut sides {
        side.run(plan.slot / 8)?;
    }
    for round in 1..=plan.rounds {
        note(&format!("peers: round {round}/{}", plan.rounds));
        series.add(host.run(plan.slot)?);
        for (peer, side, series) in &mut sides {
            series.add(side.run(plan.slot).with_context(|| peer.name)?);
        }
    }

    let row = |label: &str, side: &Series| {
        let row = Row::new(label, side.percentiles(Measurement::rate)?, Unit::PerSecond);
        anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
    };
    let mut own = row("the whole host", &series)?;
    let mut rows = Vec::new();
    for (peer, _, side) in &sides {
        let ratio = series.ratio(side, Measurement::rate)?;
        own = own.ratio(peer.name, ratio, peer.bounds);
        rows.push(row(peer.name, side)?);
    }
    rows.insert(0, own);
    let processor_time = series.percentiles(Measurement::cpu_each)?;
    let row = Row::new(
        "processor time of one refresh, the whole process",
        processor_time,
        Unit::Micros,
    );
    rows.insert(1, row.bounds(PROCESSOR_TIME));
    notes.push(format!(
        "{IN_FLIGHT} in flight, {CUSTOMERS} customers; each side is a process, every refresh is on the disk when it counts"
    ));
    Ok(Report {
        bench: "peers",
        title: TITLE,
        rows,
        notes,
    })
}

impl Peer {
    /// Returns the command, if the interpreter's packages are installed.
    fn command(&self, peers: &Path) -> Option<Command> {
        let packages: PathBuf = match self.interpreter {
            Interpreter::Python => peers.join("python"),
            Interpreter::Node => peers.join("node/node_modules"),
        };
        if !packages.is_dir() {
            return None;
        }
        let mut command = match self.interpreter {
            Interpreter::Python => Command::new(packages.join("bin/python")),
            Interpreter::Node => Command::new("node"),
        };
        command.arg(peers.join(self.program));
        Some(command)
    }
}

/// Runs the host's side in this process.
pub async fn work(plan: &Plan, webex: std::net::SocketAddr) -> Result<()> {
    let world = plan.world_at("host", webex).await?;
    let rotation = Arc::new(CustomerRotation::new(&world, IN_FLIGHT).await?);
    let world = Arc::new(world);
    side::serve(async |time| {
        let (world, rotation) = (Arc::clone(&world), Arc::clone(&rotation));
        in_flight(IN_FLIGHT, time, move |_| {
            let (world, rotation) = (Arc::clone(&world), Arc::clone(&rotation));
            async move { refresh_through_component(&world, &rotation).await }
        })
        .await
    })
    .await
}
