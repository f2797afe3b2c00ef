//! `alerts`: lists alerts, the most severe first.

use relation_app::AppError;
use relation_app::alerts::{self, Alert, Severity};
use relation_host::types::{Hierarchy, Page};

use super::page::PageArgs;
use crate::Context;
use crate::record_selector::find_node;
use crate::table::{Column, MAX_NAME_WIDTH, Table};

/// Arguments of `alerts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only alerts at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    /// Only alerts of this severity
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity)]
    severity: Option<Severity>,
    #[command(flatten)]
    page: PageArgs,
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    let mut all = Severity::ALL.into_iter();
    all.find(|severity| severity.as_str() == text)
        .ok_or_else(|| {
            format!(
                "severities are {}",
                Severity::ALL.map(Severity::as_str).join(", ")
            )
        })
}

/// Prints one page of alerts.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let node = find_node(store.as_ref(), args.hierarchy.as_ref()).await?;
    let filter = alerts::filter(node, args.severity);
    let page: Page<Alert> = args
        .page
        .fetch(async |cursor, limit| {
            alerts::read_page(store.as_ref(), &filter, cursor.as_deref(), limit).await
        })
        .await?;
    context
        .output
        .page(&page.items, page.next.as_deref(), |alerts| {
            render_alerts(alerts).to_string()
        })
}

/// Renders a table of alerts.
pub fn render_alerts(alerts: &[Alert]) -> Table {
    let mut rows = Table::with_columns(&[
        Column::new("severity"),
        Column::new("customer")
            .shortened(16)
            .at_most(MAX_NAME_WIDTH),
        Column::new("hierarchy").tail(12).droppable(4),
        Column::new("alert").droppable(1),
        Column::new("count").droppable(3),
        Column::new("latest").droppable(2),
        Column::new("message").wrapped(24),
    ]);
    for alert in alerts {
        let body = &alert.body;
        rows.add([
            body.severity.as_str(),
            match alert.customer.as_str() {
                "" => &body.subject,
                name => name,
            },
            alert.hierarchy.as_str(),
            &body.code,
            &body.count.to_string(),
            &body.latest,
            &body.message,
        ]);
    }
    rows
}
