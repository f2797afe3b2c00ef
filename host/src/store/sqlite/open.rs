//! Opening the database: the file, its settings, its schema.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use rusqlite_migration::{M, Migrations, SchemaVersion};

use super::fault::{Done, Fault};
use crate::store::StoreError;
use crate::store::ownership::{Ownership, directory_of, explain};

/// Stands in the database's header (see `schema.sql`), so that no other program's is taken for ours.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"RELN");

/// One step for each version of the schema; a step that was released never changes.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("quarantine.sql")),
    M::up(include_str!("deadlines.sql")),
    M::up(include_str!("reveals.sql")),
    M::up(include_str!("scheduled.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// How many statements a connection keeps prepared: more than there are.
const STATEMENTS: usize = 128;

/// What a connection keeps of the database in memory; negative: in KiB. The operating system keeps
/// more of it for all of them.
const WRITE_CACHE: i32 = -32 * 1024;
const READ_CACHE: i32 = -8 * 1024;

const STORE_ID: &str = "SELECT value FROM meta WHERE name = 'store-id'";

/// The characters that have a meaning in a URI of SQLite.
const NOT_IN_A_PATH: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC.remove(b'/');

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory that it would be in does not exist.
    #[error("cannot open the store {}: the directory {} does not exist: create it, or name another file", path.display(), directory.display())]
    NoDirectory {
        /// The database.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// There is no database.
    #[error("there is no store {}", .0.display())]
    Missing(PathBuf),
    /// The database exists and this process may not write it.
    #[error("cannot write the store {}: {source}", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An earlier release wrote the schema, and the database cannot be written.
    #[error("cannot read the store {}: its schema has version {found} and this release needs {known}, and the store cannot be written to bring it up to date: run a command of this release once where it can be written", path.display())]
    Outdated {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The version that this release needs.
        known: usize,
    },
    /// The database cannot be written, and what is in its log can therefore not be read.
    #[error("cannot read the store {}: it has a log beside it, {}, that has to be written into it first, and nothing can be written there: copy both files to where they can be written, and name the copy", path.display(), log.display())]
    Unmerged {
        /// The database.
        path: PathBuf,
        /// Its write-ahead log.
        log: PathBuf,
    },
    /// The file is something else.
    #[error("cannot open the store {}: it is not an SQLite database: name another file", .0.display())]
    NotADatabase(PathBuf),
    /// The database belongs to another program.
    #[error("cannot open the store {}: it is the SQLite database of another program: name another file", .0.display())]
    Foreign(PathBuf),
    /// A later release has changed the schema.
    #[error("cannot open the store {}: its schema has version {found} and this release knows {known}: use the release that wrote it, or a later one", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The latest version that this release knows.
        known: usize,
    },
    /// The operating system refused.
    #[error("cannot open the store {}: {source}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the store {}: {source}", path.display())]
    Store {
        /// The database.
        path: PathBuf,
        /// Why not.
        source: StoreError,
    },
}

/// The path of the database as all processes that open it agree on it; makes the file, readable and
/// writable by its owner alone, when there is none. Root makes it for the owner of the directory.
pub(super) fn prepare_file(path: &Path) -> Result<PathBuf, OpenError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory {
            path: path.to_owned(),
            directory: directory.to_owned(),
        });
    }
    let failed = |source| refused(path, source);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // SQLite gives the files that it adds the owner and the mode of this one.
        Ok(file) => Ownership::read(directory)
            .and_then(|ownership| ownership.give(&file))
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    find_file(path)
}

/// The path of a database that exists, as all processes that open it agree on it.
pub(super) fn find_file(path: &Path) -> Result<PathBuf, OpenError> {
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Missing(path.to_owned()));
        }
        Err(error) => return Err(refused(path, error)),
    };
    let is_database = || begins_like_a_database(&found).map_err(|error| refused(&found, error));
    if found.is_file() && is_database()? {
        Ok(found)
    } else {
        Err(OpenError::NotADatabase(found))
    }
}

/// Refuses a database that this process may not write, before anything else is tried on it.
pub(super) fn require_writable(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::ReadOnly {
            path: path.to_owned(),
            source: explained(path, error),
        }),
    }
}

/// The operating system refused an access to the database.
pub(super) fn refused(path: &Path, source: io::Error) -> OpenError {
    let source = explained(path, source);
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path, source },
        _ => OpenError::Io { path, source },
    }
}

/// No file can be made beside the database; `source` names it.
pub(super) fn not_beside(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            OpenError::ReadOnly { path, source }
        }
        _ => OpenError::Io { path, source },
    }
}

fn explained(path: &Path, error: io::Error) -> io::Error {
    match explain(path, &error) {
        why if why.is_empty() => error,
        why => io::Error::new(error.kind(), format!("{error}{why}")),
    }
}

