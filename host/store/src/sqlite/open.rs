//! Opening the database: the file, its settings, its schema.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use rusqlite_migration::{M, Migrations, SchemaVersion};

use super::error::{Result, SqlError};
use super::transfer;
use crate::StoreError;
use crate::ownership::{Ownership, explain_denied, parent_directory};
use crate::transfer::TransferMark;

/// Marks the database's header (see `schema.sql`), so that a database of another program is recognized.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"RELN");

/// One migration for each version of the schema. A released migration never changes.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("quarantine.sql")),
    M::up(include_str!("deadlines.sql")),
    M::up(include_str!("reveals.sql")),
    M::up(include_str!("scheduled.sql")),
    M::up(include_str!("sorted.sql")),
    M::up(include_str!("urgency.sql")),
    M::up(include_str!("reveals_column.sql")),
    M::up(include_str!("nodes.sql")),
    M::up(include_str!("queue.sql")),
    M::up(include_str!("deadline_index.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// The number of prepared statements that a connection caches: more than exist.
const STATEMENT_CACHE: usize = 128;

/// The page cache of a connection; negative values are in KiB. The operating system caches more for all
/// connections. A reader holds the pages of about a thousand records that are spread over a large store; a commit
/// empties its cache.
const WRITE_CACHE: i32 = -32 * 1024;
pub(super) const READ_CACHE: i32 = -24 * 1024;
/// The cache of a process that only reads, such as a command that counts. It visits most pages once, and memory for
/// them costs more than reading them.
pub(super) const SCAN_CACHE: i32 = -1024;

/// The pages of the write-ahead log after which a commit copies them into the database. A page that was written
/// several times is copied once, so a longer log costs less; the limit bounds the pause and the log's size.
const CHECKPOINT_PAGES: i32 = 8_000;

const STORE_ID: &str = "SELECT value FROM meta WHERE name = 'store-id'";

/// The characters that are escaped in a SQLite URI.
const URI_ESCAPES: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC.remove(b'/');

/// The error of opening a database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory of the database does not exist.
    #[error("cannot open the store {}: the directory {} does not exist: create it, or name another file", path.display(), directory.display())]
    NoDirectory {
        /// The database file.
        path: PathBuf,
        /// The missing directory.
        directory: PathBuf,
    },
    /// The database does not exist.
    #[error("there is no store {}", .0.display())]
    Missing(PathBuf),
    /// The database exists and this process may not write it.
    #[error("cannot write the store {}: {source}", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The schema is of an earlier release, and the database cannot be written.
    #[error("cannot read the store {}: its schema has version {found} and this release needs {known}, and the store cannot be written to bring it up to date: run a command of this release once where it can be written", path.display())]
    Outdated {
        /// The database file.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The version that this release needs.
        known: usize,
    },
    /// The database cannot be written, so the contents of its log cannot be read.
    #[error("cannot read the store {}: it has a log beside it, {}, that has to be written into it first, and nothing can be written there: copy both files to where they can be written, and name the copy", path.display(), log.display())]
    Unmerged {
        /// The database file.
        path: PathBuf,
        /// Its write-ahead log.
        log: PathBuf,
    },
    /// The file is not a SQLite database.
    #[error("cannot open the store {}: it is not an SQLite database: name another file", .0.display())]
    NotADatabase(PathBuf),
    /// The database belongs to another program.
    #[error("cannot open the store {}: it is the SQLite database of another program: name another file", .0.display())]
    Foreign(PathBuf),
    /// The schema is of a later release.
    #[error("cannot open the store {}: its schema has version {found} and this release knows {known}: use the release that wrote it, or a later one", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The latest version that this release knows.
        known: usize,
    },
    /// The store is the source or the target of a transfer.
    #[error("cannot open the store {}: {mark}", path.display())]
    Marked {
        /// The database file.
        path: PathBuf,
        /// The mark, which names the other store.
        mark: Box<TransferMark>,
    },
    /// An operation of the file system failed.
    #[error("cannot open the store {}: {source}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An operation of SQLite failed.
    #[error("cannot open the store {}: {source}", path.display())]
    Store {
        /// The database file.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
}

/// Returns the canonical path of the database, and creates the file if it is missing. Only its owner may
/// read and write the file; root creates it for the owner of the directory.
pub(super) fn prepare_file(path: &Path) -> Result<PathBuf, OpenError> {
    let directory = parent_directory(path);
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory {
            path: path.to_owned(),
            directory: directory.to_owned(),
        });
    }
    let failed = |source| io_error(path, source);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // SQLite creates further files with the owner and mode of this one.
        Ok(file) => Ownership::read(directory)
            .and_then(|ownership| ownership.apply_owner(&file))
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    find_file(path)
}

