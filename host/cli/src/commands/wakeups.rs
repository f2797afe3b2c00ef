//! `wakeups`: lists scheduled wakeups.

use relation_app::AppError;
use relation_app::wakeups::{self, NamedWakeupRow};
use relation_host::types::{Hierarchy, Page, Timestamp};

use super::page::PageArgs;
use crate::Context;
use crate::record_selector::{RecordSelector, find_node};
use crate::table::{Column, MAX_NAME_WIDTH, Table};
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

/// Prints the wakeups, the earliest first.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
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
            let node = find_node(store.as_ref(), args.hierarchy.as_ref()).await?;
            let node = node.as_ref();
            args.page
                .fetch(async |cursor, limit| store.upcoming(node, cursor.as_deref(), limit).await)
                .await?
        }
    };
    let installation = &context.installation;
    let rows = wakeups::to_named_rows(installation, store.as_ref(), page.items).await?;
    let now = context.installation.now();
    context
        .output
        .page(&rows, page.next.as_deref(), |rows| render_text(rows, now))
}

fn render_text(rows: &[NamedWakeupRow], now: Timestamp) -> String {
    let mut lines = Table::with_columns(&[
        Column::new("due (UTC)").droppable(2),
        Column::new("when"),
        Column::new("wakeup").shortened(16),
        Column::new("of").shortened(12).at_most(MAX_NAME_WIDTH),
        Column::new("failures").droppable(3),
        Column::new("last error").shortened(16).droppable(4),
        Column::new("pkid").droppable(1),
    ]);
    for row in rows {
        let wakeup = &row.wakeup;
        lines.add([
            time::format_timestamp(wakeup.due),
            time::format_due(wakeup.due, now),
            wakeup.id.clone(),
            row.subject_name.clone(),
            wakeup.attempts.to_string(),
            wakeup.last_error.clone().unwrap_or_default(),
            row.subject.pkid.to_string(),
        ]);
    }
    lines.to_string()
}
