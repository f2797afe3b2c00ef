//! The single writer of a process: a thread that commits queued writes in groups.
//!
//! Making a commit durable costs far more than its writes. While one group is written to disk, the next
//! one queues. Its requests are then written in one transaction for each durability. Each has its own savepoint, so a
//! failed request does not affect the others. Requests get their results only after their transaction has its
//! durability.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::error::{Result, SqlError, copy_error};
use super::sequence::Sequence;
use crate::StoreError;

/// How often a writer retries when another process locks the database. Short, because the gaps between
/// the commits of a busy process are short.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// The failure that a write must survive before its caller gets the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// The end of the process: the operating system has the write. A power cut may undo it until the next
    /// write that survives one, because the log is in order.
    Process,
    /// A power cut: the disk has the write.
    PowerCut,
}

impl Durability {
    /// Returns the value of SQLite's `synchronous` for a transaction in the write-ahead log.
    fn synchronous(self) -> &'static str {
        match self {
            Self::Process => "NORMAL",
            Self::PowerCut => "FULL",
        }
    }
}

/// The database transaction of a group, on the writer's connection.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    sequence: Sequence,
}

impl<'a> Batch<'a> {
    /// Begins a transaction on `connection`, and waits up to `busy` for other processes.
    pub(super) fn begin(connection: &'a Connection, busy: Duration) -> Result<Self> {
        begin(connection, busy)?;
        Ok(Self {
            connection,
            sequence: Sequence::default(),
        })
    }

    /// Returns the next number of the store's counter.
    pub(super) fn next_number(&self) -> Result<i64> {
        self.sequence.next(self.connection)
    }

    /// Commits the transaction.
    pub(super) fn commit(&self) -> Result<()> {
        self.sequence.store(self.connection)?;
        execute(self.connection, "COMMIT")
    }
}

impl Deref for Batch<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<GroupCounts>,
}

/// The number of groups, and of the writes in them.
#[derive(Default)]
struct GroupCounts {
    groups: AtomicU64,
    writes: AtomicU64,
}

impl Writer {
    /// Starts a writer on `connection`, with at most `max` requests in one commit (1: no grouping),
    /// that waits up to `busy` for other processes.
    pub(super) fn start(
        connection: Arc<Mutex<Connection>>,
        max: usize,
        busy: Duration,
    ) -> std::io::Result<Self> {
        let max = max.max(1);
        let (queue, mut jobs) = mpsc::channel(max.max(64) * 4);
        let counts = Arc::new(GroupCounts::default());
        let counting = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let mut group = Vec::with_capacity(max);
                // The value with which connections are opened.
                let mut present = Durability::PowerCut;
                while jobs.blocking_recv_many(&mut group, max) > 0 {
                    counting.groups.fetch_add(1, Ordering::Relaxed);
                    let writes = group.len() as u64;
                    counting.writes.fetch_add(writes, Ordering::Relaxed);
                    let connection = connection.lock();
                    write(&connection, &mut group, busy, &mut present);
                }
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            counts,
        })
    }

    /// Creates a writer that refuses all writes, for a database that is only read.
    pub(super) fn read_only() -> Self {
        Self {
            queue: None,
            thread: None,
            counts: Arc::default(),
        }
    }

    /// Returns the number of writes that were made in groups, and of the groups.
    pub(super) fn groups(&self) -> (u64, u64) {
        let GroupCounts { groups, writes } = &*self.counts;
        let (writes, groups) = (
            writes.load(Ordering::Relaxed),
            groups.load(Ordering::Relaxed),
        );
        (writes, groups)
    }

    /// Returns the number of writes that wait for the writer.
    pub(super) fn queued(&self) -> u64 {
        let queue = self.queue.as_ref();
        queue.map_or(0, |queue| (queue.max_capacity() - queue.capacity()) as u64)
    }

    /// Runs `work` and returns its result once its writes survive a power cut. If `work` fails, its writes are
    /// undone.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Batch<'_>) -> Result<T> + Send + 'static,
    {
        self.write_as(Durability::PowerCut, work).await
    }

    /// Runs `work` and returns its result once its writes have this `durability`. If `work` fails, its writes
    /// are undone.
    pub(super) async fn write_as<T, F>(
        &self,
        durability: Durability,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Batch<'_>) -> Result<T> + Send + 'static,
    {
        let stopped = || StoreError::Unavailable("it is being closed".to_owned());
        let (reply, result) = oneshot::channel();
        let job = Request {
            durability,
            work: Some(work),
            done: None,
            reply,
        };
        let queue = self
            .queue
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("it was opened for reading only".to_owned()))?;
        queue.send(Box::new(job)).await.map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// Writes queued requests, then ends the thread.
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // A panic can only come from a bug, which its own message has reported.
            let _ = thread.join();
        }
    }
}

