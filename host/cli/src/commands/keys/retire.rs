//! `keys retire`: removes a data key that nothing needs.

use std::sync::Arc;

use relation_host::store::seal::{DataKeyUser, retire};
use relation_host::store::stash::Stash;
use relation_host::store::{Retirement, SecretCount};
use serde_json::json;

use super::{counted, opened};
use crate::Context;
use crate::failure::{Failed, Kind};

/// Arguments of `keys retire`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data key, by its id
    #[arg(value_name = "ID")]
    id: u32,
    /// Give up secrets that do not open: remove the key even if one of them needs it
    #[arg(long)]
    despite_unopened: bool,
}

/// Removes it, or says what needs it.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let Args {
        id,
        despite_unopened,
    } = args;
    let (store, sealer) = opened(context).await?;
    let stash = context.config.stash_directory();
    let stash: Arc<dyn DataKeyUser> = Arc::new(Stash::new(stash, store.id(), Arc::new(sealer)));
    let elsewhere = [stash];
    let retired = retire(store.as_ref(), &elsewhere, id, despite_unopened).await?;
    let already = match retired {
        Retirement::Retired => false,
        Retirement::Absent => {
            // Ids are given out one after the other, so a lower one was there once.
            let newest = store.data_keys().await?.last().map_or(0, |key| key.id);
            if id == 0 || id > newest {
                return Err(
                    Failed::new(Kind::NotFound, format!("there is no data key {id}"))
                        .hint("`relation-host keys list` shows what is there"),
                );
            }
            true
        }
        Retirement::Newest => {
            return Err(Failed::new(
                Kind::Failed,
                format!("data key {id} is the newest, which new secrets are sealed with"),
            )
            .hint("`relation-host keys rotate` begins with a new one"));
        }
        Retirement::InUse { sealed, unknown } => return Err(in_use(id, sealed, unknown)),
    };
    let result = json!({ "data_key": id, "retired": true, "already": already });
    context.output.print(&result, |_| match already {
        true => format!("data key {id} was retired already"),
        false => format!("data key {id} is retired"),
    })
}

fn in_use(id: u32, sealed: SecretCount, unknown: u64) -> Failed {
    let open = sealed.all - sealed.quarantined;
    if open > 0 {
        let secrets = counted(open, "secret is", "secrets are");
        return Failed::new(
            Kind::Failed,
            format!("data key {id} cannot be retired: {secrets} sealed with it"),
        )
        .hint("`relation-host keys rotate` seals them with the newest");
    }
    let mut needs = Vec::new();
    if sealed.quarantined > 0 {
        needs.push(counted(
            sealed.quarantined,
            "secret that does not open is sealed with it",
            "secrets that do not open are sealed with it",
        ));
    }
    if unknown > 0 {
        needs.push(counted(
            unknown,
            "damaged secret may be sealed with it",
            "damaged secrets may be sealed with it",
        ));
    }
    Failed::new(
        Kind::Failed,
        format!("data key {id} cannot be retired: {}", needs.join(", and ")),
    )
    .hint(
        "`relation-host keys check` names them: set them anew first, or give them up with \
         --despite-unopened",
    )
}
