//! Many trials of one target: inputs are mutated from earlier ones that took a new path.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::runner::{RunnerError, TrialRunner};
use crate::targets::Target;
use crate::verdict::{Finding, FindingKind, Verdict};

pub mod files;
mod mutation;
mod shrink;

use mutation::Mutator;
use parking_lot::{Mutex, MutexGuard};
pub use shrink::shrink;

/// Maximum length of an input in bytes.
pub const MAX_INPUT_LEN: usize = 512;
/// Maximum number of remembered inputs: beyond it, paths differ in little.
const MAX_REMEMBERED: usize = 20_000;
/// Number of different findings after which a campaign stops: one defect shows on many paths.
const MAX_FINDINGS: usize = 20;

/// The length of a campaign, and its start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Calls of exported functions, of all threads together.
    pub executions: u64,
    /// Latest end of the campaign.
    pub until: Option<Instant>,
    /// Seed of the randomness. With one thread, a campaign is reproducible.
    pub seed: u64,
    /// Number of threads.
    pub jobs: usize,
    /// Initial inputs.
    pub corpus: Vec<Vec<u8>>,
}

/// A finding and the smallest known input that reproduces it.
#[derive(Clone, Debug)]
pub struct Reproducer {
    /// The finding.
    pub finding: Finding,
    /// The input.
    pub input: Vec<u8>,
}

/// The results of a campaign.
#[derive(Clone, Debug)]
pub struct Report {
    /// The target.
    pub target: Target,
    /// Calls of exported functions.
    pub executions: u64,
    /// Inputs that led to a call.
    pub inputs: u64,
    /// Inputs without a call, such as one that no store would take.
    pub idle: u64,
    /// Number of different paths.
    pub paths: usize,
    /// Duration of the campaign.
    pub took: Duration,
    /// The findings, each once.
    pub findings: Vec<Reproducer>,
    /// The first input of each new path, without the initial inputs.
    pub fresh: Vec<(String, Vec<u8>)>,
}

/// The progress of a campaign.
#[derive(Debug, Default)]
pub struct Progress {
    executions: AtomicU64,
    inputs: AtomicU64,
    idle: AtomicU64,
    stop: AtomicBool,
    known: Mutex<CampaignState>,
}

#[derive(Debug, Default)]
struct CampaignState {
    paths: HashSet<u64>,
    inputs: Vec<Arc<[u8]>>,
    fresh: Vec<(String, Vec<u8>)>,
    fingerprints: HashSet<String>,
    findings: Vec<Reproducer>,
}

impl Progress {
    /// Returns the number of calls so far.
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// Returns the numbers of different paths and of different findings so far.
    pub fn counts(&self) -> (usize, usize) {
        let known = self.known();
        (known.paths.len(), known.findings.len())
    }

    /// Returns the findings after the first `reported`, before they are shrunk.
    pub fn findings_after(&self, reported: usize) -> Vec<Reproducer> {
        self.known()
            .findings
            .iter()
            .skip(reported)
            .cloned()
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, CampaignState> {
        self.known.lock()
    }
}

/// Runs trials of `target` until the plan is done. Calls `observe` while it runs.
///
/// # Errors
/// A thread's runner could not be created.
pub fn run(
    target: Target,
    runner: &TrialRunner,
    plan: &Plan,
    mut observe: impl FnMut(&Progress),
) -> Result<Report, RunnerError> {
    let began = Instant::now();
    let progress = Progress::default();
    // Run the corpus before a thread mutates it; else threads begin from different inputs.
    for input in &plan.corpus {
        record_trial(target, runner, input, &progress, true);
    }
    let runners = (0..plan.jobs.max(1)).map(|_| runner.fork());
    let runners = runners.collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = runners
            .into_iter()
            .zip(0_u64..)
            .map(|(runner, number)| {
                let progress = &progress;
                scope.spawn(move || work(target, runner, plan, number, progress))
            })
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(20));
            observe(&progress);
        }
    });
    let known = progress.known.into_inner();
    let findings = known.findings.into_iter();
    let findings = findings
        .map(|found| shrink(target, runner, found))
        .collect();
    Ok(Report {
        target,
        executions: progress.executions.into_inner(),
        inputs: progress.inputs.into_inner(),
        idle: progress.idle.into_inner(),
        paths: known.paths.len(),
        took: began.elapsed(),
        findings,
        fresh: known.fresh,
    })
}

fn work(target: Target, runner: TrialRunner, plan: &Plan, number: u64, progress: &Progress) {
    let seed = plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mutator = Mutator::new(seed);
    let is_over = || {
        progress.stop.load(Ordering::Relaxed)
            || progress.executions() >= plan.executions
            || plan.until.is_some_and(|until| Instant::now() >= until)
    };
    while !is_over() {
        let (one, other) = {
            let known = progress.known();
            let mut pick = || {
                let index = mutator.below(known.inputs.len());
                known.inputs.get(index).cloned()
            };
            (pick(), pick())
        };
        let input = mutator.mutated(one.as_deref(), other.as_deref());
        record_trial(target, &runner, &input, progress, false);
    }
}

/// Runs one trial and records its path and finding.
fn record_trial(
    target: Target,
    runner: &TrialRunner,
    input: &[u8],
    progress: &Progress,
    is_seed: bool,
) {
    let verdict = run_trial(target, runner, input);
    let calls = u64::from(verdict.calls);
    progress.executions.fetch_add(calls, Ordering::Relaxed);
    let counter = if calls == 0 {
        &progress.idle
    } else {
        &progress.inputs
    };
    let before = counter.fetch_add(1, Ordering::Relaxed);
    if calls == 0 && before > 100_000 && progress.executions() == 0 {
        progress.stop.store(true, Ordering::Relaxed);
    }
    if calls == 0 && verdict.finding.is_none() {
        return;
    }
    let mut known = progress.known();
    if let Some(finding) = verdict.finding
        && known.fingerprints.insert(finding.fingerprint())
    {
        let input = input.to_vec();
        known.findings.push(Reproducer { finding, input });
        if known.findings.len() >= MAX_FINDINGS {
            progress.stop.store(true, Ordering::Relaxed);
        }
    }
    let new = known.paths.len() < MAX_REMEMBERED && known.paths.insert(verdict.signature);
    if new || is_seed {
        known.inputs.push(Arc::from(input));
    }
    if new && !is_seed {
        known.fresh.push((verdict.path, input.to_vec()));
    }
}

/// Runs one trial; a panic of the host, and a trial that cannot begin, are findings too.
pub fn run_trial(target: Target, runner: &TrialRunner, input: &[u8]) -> Verdict {
    let description = match catch_unwind(AssertUnwindSafe(|| target.run(runner, input))) {
        Ok(Ok(verdict)) => return verdict,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("the host panicked: {}", text.unwrap_or("without a text"))
        }
    };
    Verdict {
        finding: Some(Finding {
            kind: FindingKind::Host,
            function: "no function".to_owned(),
            description,
        }),
        ..Verdict::default()
    }
}
