//! `check-expiry`: how long both tokens last, and what alerts come of it.

use relation_host::reports::ExpiryReport;
use relation_host::types::Timestamp;

use super::view;
use crate::failure::Failed;
use crate::grants::{Each, Which};
use crate::output::shown;
use crate::records::Named;
use crate::{Context, progress};

/// Arguments of `check-expiry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
    #[command(flatten)]
    which: Which,
}

/// Checks and prints what was found; fails when a person has to act.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let grants = args.which.of(&record);
    let mut each = Each::of(context, &grants);
    for grant in grants {
        let label = format!("checking {} ({grant})", record.name());
        let watched = Some((host.store().as_ref(), record.reference()));
        let call = host.check_grant(&record.pkid, grant);
        let called = progress::during(&label, watched, call).await;
        let now = host.clock().now();
        each.answered(
            called.map_err(Failed::from),
            |report| human(report, now),
            |report| view::needs_a_person(&report.connection, report.grant),
        );
    }
    each.end()
}

fn human(report: &ExpiryReport, now: Timestamp) -> String {
    let mut text = view::grant_of(&report.connection, report.grant, now);
    if let Some(alert) = &report.alert {
        let threshold = match alert.threshold_ms {
            0 => "at the expiry".to_owned(),
            before => format!("{} before the expiry", view::millis(before)),
        };
        let code = shown(&alert.code);
        text.push_str(&format!(
            "\n\nalert: {code}, {threshold}, count {}",
            alert.count
        ));
    }
    if !report.cleared.is_empty() {
        text.push_str(&format!("\n\nalerts ended: {}", report.cleared.len()));
    }
    text
}
