//! `keys retire`: removes a data key that no longer seals anything.

use std::sync::Arc;

use relation_app::{AppError, ErrorKind};
use relation_host::store::seal::{DataKeyUser, retire};
use relation_host::store::stash::Stash;
use relation_host::store::{Retirement, SecretCount};
use relation_host::text::format_count;
use serde_json::json;

use super::open_sealer;
use crate::Context;

/// Arguments of `keys retire`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of the data key
    #[arg(value_name = "ID")]
    id: u32,
    /// Remove the key even if secrets that cannot be opened need it; these secrets are lost
    #[arg(long)]
    despite_quarantined: bool,
}

/// Removes the data key, or explains what still needs it.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let Args {
        id,
        despite_quarantined,
    } = args;
    let (store, sealer) = open_sealer(context).await?;
    let stash = context.installation.config.stash_directory();
    let stash: Arc<dyn DataKeyUser> = Arc::new(Stash::new(stash, store.id(), Arc::new(sealer)));
    let elsewhere = [stash];
    let retired = retire(store.as_ref(), &elsewhere, id, despite_quarantined).await?;
    let already = match retired {
        Retirement::Retired => false,
        Retirement::Absent => {
            // Ids are assigned in sequence, so a lower id existed once.
            let newest = store.data_keys().await?.last().map_or(0, |key| key.id);
            if id == 0 || id > newest {
                return Err(AppError::new(
                    ErrorKind::NotFound,
                    format!("there is no data key {id}"),
                )
                .hint("`relation-host keys list` lists the data keys"));
            }
            true
        }
        Retirement::Newest => {
            return Err(AppError::new(
                ErrorKind::Failed,
                format!("data key {id} is the newest one, which seals new secrets"),
            )
            .hint("run `relation-host keys rotate` first; it creates a new data key"));
        }
        Retirement::InUse { sealed, unknown } => return Err(in_use_error(id, sealed, unknown)),
    };
    let result = json!({ "data_key": id, "retired": true, "already": already });
    context.output.print(&result, |_| match already {
        true => format!("data key {id} was retired already"),
        false => format!("data key {id} is retired"),
    })
}

fn in_use_error(id: u32, sealed: SecretCount, unknown: u64) -> AppError {
    let decryptable = sealed.all - sealed.quarantined;
    if decryptable > 0 {
        let secrets = format_count(decryptable, "secret is", "secrets are");
        return AppError::new(
            ErrorKind::Failed,
            format!("data key {id} cannot be retired: {secrets} sealed with it"),
        )
        .hint(
            "run `relation-host keys rotate` first; it seals every secret with the newest data key",
        );
    }
    let mut needs = Vec::new();
    if sealed.quarantined > 0 {
        needs.push(format_count(
            sealed.quarantined,
            "secret that does not open is sealed with it",
            "secrets that do not open are sealed with it",
        ));
    }
    if unknown > 0 {
        needs.push(format_count(
            unknown,
            "damaged secret may be sealed with it",
            "damaged secrets may be sealed with it",
        ));
    }
    AppError::new(
        ErrorKind::Failed,
        format!("data key {id} cannot be retired: {}", needs.join(", and ")),
    )
    .hint(
        "`relation-host keys check` lists these secrets: store new values first, or lose the \
         secrets with --despite-quarantined",
    )
}
