//! `keys rotate`: seals every secret with a new data key.

use relation_app::AppError;
use relation_host::store::seal::{Rotation, RotationReport};
use relation_host::text::format_count;
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{
    ProgressReporter, UnopenedRow, check_all_open, name_owners, open_sealer, render_unopened,
};
use crate::Context;

/// Arguments of `keys rotate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin another rotation although older data keys are not retired yet
    #[arg(long)]
    again: bool,
    /// The number of secrets that are sealed again in one write
    #[arg(long, value_name = "N", default_value_t = Rotation::STEP, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    step: u32,
}

#[derive(Serialize)]
struct Report {
    data_key: u32,
    added: bool,
    resealed: u64,
    older: Vec<u32>,
    unopened: Vec<UnopenedRow>,
}

/// Rotates. Fails at the end if a secret could not be opened.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let (store, sealer) = open_sealer(context).await?;
    let now = || -> Timestamp { context.installation.now() };
    let rotation = Rotation::new(store.as_ref(), &sealer, &now, args.step);
    let mut reporter = ProgressReporter::new(context.output, "sealing again");
    let rotated = rotation
        .rotate(args.again, |progress| reporter.report(progress))
        .await?;
    let RotationReport {
        key,
        added,
        resealed,
        unopened,
        older,
    } = rotated;
    let report = Report {
        data_key: key,
        added,
        resealed,
        older,
        unopened: name_owners(store.as_ref(), unopened).await?,
    };
    let written = reporter.finish(&report, render_text);
    check_all_open(&report.unopened).and(written)
}

fn render_text(report: &Report) -> String {
    let Report {
        data_key, resealed, ..
    } = report;
    let secrets = format_count(*resealed, "secret was", "secrets were");
    let mut text = match (report.added, *resealed) {
        (true, _) => format!("{secrets} sealed again with the new data key {data_key}"),
        (false, 0) => format!("nothing to do: everything is sealed with data key {data_key}"),
        (false, _) => format!("{secrets} sealed again with data key {data_key}"),
    };
    for key in &report.older {
        text.push_str(&format!(
            "\n`relation-host keys retire {key}` removes data key {key}"
        ));
    }
    if !report.older.is_empty() && *resealed == 0 && !report.added {
        text.push_str("\n`relation-host keys rotate --again` begins another rotation");
    }
    if !report.unopened.is_empty() {
        text.push_str("\n\n");
        text.push_str(&render_unopened(&report.unopened));
    }
    text
}
