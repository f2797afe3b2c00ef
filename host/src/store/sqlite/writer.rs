//! The one writer of a process: a thread that commits what is waiting in groups.
//!
//! Making a commit durable costs far more than what it writes. While one group is on its way to the
//! disk the next gathers in the queue; it is then written in one transaction, each request in a
//! savepoint of its own, so that one that fails leaves the others alone. Nobody is answered before
//! the transaction is durable.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::fault::{Done, Fault, repeat};
use crate::store::StoreError;
use crate::sync::lock;

/// How often a writer that finds the database locked by another process looks again. Short, because
/// the gaps between the commits of a busy process are.
const RETRY: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes to `connection`, at most `most` requests in one commit (1: no grouping), waiting up to
    /// `busy` for other processes.
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        most: usize,
        busy: Duration,
    ) -> std::io::Result<Self> {
        let most = most.max(1);
        let (queue, mut jobs) = mpsc::channel(most.max(64) * 4);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let mut group = Vec::with_capacity(most);
                while jobs.blocking_recv_many(&mut group, most) > 0 {
                    let connection = lock(&connection);
                    write(&connection, &mut group, busy);
                }
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// A writer that refuses everything, for a database that is only read.
    pub(super) fn refusing() -> Self {
        Self {
            queue: None,
            thread: None,
        }
    }

    /// What `work` returns, once it is durable. An error of `work` undoes what it wrote.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Done<T> + Send + 'static,
    {
        let stopped = || StoreError::Unavailable("it is being closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let job = Request {
            work: Some(work),
            done: None,
            reply,
        };
        let queue = self
            .queue
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("it was opened for reading only".to_owned()))?;
        queue.send(Box::new(job)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// Writes what is still waiting, then ends the thread.
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // It can have panicked only by a fault of ours, which its own message has told.
            let _ = thread.join();
        }
    }
}

trait Job: Send {
    /// Does the work; false when what it wrote is to be undone.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells who asked: what the work returned, or that the transaction failed.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

struct Request<T, F> {
    work: Option<F>,
    done: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Done<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.done = self
            .work
            .take()
            .map(|work| work(connection).map_err(StoreError::from));
        matches!(self.done, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        let answer = match (self.done, failed) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(repeat(error)),
            (Some(done), None) => done,
            (None, None) => Err(StoreError::Unavailable("it was not written".to_owned())),
        };
        // Whoever has stopped waiting does not want to know.
        let _ = self.reply.send(answer);
    }
}

fn write(connection: &Connection, group: &mut Vec<Box<dyn Job>>, busy: Duration) {
    let failed = transact(connection, group, busy).err().map(|fault| fault.0);
    if let Some(error) = &failed {
        tracing::warn!(%error, requests = group.len(), "a transaction of the store failed");
    }
    for job in group.drain(..) {
        job.answer(failed.as_ref());
    }
}

fn transact(connection: &Connection, group: &mut [Box<dyn Job>], busy: Duration) -> Done<()> {
    begin(connection, busy)?;
    let done = run_all(connection, group).and_then(|()| execute(connection, "COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        // Nothing more can be done when this fails too: the next BEGIN will say so.
        let _ = execute(connection, "ROLLBACK");
    }
    done
}

fn run_all(connection: &Connection, group: &mut [Box<dyn Job>]) -> Done<()> {
    for job in group {
        execute(connection, "SAVEPOINT request")?;
        let keep = job.run(connection);
        if connection.is_autocommit() {
            // SQLite gives up the whole transaction when the disk is full or does not answer.
            return Err(Fault(StoreError::Unavailable(
                "the transaction was given up: is the disk full?".to_owned(),
            )));
        }
        if !keep {
            execute(connection, "ROLLBACK TO request")?;
        }
        execute(connection, "RELEASE request")?;
    }
    Ok(())
}

fn begin(connection: &Connection, busy: Duration) -> Done<()> {
    let waiting = Instant::now();
    loop {
        match connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]) {
            Ok(_) => return Ok(()),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waiting.elapsed() < busy =>
            {
                std::thread::sleep(RETRY);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn execute(connection: &Connection, statement: &str) -> Done<()> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}
