//! `keys`: what the secrets in the store are sealed with, and how that is changed while hosts run.

use std::collections::BTreeMap;
use std::sync::Arc;

use relation_host::store::Store;
use relation_host::store::seal::{RotationProgress, Sealer, UnopenedSecret};
use relation_host::types::{Reference, Timestamp};
use serde::Serialize;

use crate::failure::{Failed, Kind};
use crate::output::Output;
use crate::progress;
use crate::table::{Column, Rows};
use crate::{Context, time};

mod check;
mod list;
mod retire;
mod rewrap;
mod rotate;

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the data keys: how many secrets are sealed with each, and which secrets do not open
    List,
    /// Seal every secret with a new data key, while hosts run; after an interruption, run it again
    Rotate(rotate::Args),
    /// Wrap the data keys with another key-encryption key, in one step; then configure that one
    Rewrap(rewrap::Args),
    /// Remove a data key that no secret is sealed with any more
    Retire(retire::Args),
    /// Open every secret, and tell which ones do not open
    Check(check::Args),
}

/// Runs one of them.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    match args.action {
        Action::List => list::run(context).await,
        Action::Rotate(args) => rotate::run(context, args).await,
        Action::Rewrap(args) => rewrap::run(context, args).await,
        Action::Retire(args) => retire::run(context, args).await,
        Action::Check(args) => check::run(context, args).await,
    }
}

/// The store and what opens its secrets.
async fn opened(context: &Context) -> Result<(Arc<dyn Store>, Sealer), Failed> {
    let store = context.store_to_write()?;
    let key = context.config.key.clone();
    let sealer = Sealer::open(store.as_ref(), key, context.now()).await?;
    Ok((store, sealer))
}

/// Tells how far work on many secrets is: a bar at a terminal, or lines of JSON.
struct Steps {
    output: Output,
    bar: indicatif::ProgressBar,
    told: Option<RotationProgress>,
    failed: Option<Failed>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a, T> {
    Progress { done: u64, total: u64 },
    End(&'a T),
}

impl Steps {
    fn new(output: Output, label: &str) -> Self {
        Self {
            output,
            bar: progress::counter(0, label),
            told: None,
            failed: None,
        }
    }

    fn tell(&mut self, progress: RotationProgress) {
        let RotationProgress { done, total } = progress;
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.output.json && self.told != Some(progress) && self.failed.is_none() {
            let event: Event<'_, ()> = Event::Progress { done, total };
            self.failed = self.output.line(&event, |_| String::new()).err();
        }
        self.told = Some(progress);
    }

    /// Prints the result; in JSON as the last line.
    fn end<T: Serialize>(self, result: &T, human: impl FnOnce(&T) -> String) -> Result<(), Failed> {
        self.bar.finish_and_clear();
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.output.line(&Event::End(result), |_| human(result))
    }
}

/// A secret that does not open, with the name of its owner.
#[derive(Debug, Serialize)]
struct UnopenedRow {
    owner: Reference,
    owner_name: String,
    name: String,
    data_key: Option<u32>,
    reason: String,
    since: Timestamp,
}

async fn named(store: &dyn Store, found: Vec<UnopenedSecret>) -> Result<Vec<UnopenedRow>, Failed> {
    let owners: Vec<Reference> = found.iter().map(|one| one.owner.clone()).collect();
    let mut names = BTreeMap::new();
    for chunk in owners.chunks(1000) {
        for document in store.get(chunk).await?.into_iter().flatten() {
            let name = document.keys.into_iter().find(|key| key.name == "name");
            names.insert(document.reference, name.map(|key| key.value));
        }
    }
    let row = |one: UnopenedSecret| UnopenedRow {
        owner_name: names.get(&one.owner).cloned().flatten().unwrap_or_default(),
        owner: one.owner,
        name: one.name,
        data_key: one.key,
        reason: one.quarantine.reason,
        since: one.quarantine.since,
    };
    Ok(found.into_iter().map(row).collect())
}

fn unopened_table(rows: &[UnopenedRow]) -> String {
    let mut table = Rows::under(&[
        Column::new("secret").shortened(13),
        Column::new("of").shortened(12),
        Column::new("owner").dropped(1),
        Column::new("data key").dropped(3),
        Column::new("found (UTC)").dropped(2),
        Column::new("reason").wrapped(24),
    ]);
    for row in rows {
        table.add([
            row.name.clone(),
            row.owner_name.clone(),
            row.owner.to_string(),
            row.data_key
                .map_or_else(|| "-".to_owned(), |key| key.to_string()),
            time::stamp(row.since),
            row.reason.clone(),
        ]);
    }
    table.to_string()
}

/// The end of a command that found secrets which do not open.
fn all_open(rows: &[UnopenedRow]) -> Result<(), Failed> {
    /// More are in the output.
    const NAMED: usize = 3;
    if rows.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| format!("{} of {}", row.name, row.owner))
        .collect();
    if rows.len() > NAMED {
        names.push(format!("{} more", rows.len() - NAMED));
    }
    Err(Failed::new(
        Kind::Failed,
        format!(
            "{} and {} left as {}: {}",
            counted(
                rows.len() as u64,
                "secret does not open",
                "secrets do not open"
            ),
            if rows.len() == 1 { "was" } else { "were" },
            if rows.len() == 1 { "it is" } else { "they are" },
            names.join(", ")
        ),
    )
    .hint(
        "set them anew (tokens: `relation-host modify RECORD --tokens FILE`), or put them back \
         from a backup and run `relation-host keys check`",
    ))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}
