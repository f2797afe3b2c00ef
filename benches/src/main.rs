//! `relation-benches`: measures the performance of the host and the plugin.
//!
//! Absolute rates drift by a factor of ten beside a busy neighbor. Every figure therefore comes
//! with its ratio to a baseline measured in the same run, alternating with it round by round.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use relation_host::Limits;
use serde::Serialize;

mod customers;
mod floor;
mod goals;
mod measure;
mod native;
mod peers;
mod phases;
mod report;
mod side;
mod suites;
mod timed_store;
mod token_server;
mod world;

use goals::GoalRow;
use report::Report;
use suites::postgres::PostgresWorker;
use suites::refresh::GOAL_LANES;
use suites::{BENCHES, Plan};
use token_server::TokenServer;

/// The allocator of `relation-host` too, so that figures are comparable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the host and the plugin; prints ratios first
///
/// Figures are the median of several rounds, with minimum and maximum. Stores are created in a
/// directory beside this program, on whatever disk that is, and removed afterwards.
#[derive(Debug, Parser)]
#[command(name = "relation-benches")]
struct Args {
    /// Run only benchmarks with NAME in their name; may be repeated. `instructions` and `postgres` run only if they are named
    #[arg(long, value_name = "NAME")]
    filter: Vec<String>,
    /// List the benchmarks and what they measure
    #[arg(long)]
    list: bool,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Run everything once with tiny counts: checks that all of it works; the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when the median of a ratio breaks its limit, which is far below the goal
    #[arg(long)]
    gate: bool,
    /// Measure what the project's goals are about, and print them as one table
    ///
    /// Compares with the programs of --peers too. Fills a store with a million customers, which takes minutes:
    /// `--scale 100000` is quicker.
    #[arg(long, conflicts_with_all = ["filter", "list"])]
    table: bool,
    /// The component [default: the one that the build left beside this program]
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Directory for the stores: selects the disk to measure
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Rounds of each comparison [default: 5; quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Seconds that each side runs per round [default: 1.5; quick: 0.02]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    slot: Option<Duration>,
    /// Compare the whole host with the programs in this directory; without --table, run nothing else
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "filter")]
    peers: Option<PathBuf>,
    /// Run as the host's side of that comparison, with this token endpoint
    #[arg(long, value_name = "ADDRESS", hide = true, requires = "directory")]
    worker: Option<SocketAddr>,
    /// Make this many refreshes one after the other as that side, and end
    #[arg(long, value_name = "N", hide = true, requires = "worker")]
    refreshes: Option<u32>,
    /// Make these refreshes natively
    #[arg(long, hide = true, requires = "refreshes")]
    native: bool,
    #[command(flatten)]
    on_postgres: PostgresWorker,
    /// Directory of compiled components [default: a new one]
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    cache: Option<PathBuf>,
    /// Customers in the largest store, at least 100 [default: 1000000; quick: 400]
    #[arg(long, visible_alias = "customers", value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    scale: Option<u64>,
    /// Customers that are due together for a dispatcher [default: 3000; quick: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    backlog: Option<u64>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds such as 1.5".to_owned())
}

