//! `test`: runs scenarios on a component, and tells of each like a test runner.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use relation_harness::scenario::component::Component;
use relation_harness::scenario::outcome::{Count, Ran};
use relation_harness::scenario::report;
use relation_harness::scenario::suite::{self, Loaded};
use relation_harness::scenario::watch::{Changed, Watched, settled};
use relation_host::component::inspect_with;
use serde_json::json;

use crate::Global;
use crate::failure::{Failed, Kind};
use crate::output::{Output, shown};
use crate::session;
use crate::streams::stderr;
use crate::streams::stdout::write_coloured as tell;
use crate::table::{Column, Rows};

/// How often files are looked at; a change is acted on when it is that old.
const PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A scenario runs the component on a host of its own, with a clock that jumps and an emulated \
                  Webex or scripted answers; nothing leaves the process. docs/scenarios.md says how one is written. \
                  Ends with 1 if a scenario failed, with 2 if a file is no scenario."
)]
pub struct Args {
    /// Files, and directories with files that end in .toml
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Only scenarios whose path or first sentence contains this, whichever letters are capital
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How many run at once [default: one for each processor]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The component, as --plugin
    #[arg(long, value_name = "FILE", conflicts_with = "plugin")]
    component: Option<PathBuf>,
    /// Accept what the scenarios see: rewrite the expectations that it does not meet, in the files
    #[arg(long, conflicts_with_all = ["list", "junit"])]
    update: bool,
    /// Run again what a change of a scenario, or of the file of --component, may have changed, until stopped
    #[arg(long, conflicts_with_all = ["list", "update"])]
    watch: bool,
    /// Write JUnit's XML besides
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Name the scenarios and run none
    #[arg(long)]
    list: bool,
}

/// Runs what is named; fails if a scenario failed or a file is broken.
pub fn run(args: &Args, global: &Global) -> Result<(), Failed> {
    let output = Output { json: global.json };
    let file = args.component.as_deref().or(global.plugin.as_deref());
    if let Some(file) = &args.junit {
        // Before anything runs: what is told for nothing would be lost.
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
        if directory.is_some_and(|directory| !directory.is_dir()) {
            let message = format!(
                "cannot write {}: there is no such directory",
                file.display()
            );
            return Err(Failed::usage(message));
        }
    }
    if args.watch {
        return watch(args, file, global, output);
    }
    let selected = selected(args)?;
    if args.list {
        return list(&selected, output);
    }
    let component = component(file, global)?;
    if args.update {
        return update(&selected, &component, output);
    }
    play(args, &selected, &component, output)
}

fn selected(args: &Args) -> Result<Vec<Loaded>, Failed> {
    let found = suite::survey(&args.paths).map_err(|error| Failed::usage(error.to_string()))?;
    for entry in &found.passed_over {
        let path = shown(&entry.path.display().to_string());
        stderr::note(&format!("note: {path} is passed over: it is {}", entry.why));
    }
    let files = found.files;
    let selected = suite::select(&files, args.filter.as_deref());
    if selected.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        let message = match files.len() {
            1 => format!("the only scenario does not contain {filter:?}"),
            all => format!("none of {all} scenarios contains {filter:?}"),
        };
        return Err(Failed::usage(message).hint("--list shows their paths and sentences"));
    }
    Ok(selected)
}

/// The component in `file`, or else the one carried in this binary.
fn component(file: Option<&Path>, global: &Global) -> Result<Component, Failed> {
    let (name, bytes) = session::component_bytes(file)?;
    let cache = session::component_cache(global);
    // Told once, and not as the failure of every scenario.
    let problem = match inspect_with(&bytes, cache.as_ref()) {
        Ok(inspection) if inspection.fits() => None,
        Ok(_) => Some(format!("{name} does not fit this host")),
        Err(error) => Some(format!("{name}: {error}")),
    };
    if let Some(problem) = problem {
        let hint = "`relation-host inspect` says of every import whether this host has it";
        return Err(Failed::new(Kind::Plugin, problem).hint(hint));
    }
    let component = Component::from(bytes.into_owned());
    Ok(match cache {
        Some(cache) => component.cached(cache),
        None => component,
    })
}

fn play(
    args: &Args,
    selected: &[Loaded],
    component: &Component,
    output: Output,
) -> Result<(), Failed> {
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let begun = Instant::now();
    let mut unwritten = None;
    let all = suite::run_all(selected, component, jobs, |ran| {
        if !output.json && unwritten.is_none() {
            unwritten = tell(&report::finished(ran)).err();
        }
    });
    let took = begun.elapsed();
    let count = Count::of(&all);
    let written = match unwritten {
        Some(failed) => Err(failed),
        None => summarize(&all, took, output),
    };
    let junit = args.junit.as_deref();
    let noted = junit.map_or(Ok(()), |file| write_junit(file, &all, took));
    // The result of the scenarios decides the exit code, even if the output has no reader.
    verdict(count).and(noted).and(written)
}

