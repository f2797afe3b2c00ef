//! `conformance`: checks this host with the suite for hosts, on a store that holds no customer.

use std::path::PathBuf;
use std::sync::Arc;

use relation_harness::conformance::{Conformance, Finding, NotRun, Report, Status};
use relation_host::ComponentSource;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::{Store, StoreError};
use relation_host::types::{Filter, RECORD_MODEL};

use crate::clock::clock;
use crate::config::StoreUrl;
use crate::failure::{Failed, Kind};
use crate::output::{Output, shown};
use crate::{Global, carried, session};

/// Arguments of `conformance`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs on a temporary store, or on the one of --store, which must hold no customer; its \
                  key is the configured one. Time is the suite's own: a day passes in a moment."
)]
pub struct Args {
    /// The suite [default: the one carried in this binary]
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// Prints a line for each check; fails if one of them failed.
pub async fn run(args: &Args, global: &Global) -> Result<(), Failed> {
    let suite = suite(args)?;
    let scratch = tempfile::tempdir().map_err(|error| {
        Failed::new(
            Kind::Failed,
            format!("cannot make a temporary directory: {error}"),
        )
    })?;
    let now = clock().now();
    let (url, store, sealer) = match &global.store {
        None => {
            let url = StoreUrl::Sqlite(scratch.path().join("conformance.db"));
            let store = session::open_store(&url)?;
            let key = KeyFile::new(scratch.path().join("conformance.key"));
            let sealer = Sealer::open(store.as_ref(), key, now).await?;
            (url, store, sealer)
        }
        Some(name) => {
            let config = session::configuration(global)?;
            let store = session::open_store(&config.store)?;
            refuse_customers(store.as_ref(), name).await?;
            let sealer = Sealer::open(store.as_ref(), config.key.clone(), now).await?;
            (config.store, store, sealer)
        }
    };
    let again =
        move || session::open_store(&url).map_err(|failed| StoreError::Unavailable(failed.message));
    let mut conformance =
        Conformance::of(suite, store, Arc::new(sealer)).reopening(Box::new(again));
    if let Some(cache) = session::component_cache(global) {
        conformance = conformance.component_cache(cache);
    }
    let report = conformance.run().await.map_err(|error| not_run(&error))?;
    let output = Output { json: global.json };
    let written = output.print(&report, human);
    verdict(&report).and(written)
}

fn suite(args: &Args) -> Result<ComponentSource, Failed> {
    match (&args.component, carried::CONFORMANCE) {
        (Some(file), _) => Ok(ComponentSource::File(file.clone())),
        (None, Some(bytes)) => Ok(ComponentSource::Bytes(bytes.to_vec())),
        (None, None) => Err(
            Failed::new(Kind::Failed, "the suite is not carried in this binary")
                .hint("build with `cargo xtask build`, or name it with --component FILE"),
        ),
    }
}

/// The suite moves the clock, loses leases and deletes: that is not for a store in use.
async fn refuse_customers(store: &dyn Store, name: &str) -> Result<(), Failed> {
    let customers = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let found = store.find(&customers, None, 1).await?;
    if found.items.is_empty() {
        return Ok(());
    }
    Err(Failed::usage(format!(
        "the store {name} holds customers; the suite does not run on it"
    ))
    .hint("leave --store out for a temporary store, or name one that is not there yet"))
}

fn not_run(error: &NotRun) -> Failed {
    Failed::new(Kind::Failed, error.to_string())
        .hint("is it the suite? `relation-host inspect FILE` says what a component is")
}

fn human(report: &Report) -> String {
    let mut lines: Vec<String> = report.checks.iter().map(line).collect();
    let count = |status| report.that_are(status).count();
    lines.push(format!(
        "\n{}: {} passed, {} failed, {} skipped",
        shown(&report.suite),
        count(Status::Passed),
        count(Status::Failed),
        count(Status::Skipped)
    ));
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let status = match finding.status {
        Status::Passed => "ok",
        Status::Failed => "FAILED",
        Status::Skipped => "skipped",
        Status::Pending => "pending",
    };
    let told = finding.why.as_ref().unwrap_or(&finding.says);
    format!("{status:<7}  {}: {}", finding.id, shown(told))
}

fn verdict(report: &Report) -> Result<(), Failed> {
    if report.is_conformant() {
        return Ok(());
    }
    let failed = report.failed().count();
    let message = match failed {
        0 => "no check passed".to_owned(),
        1 => "a check failed".to_owned(),
        several => format!("{several} checks failed"),
    };
    Err(Failed::new(Kind::Failed, message)
        .hint("docs/conformance.md says what each of them is about"))
}
