//! `delete`: deletes a customer and everything that belongs to it.

use std::io::{self, IsTerminal};

use relation_app::sites::{self, KeptDocuments};
use relation_app::{AppError, ErrorKind, records};
use relation_host::CallOutput;
use relation_host::reports::{Deletion, RecordDetails, Revocation};
use relation_host::text::format_count;
use serde::Serialize;

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::streams::stderr;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// If more documents of one model are deleted, people see their count instead of a list.
const MAX_LISTED: usize = 20;

/// Arguments of `delete`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// Only print what would be deleted
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

/// Deletes the record, or prints what would be deleted.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let may_ask = io::stdin().is_terminal() && stderr::is_interactive();
    if !args.dry_run && !args.yes && !may_ask {
        return Err(AppError::usage("this would delete without asking")
            .hint("--yes deletes; --dry-run prints what would be deleted"));
    }
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    if !args.dry_run && !args.yes {
        let details = records::show(&host, &record).await?;
        if !confirm(&details)? {
            return Err(AppError::new(ErrorKind::Failed, "nothing was deleted"));
        }
    }
    let (label, dry_run) = match args.dry_run {
        true => (format!("looking at {}", record.name()), true),
        false => (format!("deleting {}", record.name()), false),
    };
    let kept = sites::count_kept(host.store().as_ref(), &record).await?;
    let call = host.delete(&record.pkid, dry_run);
    let watched = Some((host.store().as_ref(), record.reference()));
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    let call_output = CallOutput {
        transaction: call_output.transaction,
        value: DeletionOutput {
            deletion: call_output.value,
            kept,
        },
    };
    context.print_call(&call_output, |output| render_text(output, dry_run))
}

/// A deletion, and what it leaves to the services that use it.
#[derive(Serialize)]
struct DeletionOutput {
    #[serde(flatten)]
    deletion: Deletion,
    kept: Vec<KeptDocuments>,
}

fn confirm(record: &RecordDetails) -> Result<bool, AppError> {
    let prompt_error =
        |error: io::Error| AppError::new(ErrorKind::Failed, format!("cannot ask: {error}"));
    let name = escape_control_chars(&record.connection.name);
    let location = &record.connection.hierarchy;
    let count = record.owned_documents.len() as u64;
    let documents = format_count(
        count,
        "document that belongs to it",
        "documents that belong to it",
    );
    stderr::prompt(&format!(
        "Delete {name} ({location}), {documents} and what was imported? [y/N] "
    ));
    let mut reply = String::new();
    io::stdin().read_line(&mut reply).map_err(prompt_error)?;
    Ok(matches!(reply.trim(), "y" | "Y" | "yes"))
}

fn render_text(output: &DeletionOutput, dry_run: bool) -> String {
    let DeletionOutput { deletion, kept } = output;
    let heading = if dry_run { "would delete" } else { "deleted" };
    let mut rows = Table::with_columns(&[
        Column::new(heading),
        Column::new("name").shortened(24),
        Column::new("pkid").droppable(1),
    ]);
    for documents in deletion
        .documents
        .chunk_by(|(one, _), (next, _)| one.model == next.model)
    {
        match documents {
            [(first, _), ..] if documents.len() > MAX_LISTED => {
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
        Revocation::Skipped(reason) => format!("not revoked: {}", escape_control_chars(reason)),
        Revocation::Failed(reason) => format!(
            "could not be revoked, and are valid until their expiry: {}",
            escape_control_chars(reason)
        ),
    };
    let kept: Vec<String> = kept
        .iter()
        .map(|kept| format!("{} {}", kept.count, kept.model))
        .collect();
    let kept = match kept.is_empty() {
        true => String::new(),
        false => format!(
            "\nstays, because other services use it: {}",
            kept.join(", ")
        ),
    };
    format!("{rows}\n\ntokens: {tokens}{kept}")
}
