//! `check-expiry`: how long both tokens last, and what alerts come of it.

use relation_host::reports::ExpiryReport;
use relation_host::types::Timestamp;

use super::view;
use crate::cli::failure::Failed;
use crate::cli::output::shown;
use crate::cli::records::Named;
use crate::cli::{Context, progress};

/// Arguments of `check-expiry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
}

/// Checks and prints what was found; fails when a person has to act.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let label = format!("checking {}", record.name());
    let watched = Some((host.store().as_ref(), record.reference()));
    let called = progress::during(&label, watched, host.check_expiry(&record.pkid)).await?;
    let now = host.clock().now();
    context.called(&called, |report| human(report, now))?;
    match view::needs_a_person(&called.value.connection) {
        None => Ok(()),
        Some(failed) => Err(Failed {
            transaction: Some(called.transaction),
            ..failed
        }),
    }
}

fn human(report: &ExpiryReport, now: Timestamp) -> String {
    let mut text = view::connection(&report.connection, now);
    if let Some(alert) = &report.alert {
        let threshold = match alert.threshold {
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
