//! `keys check`: opens every secret.

use relation_host::store::seal::{Rotation, SecretCheckReport};
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{Steps, UnopenedRow, all_open, counted, named, opened, unopened_table};
use crate::Context;
use crate::failure::Failed;

/// Arguments of `keys check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Report {
    sound: u64,
    unopened: Vec<UnopenedRow>,
}

/// Checks, and fails at the end when a secret did not open.
pub async fn run(context: &Context, _args: Args) -> Result<(), Failed> {
    let (store, sealer) = opened(context).await?;
    let now = || -> Timestamp { context.now() };
    let rotation = Rotation::new(store.as_ref(), &sealer, &now, Rotation::STEP);
    let mut steps = Steps::new(context.output, "opening");
    let checked = rotation.check(|progress| steps.tell(progress)).await?;
    let SecretCheckReport { sound, unopened } = checked;
    let report = Report {
        sound,
        unopened: named(store.as_ref(), unopened).await?,
    };
    let written = steps.end(&report, |report| {
        let sound = counted(report.sound, "secret opens", "secrets open");
        match report.unopened.is_empty() {
            true => sound,
            false => format!("{sound}\n\n{}", unopened_table(&report.unopened)),
        }
    });
    all_open(&report.unopened).and(written)
}