/// All results, as JSON.
#[derive(Serialize)]
struct RunOutput {
    /// Number of processors available to this process.
    processors: usize,
    /// Whether this was a quick run, whose figures mean nothing.
    quick: bool,
    rounds: usize,
    slot_seconds: f64,
    reports: Vec<Report>,
    /// The goals of all reports.
    goals: Vec<GoalRow>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for (name, title) in BENCHES {
            println!("{name:<10} {title}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = match &args.peers {
        _ if args.table => goals::BENCHES.to_vec(),
        Some(_) => vec!["peers"],
        None => select_benches(&args.filter)?,
    };
    // Removed when this returns.
    let directory = tempfile::Builder::new()
        .prefix("relation-benches-")
        .tempdir_in(match &args.directory {
            Some(directory) => directory.clone(),
            None => beside_this_program()?,
        })
        .context("making a directory for the stores (choose one with --directory)")?;
    let plan = plan(args, directory.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;

    if let Some(webex) = args.worker {
        if let Some(url) = &args.on_postgres.database {
            let work = suites::postgres::work(&plan, webex, url, &args.on_postgres);
            runtime.block_on(work)?;
            return Ok(ExitCode::SUCCESS);
        }
        match args.refreshes {
            Some(refreshes) => {
                let work = suites::instructions::work(&plan, webex, refreshes, args.native);
                runtime.block_on(work)?;
            }
            None => runtime.block_on(peers::work(&plan, webex))?,
        }
        return Ok(ExitCode::SUCCESS);
    }

    let mut output = RunOutput {
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        quick: args.quick,
        rounds: plan.rounds,
        slot_seconds: plan.slot.as_secs_f64(),
        reports: Vec::new(),
        goals: Vec::new(),
    };
    for name in chosen {
        eprintln!("==> {name}");
        let report = match (name, &args.peers) {
            ("peers", Some(programs)) => Some(peers::run(&plan, programs)),
            ("peers", None) => {
                eprintln!("    skipped: --peers names the programs to compare with");
                continue;
            }
            _ => runtime.block_on(suites::run(name, &plan)).transpose(),
        };
        let report = report
            .with_context(|| format!("no benchmark is called {name}"))?
            .with_context(|| format!("the benchmark {name}"))?;
        if args.table {
            // The table has the figures.
            for note in &report.notes {
                eprintln!("    {note}");
            }
        } else if !args.json {
            println!("{}", report.text());
        }
        output.reports.push(report);
    }
    output.goals = goals::goals(&output.reports);
    if args.json {
        println!("{}", serde_json::to_string(&output)?);
    } else if args.table {
        print!("{}", goals::render(&output.goals));
    }
    let broken: Vec<String> = output
        .reports
        .iter()
        .flat_map(Report::broken_limits)
        .collect();
    for limit in &broken {
        eprintln!("broken limit: {limit}");
    }
    Ok(if args.gate && !broken.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Returns the benchmarks that the filters name, in their order.
fn select_benches(filters: &[String]) -> Result<Vec<&'static str>> {
    let wanted = |name: &&str| match filters {
        // Counting instructions takes minutes and measures no time. The other one needs a server of its own.
        [] => *name != "instructions" && *name != "postgres",
        filters => filters.iter().any(|part| name.contains(part)),
    };
    let chosen: Vec<&str> = BENCHES
        .map(|(name, _)| name)
        .into_iter()
        .filter(wanted)
        .collect();
    if chosen.is_empty() {
        let known: Vec<&str> = BENCHES.map(|(name, _)| name).into();
        bail!(
            "no benchmark has that in its name; there are {}",
            known.join(", ")
        );
    }
    Ok(chosen)
}

fn plan(args: &Args, directory: &Path) -> Result<Plan> {
    let file = match &args.component {
        Some(file) => file.clone(),
        None => built_component()?,
    };
    let component = std::fs::read(&file).with_context(|| {
        let file = file.display();
        format!("reading the component {file}: build it with `cargo xtask build`, or name one with --component")
    })?;
    let (rounds, slot, scale) = if args.quick {
        (1, Duration::from_millis(20), 400)
    } else {
        (5, Duration::from_millis(1500), 1_000_000)
    };
    let scale = args.scale.unwrap_or(scale);
    let (sizes, lanes, backlog) = match (args.quick, args.table) {
        (true, false) => (vec![100], vec![1, 4], 64),
        (false, false) => (vec![1_000, 100_000], vec![1, 8, 32, 128], 3_000),
        (true, true) => (vec![100], vec![GOAL_LANES], 64),
        (false, true) => (vec![1_000], vec![GOAL_LANES], 3_000),
    };
    let mut sizes: Vec<u64> = sizes.into_iter().filter(|&size| size < scale).collect();
    sizes.push(scale);
    Ok(Plan {
        component,
        component_file: file,
        directory: directory.to_owned(),
        cache: match &args.cache {
            Some(cache) => cache.clone(),
            None => directory.join("components"),
        },
        limits: match args.refreshes {
            // Valgrind offers less address space than the default needs.
            Some(_) => Limits {
                calls: 4,
                ..Limits::default()
            },
            None => Limits::default(),
        },
        server: TokenServer::start().context("starting the token endpoint")?,
        rounds: args.rounds.map_or(rounds, usize::from),
        slot: args.slot.unwrap_or(slot),
        lanes,
        sizes,
        backlog: args.backlog.unwrap_or(backlog),
        quick: args.quick,
    })
}

/// Returns `<target>/<profile>/`, where cargo puts this program.
pub fn beside_this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let directory = program.parent().context("this program has no directory")?;
    Ok(directory.to_owned())
}

/// Returns `<target>/component/spark-customer.wasm`, where `cargo xtask build` leaves it.
fn built_component() -> Result<PathBuf> {
    let directory = beside_this_program()?;
    let target = directory.parent().unwrap_or(&directory);
    Ok(target.join("component").join("spark-customer.wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_matches_part_of_a_name_or_fails() {
        assert_eq!(select_benches(&[]).unwrap().len(), BENCHES.len() - 2);
        assert_eq!(select_benches(&["commit".into()]).unwrap(), ["commits"]);
        let error = select_benches(&["nonsense".into()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("refresh"), "{error}");
    }

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        assert!(seconds("-1").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    }
}
