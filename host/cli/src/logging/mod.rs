//! Logs to stderr or a file, as text or JSON. Writing a log line never blocks and never fails.

mod filter;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use relation_app::config::LogFormat;
use relation_app::{AppError, ErrorKind};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::GlobalArgs;
use super::invocation::complete;
use super::streams::{BackgroundWriter, stderr};
use super::traces::BoxedLayer;
pub use filter::LogFilter;

/// The default logging of a command.
#[derive(Clone, Copy, Debug)]
pub struct LogDefaults {
    /// The level.
    pub level: LevelFilter,
    /// Whether the outcome of each call is logged. `false` if the command itself reports it.
    pub outcomes: bool,
}

impl LogDefaults {
    /// Returns the defaults of a command that reports the outcomes of its calls itself.
    pub const fn at_level(level: LevelFilter) -> Self {
        Self {
            level,
            outcomes: false,
        }
    }
}

/// Starts logging. `format` and `defaults` apply where the command line gives nothing. `traces` records spans beside the
/// log; each of the two has a filter of its own.
pub fn start(
    global: &GlobalArgs,
    format: LogFormat,
    defaults: LogDefaults,
    traces: Option<BoxedLayer>,
) -> Result<(), AppError> {
    let requested = global.log.clone().unwrap_or_default();
    let mut directives = requested.directives(defaults.level);
    if !defaults.outcomes && !requested.has_level() {
        // First, so that the filter can still enable this target.
        directives = format!("{}=off,{directives}", filter::OUTCOME_TARGET);
    }
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| AppError::usage(format!("--log cannot be understood: {error}")))?;
    let format = global.log_format.unwrap_or(format);
    stderr::set_logs_as_json(format == LogFormat::Json);
    let writer = match &global.log_file {
        Some(file) => LogDestination::Writer(stderr::open_log_writer(open_log_file(file)?)),
        None if stderr::is_json_mode() => LogDestination::Warnings,
        None => LogDestination::Writer(stderr::writer()),
    };
    let ansi = matches!(writer, LogDestination::Writer(_))
        && global.log_file.is_none()
        && io::stderr().is_terminal();
    let log = tracing_subscriber::fmt::layer()
        // The layer would print internal errors to stderr, and panic if stderr cannot be written.
        .log_internal_errors(false)
        .with_writer(writer)
        .with_ansi(ansi);
    let log: BoxedLayer = match (writer, format) {
        (LogDestination::Warnings, _) => log.without_time().with_target(false).boxed(),
        (_, LogFormat::Text) => log.boxed(),
        (_, LogFormat::Json) => log.json().boxed(),
    };
    // Only a second start could fail, and there is only one.
    let _ = match traces {
        // A filter of the whole subscriber costs less than one of a layer.
        None => tracing_subscriber::registry()
            .with(log)
            .with(filter)
            .try_init(),
        Some(traces) => {
            let layers = vec![log.with_filter(filter).boxed(), traces];
            tracing_subscriber::registry().with(layers).try_init()
        }
    };
    Ok(())
}

/// Opens a log file for appending. Only its owner may read it, because it names customers.
fn open_log_file(path: &Path) -> Result<File, AppError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).map_err(|error| {
        let message = format!("cannot open the log file {}: {error}", path.display());
        AppError::new(ErrorKind::Usage, message).hint("--log-file names a file that can be written")
    })
}

/// The destination of log lines.
#[derive(Clone, Copy)]
enum LogDestination {
    Writer(&'static BackgroundWriter),
    /// The error object. Only warnings and errors are kept.
    Warnings,
}

impl<'a> MakeWriter<'a> for LogDestination {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        match self {
            Self::Writer(writer) => LineWriter::Writer(writer),
            Self::Warnings => LineWriter::Discard,
        }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> LineWriter {
        match self {
            Self::Warnings if *line.level() <= Level::WARN => LineWriter::Warning,
            _ => self.make_writer(),
        }
    }
}

/// A writer of one log line, in one write.
enum LineWriter {
    Writer(&'static BackgroundWriter),
    Warning,
    Discard,
}

impl Write for LineWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Writer(writer) => {
                let text = String::from_utf8_lossy(text);
                writer.push(stderr::complete_log_line(&text).as_bytes());
            }
            Self::Warning => {
                let text = String::from_utf8_lossy(text);
                stderr::keep_warning(complete(text.trim()).into_owned());
            }
            Self::Discard => {}
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
