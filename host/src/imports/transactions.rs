//! `automate:platform/transactions`: the log and the progress that a person follows.

use std::time::Duration;

use super::bindings::automate::platform::transactions;
use super::{Call, Import};
use crate::transactions::{Level, Progress};

/// The longest line, in bytes; what is more is cut.
const LINE: usize = 4096;

/// How much of a text is looked at for a line: secrets in it may be longer than what stands for them.
const LOOKED_AT: usize = 4 * LINE;

/// How long news of progress may wait before it is written, so that a person can follow.
const FOLLOW: Duration = Duration::from_millis(500);

impl transactions::Host for Call {
    async fn log(&mut self, level: transactions::Level, message: String) -> wasmtime::Result<()> {
        self.gate.enter(Import::TransactionsLog).await?;
        let level = match level {
            transactions::Level::Debug => Level::Debug,
            transactions::Level::Info => Level::Info,
            transactions::Level::Warning => Level::Warning,
            transactions::Level::Error => Level::Error,
        };
        let message = self.line(&message);
        self.journal.log(self.services.clock.now(), level, message);
        self.gate.leave(Import::TransactionsLog).await
    }

    async fn progress(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        self.gate.enter(Import::TransactionsProgress).await?;
        let message = self.line(&message);
        self.journal.set_progress(Progress {
            done,
            total,
            message,
        });
        let now = self.services.clock.monotonic();
        if now.saturating_sub(self.reported) >= FOLLOW {
            self.reported = now;
            let news = self.journal.take_update();
            if let Err(error) = self.services.store.report(news.clone()).await {
                tracing::warn!(%error, "progress could not be written; it comes with the next news");
                self.journal.restore(news);
            }
        }
        self.gate.leave(Import::TransactionsProgress).await
    }

    async fn interrupted(&mut self) -> wasmtime::Result<Option<u64>> {
        self.gate.enter(Import::TransactionsInterrupted).await?;
        let interrupted = self.lease.as_ref().and_then(|lease| lease.interrupted);
        self.gate.leave(Import::TransactionsInterrupted).await?;
        Ok(interrupted.map(|began| began.0))
    }
}

impl Call {
    /// A guest's text as a line: without secrets and control characters, and not endless.
    pub(super) fn line(&self, text: &str) -> String {
        let text = self
            .scrubber
            .scrub(self.scrubber.beginning(text, LOOKED_AT));
        let mut line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        line.truncate(line.floor_char_boundary(LINE));
        line
    }
}
