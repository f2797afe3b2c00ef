//! `sync`: imports from Webex until the import is complete.

use std::fmt;

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{SyncKind, SyncReport};

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// The data to import
    #[arg(value_name = "WHAT", default_value_t = SyncTarget::RolesLicenses)]
    target: SyncTarget,
    /// Remove entries that are no longer at Webex even if the list is empty or has less than half of the
    /// stored entries; check at Webex first
    #[arg(long)]
    accept_removals: bool,
}

/// The data that can be imported.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SyncTarget {
    /// The roles and licences of the organisation
    RolesLicenses,
}

impl SyncTarget {
    fn kind(self) -> SyncKind {
        match self {
            Self::RolesLicenses => SyncKind::ROLES_LICENSES,
        }
    }
}

impl fmt::Display for SyncTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())
    }
}

/// Runs the import, in as many calls as needed, and prints the report.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let kind = args.target.kind();
    let name = record.name();
    let watched = || Some((host.store().as_ref(), record.reference()));
    let label = format!("importing {} of {name}", args.target);
    let first = host.sync(&record.pkid, kind.clone(), args.accept_removals);
    let first = progress::show_while(&label, watched(), first).await;
    let mut call_output = first.map_err(|error| {
        let again = "what was imported stays; run this command again to continue";
        with_retry_hint(record.explain(error), again)
    })?;
    while call_output.value.continues.is_some() {
        let (done, total) = (call_output.value.done, call_output.value.total);
        let label = format!("{label}, {done} of at least {total} steps done");
        let next = host.continue_sync(&record.pkid, kind.clone());
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
    context.print_call(&call_output, render_text)
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
        let counts = counts.iter().map(u32::to_string);
        rows.add(std::iter::once(model.model.clone()).chain(counts));
    }
    format!("{rows}\n\n{}", escape_control_chars(&report.message))
}
