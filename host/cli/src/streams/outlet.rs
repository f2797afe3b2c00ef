//! Lines on their way to stderr or a log file, in a queue with a bound.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most bytes that may wait. Further texts are dropped and counted.
const ROOM: usize = 1 << 20;
/// The end of the program waits for a reader as long as it reads something in this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before an output that takes nothing now (`O_NONBLOCK`) is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// A writer that never blocks and never fails: a thread of its own does the writing. Clones write to the
/// same place.
#[derive(Clone)]
pub struct Outlet(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread holds a text that is not written yet.
    writing: bool,
    /// Counts texts that were written or given up, so that progress is seen.
    done: u64,
    dropped: u64,
    /// No thread could be started: each caller writes its own texts.
    direct: bool,
}

impl Outlet {
    /// Starts the thread that writes to `sink`. `dropped` is the line that tells of lines which had no
    /// room.
    pub fn start(
        mut sink: impl Write + Send + 'static,
        dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || {
            loop {
                let (text, lost) = theirs.take();
                write(&mut sink, &text);
                if lost > 0 {
                    write(&mut sink, dropped(lost).as_bytes());
                }
                theirs.wrote();
            }
        });
        if started.is_err() {
            shared.lock().direct = true;
        }
        Self(shared)
    }

    /// Puts `text` into the queue, or counts it as dropped where there is no room.
    pub fn push(&self, text: &[u8]) {
        let mut queue = self.0.lock();
        if queue.direct {
            drop(queue);
            write(&mut io::stderr(), text);
            return;
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(text.len()) > ROOM {
            queue.dropped += 1;
            return;
        }
        queue.bytes = queue.bytes.saturating_add(text.len());
        queue.waiting.push_back(text.to_vec());
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Returns when everything is written, or when the reader has read nothing for a while.
    pub fn flush(&self) {
        let mut queue = self.0.lock();
        while queue.writing || !queue.waiting.is_empty() {
            let before = queue.done;
            let waited = self.0.changed.wait_timeout(queue, PATIENCE);
            let (next, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = next;
            if waited.timed_out() && queue.done == before {
                return;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next text, and how many were dropped before now.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut queue = self.lock();
        loop {
            if let Some(text) = queue.waiting.pop_front() {
                queue.bytes = queue.bytes.saturating_sub(text.len());
                queue.writing = true;
                return (text, std::mem::take(&mut queue.dropped));
            }
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wrote(&self) {
        let mut queue = self.lock();
        queue.writing = false;
        queue.done += 1;
        drop(queue);
        self.changed.notify_all();
    }
}

/// Writes all of it, if it can be written: an output that is full, gone or closed takes nothing.
fn write(sink: &mut impl Write, mut text: &[u8]) {
    while !text.is_empty() {
        match sink.write(text) {
            Ok(0) => return,
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(_) => return,
        }
    }
    let _ = sink.flush();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes texts only while somebody hands out permits, as a pipe does that is read now and then.
    struct Pipe {
        permits: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.permits
                .recv()
                .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
            self.written.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Outlet, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (permit, permits) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Pipe {
            permits,
            written: Arc::clone(&written),
        };
        let outlet = Outlet::start(sink, |lost| format!("{lost} lost\n"));
        (outlet, permit, written)
    }

    fn text(written: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn flush_returns_with_everything_written_in_order() {
        let (outlet, permit, written) = pipe();
        for number in 0..100 {
            outlet.push(format!("{number}\n").as_bytes());
            permit.send(()).unwrap();
        }
        outlet.flush();
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(text(&written), expected);
    }

    #[test]
    fn push_drops_and_counts_what_has_no_room() {
        let (outlet, permit, written) = pipe();
        let line = vec![b'x'; ROOM / 2];
        // Without a reader, one text is with the thread, two wait, and the others have no room.
        for _ in 0..10 {
            outlet.push(&line);
        }
        let lost = outlet.0.lock().dropped;
        assert!((7..=8).contains(&lost), "{lost}");
        for _ in 0..4 {
            permit.send(()).unwrap();
        }
        outlet.flush();
        assert!(text(&written).contains(&format!("{lost} lost\n")));
    }

    #[test]
    fn a_reader_that_has_gone_ends_nothing() {
        let (outlet, permit, written) = pipe();
        drop(permit);
        outlet.push(b"one\n");
        outlet.push(b"two\n");
        outlet.flush();
        assert_eq!(text(&written), "");
    }
}
