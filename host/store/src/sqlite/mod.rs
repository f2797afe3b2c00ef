//! The embedded store: one SQLite database, for the processes of one machine.
//!
//! The write-ahead log with `synchronous=FULL` makes every acknowledged write durable. One writer
//! commits in groups (see `writer`); reads do not wait for it. Several processes may open one database:
//! SQLite orders their writes, leases keep their calls apart, and locked files beside the database,
//! `DATABASE-holder-ID`, show which processes run (see `process_lock`).
//!
//! The cost of a query follows its results and not the number of stored rows; see `search`.

use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use self::error::Result;
use self::process_lock::ProcessLock;
use self::readers::Readers;
use self::search::SearchLimits;
use self::wakeups::Position;
use self::writer::Writer;
use super::cursor::{Listing, build_page, validate_limit};
use super::seal::{DataKey, Sealed};
use super::{
    Begin, BeginOutcome, Commit, DueWakeup, End, KeyUse, PruneReport, PruneRequest, Recovery,
    RedateReport, ResealStep, Retirement, SecretScope, Store, StoreError, StoredSecret,
};
use relation_types::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_types::{Document, Filter, Hierarchy, Page, Reference, Timestamp};

mod backup;
mod calls;
mod commit;
mod data_keys;
mod documents;
mod due;
mod error;
mod open;
mod process_lock;
mod readers;
mod recovery;
mod search;
mod secret_accesses;
mod secrets;
mod sequence;
mod transactions;
mod wakeups;
mod writer;

pub use backup::{Backup, BackupError};
pub use open::OpenError;
use open::ReadMode;

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
        Self::open_file(open::prepare_file(path.as_ref())?, options)
    }

    /// Opens an existing database like [`SqliteStore::open`].
    ///
    /// # Errors
    /// [`OpenError::Missing`] when the database does not exist; it is not created.
    pub fn open_existing(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        Self::open_file(open::find_file(path.as_ref())?, options)
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
            return Self::open_file(path, options);
        };
        Ok(Self {
            id,
            writer: Writer::read_only(),
            readers: Arc::new(Readers::new(path, busy, found.reading)),
            process_lock: Arc::new(ProcessLock::in_memory()),
        })
    }

    fn open_file(path: PathBuf, options: &SqliteOptions) -> Result<Self, OpenError> {
        let busy = options.busy_timeout;
        let io = |source| open::io_error(&path, source);
        open::require_writable(&path)?;
        // First, since SQLite does not report which file it could not create beside the database.
        let holder = ProcessLock::acquire(&path)
            .map_err(|source| open::adjacent_file_error(&path, source))?;
        let connection = open::open_file(&path, busy)?;
        let readers = Readers::new(path.clone(), busy, ReadMode::Shared);
        let id = open::store_id(&connection).map_err(|fault| OpenError::Store {
            path: path.clone(),
            source: fault.0,
        })?;
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

    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        match references {
            [] => Ok(Vec::new()),
            [one] => self.read(|connection| Ok(vec![documents::get(connection, one)?])),
            several => {
                let several = several.to_vec();
                let each = move |connection: &Connection| {
                    let found = several.iter().map(|one| documents::get(connection, one));
                    found.collect()
                };
                self.readers.read_blocking(each).await
            }
        }
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_documents(&self.id, filter);
        let from = match cursor {
            Some(cursor) => {
                let [last] = listing.position(cursor)?;
                search::successor(&last)
            }
            None => String::new(),
        };
        let filter = filter.clone();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let effort = SearchLimits::default();
                let mut pkids = search::find_pkids(connection, &filter, &from, limit + 1, effort)?;
                let more = pkids.len() > limit;
                pkids.truncate(limit);
                let documents = search::fetch(connection, &filter.model, pkids)?;
                Ok((documents, more))
            })
            .await?;
        Ok(build_page(found, |last: &Document| {
            listing.cursor(&[last.reference.pkid.as_str()])
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.validate()?;
        self.writer
            .write(move |connection| commit::commit(connection, &commit))
            .await
    }

    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.read(|connection| documents::sealed(connection, owner, name))
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        self.read(|connection| wakeups::list_for_subject(connection, subject))
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_wakeups(&self.id, hierarchy);
        let after = match cursor {
            Some(cursor) => {
                let [due, model, pkid, id] = listing.position(cursor)?;
                let due = due.parse().unwrap_or_default();
                Position {
                    due,
                    model,
                    pkid,
                    id,
                }
            }
            None => Position::first(),
        };
        let node = hierarchy.cloned();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let mut found = wakeups::upcoming(connection, node.as_ref(), after, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(build_page(found, |last| {
            let Position {
                due,
                model,
                pkid,
                id,
            } = Position::from_wakeup(last);
            listing.cursor(&[&due.to_string(), &model, &pkid, &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        excluded_kind: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        loop {
            let excluded_kind = excluded_kind.map(str::to_owned);
            let look = move |connection: &Connection| {
                due::find(connection, now, limit as usize, excluded_kind.as_deref())
            };
            match self.readers.read_blocking(look).await? {
                due::DueLookup::Due(due) => return Ok(due),
                due::DueLookup::Unmarked => {
                    let mark = move |connection: &Connection| due::mark_ready(connection, now);
                    self.writer.write(mark).await?;
                }
            }
        }
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(wakeups::next_due)
    }

    async fn begin(&self, begin: Begin) -> Result<BeginOutcome, StoreError> {
        let holder = Arc::clone(&self.process_lock);
        self.writer
            .write(move |connection| calls::begin(connection, holder.id(), &begin))
            .await
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| transactions::report(connection, &update))
            .await
    }

    async fn end(&self, end: End) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| calls::end(connection, &end))
            .await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        let holder = Arc::clone(&self.process_lock);
        let (recovery, gone) = self
            .writer
            .write(move |connection| recovery::recover(connection, &holder, now))
            .await?;
        for gone in gone {
            self.process_lock.remove_file(gone);
        }
        Ok(recovery)
    }

    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        self.writer
            .write(move |connection| recovery::redate(connection, now))
            .await
    }

    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        let id = id.to_owned();
        self.readers
            .read_blocking(move |connection| transactions::get(connection, &id))
            .await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_transactions(&self.id, filter);
        let before = match cursor {
            Some(cursor) => {
                let [id] = listing.position(cursor)?;
                Some(id)
            }
            None => None,
        };
        let filter = filter.clone();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let before = before.as_deref();
                let mut found = transactions::list(connection, &filter, before, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(build_page(found, |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        // Most steps find nothing to remove; then the writer is not needed.
        let look = move |connection: &Connection| transactions::find_prunable(connection, &prune);
        let (ids, next) = self.readers.read_blocking(look).await?;
        let removed = ids.len() as u64;
        if !ids.is_empty() {
            let forget = move |connection: &Connection| transactions::delete(connection, &ids);
            self.writer.write(forget).await?;
        }
        Ok(PruneReport { removed, next })
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.read(data_keys::all)
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.writer
            .write(move |connection| data_keys::add(connection, &key))
            .await
    }

    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| data_keys::rewrap(connection, &current, &rewrapped))
            .await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.writer
            .write(move |connection| data_keys::retire(connection, id, despite_quarantined))
            .await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.readers.read_blocking(secrets::key_use).await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        secrets::page(
            &self.readers,
            &self.id,
            scope,
            cursor,
            validate_limit(limit)?,
        )
        .await
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        self.writer
            .write(move |connection| secrets::reseal(connection, &steps))
            .await
    }
}

#[cfg(test)]
mod tests;
