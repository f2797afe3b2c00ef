//! `relation-fuzz`: runs the targets on all cores, and reports findings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use relation_fuzz::campaign::{self, Plan, Report, Reproducer, files};
use relation_fuzz::{Target, TrialRunner};

/// Fuzzes the plugin's exported functions through its component.
///
/// An execution is one call of an exported function. Inputs that take a new path are kept during
/// the run and mutated further. Exit code: 0 no findings, 1 findings, 2 usage.
#[derive(Debug, Parser)]
struct Options {
    /// Calls of exported functions, over all targets.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    executions: u64,
    /// End after this time in any case.
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Only this target; may be repeated.
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<Target>,
    /// Seed of the randomness.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Number of threads; with one a run is reproducible. Default: the machine's number.
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// The plugin. Default: the output of `cargo xtask build`.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Directory with a subdirectory of inputs per target.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))]
    corpus: PathBuf,
    /// Add up to this many inputs with new paths to each target's corpus.
    #[arg(long, value_name = "N", default_value_t = 0)]
    grow: usize,
    /// Directory for inputs with findings. Default: `fuzz-findings` beside the component.
    #[arg(long, value_name = "DIR")]
    findings: Option<PathBuf>,
    /// Run this one input, a file or hexadecimal bytes, and print its outcome.
    #[arg(long, value_name = "INPUT", requires = "targets")]
    replay: Option<String>,
    /// Print one JSON object on stdout in place of the table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let component = match &options.component {
        Some(file) => file.clone(),
        None => default_component()?,
    };
    let runner = TrialRunner::new(&component)?;
    if let (Some(input), [target, ..]) = (&options.replay, options.targets.as_slice()) {
        return replay(*target, &runner, input);
    }
    let targets = match options.targets.as_slice() {
        [] => Target::ALL.to_vec(),
        chosen => chosen.to_vec(),
    };
    let jobs = match options.jobs {
        Some(jobs) => jobs,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let began = Instant::now();
    let mut reports = Vec::new();
    for (target, left) in targets.iter().zip((1..=targets.len()).rev()) {
        let done: u64 = reports
            .iter()
            .map(|report: &Report| report.executions)
            .sum();
        let left = u64::try_from(left).unwrap_or(1);
        let plan = Plan {
            executions: options.executions.saturating_sub(done) / left,
            until: until(options.minutes, began, left),
            seed: options.seed,
            jobs,
            corpus: files::read(&options.corpus.join(target.name()))
                .with_context(|| format!("reading the corpus {}", options.corpus.display()))?,
        };
        let mut reported = Instant::now();
        let mut kept = 0;
        let mut unwritten = Ok(());
        let report = campaign::run(*target, &runner, &plan, |progress| {
            // Immediately: a campaign that is stopped keeps its findings.
            for found in progress.findings_after(kept) {
                kept += 1;
                let written = write_finding(*target, &found, options, &component);
                unwritten = std::mem::replace(&mut unwritten, Ok(())).and(written);
            }
            if reported.elapsed() >= Duration::from_secs(5) {
                reported = Instant::now();
                let (paths, findings) = progress.counts();
                let executions = progress.executions();
                eprintln!(
                    "{target:9} {executions:>10} executions, {paths} paths, {findings} findings"
                );
            }
        })?;
        unwritten?;
        write_report(&report, options, &component)?;
        reports.push(report);
    }
    if options.json {
        println!("{}", as_json(&reports, options.seed, jobs));
    } else {
        print!("{}", table(&reports, options.seed, jobs));
    }
    let found = reports.iter().any(|report| !report.findings.is_empty());
    Ok(if found {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Returns a fair share of the remaining time, for this target and the `left` - 1 after it.
fn until(minutes: Option<f64>, began: Instant, left: u64) -> Option<Instant> {
    let whole = Duration::try_from_secs_f64(minutes? * 60.0).ok()?;
    let rest = whole.saturating_sub(began.elapsed());
    let share = rest.div_f64(u32::try_from(left).map_or(1.0, f64::from));
    Instant::now().checked_add(share)
}

/// Returns the component beside this program: `<target>/<profile>/relation-fuzz`.
fn default_component() -> Result<PathBuf> {
    let program = std::env::current_exe().context("looking for this program's own file")?;
    let Some(target) = program.ancestors().nth(2) else {
        bail!("this program is not in a target directory: name the component by --component");
    };
    Ok(target.join("component/spark-customer.wasm"))
}

fn replay(target: Target, runner: &TrialRunner, input: &str) -> Result<ExitCode> {
    let bytes = match hex::decode(input) {
        Ok(bytes) => bytes,
        Err(_) => std::fs::read(input)
            .with_context(|| format!("reading {input}, which is not hexadecimal text either"))?,
    };
    let verdict = campaign::run_trial(target, runner, &bytes);
    println!("{target}: {} calls: {}", verdict.calls, verdict.path);
    match verdict.finding {
        Some(finding) => {
            println!("{finding}");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Reports a finding, and writes its input to a file.
fn write_finding(
    target: Target,
    found: &Reproducer,
    options: &Options,
    component: &Path,
) -> Result<()> {
    let beside = component.with_file_name("fuzz-findings");
    let directory = options.findings.as_deref().unwrap_or(&beside);
    let directory = directory.join(target.name());
    let file = files::write(&directory, &found.input)
        .with_context(|| format!("writing to {}", directory.display()))?;
    eprintln!(
        "{}\n    file: {}",
        files::describe(target, found),
        file.display()
    );
    Ok(())
}

/// Writes shrunk findings and new inputs for the corpus to files.
fn write_report(report: &Report, options: &Options, component: &Path) -> Result<()> {
    for found in &report.findings {
        write_finding(report.target, found, options, component)?;
    }
    let corpus = options.corpus.join(report.target.name());
    let mut paths = std::collections::BTreeSet::new();
    let fresh = report.fresh.iter().filter(|(path, _)| paths.insert(path));
    for (_, input) in fresh.take(options.grow) {
        files::write(&corpus, input).with_context(|| format!("writing to {}", corpus.display()))?;
    }
    Ok(())
}

fn rate(report: &Report) -> f64 {
    let executions = u32::try_from(report.executions).map_or(f64::MAX, f64::from);
    executions / report.took.as_secs_f64().max(0.001)
}

fn table(reports: &[Report], seed: u64, jobs: usize) -> String {
    let mut text = format!(
        "{:<10} {:>11} {:>11} {:>7} {:>6} {:>9} {:>8} {:>8}\n",
        "target", "executions", "inputs", "idle", "paths", "findings", "seconds", "per s"
    );
    for report in reports {
        text.push_str(&format!(
            "{:<10} {:>11} {:>11} {:>7} {:>6} {:>9} {:>8.0} {:>8.0}\n",
            report.target.name(),
            report.executions,
            report.inputs,
            report.idle,
            report.paths,
            report.findings.len(),
            report.took.as_secs_f64(),
            rate(report),
        ));
    }
    let all: u64 = reports.iter().map(|report| report.executions).sum();
    let findings: usize = reports.iter().map(|report| report.findings.len()).sum();
    text.push_str(&format!(
        "{all} executions, {findings} findings, seed {seed}, {jobs} threads\n"
    ));
    text
}

fn as_json(reports: &[Report], seed: u64, jobs: usize) -> serde_json::Value {
    let each = |report: &Report| {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|found| {
                serde_json::json!({
                    "finding": found.finding.to_string(),
                    "input": hex::encode(&found.input),
                })
            })
            .collect();
        serde_json::json!({
            "target": report.target.name(),
            "executions": report.executions,
            "inputs": report.inputs,
            "idle": report.idle,
            "paths": report.paths,
            "seconds": report.took.as_secs_f64(),
            "findings": findings,
        })
    };
    let targets: Vec<_> = reports.iter().map(each).collect();
    serde_json::json!({"seed": seed, "threads": jobs, "targets": targets})
}
