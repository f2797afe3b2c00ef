//! `check-expiry`: checks when a customer's tokens expire, and raises or clears alerts.

use relation_app::AppError;
use relation_host::reports::ExpiryReport;
use relation_host::types::Timestamp;

use super::view::{self, Notes};
use crate::grants::{GrantReporter, GrantSelector};
use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::{Context, progress};

/// Arguments of `check-expiry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    #[command(flatten)]
    selector: GrantSelector,
}

/// Checks the expiries and prints the report. Fails if a person has to act.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let grants = args.selector.select(&host, &record).await?;
    let mut reporter = GrantReporter::new(context, &grants);
    for grant in grants {
        let label = format!("checking {} ({grant})", record.name());
        let watched = Some((host.store().as_ref(), record.reference()));
        let call = host.check_grant(&record.pkid, grant);
        let call_output = progress::show_while(&label, watched, call).await;
        let now = host.clock().now();
        reporter.report(
            call_output.map_err(|error| record.explain(error)),
            |report, notes| render_text(report, now, notes),
            |report| view::reauthorize_error(&record, &report.connection, report.grant),
        );
    }
    reporter.finish()
}

fn render_text(report: &ExpiryReport, now: Timestamp, notes: Notes) -> String {
    let mut text = view::render_grant(&report.connection, report.grant, now, notes);
    if let Some(alert) = &report.alert {
        // An alert without a threshold is explained by its code.
        let threshold = match alert.threshold_ms {
            0 => String::new(),
            before => format!(", {} before the expiry", view::format_millis(before)),
        };
        let code = escape_control_chars(&alert.code);
        text.push_str(&format!(
            "\n\nalert: {code}{threshold}, count {}",
            alert.count
        ));
    }
    if !report.cleared.is_empty() {
        text.push_str(&format!("\n\nalerts ended: {}", report.cleared.len()));
    }
    text
}
