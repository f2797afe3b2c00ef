//! `wakeups`: lists scheduled wakeups.

use std::collections::BTreeMap;

use relation_app::AppError;
use relation_app::records;
use relation_host::store::{DueWakeup, Store};
use relation_host::types::{Hierarchy, Page, Reference, Timestamp};
use serde::Serialize;

use super::page::PageArgs;
use crate::Context;
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table};
use crate::time;

/// Arguments of `wakeups`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only wakeups of this record, by pkid or by name
    #[arg(value_name = "RECORD")]
    record: Option<String>,
    /// Only wakeups of records at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    #[command(flatten)]
    page: PageArgs,
}

/// A wakeup with the name of its subject.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    subject: Reference,
    subject_name: String,
    due: Timestamp,
    attempts: u32,
}

/// Prints the wakeups, the earliest first.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read()?;
    let page = match args.record {
        Some(record) => {
            let hierarchy = args.hierarchy;
            let record = RecordSelector { record, hierarchy }
                .find(store.as_ref())
                .await?;
            Page {
                items: store.wakeups(&record.reference()).await?,
                next: None,
            }
        }
        None => {
            let node = args.hierarchy.as_ref();
            args.page
                .fetch(async |cursor, limit| store.upcoming(node, cursor.as_deref(), limit).await)
                .await?
        }
    };
    let rows = with_subject_names(store.as_ref(), page.items).await?;
    let now = context.installation.now();
    context
        .output
        .page(&rows, page.next.as_deref(), |rows| render_text(rows, now))
}

async fn with_subject_names(store: &dyn Store, due: Vec<DueWakeup>) -> Result<Vec<Row>, AppError> {
    let mut subjects: Vec<Reference> = due.iter().map(|due| due.wakeup.subject.clone()).collect();
    subjects.sort();
    subjects.dedup();
    let mut names = BTreeMap::new();
    for chunk in subjects.chunks(1000) {
        for document in store.get(chunk).await?.into_iter().flatten() {
            let name = records::find_name(&document).unwrap_or_default().to_owned();
            names.insert(document.reference, name);
        }
    }
    let row = |due: DueWakeup| Row {
        subject_name: names.get(&due.wakeup.subject).cloned().unwrap_or_default(),
        id: due.wakeup.id,
        subject: due.wakeup.subject,
        due: due.wakeup.due,
        attempts: due.attempts,
    };
    Ok(due.into_iter().map(row).collect())
}

fn render_text(rows: &[Row], now: Timestamp) -> String {
    let mut lines = Table::with_columns(&[
        Column::new("due (UTC)").droppable(2),
        Column::new("when"),
        Column::new("wakeup").shortened(16),
        Column::new("of").shortened(12),
        Column::new("failures").droppable(3),
        Column::new("pkid").droppable(1),
    ]);
    for row in rows {
        lines.add([
            time::format_timestamp(row.due),
            time::format_due(row.due, now),
            row.id.clone(),
            row.subject_name.clone(),
            row.attempts.to_string(),
            row.subject.pkid.to_string(),
        ]);
    }
    lines.to_string()
}
