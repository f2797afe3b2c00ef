//! The embedded store: one SQLite database, for the processes of one machine.
//!
//! The write-ahead log with `synchronous=FULL` makes acknowledged commits durable. The begin and the end of
//! a call survive their process, but do not wait for the disk (see [`CallStore`](crate::CallStore)). One writer
//! commits in groups (see `writer`); reads do not wait for it. Several processes may open one database:
//! SQLite orders their writes, and leases keep their calls apart. Locked files beside the database,
//! `DATABASE-holder-ID`, show which processes run (see `process_lock`).
//!
//! The cost of a query follows its results and not the number of stored rows; see `search`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;

use self::error::Result;
use self::process_lock::ProcessLock;
use self::readers::Readers;
use self::writer::Writer;
use super::{Store, StoreError, StoreStatistics};

mod backup;
mod calls;
mod commit;
mod data_keys;
mod documents;
mod due;
mod error;
mod open;
mod process_lock;
mod queue;
mod readers;
mod recovery;
mod scratch;
mod search;
mod secrets;
mod sequence;
mod sorted;
mod transaction_columns;
mod transaction_listing;
mod transactions;
mod transfer;
mod wakeups;
mod writer;

pub use backup::{Backup, BackupError};
pub use open::OpenError;
use open::ReadMode;
pub use scratch::ScratchFile;

/// Options of a SQLite store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The largest number of writes in one commit; 1: each write has its own commit.
    pub group: usize,
    /// How long to wait for another writing process before the store counts as unavailable.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    /// Groups of up to 256 writes, and five seconds.
    fn default() -> Self {
        Self {
            group: 256,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// The treatment of a store that is the source or the target of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marked {
    Accepted,
    Refused,
}

/// A store in one SQLite database.
pub struct SqliteStore {
    id: String,
    // Dropped in this order: the writer finishes queued writes before the process lock is released.
    writer: Writer,
    readers: Arc<Readers>,
    process_lock: Arc<ProcessLock>,
}

impl SqliteStore {
    /// Opens the database at `path`. A new one is created with mode 0600; its directory must exist.
    ///
    /// Blocks while it reads the file and migrates its schema.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_file(open::prepare_file(path.as_ref())?, options, Marked::Refused)
    }

    /// Opens an existing database like [`SqliteStore::open`].
    ///
    /// # Errors
    /// [`OpenError::Missing`] when the database does not exist; it is not created.
    pub fn open_existing(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        Self::open_file(open::find_file(path.as_ref())?, options, Marked::Refused)
    }

    /// Opens a database like [`SqliteStore::open_existing`], also one that is the source or the target of a
    /// [transfer](crate::transfer). A new one is created if `create` is set.
    pub fn open_to_transfer(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
        create: bool,
    ) -> Result<Self, OpenError> {
        let path = match create {
            true => open::prepare_file(path.as_ref())?,
            false => open::find_file(path.as_ref())?,
        };
        Self::open_file(path, options, Marked::Accepted)
    }

    /// Opens an existing database for reading, also on read-only media. Needs no write lock; writes fail
    /// as unavailable. A database of an earlier release is migrated if it can be written.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when the database does not exist; it is not created.
    pub fn open_to_read(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        let path = open::find_file(path.as_ref())?;
        let busy = options.busy_timeout;
        let found = open::inspect(&path, busy)?;
        let Some(id) = found.id else {
            return Self::open_file(path, options, Marked::Refused);
        };
        Ok(Self {
            id,
            writer: Writer::read_only(),
            readers: Arc::new(Readers::new(path, busy, found.reading, open::SCAN_CACHE)),
            process_lock: Arc::new(ProcessLock::in_memory()),
        })
    }

    fn open_file(
        path: PathBuf,
        options: &SqliteOptions,
        marked: Marked,
    ) -> Result<Self, OpenError> {
        let busy = options.busy_timeout;
        let io = |source| open::io_error(&path, source);
        open::require_writable(&path)?;
        // First, since SQLite does not report which file it could not create beside the database.
        let holder = ProcessLock::acquire(&path)
            .map_err(|source| open::adjacent_file_error(&path, source))?;
        let connection = open::open_file(&path, busy)?;
        let readers = Readers::new(path.clone(), busy, ReadMode::Shared, open::READ_CACHE);
        let id = open::store_id(&connection).map_err(|fault| OpenError::Store {
            path: path.clone(),
            source: fault.0,
        })?;
        if marked == Marked::Refused {
            // After the process lock: a transfer marks the store, and then looks for processes.
            transfer::require_unmarked(&connection, &path, |_| false)?;
        }
        // From here on the writer retries by itself, at shorter intervals than SQLite would.
        connection
            .busy_timeout(Duration::ZERO)
            .map_err(|error| OpenError::Store {
                path: path.clone(),
                source: error::SqlError::from(error).0,
            })?;
        let connection = Arc::new(Mutex::new(connection));
        let writer = Writer::start(connection, options.group, busy).map_err(io)?;
        Ok(Self {
            id,
            writer,
            readers: Arc::new(readers),
            process_lock: Arc::new(holder),
        })
    }

    /// Opens a store in memory, which is lost when it is dropped: for tests and trials.
    pub fn in_memory() -> Result<Self, StoreError> {
        let connection = open::open_memory()?;
        let id = open::store_id(&connection)?;
        let connection = Arc::new(Mutex::new(connection));
        let SqliteOptions {
            group,
            busy_timeout,
        } = SqliteOptions::default();
        let writer = Writer::start(Arc::clone(&connection), group, busy_timeout)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            id,
            writer,
            readers: Arc::new(Readers::Memory(connection)),
            process_lock: Arc::new(ProcessLock::in_memory()),
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T, StoreError> {
        self.readers.read(work)
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("id", &self.id)
            .field("holder", &self.process_lock.id())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn id(&self) -> &str {
        &self.id
    }

    async fn statistics(&self) -> Result<StoreStatistics, StoreError> {
        let (grouped_writes, groups) = self.writer.groups();
        Ok(StoreStatistics {
            queued_writes: self.writer.queued(),
            grouped_writes,
            groups,
            log_bytes: self.readers.log_bytes(),
            ..StoreStatistics::default()
        })
    }
}

#[cfg(test)]
mod tests;
