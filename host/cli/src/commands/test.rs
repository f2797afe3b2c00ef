//! `test`: runs scenarios against a component, and reports like a test runner.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relation_app::{AppError, ErrorKind, open_component_cache};
use relation_harness::scenario::component::Component;
use relation_harness::scenario::outcome::{ResultCounts, ScenarioResult};
use relation_harness::scenario::report;
use relation_harness::scenario::suite::{self, LoadedScenario};
use relation_harness::scenario::watch::{FileChanges, WatchedFiles, wait_until_stable};
use relation_host::component::inspect_with;
use relation_host::store::parent_directory;
use relation_host::store::scratch::ScratchStore;
use serde_json::json;

use crate::GlobalArgs;
use crate::output::{Output, escape_control_chars};
use crate::streams::stderr;
use crate::streams::stdout::write_colored;
use crate::table::{Column, Table};
use crate::{build_runtime, context, error};

/// How often files are checked for changes. A change must be as old before it counts.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A scenario runs the component on a host of its own, with a simulated clock and an \
                  emulated Webex or scripted responses; no request leaves the process. With --store, scenarios run one \
                  after the other on that store, whose data is removed: an SQLite file that does not exist, or a \
                  PostgreSQL database without a store. docs/scenarios.md describes the format. Exits with 1 if a scenario failed, with 2 if a file is not a scenario."
)]
pub struct Args {
    /// Scenario files, or directories with .toml files
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Only scenarios whose path or first sentence contains this text, ignoring case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How many scenarios run concurrently [default: one for each processor]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The component, like --plugin
    #[arg(long, value_name = "FILE", conflicts_with = "plugin")]
    component: Option<PathBuf>,
    /// Rewrite expectations that the component does not meet, in their files
    #[arg(long, conflicts_with_all = ["list", "junit"])]
    update: bool,
    /// Run affected scenarios again when a scenario or the file of --component changes, until stopped
    #[arg(long, conflicts_with_all = ["list", "update"])]
    watch: bool,
    /// Also write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the scenarios without running them
    #[arg(long)]
    list: bool,
}

/// Runs the selected scenarios. Fails if a scenario failed or a file is invalid.
pub fn run(args: &Args, global: &GlobalArgs) -> Result<(), AppError> {
    let output = Output { json: global.json };
    let file = args.component.as_deref().or(global.plugin.as_deref());
    if let Some(file) = &args.junit {
        // Check this first, so that no report is lost after a long run.
        if !parent_directory(file).is_dir() {
            let message = format!(
                "cannot write {}: there is no such directory",
                file.display()
            );
            return Err(AppError::usage(message));
        }
    }
    if args.list {
        return list(&select_scenarios(args)?, output);
    }
    let store = TakenStore::take(global)?;
    if args.watch {
        return watch(args, file, global, &store, output);
    }
    let selected = select_scenarios(args)?;
    let component = store.give_to(load_component(file, global)?);
    let ran = match args.update {
        true => update(&selected, &component, output),
        false => run_scenarios(args, &selected, &component, output),
    };
    ran.and(store.remove())
}

/// The store of `--store`, if that is given, with data of scenarios only.
struct TakenStore(Option<Arc<dyn ScratchStore>>);

impl TakenStore {
    fn take(global: &GlobalArgs) -> Result<Self, AppError> {
        let Some(url) = &global.store else {
            return Ok(Self(None));
        };
        let url = context::parse_store(url, "--store", Path::new(""))?;
        let taken = build_runtime()?.block_on(url.take_for_tests())?;
        Ok(Self(Some(taken)))
    }

    /// Makes the component's scenarios run on the store.
    fn give_to(&self, component: Component) -> Component {
        component.on_stores(self.0.iter().cloned().collect())
    }

    fn remove(&self) -> Result<(), AppError> {
        let Some(store) = &self.0 else {
            return Ok(());
        };
        build_runtime()?.block_on(store.remove()).map_err(|error| {
            let message = format!("the data of the last scenario is left in the store: {error}");
            AppError::new(ErrorKind::Failed, message)
        })
    }
}

fn select_scenarios(args: &Args) -> Result<Vec<LoadedScenario>, AppError> {
    let found = suite::find_with_skipped(&args.paths)
        .map_err(|error| AppError::usage(error.to_string()))?;
    for entry in &found.skipped {
        let path = escape_control_chars(&entry.path.display().to_string());
        stderr::note(&format!(
            "note: {path} is passed over: it is {}",
            entry.reason
        ));
    }
    let files = found.files;
    let selected = suite::select(&files, args.filter.as_deref());
    if selected.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        let message = match files.len() {
            1 => format!("the only scenario does not contain {filter:?}"),
            all => format!("none of {all} scenarios contains {filter:?}"),
        };
        return Err(AppError::usage(message).hint("--list shows their paths and sentences"));
    }
    Ok(selected)
}

/// Loads the component in `file`, or the embedded one.
fn load_component(file: Option<&Path>, global: &GlobalArgs) -> Result<Component, AppError> {
    let (name, bytes) = context::plugin_file(file).read()?;
    let cache = open_component_cache(global.config.as_deref());
    // Report this once, not as the failure of every scenario.
    let problem = match inspect_with(&bytes, cache.as_ref()) {
        Ok(inspection) if inspection.is_compatible() => None,
        Ok(_) => Some(format!("{name} does not fit this host")),
        Err(error) => Some(format!("{name}: {error}")),
    };
    if let Some(problem) = problem {
        let hint = "`relation-host inspect` shows for every import whether this host provides it";
        return Err(AppError::new(ErrorKind::Plugin, problem).hint(hint));
    }
    let component = Component::from(bytes.into_owned());
    Ok(match cache {
        Some(cache) => component.cached(cache),
        None => component,
    })
}

