//! `keys check`: opens every secret.

use relation_app::AppError;
use relation_host::store::seal::{Rotation, SecretCheckReport};
use relation_host::text::format_count;
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{
    ProgressReporter, UnopenedRow, check_all_open, name_owners, open_sealer, render_unopened,
};
use crate::Context;

/// Arguments of `keys check`.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Report {
    sound: u64,
    unopened: Vec<UnopenedRow>,
}

/// Opens every secret. Fails at the end if a secret could not be opened.
pub async fn run(context: &Context, _args: Args) -> Result<(), AppError> {
    let (store, sealer) = open_sealer(context).await?;
    let now = || -> Timestamp { context.installation.now() };
    let rotation = Rotation::new(store.as_ref(), &sealer, &now, Rotation::STEP);
    let mut reporter = ProgressReporter::new(context.output, "opening");
    let checked = rotation.check(|progress| reporter.report(progress)).await?;
    let SecretCheckReport { sound, unopened } = checked;
    let report = Report {
        sound,
        unopened: name_owners(store.as_ref(), unopened).await?,
    };
    let written = reporter.finish(&report, |report| {
        let sound = format_count(report.sound, "secret opens", "secrets open");
        match report.unopened.is_empty() {
            true => sound,
            false => format!("{sound}\n\n{}", render_unopened(&report.unopened)),
        }
    });
    check_all_open(&report.unopened).and(written)
}