/// SQLite would take a file that is shorter than its own header for an empty one, and write over it.
fn begins_like_a_database(path: &Path) -> io::Result<bool> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut beginning = Vec::with_capacity(MAGIC.len());
    let most = MAGIC.len() as u64;
    File::open(path)?.take(most).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == MAGIC)
}

/// Opens the database for the first time in this process and brings its schema up to date.
pub(super) fn open_file(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.to_owned()),
        _ => OpenError::Store {
            path: path.to_owned(),
            source: Fault::from(error).0,
        },
    };
    let mut connection = connect(path, busy).map_err(failed)?;
    check_owner(&connection, path, failed)?;
    found_version(&connection, path, failed)?;
    make_durable(&connection, busy).map_err(failed)?;
    migrate(&mut connection).map_err(|source| OpenError::Store {
        path: path.to_owned(),
        source,
    })?;
    Ok(connection)
}

/// A database that lives as long as the connection.
pub(super) fn open_memory() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory().map_err(Fault::from)?;
    settings(&connection, Duration::ZERO).map_err(Fault::from)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// How a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Beside others who write it.
    Shared,
    /// As an immutable file: its directory cannot be written, and the database has no log.
    Immutable,
}

/// The findings about a database that is to be opened for reading only.
pub(super) struct Found {
    pub(super) reading: Reading,
    /// None: the database is not one of this release yet.
    pub(super) id: Option<String>,
}

/// Finds out how the database at `path` can be read, without writing to it.
pub(super) fn look_at(path: &Path, busy: Duration) -> Result<Found, OpenError> {
    let shared = look_by(path, busy, Reading::Shared);
    let Err(OpenError::Store {
        source: StoreError::Unavailable(_),
        ..
    }) = shared
    else {
        return shared;
    };
    // SQLite needs files beside a database with a write-ahead log, and could not make them.
    if !nothing_can_be_made_beside(path) {
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
    look_by(path, busy, Reading::Immutable)
}

fn look_by(path: &Path, busy: Duration, reading: Reading) -> Result<Found, OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.to_owned()),
        _ => OpenError::Store {
            path: path.to_owned(),
            source: Fault::from(error).0,
        },
    };
    let connection = open_reader(path, busy, reading).map_err(failed)?;
    check_owner(&connection, path, failed)?;
    let found = found_version(&connection, path, failed)?;
    if found == 0 {
        return Err(OpenError::Missing(path.to_owned()));
    }
    if found < STEPS.len() {
        return match require_writable(path) {
            Ok(()) if reading == Reading::Shared => Ok(Found { reading, id: None }),
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
    Ok(Found { reading, id })
}

/// Whether a file as large as SQLite's smallest index of a log cannot be made: the directory is
/// write-protected, or its disk is full.
fn nothing_can_be_made_beside(path: &Path) -> bool {
    let made = tempfile::tempfile_in(directory_of(path)).and_then(|mut file| {
        file.write_all(&[1; 32 << 10])?;
        file.sync_all()
    });
    made.is_err()
}

/// One more connection, for reading, to a database that exists.
pub(super) fn open_reader(
    path: &Path,
    busy: Duration,
    reading: Reading,
) -> rusqlite::Result<Connection> {
    let connection = match reading {
        Reading::Shared => connect(path, busy)?,
        Reading::Immutable => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(immutable_uri(path), flags)?;
            settings(&connection, busy)?;
            connection
        }
    };
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", READ_CACHE)?;
    Ok(connection)
}

/// The URI of a file that SQLite takes for one that does not change.
fn immutable_uri(path: &Path) -> String {
    let path =
        percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), &NOT_IN_A_PATH);
    format!("file:{path}?immutable=1")
}

/// The id of this store, made when it is first asked for.
pub(super) fn store_id(connection: &Connection) -> Done<String> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('store-id', ?1) ON CONFLICT DO NOTHING",
        [uuid::Uuid::new_v4().to_string()],
    )?;
    let id = connection.query_row(STORE_ID, [], |row| row.get(0))?;
    Ok(id)
}

/// A connection with the settings of all.
pub(super) fn connect(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    // Every connection is used by one thread at a time, so SQLite need not lock it once more.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settings(&connection, busy)?;
    Ok(connection)
}

fn settings(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", WRITE_CACHE)?;
    Ok(())
}

/// The write-ahead log lets readers and the writer work side by side; with synchronous=FULL each
/// commit is on the disk when it returns.
fn make_durable(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    // SQLite does not wait by itself for another process that makes the same change.
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
    // A log that a burst has made long is cut back, in bytes.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))
}

fn check_owner(
    connection: &Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> OpenError,
) -> Result<(), OpenError> {
    // In this order: another process may be making the tables, and marks them in the same write.
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

/// Reads the version of the schema, and refuses a version that this release does not know.
fn found_version(
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
    // Two processes that open a new database at once both try: the second waits for the first, finds
    // the tables made, fails, and then sees that there is nothing left to do.
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
