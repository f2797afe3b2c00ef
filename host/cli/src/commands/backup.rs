//! `backup`: copies the store while hosts run.

use std::path::PathBuf;

use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use serde_json::json;

use crate::config::StoreUrl;
use crate::error::{CliError, ErrorKind};
use crate::{Context, progress};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write; must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Copies a consistent snapshot of the store, and prints which key the copy needs.
pub async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let StoreUrl::Sqlite(path) = &context.config.store;
    if !path.exists() {
        let message = format!("there is no store {} to back up", path.display());
        return Err(CliError::new(ErrorKind::NotFound, message));
    }
    let store = SqliteStore::open_to_read(path, &SqliteOptions::default())?;
    let copying = store.backup(&args.file);
    let backup = progress::show_while("copying the store", None, copying).await;
    let backup = backup.map_err(|error| CliError::new(ErrorKind::Failed, error.to_string()))?;
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
