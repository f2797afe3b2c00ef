//! `backup`: a copy of the store while hosts run.

use std::path::PathBuf;

use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use serde_json::json;

use crate::config::StoreUrl;
use crate::failure::{Failed, Kind};
use crate::{Context, progress};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The copy, which must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Copies the store as it is at one moment, and says which key the copy needs.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let StoreUrl::Sqlite(path) = &context.config.store;
    if !path.exists() {
        let message = format!("there is no store {} to back up", path.display());
        return Err(Failed::new(Kind::NotFound, message));
    }
    let store = SqliteStore::open_to_read(path, &SqliteOptions::default())?;
    let copying = store.backup(&args.file);
    let backup = progress::during("copying the store", None, copying).await;
    let backup = backup.map_err(|error| Failed::new(Kind::Failed, error.to_string()))?;
    let result = json!({
        "file": args.file.display().to_string(),
        "bytes": backup.bytes,
        "documents": backup.documents,
        "secrets": backup.secrets,
        "wrapped_by": backup.wrapped_by,
    });
    context.output.print(&result, |_| {
        let size = bytesize::ByteSize(backup.bytes);
        let done = format!(
            "{} holds {} documents and {} secrets in {size}",
            args.file.display(),
            backup.documents,
            backup.secrets
        );
        match &backup.wrapped_by {
            Some(key) => format!(
                "{done}\nits secrets need key {key}, which is not in it: keep a copy of that key \
                 somewhere else"
            ),
            None => done,
        }
    })
}
