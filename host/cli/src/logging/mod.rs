//! Logs: to stderr or a file, as text or JSON, at the level asked for. Writing one never blocks, fails or
//! ends anything.

mod filter;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Global;
use super::failure::{Failed, Kind};
use super::streams::{Outlet, stderr};
use crate::config::LogFormat;
pub use filter::LogFilter;

/// The default logging of a command.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The level.
    pub level: LevelFilter,
    /// Whether the end of each call is logged; false where the command itself reports it.
    pub outcomes: bool,
}

impl Defaults {
    /// For a command that tells itself how its calls have ended.
    pub const fn at(level: LevelFilter) -> Self {
        Self {
            level,
            outcomes: false,
        }
    }
}

/// Starts logging. `format` and `defaults` hold where the command line says nothing.
pub fn start(global: &Global, format: LogFormat, defaults: Defaults) -> Result<(), Failed> {
    let wanted = global.log.clone().unwrap_or_default();
    let mut directives = wanted.directives(defaults.level);
    if !defaults.outcomes && !wanted.has_level() {
        // First, so that a filter can name it all the same.
        directives = format!("{}=off,{directives}", filter::OUTCOME);
    }
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| Failed::usage(format!("--log cannot be understood: {error}")))?;
    let format = global.log_format.unwrap_or(format);
    stderr::set_logs_as_json(format == LogFormat::Json);
    let writer = match &global.log_file {
        Some(file) => To::Outlet(stderr::log_to(opened(file)?)),
        None if stderr::is_for_programs() => To::Warnings,
        None => To::Outlet(stderr::outlet()),
    };
    let ansi =
        matches!(writer, To::Outlet(_)) && global.log_file.is_none() && io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would print them to stderr, and panic where that cannot be written.
        .log_internal_errors(false)
        .with_writer(writer)
        .with_ansi(ansi);
    // Only a second start could fail, and there is one.
    let _ = match (writer, format) {
        (To::Warnings, _) => builder.without_time().with_target(false).try_init(),
        (_, LogFormat::Text) => builder.try_init(),
        (_, LogFormat::Json) => builder.json().try_init(),
    };
    Ok(())
}

/// Opens a log file to append to it. It is its owner's alone: it names customers.
fn opened(path: &Path) -> Result<File, Failed> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map_err(|error| {
        let message = format!("cannot open the log file {}: {error}", path.display());
        Failed::new(Kind::Usage, message).hint("--log-file names a file that can be written")
    })
}

/// Where log lines go.
#[derive(Clone, Copy)]
enum To {
    Outlet(&'static Outlet),
    /// Into the error object, as far as they warn.
    Warnings,
}

impl<'a> MakeWriter<'a> for To {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        match self {
            Self::Outlet(outlet) => Line::Outlet(outlet),
            Self::Warnings => Line::Nowhere,
        }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line {
        match self {
            Self::Warnings if *line.level() <= Level::WARN => Line::Warning,
            _ => self.make_writer(),
        }
    }
}

/// Takes one log line, in one write.
enum Line {
    Outlet(&'static Outlet),
    Warning,
    Nowhere,
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Outlet(outlet) => outlet.push(text),
            Self::Warning => {
                let text = String::from_utf8_lossy(text);
                stderr::keep_warning(text.trim().to_owned());
            }
            Self::Nowhere => {}
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
