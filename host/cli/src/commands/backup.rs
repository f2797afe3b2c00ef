//! `backup`: copies the store while hosts run.

use std::path::PathBuf;

use relation_app::AppError;
use serde_json::json;

use crate::{Context, progress};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write; must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Copies a consistent snapshot of the store, and prints which key the copy needs.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let installation = &context.installation;
    let copying = installation.config.store.backup(&args.file);
    let backup = progress::show_while("copying the store", None, copying).await;
    let backup = backup.map_err(|error| installation.explain_missing(error))?;
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
