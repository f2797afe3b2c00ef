//! `keys rotate`: a new data key, and every secret sealed with it.

use relation_host::store::seal::{Rotation, RotationReport};
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{Steps, UnopenedRow, all_open, counted, named, opened, unopened_table};
use crate::Context;
use crate::failure::Failed;

/// Arguments of `keys rotate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin another rotation although data keys of the last one are not retired yet
    #[arg(long)]
    again: bool,
    /// Secrets that are sealed anew in one write
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

/// Rotates, and fails at the end when a secret did not open.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let (store, sealer) = opened(context).await?;
    let now = || -> Timestamp { context.now() };
    let rotation = Rotation::new(store.as_ref(), &sealer, &now, args.step);
    let mut steps = Steps::new(context.output, "sealing anew");
    let rotated = rotation
        .rotate(args.again, |progress| steps.tell(progress))
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
        unopened: named(store.as_ref(), unopened).await?,
    };
    let written = steps.end(&report, human);
    all_open(&report.unopened).and(written)
}

fn human(report: &Report) -> String {
    let Report {
        data_key, resealed, ..
    } = report;
    let secrets = counted(*resealed, "secret was", "secrets were");
    let mut text = match (report.added, *resealed) {
        (true, _) => format!("{secrets} sealed anew with the new data key {data_key}"),
        (false, 0) => format!("nothing to do: everything is sealed with data key {data_key}"),
        (false, _) => format!("{secrets} sealed anew with data key {data_key}"),
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
        text.push_str(&unopened_table(&report.unopened));
    }
    text
}
