//! The running transaction of one call: gathers log lines and progress until they are made durable.

use std::sync::{Arc, Mutex};

use crate::sync::lock;
use crate::transactions::{Level, LogLine, Outcome, Progress, Reveal, TransactionUpdate};
use crate::types::Timestamp;

/// How many openings of secrets a call may have named; a workflow has a dozen at most.
const NAMED: usize = 64;

/// What a line costs besides its text, in bytes: a row.
const LINE: usize = 16;

/// Gathers the news of one transaction. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal {
    id: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    lines: Vec<LogLine>,
    progress: Option<Progress>,
    subject_name: Option<String>,
    reveals: Vec<Reveal>,
    more_reveals: u64,
    /// How many openings may still be named.
    named: usize,
    /// Bytes of log that may still be written.
    room: usize,
    full: bool,
}

impl Journal {
    /// The journal of the transaction `id`, which may write `room` bytes of log.
    pub fn new(id: &str, room: usize) -> Self {
        Self {
            id: id.into(),
            state: Arc::new(Mutex::new(State {
                lines: Vec::new(),
                progress: None,
                subject_name: None,
                reveals: Vec::new(),
                more_reveals: 0,
                named: NAMED,
                room,
                full: false,
            })),
        }
    }

    /// The transaction's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds a line. Once the room is used up one last line says so, and the rest is dropped.
    pub fn log(&self, at: Timestamp, level: Level, message: String) {
        tracing::debug!(transaction = &*self.id, level = ?level, "{message}");
        let mut state = lock(&self.state);
        if state.full {
            return;
        }
        let size = message.len().saturating_add(LINE);
        let Some(room) = state.room.checked_sub(size) else {
            state.full = true;
            state.lines.push(LogLine {
                at,
                level: Level::Warning,
                message: "the log of this call is full (limits.log): further lines are dropped"
                    .into(),
            });
            return;
        };
        state.room = room;
        state.lines.push(LogLine { at, level, message });
    }

    /// Says that a secret was opened, or that it was tried; beyond a bound only how often.
    pub fn reveal(&self, reveal: Reveal) {
        let mut state = lock(&self.state);
        match state.named.checked_sub(1) {
            Some(left) => {
                state.named = left;
                state.reveals.push(reveal);
            }
            None => state.more_reveals += 1,
        }
    }

    /// Says how far the call is.
    pub fn progress(&self, progress: Progress) {
        lock(&self.state).progress = Some(progress);
    }

    /// Says what the subject is called.
    pub fn name_subject(&self, name: String) {
        lock(&self.state).subject_name = Some(name);
    }

    /// The news since the last time, for the store.
    pub fn news(&self) -> TransactionUpdate {
        let mut state = lock(&self.state);
        TransactionUpdate {
            id: self.id.to_string(),
            progress: state.progress.take(),
            subject_name: state.subject_name.take(),
            lines: std::mem::take(&mut state.lines),
            reveals: std::mem::take(&mut state.reveals),
            more_reveals: std::mem::take(&mut state.more_reveals),
            outcome: None,
        }
    }

    /// News that could not be written: they come with the next ones.
    pub fn put_back(&self, news: TransactionUpdate) {
        let mut state = lock(&self.state);
        let newer = std::mem::replace(&mut state.lines, news.lines);
        state.lines.extend(newer);
        let newer = std::mem::replace(&mut state.reveals, news.reveals);
        state.reveals.extend(newer);
        state.more_reveals += news.more_reveals;
        if state.progress.is_none() {
            state.progress = news.progress;
        }
        if state.subject_name.is_none() {
            state.subject_name = news.subject_name;
        }
    }

    /// The last news, with how the call ended.
    pub fn close(&self, outcome: Outcome) -> TransactionUpdate {
        TransactionUpdate {
            outcome: Some(outcome),
            ..self.news()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::RevealOutcome;

    #[test]
    fn lines_without_a_text_use_up_the_room_as_well() {
        let journal = Journal::new("t1", 160);
        for _ in 0..1000 {
            journal.log(Timestamp(0), Level::Info, String::new());
        }
        let lines = journal.news().lines;
        assert_eq!(lines.len(), 11);
        assert!(lines.last().unwrap().message.contains("limits.log"));
    }

    #[test]
    fn openings_are_named_up_to_a_bound_and_counted_beyond() {
        let journal = Journal::new("t1", 1000);
        let reveal = |at| Reveal {
            at: Timestamp(at),
            owner: None,
            name: "webex.client-secret".to_owned(),
            outcome: RevealOutcome::Opened,
        };
        for at in 0..50 {
            journal.reveal(reveal(at));
        }
        let first = journal.news();
        for at in 50..100 {
            journal.reveal(reveal(at));
        }
        // The first news could not be written: nothing of them is lost or told twice.
        journal.put_back(first);
        let news = journal.news();
        let expected: Vec<Reveal> = (0..64).map(reveal).collect();
        assert_eq!((news.reveals, news.more_reveals), (expected, 36));
        assert_eq!(journal.news().more_reveals, 0);
    }
}
