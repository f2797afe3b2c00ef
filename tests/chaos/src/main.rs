//! `cargo xtask chaos`: three hosts refresh the tokens of many customers on one PostgreSQL with a synchronous standby, while
//! hosts, servers and connections fail. Webex rotates refresh tokens, and revokes an organization's tokens if one is used
//! again. At the end, every promise is judged. docs/postgres.md has the results.

#[allow(dead_code, reason = "the end-to-end tests use all of it")]
#[path = "../../e2e/src/api_client.rs"]
mod api_client;
mod faults;
mod front;
mod hosts;
mod judge;
mod ledger;
mod pair;
mod report;
mod setup;
mod wire;
mod writers;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use fastrand::Rng;
use tempfile::TempDir;
use tokio::task::block_in_place;
use webex_emulator::{Emulator, Mode, Webex};

use api_client::ApiClient;
use faults::{FaultKind, InjectedFault, System};
use hosts::ChaosHost;
use judge::{LONGEST_RECOVERY, Verdict};
use ledger::{Ledger, Millis};
use pair::Pair;
use report::Report;
use setup::Setup;
use writers::Writers;

const HOSTS: usize = 3;
const WRITERS: usize = 3;

/// The time without a fault before the next one, in which the usual rate is measured.
const CALM: Duration = Duration::from_secs(4);

/// The longest time until each customer is refreshed after the last fault: a failed wakeup is tried again after a minute.
const LONGEST_SETTLING: Duration = Duration::from_secs(120);

/// Runs three hosts on one PostgreSQL while they, the server and the connections fail, and judges every promise.
///
/// Needs PostgreSQL 15 or later on this machine, and the programs of `cargo xtask build`. Exit code: 0 no promise was
/// broken, 1 broken promises or a failure, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Options {
    /// How long faults are injected
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// The number of customers
    #[arg(long, value_name = "N", default_value_t = 2000)]
    customers: usize,
    /// The mean time between two refreshes of a customer, in seconds [default: so that 100 a second are due]
    #[arg(long, value_name = "SECONDS")]
    period: Option<f64>,
    /// The seed of the schedule [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Inject only this kind of fault; may be repeated, and then they come in this order
    #[arg(long, value_name = "KIND")]
    only: Vec<FaultKind>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Keep the directories and logs of the hosts
    #[arg(long)]
    keep: bool,
}

impl Options {
    /// Returns the mean time between two refreshes of a customer.
    #[allow(clippy::cast_precision_loss)]
    fn period(&self) -> Duration {
        let usual = (self.customers as f64 / 100.0).max(2.0);
        Duration::from_secs_f64(self.period.unwrap_or(usual))
    }

    /// Returns the lifetime of access tokens. Refreshes are due after half of it, less up to half of that time.
    fn access_lifetime(&self) -> Duration {
        Duration::from_secs_f64((self.period().as_secs_f64() / 0.375).ceil())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything. Returns whether no promise was broken.
async fn run(options: &Options) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut random = Rng::with_seed(seed);
    let ledger = Ledger::new();
    let mut directory = TempDir::with_prefix("chaos-")?;
    if options.keep {
        directory.disable_cleanup(true);
        note(
            &ledger,
            &format!("directory {}", directory.path().display()),
        );
    }
    let pair = block_in_place(Pair::start)?;
    note(&ledger, "both servers run");
    let webex = start_webex(options, seed);
    let base_url = front::start(HOSTS, webex.clone(), ledger.clone()).await?;
    let setup = block_in_place(|| {
        let store = pair.url()?;
        Setup::create(directory.path(), &store, &base_url, options)
    })?;
    let key = block_in_place(|| setup.add_api_key())?;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let sockets = pair.sockets();
        let host = ChaosHost::prepare(number, directory.path(), &sockets, &webex, &ledger, options);
        let mut host = host.await?;
        host.copy_key(&setup.key())?;
        host.start()?;
        hosts.push(host);
    }
    let apis: Vec<_> = hosts
        .iter()
        .map(|host| ApiClient::new(&host.api, &key))
        .collect();
    for host in &mut hosts {
        block_in_place(|| host.wait_until_ready())?;
    }
    let mut system = System {
        hosts,
        pair,
        ledger: ledger.clone(),
        allowances: Vec::new(),
    };
    block_in_place(|| setup::add_customers(options.customers, &webex, &ledger, &apis))?;
    note(
        &ledger,
        &format!("{} customers are added", options.customers),
    );
    // The usual rate comes when the first tokens are replaced.
    tokio::time::sleep(options.period()).await;
    let writers = Writers::start(WRITERS, &apis, seed);
    note(
        &ledger,
        &format!("the hosts run; faults begin, seed {seed}"),
    );
    let began = ledger.now();
    let end = Instant::now() + Duration::from_secs_f64(60.0 * options.minutes);
    let mut injected = Vec::new();
    let mut plan = Vec::new();
    while Instant::now() < end {
        if plan.is_empty() {
            plan = match options.only.is_empty() {
                true => faults::shuffle(&mut random),
                false => options.only.iter().rev().copied().collect(),
            };
        }
        let Some(kind) = plan.pop() else { break };
        tokio::time::sleep(CALM).await;
        let fault = inject(&mut system, kind, &mut random).await?;
        injected.push(fault);
    }
    note(&ledger, "no more faults; settling");
    let written = block_in_place(|| writers.stop());
    let began_settling = ledger.now();
    let refreshed = settle(&system, options.customers, began_settling).await;
    let mut verdict = Verdict::default();
    verdict.judge_writes(&written, &apis[0])?;
    for host in &mut system.hosts {
        match host.has_ended() {
            true => verdict.judge_ended(host.number),
            false => block_in_place(|| host.terminate())?,
        }
        verdict.judge_stash(host.number, &host.stash());
    }
    let excused = verdict.judge_requests(&ledger, &system.allowances, &injected);
    verdict.judge_tokens(&refreshed, options.customers, &excused);
    verdict.judge_recoveries(&injected);
    let count = |text: &str| -> usize {
        system
            .hosts
            .iter()
            .map(|host| host.count_in_log(text))
            .sum()
    };
    let report = Report {
        seed,
        customers: options.customers,
        seconds: (ledger.now() - began) / 1000,
        rate: mean_rate(&ledger, began, began_settling),
        replication: pair::SETTINGS,
        faults: injected,
        stashed: count("it is in the stash"),
        applied: count("a stashed response is applied"),
        superseded: count("a stashed response is superseded"),
        verdict,
    };
    report.print(options.json)?;
    Ok(report.verdict.violations.is_empty())
}

