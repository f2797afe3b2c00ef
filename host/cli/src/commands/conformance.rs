//! `conformance`: runs the conformance suite against this host, on a store without customers.

use std::path::PathBuf;
use std::sync::Arc;

use relation_app::{AppError, ErrorKind, OpenMode, StoreUrl, open_component_cache};
use relation_harness::conformance::{Conformance, ConformanceError, Finding, Report, Status};
use relation_host::ComponentSource;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::{Store, StoreError};
use relation_host::types::{Filter, RECORD_MODEL};

use crate::clock::clock;
use crate::output::{Output, escape_control_chars};
use crate::{GlobalArgs, context, embedded};

/// Arguments of `conformance`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs on a temporary store, or on the one of --store, which must hold no customers and \
                  uses the configured key. The clock is simulated, so the suite does not wait."
)]
pub struct Args {
    /// The suite [default: the one embedded in this binary]
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// Prints one line per check. Fails if a check failed.
pub async fn run(args: &Args, global: &GlobalArgs) -> Result<(), AppError> {
    let suite = suite(args)?;
    let scratch = tempfile::tempdir().map_err(|error| {
        AppError::new(
            ErrorKind::Failed,
            format!("cannot create a temporary directory: {error}"),
        )
    })?;
    let now = clock().now();
    let (url, store, sealer) = match &global.store {
        None => {
            let url = StoreUrl::sqlite(scratch.path().join("conformance.db"));
            let store = url.open(OpenMode::Create).await?;
            let key = KeyFile::new(scratch.path().join("conformance.key"));
            let sealer = Sealer::open(store.as_ref(), key, now).await?;
            (url, store, sealer)
        }
        Some(_) => {
            let installation = context::installation(global, context::load_config(global)?);
            let store = installation.store_with_keys().await?;
            let config = installation.config;
            refuse_customers(store.as_ref(), &config.store).await?;
            let sealer = Sealer::open(store.as_ref(), config.key, now).await?;
            (config.store, store, sealer)
        }
    };
    let again = move || {
        let url = url.clone();
        async move {
            let opened = url.open(OpenMode::Existing).await;
            opened.map_err(|error| StoreError::Unavailable(error.message))
        }
    };
    let mut conformance = Conformance::new(suite, store, Arc::new(sealer)).reopen_with(again);
    if let Some(cache) = open_component_cache(global.config.as_deref()) {
        conformance = conformance.component_cache(cache);
    }
    let report = conformance.run().await.map_err(|error| not_run(&error))?;
    let output = Output { json: global.json };
    let written = output.print(&report, render_text);
    verdict(&report).and(written)
}

fn suite(args: &Args) -> Result<ComponentSource, AppError> {
    match (&args.component, embedded::CONFORMANCE) {
        (Some(file), _) => Ok(ComponentSource::File(file.clone())),
        (None, Some(bytes)) => Ok(ComponentSource::Bytes(bytes.to_vec())),
        (None, None) => Err(AppError::new(
            ErrorKind::Failed,
            "the suite is not embedded in this binary",
        )
        .hint("build with `cargo xtask build`, or name it with --component FILE")),
    }
}

/// Refuses a store that holds customers: the suite moves the clock, loses leases and deletes documents.
async fn refuse_customers(store: &dyn Store, name: &StoreUrl) -> Result<(), AppError> {
    let customers = Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let found = store.find(&customers, None, 1).await?;
    if found.items.is_empty() {
        return Ok(());
    }
    Err(AppError::usage(format!(
        "the store {name} holds customers; the suite does not run on it"
    ))
    .hint("leave --store out for a temporary store, or name one without customers by --store"))
}

fn not_run(error: &ConformanceError) -> AppError {
    AppError::new(ErrorKind::Failed, error.to_string())
        .hint("`relation-host inspect FILE` shows whether the file is the suite")
}

fn render_text(report: &Report) -> String {
    let mut lines: Vec<String> = report.checks.iter().map(line).collect();
    let count = |status| report.with_status(status).count();
    lines.push(format!(
        "\n{}: {} passed, {} failed, {} skipped",
        escape_control_chars(&report.suite),
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
    let text = finding.reason.as_ref().unwrap_or(&finding.says);
    format!(
        "{status:<7}  {}: {}",
        finding.id,
        escape_control_chars(text)
    )
}

fn verdict(report: &Report) -> Result<(), AppError> {
    if report.is_conformant() {
        return Ok(());
    }
    let failed = report.failed().count();
    let message = match failed {
        0 => "no check passed".to_owned(),
        1 => "a check failed".to_owned(),
        several => format!("{several} checks failed"),
    };
    Err(AppError::new(ErrorKind::Failed, message).hint("docs/conformance.md describes the checks"))
}
