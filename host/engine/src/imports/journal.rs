//! The journal of a running call: collects log lines and progress until they are stored.

use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Span;

use crate::spans;
use crate::transactions::{
    Level, LogLine, Progress, SecretAccess, TransactionOutcome, TransactionPart, TransactionUpdate,
};
use crate::types::{Hierarchy, Timestamp};

/// The number of secret accesses that are listed per call; a workflow has a dozen at most.
const MAX_SECRET_ACCESSES: usize = 64;

/// The overhead of a log line, in bytes: a row.
const LINE_OVERHEAD: usize = 16;

/// The collected updates of one transaction. Clones share their state.
#[derive(Clone, Debug)]
pub struct Journal {
    id: Arc<str>,
    /// The span of the call.
    span: Span,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    lines: Vec<LogLine>,
    progress: Option<Progress>,
    /// The subject's name, until it is taken to be stored.
    subject_name: Option<String>,
    /// The subject's latest known name; empty if none is known.
    known_name: String,
    secret_accesses: Vec<SecretAccess>,
    omitted_accesses: u64,
    parts: Vec<TransactionPart>,
    /// The number of parts so far.
    part_count: u32,
    /// Whether the span of the call has the node of the record.
    has_node: bool,
    /// The number of secret accesses that may still be listed.
    accesses_left: usize,
    /// The number of bytes of log that may still be written.
    log_bytes_left: usize,
    full: bool,
}

impl Journal {
    /// Creates the journal of the transaction `id`, which may write this many bytes of log.
    pub fn new(id: &str, log_bytes_left: usize) -> Self {
        Self {
            id: id.into(),
            span: Span::none(),
            state: Arc::new(Mutex::new(State {
                lines: Vec::new(),
                progress: None,
                subject_name: None,
                known_name: String::new(),
                secret_accesses: Vec::new(),
                omitted_accesses: 0,
                parts: Vec::new(),
                part_count: 0,
                has_node: false,
                accesses_left: MAX_SECRET_ACCESSES,
                log_bytes_left,
                full: false,
            })),
        }
    }

