//! `show`: shows one customer and everything that belongs to it.

use relation_app::AppError;
use relation_app::details::{self, FullRecord};
use relation_app::imports::FailedImport;
use relation_app::records;
use relation_host::types::{Reference, Timestamp};
use serde_json::{Map, Value};

use super::alerts::render_alerts;
use super::sync::render_data_syncs;
use super::view;
use crate::Context;
use crate::invocation::complete;
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table, pair_table};
use crate::time;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
}

/// Prints the record.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let stored = args.record.find(store.as_ref()).await?;
    let host = context.installation.plugin_host().await?;
    let record = records::show(&host, &stored).await?;
    let mut details = details::gather(store.as_ref(), &stored, record).await?;
    if let Some(failed) = &mut details.failed_import {
        failed.hint = complete(&failed.hint).into_owned();
    }
    let now = context.installation.now();
    context
        .output
        .print(&details, |details| render_text(details, now))
}

fn render_text(details: &FullRecord, now: Timestamp) -> String {
    let record = &details.record;
    let mut blocks = vec![view::render_connection(&record.connection, now)];

    // The block above shows these already.
    let already_shown = [
        "name",
        "notes",
        "access_token_expires",
        "refresh_token_expires",
    ];
    let fields: Vec<(&str, String)> = record
        .fields
        .iter()
        .filter(|(name, _)| !already_shown.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), plain_text(value)))
        .collect();
    if !fields.is_empty() {
        blocks.push(pair_table(fields).to_string());
    }
    if !record.owned_documents.is_empty() {
        let mut rows = Table::with_columns(&[
            Column::new("owned document"),
            Column::new("model").droppable(2),
            Column::new("name").shortened(24),
            Column::new("pkid").droppable(1),
        ]);
        for owned in &record.owned_documents {
            let Reference { model, pkid } = &owned.reference;
            rows.add([&owned.role, model, &owned.name, pkid.as_str()]);
        }
        blocks.push(rows.to_string());
    }
    if !details.data_syncs.is_empty() {
        blocks.push(render_data_syncs(&details.data_syncs, now).to_string());
    }
    if !details.alerts.is_empty() {
        blocks.push(render_alerts(&details.alerts).to_string());
    }
    if !details.imports.is_empty() {
        blocks.push(render_imports(&details.imports).to_string());
    }
    if let Some(failed) = &details.failed_import {
        blocks.push(render_failed_import(failed));
    }
    if !details.wakeups.is_empty() {
        let mut rows = Table::with_columns(&[
            Column::new("wakeup"),
            Column::new("due (UTC)").droppable(1),
            Column::new("when"),
            Column::new("failures"),
            Column::new("last error").wrapped(24),
        ]);
        let notes = &record.connection.notes;
        for wakeup in &details.wakeups {
            let last_error = wakeup.last_error.as_deref().unwrap_or_default();
            let is_told = !last_error.is_empty() && notes.contains(last_error);
            rows.add([
                wakeup.id.clone(),
                time::format_timestamp(wakeup.due),
                time::format_due(wakeup.due, now),
                wakeup.attempts.to_string(),
                if is_told { "see the note" } else { last_error }.to_owned(),
            ]);
        }
        blocks.push(rows.to_string());
    }
    blocks.join("\n\n")
}

/// Renders the imports: a row for each model, with the time at which the import ended.
fn render_imports(imports: &[Map<String, Value>]) -> Table {
    let mut rows = Table::with_columns(&[
        Column::new("imported model").tail(12),
        Column::new("data sync").droppable(1),
        Column::new("entries"),
        Column::new("ended"),
    ]);
    for import in imports {
        let ended = import.get("finished").and_then(Value::as_u64);
        let sync = import.get("name").map(plain_text).unwrap_or_default();
        let ended = ended.map_or("not yet".to_owned(), |at| time::format_utc(Timestamp(at)));
        let lists = import.get("lists").and_then(Value::as_array);
        for list in lists.into_iter().flatten() {
            let text = |name: &str| list.get(name).map(plain_text).unwrap_or_default();
            let found = match list.get("failed") {
                Some(_) => "failed".to_owned(),
                None => text("found"),
            };
            rows.add([text("model"), sync.clone(), found, ended.clone()]);
        }
    }
    rows
}

/// Renders why the last import failed, and what to do.
fn render_failed_import(failed: &FailedImport) -> String {
    let lines = [
        ("failed import", time::format_utc(failed.at)),
        ("reason", failed.message.clone()),
        ("next step", failed.hint.clone()),
    ];
    pair_table(lines).to_string()
}

/// Renders texts without quotes, and other values as JSON.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
