//! `sync`: imports from Webex until the import is complete.

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{SyncReport, SyncSelector};

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::streams::stderr;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
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
}

/// Runs the import, in as many calls as needed, and prints the report.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
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
