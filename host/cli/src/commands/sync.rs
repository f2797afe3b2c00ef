//! `sync`: imports from Webex, to the end.

use std::fmt;

use relation_host::reports::{SyncKind, SyncReport};

use crate::failure::{Failed, Kind};
use crate::output::shown;
use crate::records::Named;
use crate::table::{Column, Rows};
use crate::{Context, progress};

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
    /// What to import
    #[arg(value_name = "WHAT", default_value_t = What::RolesLicenses)]
    what: What,
    /// Remove what is no longer at Webex even if the list is empty or lacks more than half of
    /// what is stored: look at Webex first
    #[arg(long)]
    accept_removals: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// The roles and licences of the organisation
    RolesLicenses,
}

impl What {
    fn kind(self) -> SyncKind {
        match self {
            Self::RolesLicenses => SyncKind::ROLES_LICENSES,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())
    }
}

/// Imports, in as many calls as it takes, and prints what came of it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let kind = args.what.kind();
    let name = record.name();
    let watched = || Some((host.store().as_ref(), record.reference()));
    let label = format!("importing {} of {name}", args.what);
    let first = host.sync(&record.pkid, kind.clone(), args.accept_removals);
    let first = progress::during(&label, watched(), first).await;
    let mut called = first.map_err(|error| {
        let again = "what was imported stays; run this again, and it goes on from there";
        hinted(Failed::from(error), again)
    })?;
    while called.value.continues.is_some() {
        let (done, total) = (called.value.done, called.value.total);
        let label = format!("{label}, {done} of at least {total} steps done");
        let next = host.continue_sync(&record.pkid, kind.clone());
        match progress::during(&label, watched(), next).await {
            Ok(Some(next)) => called = next,
            Ok(None) => {
                tracing::warn!("another process has gone on with the import; this is how it stood");
                break;
            }
            Err(error) => {
                let by_itself = "what was imported stays; `relation-host run` goes on with it by \
                                 itself, and so does another `relation-host sync`";
                return Err(hinted(Failed::from(error), by_itself));
            }
        }
    }
    context.called(&called, human)
}

/// A passing fault, with what to do about it.
fn hinted(failed: Failed, hint: &str) -> Failed {
    match (failed.kind, &failed.hint) {
        (Kind::Unavailable | Kind::RateLimited | Kind::Conflict, None) => failed.hint(hint),
        _ => failed,
    }
}

fn human(report: &SyncReport) -> String {
    let mut rows = Rows::under(&[
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
    format!("{rows}\n\n{}", shown(&report.message))
}
