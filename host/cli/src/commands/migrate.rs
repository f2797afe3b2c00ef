//! `migrate`: moves everything to another store.

use std::path::Path;

use relation_app::{AppError, ErrorKind, StoreUrl};
use relation_host::store::seal::Sealer;
use relation_host::store::sqlite::SqliteStore;
use relation_host::store::stash;
use relation_host::store::transfer::{
    Phase, RowKind, Transfer, TransferPlan, TransferProgress, TransferReport, release,
};
use relation_host::text::format_count;
use serde::Serialize;
use serde_json::json;

use crate::context::parse_store;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Stop every host first. After an interruption, run the command again to continue. At the end, both stores are compared by
counts and digests, and hosts can use the new store only. The key stays the same.

Example: relation-host migrate --from sqlite:relation.db --to postgres://relation@db.example.com/relation")]
pub struct Args {
    /// The store to move from [default: the configured store]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The store to move to; created if it does not exist, otherwise it must be empty
    #[arg(long, value_name = "URL", required_unless_present = "reopen")]
    to: Option<String>,
    /// Count what would be moved, and name what prevents it; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Let hosts use the store again from which was moved; never let hosts use both stores
    #[arg(long, conflicts_with_all = ["to", "dry_run"])]
    reopen: bool,
    /// The number of rows that are copied in one write
    #[arg(long, value_name = "N", default_value_t = Transfer::PAGE, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    step: u32,
}

/// A line of the output in JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Progress(TransferProgress),
    End(&'a Report),
}

#[derive(Serialize)]
struct Report {
    from: String,
    to: String,
    /// The line to configure, unless the configuration has it.
    configure: Option<String>,
    #[serde(flatten)]
    transfer: TransferReport,
}

/// Moves, or tells what would be moved.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let configured = &context.installation.config.store;
    let from = match &args.from {
        Some(text) => parse_store(text, "--from", Path::new(""))?,
        None => configured.clone(),
    };
    let Some(to) = &args.to else {
        return reopen(context, &from).await;
    };
    let to = parse_store(to, "--to", Path::new(""))?;
    let explain = |error| context.installation.explain_missing(error);
    let source = from.open_to_transfer(false).await.map_err(explain)?;
    if source.data_keys().await?.is_empty() {
        let message = format!("the store {from} has no keys yet: there is nothing to move");
        return Err(AppError::new(ErrorKind::NotFound, message));
    }
    let key = context.installation.config.key.clone();
    let sealer = Sealer::open(source.as_ref(), key, context.installation.now()).await?;
    let (from_text, to_text) = (from.to_string(), to.to_string());
    let target = match to.open_to_transfer(!args.dry_run).await {
        Err(error) if args.dry_run && error.kind == ErrorKind::NotFound => {
            // An empty store, as the command would make it.
            std::sync::Arc::new(SqliteStore::in_memory()?)
        }
        opened => opened?,
    };
    let transfer = Transfer::new(
        (source.as_ref(), &from_text),
        (target.as_ref(), &to_text),
        &sealer,
        args.step,
    );
    let stashed = check_stash(context, &from);
    if args.dry_run {
        let mut plan = transfer.plan().await?;
        plan.obstacles
            .extend(stashed.err().map(|error| error.message));
        return print_plan(context, &plan);
    }
    stashed?;
    let mut reporter = Reporter::new(context);
    let moved = transfer
        .run(context.installation.now(), |progress| {
            reporter.report(progress)
        })
        .await;
    reporter.bar.finish_and_clear();
    let report = Report {
        configure: (to != *configured).then(|| format!("store = {:?}", to.to_string())),
        from: from_text.clone(),
        to: to_text.clone(),
        transfer: moved?,
    };
    if let Some(error) = reporter.error {
        return Err(error);
    }
    let end = Event::End(&report);
    context.output.line(&end, |_| render_report(&report))
}

