//! Logs: to stderr, as text or JSON, at the level asked for.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::Global;
use super::failure::Failed;
use crate::config::LogFormat;

/// Starts logging. `format` and `level` hold where the command line says nothing.
pub fn start(global: &Global, format: LogFormat, level: &str) -> Result<(), Failed> {
    let wanted = global.log.as_deref().unwrap_or(level);
    let filter = EnvFilter::try_new(directives(wanted)).map_err(|error| {
        Failed::usage(format!("--log {wanted:?} cannot be understood: {error}")).hint(
            "a level: error, warn, info, debug, trace; or targets: relation_host=debug,hyper=info",
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Only a second start could fail, and there is one.
    let _ = match global.log_format.unwrap_or(format) {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

/// A bare level is for this program. What it is built from says little that helps an operator, and at
/// the finest levels may print what it carries; it must be named to be heard below warnings.
fn directives(wanted: &str) -> String {
    match wanted.to_ascii_lowercase().as_str() {
        level @ ("info" | "debug" | "trace") => format!("warn,relation_host={level}"),
        _ => wanted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_this_program_alone() {
        assert_eq!(directives("TRACE"), "warn,relation_host=trace");
        assert_eq!(directives("info"), "warn,relation_host=info");
        assert_eq!(directives("error"), "error");
        assert_eq!(directives("off"), "off");
        assert_eq!(directives("hyper=trace"), "hyper=trace");
    }
}
