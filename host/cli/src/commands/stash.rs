//! `stash`: answers that the store could not take, and their way into it.

use std::fmt;

use bytesize::ByteSize;
use relation_host::StashSummary;
use relation_host::store::stash::{self, Label, StashFile};
use relation_host::types::{Reference, Timestamp};
use serde::Serialize;

use crate::Context;
use crate::failure::{Failed, Kind};
use crate::table::{Column, Rows};
use crate::time;

/// What to do about the stash.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// List what it keeps; needs neither the store nor the key
    List,
    /// Apply what it keeps now, as `run` and every call do by themselves
    Apply,
}

/// Whether an entry will be applied.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As soon as the store can be written.
    Waiting,
    /// It is no entry: it is moved aside when the stash is applied next.
    Unreadable,
    /// It was moved aside; the log said why.
    SetAside,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unreadable => "unreadable",
            Self::SetAside => "set aside",
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    state: State,
    subject: Option<Reference>,
    epoch: Option<u64>,
    since: Option<Timestamp>,
    transaction: Option<String>,
    data_key: Option<u32>,
    file: String,
}

#[derive(Debug, Serialize)]
struct Stored {
    items: Vec<Row>,
    reserve: Reserve,
}

/// The room for responses that the store cannot take while the disk is full, in bytes.
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
                "no room is in reserve (stash-reserve = false): while the disk is full, a response may be lost",
            ),
            Self { bytes: 0, wanted } => write!(
                f,
                "no room is in reserve: while the disk is full, a response may be lost; `run` and every \
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

/// Lists or applies.
pub async fn run(context: &Context, command: Command) -> Result<(), Failed> {
    match command {
        Command::List => list(context),
        Command::Apply => apply(context).await,
    }
}

fn list(context: &Context) -> Result<(), Failed> {
    let directory = context.config.stash_directory();
    let listed =
        stash::list(&directory).map_err(|error| Failed::new(Kind::Failed, error.to_string()))?;
    let kept = Stored {
        items: listed.into_iter().map(row).collect(),
        reserve: Reserve {
            bytes: stash::reserve_bytes(&directory),
            wanted: context.config.stash_reserve,
        },
    };
    let now = context.now();
    context.output.print(&kept, |kept| {
        let rows = match kept.items.as_slice() {
            [] => "nothing is kept".to_owned(),
            rows => human(rows, now),
        };
        format!("{rows}\n{}", kept.reserve)
    })
}

fn row(listed: StashFile) -> Row {
    let state = match (&listed.label, listed.quarantined) {
        (_, true) => State::SetAside,
        (Some(_), false) => State::Waiting,
        (None, false) => State::Unreadable,
    };
    let label = |part: fn(&Label) -> Reference| listed.label.as_ref().map(part);
    Row {
        state,
        subject: label(|label| label.subject.clone()),
        epoch: listed.label.as_ref().map(|label| label.epoch),
        since: listed.label.as_ref().map(|label| label.since),
        transaction: listed.label.as_ref().map(|label| label.transaction.clone()),
        data_key: listed.data_key,
        file: listed.path.display().to_string(),
    }
}

fn human(rows: &[Row], now: Timestamp) -> String {
    let mut lines = Rows::under(&[
        Column::new("state"),
        Column::new("since (UTC)").dropped(2),
        Column::new(""),
        Column::new("epoch").dropped(1),
        Column::new("file").tail(16),
        Column::new("pkid").dropped(3),
    ]);
    for row in rows {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        lines.add([
            row.state.as_str().to_owned(),
            text(row.since.map(time::stamp)),
            text(
                row.since
                    .map(|since| format!("{} ago", time::span(now.since(since)))),
            ),
            text(row.epoch.map(|epoch| epoch.to_string())),
            row.file.clone(),
            text(row.subject.as_ref().map(|subject| subject.pkid.to_string())),
        ]);
    }
    lines.to_string()
}

async fn apply(context: &Context) -> Result<(), Failed> {
    // Every host does so when it starts.
    let summary = context.unchecked_host().await?.stash_at_start();
    let StashSummary {
        applied,
        superseded,
        set_aside,
        waiting,
    } = summary;
    let written = context.output.print(&summary, |_| {
        format!(
            "{applied} applied, {superseded} superseded, {set_aside} set aside, {waiting} waiting"
        )
    });
    let applied = match waiting {
        0 => Ok(()),
        _ => Err(Failed::new(
            Kind::Unavailable,
            format!("the answers of {waiting} records cannot be applied yet"),
        )
        .hint("another call holds the record, or the store cannot be written: the log says which")),
    };
    applied.and(written)
}
