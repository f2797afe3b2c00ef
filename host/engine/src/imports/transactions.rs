//! `automate:platform/transactions`: the log and progress of a transaction.

use std::time::Duration;

use super::bindings::automate::platform::transactions;
use super::{Call, Import};
use crate::store::StoreError;
use crate::transactions::{Level, Progress, Status, TransactionOutcome};
use crate::types::Timestamp;

/// The maximum length of a line, in bytes; the excess is cut.
const MAX_LINE_BYTES: usize = 4096;

/// The bytes scanned for one line: a secret may be longer than its placeholder.
const MAX_SCANNED_BYTES: usize = 4 * MAX_LINE_BYTES;

/// The minimum interval between two writes of progress: short enough for a person to follow.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// How long a call waits for a write of its progress: the commit of a response must not wait longer. Lines that were stored
/// nevertheless are stored again with the next update.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

impl transactions::Host for Call {
    async fn log(&mut self, level: transactions::Level, message: String) -> wasmtime::Result<()> {
        self.gate.enter(Import::TransactionsLog).await?;
        let level = match level {
            transactions::Level::Debug => Level::Debug,
            transactions::Level::Info => Level::Info,
            transactions::Level::Warning => Level::Warning,
            transactions::Level::Error => Level::Error,
        };
        let message = self.sanitize_line(&message);
        self.journal.log(self.services.clock.now(), level, message);
        self.gate.leave(Import::TransactionsLog).await
    }

    async fn progress(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        self.gate.enter(Import::TransactionsProgress).await?;
        let message = self.sanitize_line(&message);
        self.journal.set_progress(Progress {
            done,
            total,
            message,
        });
        let now = self.services.clock.monotonic();
        if now.saturating_sub(self.reported) >= PROGRESS_INTERVAL {
            self.reported = now;
            let update = self.journal.take_update();
            let report = self.services.store.report(update.clone());
            let reported = tokio::time::timeout(REPORT_TIMEOUT, report).await;
            let reported = reported
                .unwrap_or_else(|_| Err(StoreError::Unavailable("it does not respond".to_owned())));
            if let Err(error) = reported {
                tracing::warn!(%error, "progress could not be stored; it is stored with the next update");
                self.journal.restore(update);
            }
        }
        self.gate.leave(Import::TransactionsProgress).await
    }

    async fn record_part(&mut self, part: transactions::Part) -> wasmtime::Result<()> {
        self.gate.enter(Import::TransactionsRecordPart).await?;
        let (status, message) = match part.outcome {
            Ok(message) => (Status::Success, message),
            Err(reason) => (Status::Fail, reason),
        };
        let outcome = TransactionOutcome {
            status,
            message: self.sanitize_line(&message),
            completed: self.services.clock.now(),
        };
        let action = self.sanitize_line(&part.action);
        // A start in the future would be kept longer than its transaction.
        let started = Timestamp(part.started).min(outcome.completed);
        self.journal.record_part(action, started, outcome);
        self.gate.leave(Import::TransactionsRecordPart).await
    }

    async fn interrupted(&mut self) -> wasmtime::Result<Option<u64>> {
        self.gate.enter(Import::TransactionsInterrupted).await?;
        let interrupted = self.lease.as_ref().and_then(|lease| lease.interrupted);
        self.gate.leave(Import::TransactionsInterrupted).await?;
        Ok(interrupted.map(|began| began.0))
    }
}

impl Call {
    /// Converts guest text to a log line: redacted, without control characters, and of limited
    /// length.
    pub(super) fn sanitize_line(&self, text: &str) -> String {
        let text = self
            .redactor
            .redact(self.redactor.truncate(text, MAX_SCANNED_BYTES));
        let mut line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
        line
    }
}
