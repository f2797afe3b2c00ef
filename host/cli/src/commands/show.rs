//! `show`: one customer, and everything that the store holds of it.

use relation_host::store::{DueWakeup, Store};
use relation_host::types::{Document, Filter, Key, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use super::view;
use crate::Context;
use crate::failure::Failed;
use crate::records::{Named, Record};
use crate::table::{Column, Rows, pairs};
use crate::time;

/// Alerts about one record, and about the installation, that are shown at most.
const ALERTS: u32 = 100;

/// The model of the documents that say how far an import is.
const IMPORT: &str = "data/SparkImport";

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
}

/// A record with what belongs to it.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    record: Record,
    alerts: Vec<Map<String, Value>>,
    imports: Vec<Map<String, Value>>,
    wakeups: Vec<Due>,
}

/// A wakeup of it.
#[derive(Debug, Serialize)]
struct Due {
    id: String,
    due: Timestamp,
    attempts: u32,
}

/// Prints it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let store = context.store()?;
    let record = args.record.find(store.as_ref()).await?;
    let shown = gather(store.as_ref(), record).await?;
    let now = context.now();
    context.output.print(&shown, |shown| human(shown, now))
}

async fn gather(store: &dyn Store, record: Record) -> Result<Shown, Failed> {
    let owned = |model: &str, owner: &str| Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: vec![Key {
            name: "owner".to_owned(),
            value: owner.to_owned(),
        }],
    };
    let pkid = record.pkid.to_string();
    let mut alerts = Vec::new();
    // Those of the installation are about every customer.
    for owner in [pkid.as_str(), "installation"] {
        let filter = owned("data/Alert", owner);
        alerts.extend(store.find(&filter, None, ALERTS).await?.items);
    }
    let imports = store.find(&owned(IMPORT, &pkid), None, ALERTS).await?;
    let wakeups = store.wakeups(&record.reference()).await?;
    Ok(Shown {
        alerts: alerts.iter().filter_map(body).collect(),
        imports: imports.items.iter().filter_map(body).collect(),
        wakeups: wakeups.into_iter().map(due).collect(),
        record,
    })
}

fn body(document: &Document) -> Option<Map<String, Value>> {
    serde_json::from_str(&document.body).ok()
}

fn due(due: DueWakeup) -> Due {
    Due {
        id: due.wakeup.id,
        due: due.wakeup.due,
        attempts: due.attempts,
    }
}

fn human(all: &Shown, now: Timestamp) -> String {
    let record = &all.record;
    let mut blocks = vec![view::connection(&record.summary(), now)];

    // What the block above says already.
    let told = [
        "name",
        "notes",
        "access_token_expires",
        "refresh_token_expires",
    ];
    let fields: Vec<(&str, String)> = record
        .fields
        .iter()
        .filter(|(name, _)| !told.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), plain(value)))
        .collect();
    if !fields.is_empty() {
        blocks.push(pairs(fields).to_string());
    }
    if !record.parts.is_empty() {
        let mut rows = Rows::under(&[
            Column::new("belongs to it"),
            Column::new("model").dropped(2),
            Column::new("name").shortened(24),
            Column::new("pkid").dropped(1),
        ]);
        for part in &record.parts {
            rows.add([&part.role, &part.model, &part.name, part.pkid.as_str()]);
        }
        blocks.push(rows.to_string());
    }
    if !all.alerts.is_empty() {
        let mut rows = Rows::under(&[
            Column::new("alert"),
            Column::new("severity").dropped(3),
            Column::new("count").dropped(2),
            Column::new("latest").dropped(1),
            Column::new("message").wrapped(24),
        ]);
        for alert in &all.alerts {
            let text = |name: &str| alert.get(name).map(plain).unwrap_or_default();
            let row = ["code", "severity", "count", "latest", "message"];
            rows.add(row.map(text));
        }
        blocks.push(rows.to_string());
    }
    if !all.imports.is_empty() {
        blocks.push(imports(&all.imports).to_string());
    }
    if !all.wakeups.is_empty() {
        let mut rows = Rows::under(&[
            Column::new("wakeup"),
            Column::new("due (UTC)").dropped(1),
            Column::new("when"),
            Column::new("failures"),
        ]);
        for wakeup in &all.wakeups {
            rows.add([
                wakeup.id.clone(),
                time::stamp(wakeup.due),
                time::due(wakeup.due, now),
                wakeup.attempts.to_string(),
            ]);
        }
        blocks.push(rows.to_string());
    }
    blocks.join("\n\n")
}

/// What was imported: a row for each model, with the end of the import if it has one.
fn imports(imports: &[Map<String, Value>]) -> Rows {
    let mut rows = Rows::under(&[
        Column::new("imported").tail(12),
        Column::new("entries"),
        Column::new("ended"),
    ]);
    for import in imports {
        let ended = import.get("finished").and_then(Value::as_u64);
        let ended = ended.map_or("not yet".to_owned(), |at| time::moment(Timestamp(at)));
        let lists = import.get("lists").and_then(Value::as_array);
        for list in lists.into_iter().flatten() {
            let text = |name: &str| list.get(name).map(plain).unwrap_or_default();
            rows.add([text("model"), text("found"), ended.clone()]);
        }
    }
    rows
}

/// Texts without their quotes, all else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