fn start_webex(options: &Options, seed: u64) -> Webex {
    let (id, secret) = hosts::CLIENT;
    Emulator::builder()
        .seed(seed)
        .client(id, secret)
        .mode(Mode::Rotate)
        .reuse_detection(true)
        .access_ttl(options.access_lifetime())
        .in_process()
}

/// Injects one fault, and waits until refreshes run again.
async fn inject(system: &mut System, kind: FaultKind, random: &mut Rng) -> Result<InjectedFault> {
    let ledger = system.ledger.clone();
    let usual = ledger.rate(CALM);
    note(
        &ledger,
        &format!("{} ({usual:.0} refreshes a second before)", kind.name()),
    );
    let mut fault = block_in_place(|| system.inject(kind, random))?;
    let deadline = fault.ended_ms + 2 * LONGEST_RECOVERY;
    while ledger.now() < deadline {
        let window = Duration::from_secs(1);
        let since = ledger.now().saturating_sub(fault.ended_ms);
        if ledger.rate(window) >= usual / 2.0 {
            // The rate is that of the last second.
            fault.recovery_ms = Some(since.saturating_sub(1000));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fault.pause_ms = longest_pause(&ledger, fault.began_ms, ledger.now());
    let recovery = fault
        .recovery_ms
        .map_or(-1.0, |ms| Duration::from_millis(ms).as_secs_f64());
    note(
        &ledger,
        &format!(
            "  no refresh for {} ms, back {recovery:.1} s after its end",
            fault.pause_ms
        ),
    );
    if kind == FaultKind::FailOver {
        block_in_place(|| system.pair.add_standby())?;
        note(&ledger, "  a new standby follows");
    }
    for host in &mut system.hosts {
        if !host.has_ended() {
            block_in_place(|| host.wait_until_ready())?;
        }
    }
    Ok(fault)
}

/// Waits until every stash is empty, and each customer was refreshed after `since` or is disconnected. Returns the customers
/// that were refreshed.
async fn settle(system: &System, customers: usize, since: Millis) -> BTreeSet<usize> {
    let begun = Instant::now();
    loop {
        let requests = system.ledger.requests();
        let later = requests
            .iter()
            .rev()
            .take_while(|request| request.arrived >= since);
        let accepted = later.filter(|request| request.is_accepted);
        let refreshed: BTreeSet<usize> = accepted.filter_map(|request| request.customer).collect();
        let disconnected = system.ledger.disconnected();
        let is_settled =
            (0..customers).all(|it| refreshed.contains(&it) || disconnected.contains(&it));
        let is_applied = system.hosts.iter().all(|host| host.stash().is_empty());
        if is_settled && is_applied || begun.elapsed() > LONGEST_SETTLING {
            return refreshed;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Returns the longest time without an accepted request.
fn longest_pause(ledger: &Ledger, from: Millis, to: Millis) -> Millis {
    let requests = ledger.requests();
    let accepted = requests.iter().filter(|request| request.is_accepted);
    let mut times: Vec<Millis> = accepted
        .filter_map(|request| request.processed)
        .filter(|at| (from..to).contains(at))
        .chain([from, to])
        .collect();
    times.sort_unstable();
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    pauses.max().unwrap_or_default()
}

#[allow(clippy::cast_precision_loss)]
fn mean_rate(ledger: &Ledger, from: Millis, to: Millis) -> f64 {
    ledger.count_accepted(from, to) as f64 * 1000.0 / (to - from).max(1) as f64
}

fn note(ledger: &Ledger, text: &str) {
    let now = Duration::from_millis(ledger.now());
    eprintln!("{:7.1} s  {text}", now.as_secs_f64());
}