/// Lets hosts use a store again from which was moved.
async fn reopen(context: &Context, from: &StoreUrl) -> Result<(), AppError> {
    let explain = |error| context.installation.explain_missing(error);
    let store = from.open_to_transfer(false).await.map_err(explain)?;
    let location = from.to_string();
    let mark = release(store.as_ref(), &location).await?;
    let result = json!({ "reopened": location, "moved_to": mark.other, "finished": mark.finished });
    context.output.print(&result, |_| match mark.finished {
        true => format!(
            "hosts can use {location} again, as it was when it was moved; never let hosts use {} too",
            mark.other
        ),
        false => format!(
            "hosts can use {location} again; remove {} before the next move to it",
            mark.other
        ),
    })
}

/// Refuses a move while the stash has entries, which only the old store can take.
fn check_stash(context: &Context, from: &StoreUrl) -> Result<(), AppError> {
    let mut config = context.installation.config.clone();
    config.store = from.clone();
    let directory = config.stash_directory();
    let failed = |error: stash::StashError| AppError::new(ErrorKind::Failed, error.to_string());
    let entries = stash::list(&directory).map_err(failed)?;
    if entries.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the stash {} has {} of the store {from}",
        directory.display(),
        format_count(entries.len() as u64, "entry", "entries")
    );
    Err(AppError::new(ErrorKind::Problem, message).hint(
        "`relation-host stash apply` applies them; move quarantined files away once you have inspected them",
    ))
}

/// A reporter of progress: a bar at a terminal, or lines of JSON.
struct Reporter<'a> {
    context: &'a Context,
    bar: indicatif::ProgressBar,
    error: Option<AppError>,
}

impl<'a> Reporter<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            bar: progress::counter(0, ""),
            error: None,
        }
    }

    fn report(&mut self, progress: TransferProgress) {
        let action = match progress.phase {
            Phase::Copying => "copying",
            Phase::Comparing => "comparing",
        };
        self.bar.set_message(format!("{action} {}", progress.rows));
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        if self.context.output.json && self.error.is_none() {
            let event = Event::Progress(progress);
            let written = self.context.output.line(&event, |_| String::new());
            self.error = written.err();
        }
    }
}

fn render_report(report: &Report) -> String {
    let Report { from, to, .. } = report;
    let TransferReport {
        finished_before,
        moved,
        unopened,
        ..
    } = &report.transfer;
    if *finished_before {
        return format!(
            "nothing to do: {from} was moved to {to} already{}",
            render_next(report)
        );
    }
    let rows: Vec<String> = moved
        .iter()
        .map(|rows| count_rows(rows.rows, rows.count))
        .collect();
    let mut text = format!(
        "{from} was moved to {to}: {}\nboth stores have the same counts and digests",
        rows.join(", ")
    );
    if *unopened > 0 {
        let secrets = format_count(*unopened, "secret does", "secrets do");
        text.push_str(&format!(
            "\n{secrets} not open, as before: `relation-host keys list` lists them"
        ));
    }
    text + &render_next(report)
}

/// Returns the lines about the next steps.
fn render_next(report: &Report) -> String {
    let configure = report.configure.as_ref();
    let configure = configure.map(|line| format!("\nconfigure `{line}` and start the hosts"));
    format!(
        "{}\nhosts cannot open {} any more; delete it once it is not needed as a backup",
        configure.unwrap_or_else(|| "\nstart the hosts".to_owned()),
        report.from
    )
}

fn count_rows(kind: RowKind, count: u64) -> String {
    let one = kind.as_str().trim_end_matches('s');
    format_count(count, one, kind.as_str())
}

/// Prints what would be moved. Fails if the move would be refused.
fn print_plan(context: &Context, plan: &TransferPlan) -> Result<(), AppError> {
    context.output.print(plan, |plan| {
        let mut table = Table::with_columns(&[
            Column::new("rows"),
            Column::new("to move"),
            Column::new("copied already"),
        ]);
        for rows in &plan.to_move {
            let numbers = [rows.count, rows.copied].map(|number| number.to_string());
            table.add(std::iter::once(rows.rows.to_string()).chain(numbers));
        }
        table.to_string()
    })?;
    if plan.obstacles.is_empty() {
        return Ok(());
    }
    let message = format!("the move would be refused: {}", plan.obstacles.join("; "));
    Err(AppError::new(ErrorKind::Problem, message))
}
