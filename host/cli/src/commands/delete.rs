//! `delete`: takes a customer away with everything that was created for it.

use std::io::{self, IsTerminal};

use relation_host::reports::{Deletion, Revocation};

use crate::failure::{Failed, Kind};
use crate::output::shown;
use crate::records::{Named, Record};
use crate::streams::stderr;
use crate::table::{Column, Rows};
use crate::{Context, progress};

/// More documents of one model are not listed for people but counted.
const LISTED: usize = 20;

/// Arguments of `delete`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
    /// Only print what would be deleted
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Deletes it, or says what that would take away.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let may_ask = io::stdin().is_terminal() && stderr::has_a_person();
    if !args.dry_run && !args.yes && !may_ask {
        return Err(Failed::usage("this would delete without asking")
            .hint("--yes deletes; --dry-run prints what would be deleted"));
    }
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    if !args.dry_run && !args.yes && !confirmed(&record)? {
        return Err(Failed::new(Kind::Failed, "nothing was deleted"));
    }
    let (label, dry_run) = match args.dry_run {
        true => (format!("looking at {}", record.name()), true),
        false => (format!("deleting {}", record.name()), false),
    };
    let call = host.delete(&record.pkid, dry_run);
    let watched = Some((host.store().as_ref(), record.reference()));
    let called = progress::during(&label, watched, call).await?;
    let written = context.called(&called, |deletion| human(deletion, dry_run));
    if let (false, Revocation::Failed(why)) = (dry_run, &called.value.revocation) {
        tracing::warn!("the tokens were not revoked at Webex and live until their expiry: {why}");
    }
    written
}

fn confirmed(record: &Record) -> Result<bool, Failed> {
    let failed = |error: io::Error| Failed::new(Kind::Failed, format!("cannot ask: {error}"));
    let name = shown(record.name());
    let (place, parts) = (&record.hierarchy, record.parts.len());
    stderr::ask(&format!(
        "Delete {name} ({place}), the {parts} documents that belong to it and what was imported? \
         [y/N] "
    ));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn human(deletion: &Deletion, dry_run: bool) -> String {
    let heading = if dry_run { "would delete" } else { "deleted" };
    let mut rows = Rows::under(&[
        Column::new(heading),
        Column::new("name").shortened(24),
        Column::new("pkid").dropped(1),
    ]);
    for documents in deletion
        .documents
        .chunk_by(|(one, _), (next, _)| one.model == next.model)
    {
        match documents {
            [(first, _), ..] if documents.len() > LISTED => {
                rows.add([&first.model, &format!("{} documents", documents.len()), ""]);
            }
            few => {
                for (reference, name) in few {
                    rows.add([&reference.model, name, reference.pkid.as_str()]);
                }
            }
        }
    }
    for wakeup in &deletion.wakeups {
        rows.add(["wakeup", wakeup, ""]);
    }
    let tokens = match &deletion.revocation {
        Revocation::Revoked if dry_run => "would be revoked at Webex".to_owned(),
        Revocation::Revoked => "revoked at Webex".to_owned(),
        Revocation::Skipped(why) => format!("not revoked: {}", shown(why)),
        Revocation::Failed(why) => format!("could not be revoked: {}", shown(why)),
    };
    format!("{rows}\n\ntokens: {tokens}")
}
