//! The embedded store: one SQLite database, for the processes of one machine.
//!
//! The write-ahead log with `synchronous=FULL` makes every answered write durable; one writer commits
//! in groups (see `writer`), reads go past it. Several processes may open one database: SQLite
//! orders their writes, leases keep their calls apart, and locked files beside the database,
//! `DATABASE-holder-ID`, tell which of them are still running (see `holder`).
//!
//! Costs follow what is found and not what is stored; `search` says how.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;

use self::fault::Done;
use self::holder::Holder;
use self::readers::Readers;
use self::search::Effort;
use self::wakeups::Position;
use self::writer::Writer;
use super::cursor::{Listing, at_least_one, page};
use super::seal::{DataKey, Sealed};
use super::{
    Begin, Begun, Commit, DueWakeup, End, KeyUse, Prune, Pruned, Recovery, Redating, Reseal,
    Retirement, SecretScope, Store, StoreError, StoredSecret,
};
use crate::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use crate::types::{Document, Filter, Hierarchy, Page, Reference, Timestamp};

mod backup;
mod calls;
mod commit;
mod data_keys;
mod documents;
mod due;
mod fault;
mod holder;
mod open;
mod readers;
mod recovery;
mod reveals;
mod search;
mod secrets;
mod sequence;
mod transactions;
mod wakeups;
mod writer;

pub use backup::{Backup, BackupError};
pub use open::OpenError;
use open::Reading;

/// How a database is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The most writes that one commit makes durable together; 1: each has a commit of its own.
    pub group: usize,
    /// How long to wait for another process that is writing before giving up as unavailable.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    /// Groups of up to 256, and five seconds.
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
    // Dropped in this order: the writer finishes what waits before the holder is declared gone.
    writer: Writer,
    readers: Arc<Readers>,
    holder: Arc<Holder>,
}