fn run_scenarios(
    args: &Args,
    selected: &[LoadedScenario],
    component: &Component,
    output: Output,
) -> Result<(), AppError> {
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let started = Instant::now();
    let mut print_error = None;
    let all = suite::run_all(selected, component, jobs, |ran| {
        if !output.json && print_error.is_none() {
            print_error = write_colored(&report::format_result(ran)).err();
        }
    });
    let took = started.elapsed();
    let count = ResultCounts::from_results(&all);
    let written = match print_error {
        Some(error) => Err(error),
        None => print_summary(&all, took, output),
    };
    let junit = args.junit.as_deref();
    let noted = junit.map_or(Ok(()), |file| write_junit(file, &all, took));
    // The scenarios decide the exit code, even if the output could not be written.
    verdict(count).and(noted).and(written)
}

fn print_summary(all: &[ScenarioResult], took: Duration, output: Output) -> Result<(), AppError> {
    match output.json {
        true => output.print(&report::to_json(all, took), |_| String::new()),
        false => write_colored(&report::format_summary(
            ResultCounts::from_results(all),
            took,
        )),
    }
}

/// Runs everything, then runs again the scenarios that a change may affect, until the process is stopped.
fn watch(
    args: &Args,
    file: Option<&Path>,
    global: &GlobalArgs,
    store: &TakenStore,
    output: Output,
) -> Result<(), AppError> {
    let watched = WatchedFiles {
        paths: args.paths.clone(),
        component: file.map(Path::to_owned),
    };
    let mut before = watched.take_snapshot();
    let mut changed = FileChanges::Component;
    loop {
        let result = run_changed(args, file, &changed, global, store);
        match result {
            Err(error) if error.kind == ErrorKind::BrokenPipe => return Err(error),
            Err(error) => error::report(&error, output.json),
            Ok(()) => {}
        }
        stderr::note("waiting for a change; Ctrl-C ends");
        changed = wait_until_stable(
            &mut before,
            || watched.take_snapshot(),
            || std::thread::sleep(POLL_INTERVAL),
        );
    }
}

fn run_changed(
    args: &Args,
    file: Option<&Path>,
    changed: &FileChanges,
    global: &GlobalArgs,
    store: &TakenStore,
) -> Result<(), AppError> {
    let output = Output { json: global.json };
    let selected = match changed {
        FileChanges::Scenarios(files) => suite::select(files, args.filter.as_deref()),
        FileChanges::Component | FileChanges::Nothing => select_scenarios(args)?,
    };
    let component = store.give_to(load_component(file, global)?);
    run_scenarios(args, &selected, &component, output)
}

/// Runs the scenarios in sequence, and rewrites the files of those that differ.
fn update(
    selected: &[LoadedScenario],
    component: &Component,
    output: Output,
) -> Result<(), AppError> {
    let started = Instant::now();
    let mut all = Vec::new();
    let mut written = Ok(());
    for loaded in selected {
        let (ran, rewritten) = suite::accept(loaded, component).map_err(|error| {
            let file = loaded.path.display();
            AppError::new(ErrorKind::Failed, format!("cannot update {file}: {error}"))
        })?;
        if !output.json && written.is_ok() {
            let mut text = report::format_result(&ran);
            if rewritten > 0 {
                let steps = if rewritten == 1 { "step" } else { "steps" };
                let file = loaded.path.display();
                text.push_str(&format!(
                    "       {rewritten} {steps} of {file} rewritten: look at the change\n"
                ));
            }
            written = write_colored(&text);
        }
        all.push(ran);
    }
    let written = written.and_then(|()| print_summary(&all, started.elapsed(), output));
    verdict(ResultCounts::from_results(&all)).and(written)
}

fn verdict(count: ResultCounts) -> Result<(), AppError> {
    let ResultCounts { failed, broken, .. } = count;
    let scenarios = |count: usize| match count {
        1 => "1 scenario".to_owned(),
        count => format!("{count} scenarios"),
    };
    match (failed, broken) {
        (0, 0) => Ok(()),
        (0, broken) => Err(
            AppError::usage(format!("{} cannot be run", scenarios(broken)))
                .hint("docs/scenarios.md lists the keys and their values"),
        ),
        (failed, _) => Err(AppError::new(
            ErrorKind::Failed,
            format!("{} failed", scenarios(failed)),
        )),
    }
}

fn list(selected: &[LoadedScenario], output: Output) -> Result<(), AppError> {
    let about = |loaded: &LoadedScenario| match &loaded.scenario {
        Ok(scenario) => scenario.about.clone(),
        Err(_) => "(broken)".to_owned(),
    };
    let items: Vec<_> = selected
        .iter()
        .map(|loaded| json!({ "path": loaded.path.to_string_lossy(), "about": about(loaded) }))
        .collect();
    output.print(&items, |_| {
        let mut rows = Table::with_columns(&[
            Column::new("scenario").tail(24),
            Column::new("about").wrapped(24),
        ]);
        for loaded in selected {
            rows.add([loaded.path.display().to_string(), about(loaded)]);
        }
        rows.to_string()
    })
}

fn write_junit(file: &Path, all: &[ScenarioResult], took: Duration) -> Result<(), AppError> {
    let write_error = |error: &dyn std::fmt::Display| {
        let file = file.display();
        AppError::new(ErrorKind::Failed, format!("cannot write {file}: {error}"))
    };
    let xml = report::to_junit(all, took).map_err(|error| write_error(&error))?;
    std::fs::write(file, xml).map_err(|error| write_error(&error))
}
