//! A bounded queue of lines for stderr or a log file.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The maximum number of queued bytes. Further texts are dropped and counted.
const MAX_QUEUED_BYTES: usize = 1 << 20;
/// How long flushing waits for a reader that makes no progress.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a non-blocking output (`O_NONBLOCK`) is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A writer that never blocks and never fails: a separate thread writes. Clones share the queue.
#[derive(Clone)]
pub struct BackgroundWriter(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread is writing a text.
    writing: bool,
    /// Counts texts that were written or given up, to detect progress.
    done: u64,
    dropped: u64,
    /// Whether each caller writes its own texts, because no thread could be started.
    direct: bool,
}

impl BackgroundWriter {
    /// Starts the thread that writes to `sink`. `dropped` renders the message about dropped lines.
    pub fn start(
        mut sink: impl Write + Send + 'static,
        dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || {
            loop {
                let (text, lost) = worker.next_text();
                write_best_effort(&mut sink, &text);
                if lost > 0 {
                    write_best_effort(&mut sink, dropped(lost).as_bytes());
                }
                worker.mark_written();
            }
        });
        if started.is_err() {
            shared.lock().direct = true;
        }
        Self(shared)
    }

    /// Queues `text`, or counts it as dropped if the queue is full.
    pub fn push(&self, text: &[u8]) {
        let mut queue = self.0.lock();
        if queue.direct {
            drop(queue);
            write_best_effort(&mut io::stderr(), text);
            return;
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(text.len()) > MAX_QUEUED_BYTES {
            queue.dropped += 1;
            return;
        }
        queue.bytes = queue.bytes.saturating_add(text.len());
        queue.waiting.push_back(text.to_vec());
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, or the reader makes no progress.
    pub fn flush(&self) {
        let mut queue = self.0.lock();
        while queue.writing || !queue.waiting.is_empty() {
            let before = queue.done;
            let waited = self.0.changed.wait_for(&mut queue, FLUSH_TIMEOUT);
            if waited.timed_out() && queue.done == before {
                return;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Waits for the next text. Returns it with the number of texts dropped before.
    fn next_text(&self) -> (Vec<u8>, u64) {
        let mut queue = self.lock();
        loop {
            if let Some(text) = queue.waiting.pop_front() {
                queue.bytes = queue.bytes.saturating_sub(text.len());
                queue.writing = true;
                return (text, std::mem::take(&mut queue.dropped));
            }
            self.changed.wait(&mut queue);
        }
    }

    fn mark_written(&self) {
        let mut queue = self.lock();
        queue.writing = false;
        queue.done += 1;
        drop(queue);
        self.changed.notify_all();
    }
}

/// Writes the text as far as possible. Errors of the output are ignored.
fn write_best_effort(sink: &mut impl Write, mut text: &[u8]) {
    while !text.is_empty() {
        match sink.write(text) {
            Ok(0) => return,
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY_PAUSE),
            Err(_) => return,
        }
    }
    let _ = sink.flush();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A pipe whose reader takes a text for each permit.
    struct Pipe {
        permits: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.permits
                .recv()
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            self.written.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (BackgroundWriter, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (permit, permits) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Pipe {
            permits,
            written: Arc::clone(&written),
        };
        let writer = BackgroundWriter::start(sink, |lost| format!("{lost} lost\n"));
        (writer, permit, written)
    }

    fn text(written: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(written.lock().clone()).unwrap()
    }

    #[test]
    fn flush_returns_with_everything_written_in_order() {
        let (writer, permit, written) = pipe();
        for number in 0..100 {
            writer.push(format!("{number}\n").as_bytes());
            permit.send(()).unwrap();
        }
        writer.flush();
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(text(&written), expected);
    }

    #[test]
    fn push_drops_and_counts_what_has_no_room() {
        let (writer, permit, written) = pipe();
        let line = vec![b'x'; MAX_QUEUED_BYTES / 2];
        // Without a reader, the thread holds one text, the queue two, and the others are dropped.
        for _ in 0..10 {
            writer.push(&line);
        }
        let lost = writer.0.lock().dropped;
        assert!((7..=8).contains(&lost), "{lost}");
        for _ in 0..4 {
            permit.send(()).unwrap();
        }
        writer.flush();
        assert!(text(&written).contains(&format!("{lost} lost\n")));
    }

    #[test]
    fn push_ignores_a_closed_reader() {
        let (writer, permit, written) = pipe();
        drop(permit);
        writer.push(b"one\n");
        writer.push(b"two\n");
        writer.flush();
        assert_eq!(text(&written), "");
    }
}
