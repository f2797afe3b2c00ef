//! `stash`: lists or applies stashed commits.

use std::fmt;

use bytesize::ByteSize;
use relation_app::{AppError, ErrorKind};
use relation_host::StashSummary;
use relation_host::store::stash::{self, Label, StashFile};
use relation_host::text::{format_count, format_span};
use relation_host::types::{Reference, Timestamp};
use serde::Serialize;

use crate::Context;
use crate::table::{Column, Table};
use crate::time;

/// Subcommands of `stash`.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// List the stashed commits; needs neither the store nor the key
    List,
    /// Apply the stashed commits now; `run` and every call also apply them
    Apply,
}

/// The state of an entry: whether it will be applied.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum EntryState {
    /// The entry is applied when the store can be written.
    Waiting,
    /// The file is not a valid entry. The next replay quarantines it.
    Unreadable,
    /// The entry is in quarantine. The log has the reason.
    Quarantined,
}

impl EntryState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unreadable => "unreadable",
            Self::Quarantined => "quarantined",
        }
    }
}

#[derive(Debug, Serialize)]
struct EntryRow {
    state: EntryState,
    subject: Option<Reference>,
    epoch: Option<u64>,
    since: Option<Timestamp>,
    transaction: Option<String>,
    data_key: Option<u32>,
    file: String,
}

#[derive(Debug, Serialize)]
struct StashReport {
    items: Vec<EntryRow>,
    reserve: Reserve,
}

/// The disk space reserved for responses that the store cannot take while the disk is full, in bytes.
#[derive(Debug, Serialize)]
struct Reserve {
    bytes: u64,
    wanted: u64,
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes| ByteSize(bytes).display().iec();
        match *self {
            Self { wanted: 0, .. } => f.write_str(
                "no disk space is reserved (stash-reserve = false): while the disk is full, a response may be lost",
            ),
            Self { bytes: 0, wanted } => write!(
                f,
                "no disk space is reserved: while the disk is full, a response may be lost; `run` and every \
                 command that calls Webex reserve {} when the disk has room",
                size(wanted)
            ),
            Self { bytes, wanted } if bytes < wanted => write!(
                f,
                "in reserve: {} of {}; the rest is reserved again when the disk has room",
                size(bytes),
                size(wanted)
            ),
            Self { bytes, .. } => write!(f, "in reserve: {}", size(bytes)),
        }
    }
}

/// Runs the subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::List => list(context),
        Command::Apply => apply(context).await,
    }
}

fn list(context: &Context) -> Result<(), AppError> {
    let directory = context.installation.config.stash_directory();
    let listed = stash::list(&directory)
        .map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))?;
    let report = StashReport {
        items: listed.into_iter().map(entry_row).collect(),
        reserve: Reserve {
            bytes: stash::reserve_bytes(&directory),
            wanted: context.installation.config.stash_reserve,
        },
    };
    let now = context.installation.now();
    context.output.print(&report, |report| {
        let rows = match report.items.as_slice() {
            [] => "the stash is empty".to_owned(),
            rows => render_text(rows, now),
        };
        format!("{rows}\n{}", report.reserve)
    })
}

fn entry_row(listed: StashFile) -> EntryRow {
    let state = match (&listed.label, listed.quarantined) {
        (_, true) => EntryState::Quarantined,
        (Some(_), false) => EntryState::Waiting,
        (None, false) => EntryState::Unreadable,
    };
    let label = |part: fn(&Label) -> Reference| listed.label.as_ref().map(part);
    EntryRow {
        state,
        subject: label(|label| label.subject.clone()),
        epoch: listed.label.as_ref().map(|label| label.epoch),
        since: listed.label.as_ref().map(|label| label.since),
        transaction: listed.label.as_ref().map(|label| label.transaction.clone()),
        data_key: listed.data_key,
        file: listed.path.display().to_string(),
    }
}

fn render_text(rows: &[EntryRow], now: Timestamp) -> String {
    let mut lines = Table::with_columns(&[
        Column::new("state"),
        Column::new("since (UTC)").droppable(2),
        Column::new(""),
        Column::new("epoch").droppable(1),
        Column::new("file").tail(16),
        Column::new("pkid").droppable(3),
    ]);
    for row in rows {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        lines.add([
            row.state.as_str().to_owned(),
            text(row.since.map(time::format_timestamp)),
            text(
                row.since
                    .map(|since| format!("{} ago", format_span(now.since(since)))),
            ),
            text(row.epoch.map(|epoch| epoch.to_string())),
            row.file.clone(),
            text(row.subject.as_ref().map(|subject| subject.pkid.to_string())),
        ]);
    }
    lines.to_string()
}

async fn apply(context: &Context) -> Result<(), AppError> {
    // Building a host replays the stash.
    let summary = context
        .installation
        .unchecked_host()
        .await?
        .stash_at_start();
    let StashSummary {
        applied,
        superseded,
        quarantined,
        waiting,
    } = summary;
    let written = context.output.print(&summary, |_| {
        format!(
            "{applied} applied, {superseded} superseded, {quarantined} quarantined, {waiting} waiting"
        )
    });
    let applied = match waiting {
        0 => Ok(()),
        _ => Err(AppError::new(
            ErrorKind::Unavailable,
            format!(
                "the stashed commits of {} cannot be applied yet",
                format_count(waiting, "record", "records")
            ),
        )
        .hint("another call holds the record, or the store cannot be written: the log says which")),
    };
    applied.and(written)
}
