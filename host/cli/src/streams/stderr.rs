//! Logs, notes, questions and errors on stderr. None of them waits for a reader, and the loss of one ends
//! nothing.
//!
//! With `--json`, stderr holds at most one thing: the object that tells of the command's error. Notes and
//! questions are then left out, and warnings become a part of that object.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Outlet;
use crate::failure::Failed;

/// How many warnings an error object carries at most; the others are counted.
const WARNINGS: usize = 20;

static OUTLET: OnceLock<Outlet> = OnceLock::new();
static LOG_FILE: OnceLock<Outlet> = OnceLock::new();
static FOR_PROGRAMS: AtomicBool = AtomicBool::new(false);
static LOGS_AS_JSON: AtomicBool = AtomicBool::new(false);
static WARNED: Mutex<Warned> = Mutex::new(Warned {
    texts: Vec::new(),
    more: 0,
});

struct Warned {
    texts: Vec<String>,
    more: usize,
}

/// Says whether a program reads what is written (`--json`).
pub fn set_for_programs(json: bool) {
    FOR_PROGRAMS.store(json, Ordering::Relaxed);
}

/// Says whether log lines are JSON.
pub fn set_logs_as_json(json: bool) {
    LOGS_AS_JSON.store(json, Ordering::Relaxed);
}

/// Whether only the error object is written.
pub fn is_for_programs() -> bool {
    FOR_PROGRAMS.load(Ordering::Relaxed)
}

/// Whether a person looks at stderr, so that progress can be drawn and questions asked.
pub fn has_a_person() -> bool {
    !is_for_programs() && io::stderr().is_terminal()
}

/// Where log lines go: stderr, or the log file once [`log_to`] has opened one.
pub fn outlet() -> &'static Outlet {
    OUTLET.get_or_init(|| Outlet::start(io::stderr(), dropped))
}

/// Sends log lines to `file`.
pub fn log_to(file: std::fs::File) -> &'static Outlet {
    LOG_FILE.get_or_init(|| Outlet::start(file, dropped))
}

fn dropped(lost: u64) -> String {
    let text = format!("{lost} log lines were dropped: nobody read them in time");
    match LOGS_AS_JSON.load(Ordering::Relaxed) {
        true => format!(
            "{}\n",
            serde_json::json!({ "level": "WARN", "fields": { "message": text, "dropped": lost } })
        ),
        false => format!("WARN {text}\n"),
    }
}

/// Writes a note for a person, and the end of its line.
pub fn note(text: &str) {
    if !is_for_programs() {
        outlet().push(format!("{text}\n").as_bytes());
    }
}

/// Writes a question, and waits until it is shown.
pub fn ask(text: &str) {
    if !is_for_programs() {
        outlet().push(text.as_bytes());
        outlet().flush();
    }
}

/// Keeps a warning for the error object.
pub fn keep_warning(text: String) {
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    match warned.texts.len() < WARNINGS {
        true => warned.texts.push(text),
        false => warned.more += 1,
    }
}

/// Writes why the command failed: `error:` and `hint:` lines, or one object.
pub fn report(failed: &Failed, as_json: bool) {
    let text = match as_json {
        true => {
            let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
            let mut warnings = std::mem::take(&mut warned.texts);
            if let more @ 1.. = std::mem::take(&mut warned.more) {
                warnings.push(format!("and {more} more"));
            }
            failed.to_json(warnings).to_string()
        }
        false => failed.to_string(),
    };
    outlet().push(format!("{text}\n").as_bytes());
}

/// Lets everything be written, before the process ends.
pub fn flush() {
    for outlet in [&OUTLET, &LOG_FILE] {
        if let Some(outlet) = outlet.get() {
            outlet.flush();
        }
    }
}