trait Job: Send {
    fn durability(&self) -> Durability;

    /// Runs the work; returns false if its writes must be undone.
    fn run(&mut self, batch: &Batch<'_>) -> bool;

    /// Sends the caller the result of the work, or that the transaction failed.
    fn reply(self: Box<Self>, failed: Option<&StoreError>);
}

struct Request<T, F> {
    durability: Durability,
    work: Option<F>,
    done: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnOnce(&Batch<'_>) -> Result<T> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, batch: &Batch<'_>) -> bool {
        self.done = self
            .work
            .take()
            .map(|work| work(batch).map_err(StoreError::from));
        matches!(self.done, Some(Ok(_)))
    }

    fn reply(self: Box<Self>, failed: Option<&StoreError>) {
        let result = match (self.done, failed) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(copy_error(error)),
            (Some(done), None) => done,
            (None, None) => Err(StoreError::Unavailable("it was not written".to_owned())),
        };
        // A caller that has stopped waiting does not need the result.
        let _ = self.reply.send(result);
    }
}

/// Runs a group: first the requests that need not survive a power cut, so that these do not wait for the disk.
fn write(
    connection: &Connection,
    group: &mut Vec<Box<dyn Job>>,
    busy: Duration,
    present: &mut Durability,
) {
    group.sort_by_key(|job| job.durability());
    let durable = group.partition_point(|job| job.durability() < Durability::PowerCut);
    let mut waiting = group.split_off(durable);
    write_as(connection, Durability::Process, group, busy, present);
    write_as(
        connection,
        Durability::PowerCut,
        &mut waiting,
        busy,
        present,
    );
}

/// Runs requests in one transaction with this durability, and sends their results.
fn write_as(
    connection: &Connection,
    durability: Durability,
    group: &mut Vec<Box<dyn Job>>,
    busy: Duration,
    present: &mut Durability,
) {
    if group.is_empty() {
        return;
    }
    let written = set_durability(connection, durability, present)
        .and_then(|()| transact(connection, group, busy));
    let failed = written.err().map(|fault| fault.0);
    if let Some(error) = &failed {
        tracing::warn!(%error, requests = group.len(), "a transaction of the store failed");
    }
    for job in group.drain(..) {
        job.reply(failed.as_ref());
    }
}

/// Makes the next transaction as durable as its requests need.
fn set_durability(
    connection: &Connection,
    wanted: Durability,
    present: &mut Durability,
) -> Result<()> {
    if wanted != *present {
        // Not a cached statement: SQLite applies this pragma when it is prepared.
        connection.pragma_update(None, "synchronous", wanted.synchronous())?;
        *present = wanted;
    }
    Ok(())
}

fn transact(connection: &Connection, group: &mut [Box<dyn Job>], busy: Duration) -> Result<()> {
    let batch = Batch::begin(connection, busy)?;
    let done = run_all(&batch, group).and_then(|()| batch.commit());
    if done.is_err() && !connection.is_autocommit() {
        // If the rollback fails too, the next BEGIN reports the error.
        let _ = execute(connection, "ROLLBACK");
    }
    done
}

fn run_all(batch: &Batch<'_>, group: &mut [Box<dyn Job>]) -> Result<()> {
    for job in group {
        execute(batch, "SAVEPOINT request")?;
        let last = batch.sequence.last();
        let keep = job.run(batch);
        if batch.is_autocommit() {
            // SQLite rolls back the whole transaction when the disk is full or fails.
            return Err(SqlError(StoreError::Unavailable(
                "the transaction was rolled back: is the disk full?".to_owned(),
            )));
        }
        if !keep {
            execute(batch, "ROLLBACK TO request")?;
            batch.sequence.restore(last);
        }
        execute(batch, "RELEASE request")?;
    }
    Ok(())
}

fn begin(connection: &Connection, busy: Duration) -> Result<()> {
    let waiting = Instant::now();
    loop {
        match connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]) {
            Ok(_) => return Ok(()),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waiting.elapsed() < busy =>
            {
                std::thread::sleep(RETRY_INTERVAL);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn execute(connection: &Connection, statement: &str) -> Result<()> {
    connection.prepare_cached(statement)?.execute([])?;
    Ok(())
}
