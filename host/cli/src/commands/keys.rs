//! `keys`: shows and changes the keys that seal the secrets in the store, while hosts run.

use std::collections::BTreeMap;
use std::sync::Arc;

use relation_app::{AppError, ErrorKind};
use relation_host::store::Store;
use relation_host::store::seal::{RotationProgress, Sealer, UnopenedSecret};
use relation_host::text::format_count;
use relation_host::types::{Reference, Timestamp};
use serde::Serialize;

use crate::output::Output;
use crate::progress;
use crate::table::{Column, Table};
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
    /// List the data keys, how many secrets each seals, and the secrets that cannot be opened
    List,
    /// Seal every secret with a new data key while hosts run; run again after an interruption
    Rotate(rotate::Args),
    /// Wrap the data keys with another key-encryption key in one step; then configure the new key
    Rewrap(rewrap::Args),
    /// Remove a data key that no longer seals a secret
    Retire(retire::Args),
    /// Open every secret, and list those that cannot be opened
    Check(check::Args),
}

/// Runs the subcommand.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    match args.action {
        Action::List => list::run(context).await,
        Action::Rotate(args) => rotate::run(context, args).await,
        Action::Rewrap(args) => rewrap::run(context, args).await,
        Action::Retire(args) => retire::run(context, args).await,
        Action::Check(args) => check::run(context, args).await,
    }
}

/// Opens the store, and the sealer for its secrets.
async fn open_sealer(context: &Context) -> Result<(Arc<dyn Store>, Sealer), AppError> {
    let store = context.installation.store_with_keys().await?;
    let key = context.installation.config.key.clone();
    let sealer = Sealer::open(store.as_ref(), key, context.installation.now()).await?;
    Ok((store, sealer))
}

/// A reporter of the progress of an operation on many secrets: as a bar at a terminal, or as lines of JSON.
struct ProgressReporter {
    output: Output,
    bar: indicatif::ProgressBar,
    last: Option<RotationProgress>,
    error: Option<AppError>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a, T> {
    Progress { done: u64, total: u64 },
    End(&'a T),
}

impl ProgressReporter {
    fn new(output: Output, label: &str) -> Self {
        Self {
            output,
            bar: progress::counter(0, label),
            last: None,
            error: None,
        }
    }

    fn report(&mut self, progress: RotationProgress) {
        let RotationProgress { done, total } = progress;
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.output.json && self.last != Some(progress) && self.error.is_none() {
            let event: Event<'_, ()> = Event::Progress { done, total };
            self.error = self.output.line(&event, |_| String::new()).err();
        }
        self.last = Some(progress);
    }

    /// Prints the result. In JSON, the result is the last line.
    fn finish<T: Serialize>(
        self,
        result: &T,
        render_text: impl FnOnce(&T) -> String,
    ) -> Result<(), AppError> {
        self.bar.finish_and_clear();
        if let Some(error) = self.error {
            return Err(error);
        }
        self.output
            .line(&Event::End(result), |_| render_text(result))
    }
}

/// A secret that cannot be opened, with the name of its owner.
#[derive(Debug, Serialize)]
struct UnopenedRow {
    owner: Reference,
    owner_name: String,
    name: String,
    data_key: Option<u32>,
    reason: String,
    since: Timestamp,
}

async fn name_owners(
    store: &dyn Store,
    found: Vec<UnopenedSecret>,
) -> Result<Vec<UnopenedRow>, AppError> {
    let owners: Vec<Reference> = found.iter().map(|secret| secret.owner.clone()).collect();
    let mut names = BTreeMap::new();
    for chunk in owners.chunks(1000) {
        for document in store.get(chunk).await?.into_iter().flatten() {
            let name = document.keys.into_iter().find(|key| key.name == "name");
            names.insert(document.reference, name.map(|key| key.value));
        }
    }
    let row = |secret: UnopenedSecret| UnopenedRow {
        owner_name: names
            .get(&secret.owner)
            .cloned()
            .flatten()
            .unwrap_or_default(),
        owner: secret.owner,
        name: secret.name,
        data_key: secret.key,
        reason: secret.quarantine.reason,
        since: secret.quarantine.since,
    };
    Ok(found.into_iter().map(row).collect())
}

fn render_unopened(rows: &[UnopenedRow]) -> String {
    let mut table = Table::with_columns(&[
        Column::new("secret").shortened(13),
        Column::new("of").shortened(12),
        Column::new("owner").droppable(1),
        Column::new("data key").droppable(3),
        Column::new("found (UTC)").droppable(2),
        Column::new("reason").wrapped(24),
    ]);
    for row in rows {
        table.add([
            row.name.clone(),
            row.owner_name.clone(),
            row.owner.to_string(),
            row.data_key
                .map_or_else(|| "-".to_owned(), |key| key.to_string()),
            time::format_timestamp(row.since),
            row.reason.clone(),
        ]);
    }
    table.to_string()
}

/// Returns an error if some secrets could not be opened.
fn check_all_open(rows: &[UnopenedRow]) -> Result<(), AppError> {
    /// The maximum number of secrets that the error names. The output lists all of them.
    const MAX_NAMED: usize = 3;
    if rows.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = rows
        .iter()
        .take(MAX_NAMED)
        .map(|row| format!("{} of {}", row.name, row.owner))
        .collect();
    if rows.len() > MAX_NAMED {
        names.push(format!("{} more", rows.len() - MAX_NAMED));
    }
    Err(AppError::new(
        ErrorKind::Failed,
        format!(
            "{} and {} left as {}: {}",
            format_count(
                rows.len() as u64,
                "secret does not open",
                "secrets do not open"
            ),
            if rows.len() == 1 { "was" } else { "were" },
            if rows.len() == 1 { "it is" } else { "they are" },
            names.join(", ")
        ),
    )
    .hint(format!(
        "set them again (tokens: `relation-host modify {} --tokens FILE`), or restore them from a backup and run \
         `relation-host keys check`",
        rows.first().map_or("", |row| row.owner.pkid.as_str())
    )))
}
