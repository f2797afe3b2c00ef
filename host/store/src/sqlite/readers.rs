//! A pool of connections for reading, one for each concurrent read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::error::Result;
use super::open::{ReadMode, open_reader};
use crate::StoreError;

/// The largest number of idle connections; each needs some memory and three file handles.
const MAX_IDLE: usize = 8;

pub(super) enum Readers {
    /// Each read has its own connection and does not wait for the writer.
    File {
        path: PathBuf,
        busy: Duration,
        reading: ReadMode,
        cache: i32,
        idle: Mutex<Vec<Connection>>,
    },
    /// A database in memory has one shared connection.
    Memory(Arc<Mutex<Connection>>),
}

impl Readers {
    /// Creates a pool whose connections have `cache` as SQLite's `cache_size`.
    pub(super) fn new(path: PathBuf, busy: Duration, reading: ReadMode, cache: i32) -> Self {
        Self::File {
            path,
            busy,
            reading,
            cache,
            idle: Mutex::default(),
        }
    }

    /// Returns the size of the write-ahead log, in bytes. A database in memory has none.
    pub(super) fn log_bytes(&self) -> Option<u64> {
        let Self::File { path, .. } = self else {
            return None;
        };
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(log).map(|log| log.len()).ok()
    }

    /// Runs a short read directly on the calling thread. It touches a handful of pages and does not
    /// wait, so moving it to another thread would cost more than the read itself.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T, StoreError> {
        Ok(self.run(work)?)
    }

    /// Runs a short read like [`read`](Self::read), with all its statements on one snapshot.
    pub(super) fn read_snapshot<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T, StoreError> {
        Ok(self.run(|connection| snapshot(connection, work))?)
    }

    /// Runs a longer read on one snapshot, on a blocking thread of the runtime.
    pub(super) async fn read_blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let read = move || readers.run(|connection| snapshot(connection, work));
        let done = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|error| {
                StoreError::Unavailable(format!("a read was interrupted: {error}"))
            })?,
            Err(_) => read(),
        };
        Ok(done?)
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        match self {
            Self::Memory(connection) => work(&connection.lock()),
            Self::File {
                path,
                busy,
                reading,
                cache,
                idle,
            } => {
                let found = idle.lock().pop();
                let connection = match found {
                    Some(connection) => connection,
                    None => {
                        let connection = open_reader(path, *busy, *reading)?;
                        connection.pragma_update(None, "cache_size", cache)?;
                        connection
                    }
                };
                let done = work(&connection);
                // A read that failed inside a snapshot would pass the snapshot on to the next read.
                if connection.is_autocommit() {
                    let mut free = idle.lock();
                    if free.len() < MAX_IDLE {
                        free.push(connection);
                    }
                }
                done
            }
        }
    }
}

/// Runs `work` on one snapshot of the database, however many statements it has.
fn snapshot<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    // Prepared once, unlike the statements of rusqlite's own transactions.
    connection.prepare_cached("BEGIN")?.execute([])?;
    let done = work(connection);
    // An error may have ended the transaction already.
    if !connection.is_autocommit() {
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    done
}
