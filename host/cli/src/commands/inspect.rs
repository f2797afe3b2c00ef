//! `inspect`: checks whether a component is compatible with this host.

use std::path::PathBuf;

use relation_app::{AppError, ErrorKind, open_component_cache};
use relation_host::component::{ImportStatus, Inspection, inspect_with};
use serde_json::json;

use crate::GlobalArgs;
use crate::context;
use crate::output::{Output, escape_control_chars};
use crate::table::{Column, Table};

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component [default: the one of --plugin, else the one embedded in this binary]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Prints every import and export. Fails if the component cannot run on this host.
pub fn run(args: &Args, global: &GlobalArgs) -> Result<(), AppError> {
    let file = args.file.as_deref().or(global.plugin.as_deref());
    let (source, bytes) = context::plugin_file(file).read()?;
    let cache = open_component_cache(global.config.as_deref());
    let inspection = inspect_with(&bytes, cache.as_ref())
        .map_err(|error| AppError::new(ErrorKind::Plugin, format!("{source}: {error}")))?;
    let fits = inspection.is_compatible();
    let output = Output { json: global.json };
    let document = json!({
        "plugin": inspection.plugin,
        "fits": fits,
        "imports": inspection.imports,
        "exports": inspection.exports,
        "problem": inspection.problem,
    });
    let written = output.print(&document, |_| render_text(&inspection));
    let verdict = if fits {
        Ok(())
    } else {
        Err(AppError::new(
            ErrorKind::Plugin,
            format!("{source} does not fit this host"),
        )
        .hint("build it against the contract of this host's version, or use the host it was built for"))
    };
    verdict.and(written)
}

fn render_text(inspection: &Inspection) -> String {
    let mut rows = Table::with_columns(&[
        Column::new(""),
        Column::new("interface"),
        Column::new("status").wrapped(16),
    ]);
    for import in &inspection.imports {
        let status = match &import.status {
            ImportStatus::Provided => "provided".to_owned(),
            ImportStatus::Missing => "missing".to_owned(),
            ImportStatus::WrongVersion { offered } => {
                format!("wrong version: this host has {offered}")
            }
        };
        rows.add(["import", &import.name, &status]);
    }
    for export in &inspection.exports {
        let status = if export.present {
            "exported"
        } else {
            "missing"
        };
        rows.add(["export", &export.name, status]);
    }
    let verdict = match (&inspection.problem, inspection.is_compatible()) {
        (_, true) => "fits this host".to_owned(),
        (Some(problem), false) => {
            format!("does not fit this host: {}", escape_control_chars(problem))
        }
        (None, false) => "does not fit this host".to_owned(),
    };
    format!(
        "{} {verdict}\n\n{rows}",
        escape_control_chars(&inspection.plugin)
    )
}
