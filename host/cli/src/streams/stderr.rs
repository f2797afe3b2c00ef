//! Logs, notes, questions and errors on stderr. Writing them does not wait for a reader, and losing them is
//! not an error.
//!
//! With `--json`, stderr holds at most one object: the command's error. Notes and questions are left out, and
//! warnings are part of that object.

use relation_app::AppError;
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::BackgroundWriter;

use crate::error;
use crate::invocation::{complete, complete_json};

/// The maximum number of warnings in an error object. Further ones are counted.
const MAX_WARNINGS: usize = 20;

static STDERR_WRITER: OnceLock<BackgroundWriter> = OnceLock::new();
static LOG_FILE_WRITER: OnceLock<BackgroundWriter> = OnceLock::new();
static JSON_MODE: AtomicBool = AtomicBool::new(false);
static LOGS_AS_JSON: AtomicBool = AtomicBool::new(false);
static COLLECTED_WARNINGS: Mutex<Warnings> = Mutex::new(Warnings {
    texts: Vec::new(),
    more: 0,
});

struct Warnings {
    texts: Vec<String>,
    more: usize,
}

/// Sets whether output is for programs (`--json`).
pub fn set_json_mode(json: bool) {
    JSON_MODE.store(json, Ordering::Relaxed);
}

/// Sets whether log lines are JSON.
pub fn set_logs_as_json(json: bool) {
    LOGS_AS_JSON.store(json, Ordering::Relaxed);
}

/// Adds the options of this command line to commands in a log line.
pub fn complete_log_line(line: &str) -> Cow<'_, str> {
    match LOGS_AS_JSON.load(Ordering::Relaxed) {
        true => complete_json(line),
        false => complete(line),
    }
}

/// Returns whether only the error object is written.
pub fn is_json_mode() -> bool {
    JSON_MODE.load(Ordering::Relaxed)
}

/// Returns whether stderr is a terminal, so that progress and prompts can be shown.
pub fn is_interactive() -> bool {
    !is_json_mode() && io::stderr().is_terminal()
}

/// Returns the writer of stderr.
pub fn writer() -> &'static BackgroundWriter {
    STDERR_WRITER.get_or_init(|| BackgroundWriter::start(io::stderr(), dropped_lines_message))
}

/// Returns the writer of log lines to `file`.
pub fn open_log_writer(file: std::fs::File) -> &'static BackgroundWriter {
    LOG_FILE_WRITER.get_or_init(|| BackgroundWriter::start(file, dropped_lines_message))
}

fn dropped_lines_message(lost: u64) -> String {
    let text = format!("{lost} log lines were dropped: stderr was not read in time");
    match LOGS_AS_JSON.load(Ordering::Relaxed) {
        true => format!(
            "{}\n",
            serde_json::json!({ "level": "WARN", "fields": { "message": text, "dropped": lost } })
        ),
        false => format!("WARN {text}\n"),
    }
}

/// Writes a note for a person, and a line break.
pub fn note(text: &str) {
    if !is_json_mode() {
        writer().push(format!("{}\n", complete(text)).as_bytes());
    }
}

/// Writes a question, and waits until it is shown.
pub fn prompt(text: &str) {
    if !is_json_mode() {
        writer().push(text.as_bytes());
        writer().flush();
    }
}

/// Keeps a warning for the error object.
pub fn keep_warning(text: String) {
    let mut collected = COLLECTED_WARNINGS.lock();
    match collected.texts.len() < MAX_WARNINGS {
        true => collected.texts.push(text),
        false => collected.more += 1,
    }
}

/// Writes the error: as `error:` and `hint:` lines, or as one JSON object.
pub fn report(error: &AppError, as_json: bool) {
    let text = match as_json {
        true => {
            let mut collected = COLLECTED_WARNINGS.lock();
            let mut warnings = std::mem::take(&mut collected.texts);
            if let more @ 1.. = std::mem::take(&mut collected.more) {
                warnings.push(format!("and {more} more"));
            }
            error::to_json(error, warnings).to_string()
        }
        false => error::render(error),
    };
    writer().push(format!("{text}\n").as_bytes());
}

/// Waits until everything is written, before the process ends.
pub fn flush() {
    for writer in [&STDERR_WRITER, &LOG_FILE_WRITER] {
        if let Some(writer) = writer.get() {
            writer.flush();
        }
    }
}
