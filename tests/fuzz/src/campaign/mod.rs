//! Many trials of one target: inputs are made of earlier ones that went a way of their own.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bench::{Bench, BenchError};
use crate::targets::Target;
use crate::verdict::{Finding, FindingKind, Verdict};

pub mod files;
mod mutation;
mod shrink;

use mutation::Mutator;
pub use shrink::shrink;

/// The longest input, in bytes.
pub const LONGEST: usize = 512;
/// Inputs that are remembered at most: behind them the ways differ in little.
const MOST_REMEMBERED: usize = 20_000;
/// Different findings after which a campaign stops: there is one thing wrong that shows in many ways.
const MOST_FINDINGS: usize = 20;

/// How long a campaign lasts, and how it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Calls of exported functions, of all threads together.
    pub executions: u64,
    /// When it ends all the same.
    pub until: Option<Instant>,
    /// What the randomness begins with. With one thread, a campaign repeats itself.
    pub seed: u64,
    /// How many threads.
    pub jobs: usize,
    /// Inputs to begin with.
    pub corpus: Vec<Vec<u8>>,
}

/// A finding and the smallest input that was seen to lead to it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is wrong.
    pub finding: Finding,
    /// The input.
    pub input: Vec<u8>,
}

/// What a campaign came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The target.
    pub target: Target,
    /// Calls of exported functions.
    pub executions: u64,
    /// Inputs that led to a call.
    pub inputs: u64,
    /// Inputs that came to nothing, such as one that no store would take.
    pub idle: u64,
    /// Different ways that were seen.
    pub ways: usize,
    /// How long it took.
    pub took: Duration,
    /// What is wrong, each once.
    pub findings: Vec<Found>,
    /// Inputs that each went a way of their own, the first that did, without those it began with.
    pub fresh: Vec<(String, Vec<u8>)>,
}

/// How far a campaign is.
#[derive(Debug, Default)]
pub struct Progress {
    executions: AtomicU64,
    inputs: AtomicU64,
    idle: AtomicU64,
    stop: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ways: HashSet<u64>,
    inputs: Vec<Arc<[u8]>>,
    fresh: Vec<(String, Vec<u8>)>,
    gists: HashSet<String>,
    findings: Vec<Found>,
}

impl Progress {
    /// Calls so far.
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    /// Different ways, and different findings, so far.
    pub fn seen(&self) -> (usize, usize) {
        let known = self.known();
        (known.ways.len(), known.findings.len())
    }

    /// The findings so far but the first `told`, as they were found: not made small yet.
    pub fn findings_after(&self, told: usize) -> Vec<Found> {
        self.known().findings.iter().skip(told).cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs trials of `target` until the plan is done. `watch` is called about once a second.
///
/// # Errors
/// A bench could not be had for a thread.
pub fn run(
    target: Target,
    bench: &Bench,
    plan: &Plan,
    mut watch: impl FnMut(&Progress),
) -> Result<Report, BenchError> {
    let began = Instant::now();
    let progress = Progress::default();
    // What is known is known before anybody mutates it: else threads begin from different inputs.
    for input in &plan.corpus {
        trial(target, bench, input, &progress, true);
    }
    let benches = (0..plan.jobs.max(1)).map(|_| bench.another());
    let benches = benches.collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = benches
            .into_iter()
            .zip(0_u64..)
            .map(|(bench, number)| {
                let progress = &progress;
                scope.spawn(move || work(target, bench, plan, number, progress))
            })
            .collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(20));
            watch(&progress);
        }
    });
    let known = progress
        .known
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let findings = known.findings.into_iter();
    let findings = findings.map(|found| shrink(target, bench, found)).collect();
    Ok(Report {
        target,
        executions: progress.executions.into_inner(),
        inputs: progress.inputs.into_inner(),
        idle: progress.idle.into_inner(),
        ways: known.ways.len(),
        took: began.elapsed(),
        findings,
        fresh: known.fresh,
    })
}

fn work(target: Target, bench: Bench, plan: &Plan, number: u64, progress: &Progress) {
    let seed = plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mutator = Mutator::new(seed);
    let over = || {
        progress.stop.load(Ordering::Relaxed)
            || progress.executions() >= plan.executions
            || plan.until.is_some_and(|until| Instant::now() >= until)
    };
    while !over() {
        let (one, other) = {
            let known = progress.known();
            let mut pick = || {
                let index = mutator.below(known.inputs.len());
                known.inputs.get(index).cloned()
            };
            (pick(), pick())
        };
        let input = mutator.mutated(one.as_deref(), other.as_deref());
        trial(target, &bench, &input, progress, false);
    }
}

/// One trial, and what is learned of it.
fn trial(target: Target, bench: &Bench, input: &[u8], progress: &Progress, given: bool) {
    let verdict = judged(target, bench, input);
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
        && known.gists.insert(finding.gist())
    {
        let input = input.to_vec();
        known.findings.push(Found { finding, input });
        if known.findings.len() >= MOST_FINDINGS {
            progress.stop.store(true, Ordering::Relaxed);
        }
    }
    let new = known.ways.len() < MOST_REMEMBERED && known.ways.insert(verdict.signature);
    if new || given {
        known.inputs.push(Arc::from(input));
    }
    if new && !given {
        known.fresh.push((verdict.way, input.to_vec()));
    }
}

/// One trial; a panic of the host, and a trial that cannot begin, are findings too.
pub fn judged(target: Target, bench: &Bench, input: &[u8]) -> Verdict {
    let what = match catch_unwind(AssertUnwindSafe(|| target.run(bench, input))) {
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
            what,
        }),
        ..Verdict::default()
    }
}
