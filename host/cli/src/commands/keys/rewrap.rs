//! `keys rewrap`: wraps the data keys with another key-encryption key.

use std::path::{Path, PathBuf};

use relation_app::AppError;
use relation_app::config::KeySource;
use relation_host::store::seal::{
    KeyEncryptionKey, KeyProvider, RewrapOutcome, Rotation, SealError, Sealer,
};
use relation_host::text::format_count;
use relation_host::types::Timestamp;
use serde_json::json;

use crate::Context;

/// Arguments of `keys rewrap`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    new: NewKey,
}

/// The source of the new key.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct NewKey {
    /// The file of the new key; created if it does not exist
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// The environment variable that holds the new key
    #[arg(long, value_name = "NAME")]
    new_key_env: Option<String>,
    /// The command that prints the new key: all arguments after this option
    #[arg(long, value_name = "PROGRAM ARGUMENTS", num_args = 1.., allow_hyphen_values = true)]
    new_key_command: Option<Vec<String>>,
}

impl NewKey {
    fn into_source(self) -> Result<KeySource, AppError> {
        let Self {
            new_key_file,
            new_key_env,
            new_key_command,
        } = self;
        let file = new_key_file.map(|file| {
            // The configuration may be in another directory, and needs the absolute path.
            KeySource::File(std::path::absolute(&file).unwrap_or(file))
        });
        let command = || KeySource::command(&new_key_command?, Path::new(""));
        file.or_else(|| new_key_env.map(KeySource::Env))
            .or_else(command)
            .ok_or_else(|| AppError::usage("no new key is named"))
    }
}

/// Wraps the data keys with the new key, and prints what to configure.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let source = args.new.into_source()?;
    let store = context.installation.store_with_keys().await?;
    let key = context.installation.config.key.clone();
    let existing = source.load().map_err(SealError::from)?;
    let sealer = match Sealer::open(store.as_ref(), key, context.installation.now()).await {
        Ok(sealer) => sealer,
        // The data keys are already wrapped with the new key, and the configuration still names the old one.
        Err(SealError::WrongKey { wanted, .. } | SealError::NoKey { wanted, .. })
            if existing.as_ref().map(KeyEncryptionKey::fingerprint) == Some(wanted.clone()) =>
        {
            return print(context, &source, &wanted, RewrapOutcome::Already);
        }
        Err(error) => return Err(error.into()),
    };
    let kek = match existing {
        Some(kek) => kek,
        None => source.create().map_err(SealError::from)?,
    };
    let fingerprint = kek.fingerprint();
    let now = || -> Timestamp { context.installation.now() };
    let rotation = Rotation::new(store.as_ref(), &sealer, &now, Rotation::STEP);
    let rewrapped = rotation.rewrap(kek).await?;
    print(context, &source, &fingerprint, rewrapped)
}

fn print(
    context: &Context,
    source: &KeySource,
    fingerprint: &str,
    rewrapped: RewrapOutcome,
) -> Result<(), AppError> {
    let configured = context.installation.config.key == *source;
    let keys = match rewrapped {
        RewrapOutcome::Done(keys) => keys,
        RewrapOutcome::Already => 0,
    };
    let result = json!({
        "wrapped_by": fingerprint,
        "rewrapped": keys,
        "configure": (!configured).then(|| source.to_string()),
    });
    context.output.print(&result, |_| {
        let done = match rewrapped {
            RewrapOutcome::Done(keys) => {
                let keys = format_count(keys as u64, "data key is", "data keys are");
                format!("{keys} wrapped by key {fingerprint} now")
            }
            RewrapOutcome::Already => {
                format!("nothing to do: the data keys are wrapped by key {fingerprint} already")
            }
        };
        if configured {
            return done;
        }
        format!(
            "{done}\nconfigure `{source}` in place of the old key, which no longer opens this \
             store\nrunning hosts continue; restart them with the new key before the next \
             `keys rotate`\nkeep the old key as long as you keep backups that were made with it"
        )
    })
}