impl SqliteStore {
    /// Opens the database at `path`; a new one is made with mode 0600 in a directory that exists.
    ///
    /// Blocks while it reads the file and brings its schema up to date.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, OpenError> {
        Self::open_file(open::prepare_file(path.as_ref())?, options)
    }

    /// As [`SqliteStore::open`], of a database that exists.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there is none: then nothing is made.
    pub fn open_existing(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        Self::open_file(open::find_file(path.as_ref())?, options)
    }

    /// Opens a database that exists for reading, also where nothing can be written. Needs no write
    /// lock; what would write fails as unavailable. A database of an earlier release is brought up to
    /// date if it can be written.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there is none: then nothing is made.
    pub fn open_to_read(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
    ) -> Result<Self, OpenError> {
        let path = open::find_file(path.as_ref())?;
        let busy = options.busy_timeout;
        let found = open::look_at(&path, busy)?;
        let Some(id) = found.id else {
            return Self::open_file(path, options);
        };
        Ok(Self {
            id,
            writer: Writer::refusing(),
            readers: Arc::new(Readers::of_file(path, busy, found.reading)),
            holder: Arc::new(Holder::alone()),
        })
    }

    fn open_file(path: PathBuf, options: &SqliteOptions) -> Result<Self, OpenError> {
        let busy = options.busy_timeout;
        let io = |source| open::refused(&path, source);
        open::require_writable(&path)?;
        // First, since SQLite does not say what it could not make beside the database.
        let holder = Holder::beside(&path).map_err(|source| open::not_beside(&path, source))?;
        let connection = open::open_file(&path, busy)?;
        let readers = Readers::of_file(path.clone(), busy, Reading::Shared);
        let id = open::store_id(&connection).map_err(|fault| OpenError::Store {
            path: path.clone(),
            source: fault.0,
        })?;
        // From here on the writer waits by itself, more closely than SQLite would.
        connection
            .busy_timeout(Duration::ZERO)
            .map_err(|error| OpenError::Store {
                path: path.clone(),
                source: fault::Fault::from(error).0,
            })?;
        let connection = Arc::new(Mutex::new(connection));
        let writer = Writer::start(connection, options.group, busy).map_err(io)?;
        Ok(Self {
            id,
            writer,
            readers: Arc::new(readers),
            holder: Arc::new(holder),
        })
    }

    /// A store in memory, which is gone when it is dropped: for tests and trials.
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
            holder: Arc::new(Holder::alone()),
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Done<T>) -> Result<T, StoreError> {
        self.readers.read(work)
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("id", &self.id)
            .field("holder", &self.holder.id())
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
                self.readers.read_aside(each).await
            }
        }
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = at_least_one(limit)?;
        let listing = Listing::of_documents(&self.id, filter);
        let from = match cursor {
            Some(cursor) => {
                let [last] = listing.position(cursor)?;
                search::behind(&last)
            }
            None => String::new(),
        };
        let filter = filter.clone();
        let found = self
            .readers
            .read_aside(move |connection| {
                let effort = Effort::default();
                let mut pkids = search::pkids(connection, &filter, &from, limit + 1, effort)?;
                let more = pkids.len() > limit;
                pkids.truncate(limit);
                let documents = search::fetch(connection, &filter.model, pkids)?;
                Ok((documents, more))
            })
            .await?;
        Ok(page(found, |last: &Document| {
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
        self.read(|connection| wakeups::of_subject(connection, subject))
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = at_least_one(limit)?;
        let listing = Listing::of_wakeups(&self.id, hierarchy);
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
            .read_aside(move |connection| {
                let mut found = wakeups::upcoming(connection, node.as_ref(), after, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(page(found, |last| {
            let Position {
                due,
                model,
                pkid,
                id,
            } = Position::of(last);
            listing.cursor(&[&due.to_string(), &model, &pkid, &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        loop {
            let without = without.map(str::to_owned);
            let look = move |connection: &Connection| {
                due::find(connection, now, limit as usize, without.as_deref())
            };
            match self.readers.read_aside(look).await? {
                due::Found::Due(due) => return Ok(due),
                due::Found::Unripe => {
                    let ripen = move |connection: &Connection| due::ripen(connection, now);
                    self.writer.write(ripen).await?;
                }
            }
        }
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(wakeups::next_due)
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let holder = Arc::clone(&self.holder);
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
        let holder = Arc::clone(&self.holder);
        let (recovery, gone) = self
            .writer
            .write(move |connection| recovery::recover(connection, &holder, now))
            .await?;
        for gone in gone {
            self.holder.forget(gone);
        }
        Ok(recovery)
    }

    async fn redate(&self, now: Timestamp) -> Result<Redating, StoreError> {
        self.writer
            .write(move |connection| recovery::redate(connection, now))
            .await
    }

    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        let id = id.to_owned();
        self.readers
            .read_aside(move |connection| transactions::get(connection, &id))
            .await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let limit = at_least_one(limit)?;
        let listing = Listing::of_transactions(&self.id, filter);
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
            .read_aside(move |connection| {
                let before = before.as_deref();
                let mut found = transactions::list(connection, &filter, before, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(page(found, |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn prune_transactions(&self, prune: Prune) -> Result<Pruned, StoreError> {
        // Most steps find nothing to remove, and then nothing waits for the writer.
        let look = move |connection: &Connection| transactions::prunable(connection, &prune);
        let (ids, next) = self.readers.read_aside(look).await?;
        let removed = ids.len() as u64;
        if !ids.is_empty() {
            let forget = move |connection: &Connection| transactions::forget(connection, &ids);
            self.writer.write(forget).await?;
        }
        Ok(Pruned { removed, next })
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
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |connection| data_keys::rewrap(connection, &were, &wrapped_anew))
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
        self.readers.read_aside(secrets::key_use).await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        secrets::page(&self.readers, &self.id, scope, cursor, at_least_one(limit)?).await
    }

    async fn reseal(&self, steps: Vec<Reseal>) -> Result<Vec<bool>, StoreError> {
        self.writer
            .write(move |connection| secrets::reseal(connection, &steps))
            .await
    }
}

#[cfg(test)]
mod tests;