    /// Sets the span of the call, for traces.
    pub(crate) fn with_span(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// Returns the span of the call; a disabled one without traces.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Returns the transaction's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds a log line. When the log is full, one last line reports that, and later lines are dropped.
    pub fn log(&self, at: Timestamp, level: Level, message: String) {
        tracing::debug!(transaction = &*self.id, level = ?level, "{message}");
        let mut state = self.state.lock();
        if state.reserve(at, message.len()) {
            state.lines.push(LogLine { at, level, message });
        }
    }

    /// Adds a part of the call that ends now. When the log is full, parts are dropped too.
    pub fn record_part(&self, action: String, started: Timestamp, outcome: TransactionOutcome) {
        let mut state = self.state.lock();
        let size = action.len().saturating_add(outcome.message.len());
        if state.reserve(outcome.completed, size) {
            state.part_count = state.part_count.saturating_add(1);
            let part = TransactionPart {
                number: state.part_count,
                action,
                started,
                outcome,
            };
            state.parts.push(part);
        }
    }

    /// Records that a secret was opened, or that opening it was tried. Beyond a limit, accesses are only
    /// counted.
    pub fn record_secret_access(&self, access: SecretAccess) {
        let mut state = self.state.lock();
        match state.accesses_left.checked_sub(1) {
            Some(left) => {
                state.accesses_left = left;
                state.secret_accesses.push(access);
            }
            None => state.omitted_accesses += 1,
        }
    }

    /// Sets the progress of the call.
    pub fn set_progress(&self, progress: Progress) {
        self.state.lock().progress = Some(progress);
    }

    /// Sets the subject's display name, to be stored unless that name is known already. Returns whether it is new.
    pub fn set_subject_name(&self, name: &str) -> bool {
        let mut state = self.state.lock();
        let is_new = state.known_name != name;
        if is_new {
            name.clone_into(&mut state.known_name);
            state.subject_name = Some(name.to_owned());
        }
        is_new
    }

    /// Notes the node of the call's record in the span of the call, once.
    pub(crate) fn note_node(&self, node: &Hierarchy) {
        if !self.span.is_disabled() && !std::mem::replace(&mut self.state.lock().has_node, true) {
            spans::record_node(&self.span, node);
        }
    }

    /// Returns the subject's display name; empty if the name is not known yet.
    pub fn subject_name(&self) -> String {
        self.state.lock().known_name.clone()
    }

    /// Takes the updates since the last call, to be stored.
    pub fn take_update(&self) -> TransactionUpdate {
        let mut state = self.state.lock();
        TransactionUpdate {
            id: self.id.to_string(),
            progress: state.progress.take(),
            subject_name: state.subject_name.take(),
            lines: std::mem::take(&mut state.lines),
            secret_accesses: std::mem::take(&mut state.secret_accesses),
            omitted_accesses: std::mem::take(&mut state.omitted_accesses),
            parts: std::mem::take(&mut state.parts),
            outcome: None,
        }
    }

    /// Restores an update that could not be written, to be part of the next one.
    pub fn restore(&self, update: TransactionUpdate) {
        let mut state = self.state.lock();
        let newer = std::mem::replace(&mut state.lines, update.lines);
        state.lines.extend(newer);
        let newer = std::mem::replace(&mut state.secret_accesses, update.secret_accesses);
        state.secret_accesses.extend(newer);
        state.omitted_accesses += update.omitted_accesses;
        let newer = std::mem::replace(&mut state.parts, update.parts);
        state.parts.extend(newer);
        if state.progress.is_none() {
            state.progress = update.progress;
        }
        if state.subject_name.is_none() {
            state.subject_name = update.subject_name;
        }
    }

    /// Takes the last update and adds the outcome.
    pub fn close(&self, outcome: TransactionOutcome) -> TransactionUpdate {
        TransactionUpdate {
            outcome: Some(outcome),
            ..self.take_update()
        }
    }
}

impl State {
    /// Reserves space in the log for a row with `bytes` of text. Returns whether there is any; the first time that there
    /// is none, a line says so.
    fn reserve(&mut self, at: Timestamp, bytes: usize) -> bool {
        if self.full {
            return false;
        }
        let size = bytes.saturating_add(LINE_OVERHEAD);
        match self.log_bytes_left.checked_sub(size) {
            Some(left) => {
                self.log_bytes_left = left;
                true
            }
            None => {
                self.full = true;
                self.lines.push(LogLine {
                    at,
                    level: Level::Warning,
                    message: "the log of this call is full (limits.log): further lines and parts are dropped"
                        .into(),
                });
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::SecretAccessOutcome;

    #[test]
    fn name_is_stored_once_unless_it_changes() {
        let journal = Journal::new("t1", 160);
        let stored = |name: &str| {
            journal.set_subject_name(name);
            journal.take_update().subject_name
        };
        assert_eq!(stored("Acme").as_deref(), Some("Acme"));
        assert_eq!(stored("Acme"), None);
        assert_eq!(stored("Acme Ltd").as_deref(), Some("Acme Ltd"));
        assert_eq!(journal.subject_name(), "Acme Ltd");
    }

    #[test]
    fn empty_log_lines_count_against_the_limit() {
        let journal = Journal::new("t1", 160);
        for _ in 0..1000 {
            journal.log(Timestamp(0), Level::Info, String::new());
        }
        let lines = journal.take_update().lines;
        assert_eq!(lines.len(), 11);
        assert!(lines.last().unwrap().message.contains("limits.log"));
    }

    #[test]
    fn secret_accesses_over_the_limit_are_only_counted() {
        let journal = Journal::new("t1", 1000);
        let access = |at| SecretAccess {
            at: Timestamp(at),
            owner: None,
            name: "webex.client-secret".to_owned(),
            outcome: SecretAccessOutcome::Opened,
        };
        for at in 0..50 {
            journal.record_secret_access(access(at));
        }
        let first = journal.take_update();
        for at in 50..100 {
            journal.record_secret_access(access(at));
        }
        // The first update could not be written: none of it is lost or reported twice.
        journal.restore(first);
        let update = journal.take_update();
        let expected: Vec<SecretAccess> = (0..64).map(access).collect();
        assert_eq!(
            (update.secret_accesses, update.omitted_accesses),
            (expected, 36)
        );
        assert_eq!(journal.take_update().omitted_accesses, 0);
    }
}