/// Returns the canonical path of an existing database.
pub(super) fn find_file(path: &Path) -> Result<PathBuf, OpenError> {
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Missing(path.to_owned()));
        }
        Err(error) => return Err(io_error(path, error)),
    };
    let is_database = || has_sqlite_header(&found).map_err(|error| io_error(&found, error));
    if found.is_file() && is_database()? {
        Ok(found)
    } else {
        Err(OpenError::NotADatabase(found))
    }
}

/// Refuses a database that this process may not write, before any other operation on it.
pub(super) fn require_writable(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::ReadOnly {
            path: path.to_owned(),
            source: with_explanation(path, error),
        }),
    }
}

/// Converts an error of accessing the database.
pub(super) fn io_error(path: &Path, source: io::Error) -> OpenError {
    let source = with_explanation(path, source);
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path, source },
        _ => OpenError::Io { path, source },
    }
}

/// Converts an error of creating a file beside the database; `source` names the file.
pub(super) fn adjacent_file_error(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            OpenError::ReadOnly { path, source }
        }
        _ => OpenError::Io { path, source },
    }
}

fn with_explanation(path: &Path, error: io::Error) -> io::Error {
    match explain_denied(path, &error) {
        reason if reason.is_empty() => error,
        reason => io::Error::new(error.kind(), format!("{error}{reason}")),
    }
}

/// Checks the file's header: SQLite would treat a file shorter than its header as empty, and overwrite
/// it.
fn has_sqlite_header(path: &Path) -> io::Result<bool> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut beginning = Vec::with_capacity(MAGIC.len());
    let most = MAGIC.len() as u64;
    File::open(path)?.take(most).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == MAGIC)
}

/// Opens the database for the first time in this process and migrates its schema.
pub(super) fn open_file(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.to_owned()),
        _ => OpenError::Store {
            path: path.to_owned(),
            source: SqlError::from(error).0,
        },
    };
    let mut connection = connect(path, busy).map_err(failed)?;
    check_application_id(&connection, path, failed)?;
    read_schema_version(&connection, path, failed)?;
    enable_wal(&connection, busy).map_err(failed)?;
    migrate(&mut connection).map_err(|source| OpenError::Store {
        path: path.to_owned(),
        source,
    })?;
    Ok(connection)
}

/// Opens a database in memory, which exists as long as the connection.
pub(super) fn open_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory().map_err(SqlError::from)?;
    apply_settings(&connection, Duration::ZERO).map_err(SqlError::from)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// The way a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadMode {
    /// Concurrently with writing processes.
    Shared,
    /// As an immutable file: its directory cannot be written, and the database has no log.
    Immutable,
}

/// The state of a database before it is opened for reading only.
pub(super) struct Inspection {
    pub(super) reading: ReadMode,
    /// `None`: the database must be migrated first.
    pub(super) id: Option<String>,
}

/// Determines how the database at `path` can be read, without writing to it.
pub(super) fn inspect(path: &Path, busy: Duration) -> Result<Inspection, OpenError> {
    let shared = inspect_as(path, busy, ReadMode::Shared);
    let Err(OpenError::Store {
        source: StoreError::Unavailable(_),
        ..
    }) = shared
    else {
        return shared;
    };
    // SQLite needs files beside a database with a write-ahead log, and could not create them.
    if !cannot_create_beside(path) {
        return shared;
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::Unmerged {
            path: path.to_owned(),
            log,
        });
    }
    inspect_as(path, busy, ReadMode::Immutable)
}

