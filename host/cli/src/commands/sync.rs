//! `sync`: imports from Webex until the import is complete, or lists the data syncs.

use relation_app::data_syncs::{self, DataSyncRow};
use relation_app::{AppError, ErrorKind, records};
use relation_host::reports::{SyncReport, SyncSelector};
use relation_host::types::Timestamp;

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::streams::stderr;
use crate::table::{Column, Table};
use crate::{Context, progress, time};

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The actions SaveDataSync, DeleteDataSync, ScheduleDataSync and UnscheduleDataSync change the data syncs and their schedules;
`relation-host describe` has their arguments.

Example: relation-host invoke ScheduleDataSync Acme sync=all start=2026-12-01T03:00 every=1d")]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// The data sync to execute: all, roles-licenses or users, or the name or pkid of any data sync of the customer
    #[arg(value_name = "SYNC", default_value = SyncSelector::ROLES_LICENSES.as_str())]
    sync: String,
    /// Remove entries that are no longer at Webex even if the list is empty or has less than half of the
    /// stored entries; check at Webex first
    #[arg(long)]
    accept_removals: bool,
    /// List the customer's data syncs with their schedules, and import nothing
    #[arg(long, conflicts_with_all = ["sync", "accept_removals"])]
    list: bool,
}

/// Runs the import, in as many calls as needed, and prints the report; or prints the data syncs.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    if args.list {
        return list(context, &args.record).await;
    }
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let name = record.name();
    let watched = || Some((host.store().as_ref(), record.reference()));
    let label = format!("importing {} of {name}", args.sync);
    let first = host.sync(
        &record.pkid,
        SyncSelector::new(args.sync),
        args.accept_removals,
    );
    let first = progress::show_while(&label, watched(), first).await;
    let mut call_output = first.map_err(|error| {
        let again = "what was imported stays; run this command again to continue";
        with_retry_hint(record.explain(error), again)
    })?;
    while let Some(continues) = call_output.value.continues {
        if continues > host.clock().now() {
            stderr::note("`relation-host run` must be running: it continues the import.");
            break;
        }
        let (done, total) = (call_output.value.done, call_output.value.total);
        let label = format!("{label}, {done} of at least {total} steps done");
        let next = host.continue_sync(&record.pkid, &call_output.value.sync_pkid);
        match progress::show_while(&label, watched(), next).await {
            Ok(Some(next)) => call_output = next,
            Ok(None) => {
                tracing::warn!(
                    "another process continues the import; this is its last known progress"
                );
                break;
            }
            Err(error) => {
                let hint = "what was imported stays; `relation-host run` continues the import \
                                 automatically, and another `relation-host sync` continues it now";
                return Err(with_retry_hint(record.explain(error), hint));
            }
        }
    }
    context.print_call(&call_output, render_text)?;
    let models = call_output.value.models.iter();
    let failed: Vec<&str> = models
        .filter(|model| model.failed.is_some())
        .map(|model| model.model.as_str())
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("these could not be read: {}", failed.join(", "));
            let hint = "`relation-host alerts` has the reasons; all else was imported";
            Err(AppError::new(ErrorKind::Failed, message).hint(hint))
        }
    }
}

/// Prints the data syncs of a record.
async fn list(context: &Context, record: &RecordSelector) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let stored = record.find(store.as_ref()).await?;
    let host = context.installation.plugin_host().await?;
    let details = records::show(&host, &stored).await?;
    let rows = data_syncs::list(store.as_ref(), &details).await?;
    let now = context.installation.now();
    context
        .output
        .page(&rows, None, |rows| render_data_syncs(rows, now).to_string())
}

/// Renders data syncs with their schedules.
pub(super) fn render_data_syncs(syncs: &[DataSyncRow], now: Timestamp) -> Table {
    let mut rows = Table::with_columns(&[
        Column::new("data sync").shortened(16),
        Column::new("role").droppable(2),
        Column::new("models").droppable(3),
        Column::new("schedule").wrapped(16),
        Column::new("next run (UTC)").droppable(4),
        Column::new("when"),
        Column::new("pkid").droppable(1),
    ]);
    for sync in syncs {
        let models = match sync.models.as_slice() {
            [model] => model.clone(),
            models => models.len().to_string(),
        };
        let schedule = sync.schedule.as_ref();
        let next = schedule.and_then(|schedule| schedule.next);
        let rule = schedule.map(|schedule| {
            let every = schedule.every.as_ref();
            let rule = every.map_or("once, ".to_owned(), |every| format!("every {every} from "));
            format!("{rule}{} {}", schedule.start, schedule.time_zone)
        });
        let when = match (schedule, next) {
            (_, Some(next)) => time::format_due(next, now),
            (Some(_), None) => "over".to_owned(),
            (None, None) => "-".to_owned(),
        };
        rows.add([
            sync.name.clone(),
            sync.role.clone().unwrap_or_else(|| "-".to_owned()),
            models,
            rule.unwrap_or_else(|| "-".to_owned()),
            next.map_or("-".to_owned(), time::format_timestamp),
            when,
            sync.pkid.clone(),
        ]);
    }
    rows
}

/// Adds `hint` to a transient error that has none.
fn with_retry_hint(error: AppError, hint: &str) -> AppError {
    match (error.kind, &error.hint) {
        (ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Conflict, None) => {
            error.hint(hint)
        }
        _ => error,
    }
}

fn render_text(report: &SyncReport) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("model").tail(12),
        Column::new("found"),
        Column::new("added"),
        Column::new("updated"),
        Column::new("removed"),
    ]);
    for model in &report.models {
        let counts = [model.found, model.added, model.updated, model.removed];
        let counts = counts.map(|count| match model.failed {
            Some(_) => "-".to_owned(),
            None => count.to_string(),
        });
        rows.add(std::iter::once(model.model.clone()).chain(counts));
    }
    format!("{rows}\n\n{}", escape_control_chars(&report.message))
}