fn summarize(all: &[Ran], took: Duration, output: Output) -> Result<(), Failed> {
    match output.json {
        true => output.print(&report::json(all, took), |_| String::new()),
        false => tell(&report::summary(Count::of(all), took)),
    }
}

/// Runs everything, and again what a change of a scenario or of the component may have changed, until the
/// process is stopped.
fn watch(args: &Args, file: Option<&Path>, global: &Global, output: Output) -> Result<(), Failed> {
    let watched = Watched {
        paths: args.paths.clone(),
        component: file.map(Path::to_owned),
    };
    let mut before = watched.look();
    let mut changed = Changed::Component;
    loop {
        let ended = again(args, file, &changed, global);
        match ended {
            Err(failed) if failed.kind == Kind::BrokenPipe => return Err(failed),
            Err(failed) => failed.report(output.json),
            Ok(()) => {}
        }
        stderr::note("waiting for a change; Ctrl-C ends");
        changed = settled(&mut before, || watched.look(), || std::thread::sleep(PAUSE));
    }
}

fn again(
    args: &Args,
    file: Option<&Path>,
    changed: &Changed,
    global: &Global,
) -> Result<(), Failed> {
    let output = Output { json: global.json };
    let selected = match changed {
        Changed::Scenarios(files) => suite::select(files, args.filter.as_deref()),
        Changed::Component | Changed::Nothing => selected(args)?,
    };
    play(args, &selected, &component(file, global)?, output)
}

/// Runs one after the other, and rewrites the files of those that differ.
fn update(selected: &[Loaded], component: &Component, output: Output) -> Result<(), Failed> {
    let begun = Instant::now();
    let mut all = Vec::new();
    let mut written = Ok(());
    for loaded in selected {
        let (ran, rewritten) = suite::accept(loaded, component).map_err(|error| {
            let file = loaded.path.display();
            Failed::new(Kind::Failed, format!("cannot update {file}: {error}"))
        })?;
        if !output.json && written.is_ok() {
            let mut text = report::finished(&ran);
            if rewritten > 0 {
                let steps = if rewritten == 1 { "step" } else { "steps" };
                let file = loaded.path.display();
                text.push_str(&format!(
                    "       {rewritten} {steps} of {file} rewritten: look at the change\n"
                ));
            }
            written = tell(&text);
        }
        all.push(ran);
    }
    let written = written.and_then(|()| summarize(&all, begun.elapsed(), output));
    verdict(Count::of(&all)).and(written)
}

fn verdict(count: Count) -> Result<(), Failed> {
    let Count { failed, broken, .. } = count;
    let scenarios = |count: usize| match count {
        1 => "1 scenario".to_owned(),
        count => format!("{count} scenarios"),
    };
    match (failed, broken) {
        (0, 0) => Ok(()),
        (0, broken) => Err(
            Failed::usage(format!("{} cannot be run", scenarios(broken)))
                .hint("docs/scenarios.md lists the keys and their values"),
        ),
        (failed, _) => Err(Failed::new(
            Kind::Failed,
            format!("{} failed", scenarios(failed)),
        )),
    }
}

fn list(selected: &[Loaded], output: Output) -> Result<(), Failed> {
    let about = |loaded: &Loaded| match &loaded.scenario {
        Ok(scenario) => scenario.about.clone(),
        Err(_) => "(broken)".to_owned(),
    };
    let items: Vec<_> = selected
        .iter()
        .map(|loaded| json!({ "path": loaded.path.to_string_lossy(), "about": about(loaded) }))
        .collect();
    output.print(&items, |_| {
        let mut rows = Rows::under(&[
            Column::new("scenario").tail(24),
            Column::new("about").wrapped(24),
        ]);
        for loaded in selected {
            rows.add([loaded.path.display().to_string(), about(loaded)]);
        }
        rows.to_string()
    })
}

fn write_junit(file: &Path, all: &[Ran], took: Duration) -> Result<(), Failed> {
    let failed = |error: &dyn std::fmt::Display| {
        let file = file.display();
        Failed::new(Kind::Failed, format!("cannot write {file}: {error}"))
    };
    let xml = report::junit(all, took).map_err(|error| failed(&error))?;
    std::fs::write(file, xml).map_err(|error| failed(&error))
}
