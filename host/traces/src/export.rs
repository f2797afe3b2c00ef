//! The task that sends spans: batches, pauses after failures, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::collector::{Collector, SendFailure};

/// The maximum number of spans in a request.
const MAX_BATCH: usize = 512;
/// How long the first span of a batch waits for more.
const INTERVAL: Duration = Duration::from_secs(5);
/// The pause after the first failure; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The maximum pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How long the end of the process waits for the last spans.
const FLUSH: Duration = Duration::from_secs(2);

/// The sending of spans, until it is closed.
pub struct Export {
    task: JoinHandle<()>,
    closing: CancellationToken,
    /// Whether the log has a warning about the current outage.
    is_reported: Arc<AtomicBool>,
}

impl Export {
    /// Sends the spans that have ended, for at most two seconds, and ends.
    pub async fn close(self) {
        self.closing.cancel();
        let mut task = self.task;
        if timeout(FLUSH, &mut task).await.is_err() {
            task.abort();
            if !self.is_reported.load(Ordering::Relaxed) {
                let seconds = FLUSH.as_secs();
                tracing::warn!("the last spans could not be sent within {seconds} seconds");
            }
        }
    }
}

/// The state of the task.
pub(crate) struct Worker {
    receiver: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    collector: Collector,
    dropped: Arc<AtomicU64>,
    closing: CancellationToken,
    is_reported: Arc<AtomicBool>,
    /// The number of failures since the latest success.
    failures: u32,
}

impl Worker {
    pub(crate) fn new(
        receiver: mpsc::Receiver<SpanData>,
        exporter: SpanExporter,
        collector: Collector,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self {
            receiver,
            exporter,
            collector,
            dropped,
            closing: CancellationToken::new(),
            is_reported: Arc::default(),
            failures: 0,
        }
    }

    pub(crate) fn spawn(self) -> Export {
        let (closing, is_reported) = (self.closing.clone(), Arc::clone(&self.is_reported));
        Export {
            task: tokio::spawn(self.run()),
            closing,
            is_reported,
        }
    }

    async fn run(mut self) {
        loop {
            let batch = self.next_batch().await;
            if batch.is_empty() || !self.send(batch).await {
                return;
            }
        }
    }

    /// Waits for spans. An empty batch means that the process ends, and that all spans were returned.
    async fn next_batch(&mut self) -> Vec<SpanData> {
        let closing = self.closing.clone();
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = self.receiver.recv_many(&mut batch, MAX_BATCH) => {}
            () = closing.cancelled() => return batch,
        }
        let until = Instant::now() + INTERVAL;
        while batch.len() < MAX_BATCH {
            let left = MAX_BATCH - batch.len();
            tokio::select! {
                biased;
                received = self.receiver.recv_many(&mut batch, left) => if received == 0 { break },
                () = closing.cancelled() => break,
                () = sleep_until(until) => break,
            }
        }
        batch
    }

    /// Sends a batch, again and again until it is accepted or refused. Returns false if the process ends before.
    async fn send(&mut self, batch: Vec<SpanData>) -> bool {
        let count = batch.len() as u64;
        loop {
            let is_last = self.closing.is_cancelled();
            let Err(failure) = self.attempt(batch.clone()).await else {
                let rejected = self.collector.take_rejected();
                self.dropped.fetch_add(rejected, Ordering::Relaxed);
                self.note_success();
                return true;
            };
            let pause = self.note_failure(&failure);
            if is_last {
                let left = count.saturating_add(self.receiver.len() as u64);
                self.dropped.fetch_add(left, Ordering::Relaxed);
                return false;
            }
            if !failure.is_temporary {
                self.dropped.fetch_add(count, Ordering::Relaxed);
            }
            // The next attempt, with this batch or another one, waits too.
            let closing = self.closing.cancelled();
            let _ = timeout(pause, closing).await;
            if !failure.is_temporary {
                return true;
            }
        }
    }

    async fn attempt(&self, batch: Vec<SpanData>) -> Result<(), SendFailure> {
        let result = self.exporter.export(batch).await;
        match (result, self.collector.take_failure()) {
            (_, Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(()),
            // The batch could not be encoded.
            (Err(error), None) => Err(SendFailure {
                reason: error.to_string(),
                is_temporary: false,
                retry_after: None,
            }),
        }
    }

    /// Notes a failure, and logs the first one of an outage. Returns the pause until the next attempt.
    fn note_failure(&mut self, failure: &SendFailure) -> Duration {
        if self.failures == 0 {
            self.is_reported.store(true, Ordering::Relaxed);
            let (origin, reason) = (self.collector.origin(), &failure.reason);
            tracing::warn!(
                "traces cannot be sent to {origin}: {reason}; spans wait, and are dropped when too many wait"
            );
        }
        let pause = pause_after(self.failures, failure.retry_after);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    fn note_success(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            self.is_reported.store(false, Ordering::Relaxed);
            let dropped = self.dropped.load(Ordering::Relaxed);
            tracing::info!(dropped, "traces are sent again");
        }
    }
}

/// Returns the pause after a failure: doubled each time, or what the collector asks for, but at most a minute.
fn pause_after(failures: u32, retry_after: Option<Duration>) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
    pause.max(retry_after.unwrap_or_default()).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pause = |failures, asked: Option<u64>| {
            pause_after(failures, asked.map(Duration::from_secs)).as_secs()
        };
        assert_eq!([pause(0, None), pause(1, None), pause(5, None)], [1, 2, 32]);
        assert_eq!([pause(6, None), pause(u32::MAX, None)], [60, 60]);
        assert_eq!([pause(0, Some(7)), pause(4, Some(7))], [7, 16]);
        assert_eq!(pause(0, Some(86_400)), 60);
    }
}