fn inspect_as(path: &Path, busy: Duration, reading: ReadMode) -> Result<Inspection, OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.to_owned()),
        _ => OpenError::Store {
            path: path.to_owned(),
            source: SqlError::from(error).0,
        },
    };
    let connection = open_reader(path, busy, reading).map_err(failed)?;
    check_application_id(&connection, path, failed)?;
    let found = read_schema_version(&connection, path, failed)?;
    if found == 0 {
        return Err(OpenError::Missing(path.to_owned()));
    }
    if found < STEPS.len() {
        return match require_writable(path) {
            Ok(()) if reading == ReadMode::Shared => Ok(Inspection { reading, id: None }),
            _ => Err(OpenError::Outdated {
                path: path.to_owned(),
                found,
                known: STEPS.len(),
            }),
        };
    }
    let id = connection
        .query_row(STORE_ID, [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    transfer::require_unmarked(&connection, path, TransferMark::permits_reading)?;
    Ok(Inspection { reading, id })
}

/// Returns whether a file of the size of SQLite's smallest log index cannot be created: the directory is
/// write-protected, or its disk is full.
fn cannot_create_beside(path: &Path) -> bool {
    let made = tempfile::tempfile_in(parent_directory(path)).and_then(|mut file| {
        file.write_all(&[1; 32 << 10])?;
        file.sync_all()
    });
    made.is_err()
}

/// Opens another connection, for reading, to an existing database.
pub(super) fn open_reader(
    path: &Path,
    busy: Duration,
    reading: ReadMode,
) -> rusqlite::Result<Connection> {
    let connection = match reading {
        ReadMode::Shared => connect(path, busy)?,
        ReadMode::Immutable => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(immutable_uri(path), flags)?;
            apply_settings(&connection, busy)?;
            connection
        }
    };
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", READ_CACHE)?;
    Ok(connection)
}

/// Returns the URI that makes SQLite treat the file as immutable.
fn immutable_uri(path: &Path) -> String {
    let path = percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), &URI_ESCAPES);
    format!("file:{path}?immutable=1")
}

/// Returns the id of this store, and creates it on the first call.
pub(super) fn store_id(connection: &Connection) -> Result<String> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('store-id', ?1) ON CONFLICT DO NOTHING",
        [uuid::Uuid::new_v4().to_string()],
    )?;
    let id = connection.query_row(STORE_ID, [], |row| row.get(0))?;
    Ok(id)
}

/// Opens a connection with the common settings.
pub(super) fn connect(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    // Only one thread uses a connection at a time, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    apply_settings(&connection, busy)?;
    Ok(connection)
}

fn apply_settings(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Without this guarantee, SQLite prepares a statement with `LIMIT ?` again for each execution.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", WRITE_CACHE)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    Ok(())
}

/// Enables the write-ahead log, with which readers and the writer work concurrently; with
/// `synchronous=FULL`, each commit is on disk when it returns.
fn enable_wal(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    // SQLite does not wait for another process that makes the same change.
    let waiting = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waiting.elapsed() < busy =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => break done?,
        }
    }
    // A log that a burst of writes has enlarged is truncated to this size, in bytes.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))
}

fn check_application_id(
    connection: &Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> OpenError,
) -> Result<(), OpenError> {
    // In this order: another process may be creating the tables, and sets the mark in the same write.
    let table = connection
        .query_row("SELECT name FROM sqlite_schema LIMIT 1", [], |_| Ok(()))
        .optional()
        .map_err(&failed)?;
    let owner: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(&failed)?;
    if owner == APPLICATION_ID || (table.is_none() && owner == 0) {
        Ok(())
    } else {
        Err(OpenError::Foreign(path.to_owned()))
    }
}

/// Reads the version of the schema, and refuses an unknown one.
fn read_schema_version(
    connection: &Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> OpenError,
) -> Result<usize, OpenError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let known = STEPS.len();
    match usize::try_from(found) {
        Ok(found) if found <= known => Ok(found),
        found => Err(OpenError::Newer {
            path: path.to_owned(),
            found: found.unwrap_or(usize::MAX),
            known,
        }),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // Two processes may open a new database concurrently. The second waits for the first, finds the tables created,
    // fails, and then sees that its migration is done.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let mut tries = 3;
    loop {
        let error = match MIGRATIONS.to_latest(connection) {
            Ok(()) => break,
            Err(error) => error,
        };
        tries -= 1;
        let raced = matches!(
            MIGRATIONS.current_version(connection),
            Ok(SchemaVersion::Inside(version)) if version.get() == STEPS.len()
        );
        if !raced && tries == 0 {
            return Err(StoreError::Corrupt(format!(
                "its schema cannot be brought up to date: {error}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_valid() {
        MIGRATIONS.validate().unwrap();
    }
}
