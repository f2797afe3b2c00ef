//! Consistent copies of the database while other processes use it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::{Result, SqlError, corrupt, from_sql_count};
use super::open::{self, ReadMode};
use super::readers::Readers;
use super::{SqliteStore, data_keys};
use crate::StoreError;
use crate::ownership::parent_directory;

/// How long the copy waits while another process locks the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The contents of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The size in bytes.
    pub bytes: u64,
    /// The number of documents.
    pub documents: u64,
    /// The number of sealed secrets.
    pub secrets: u64,
    /// The fingerprint of the key-encryption key that its secrets need; `None` when no host ever created
    /// a key.
    pub wrapped_by: Option<String>,
}

/// The error of making a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists already.
    #[error("cannot create the backup {}: it already exists: name another file", .0.display())]
    Exists(PathBuf),
    /// An operation of the file system failed.
    #[error("cannot create the backup {}: {source}", path.display())]
    Io {
        /// The file of the backup.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database cannot be copied.
    #[error("cannot create the backup {}: {source}", path.display())]
    Store {
        /// The file of the backup.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
}

impl SqliteStore {
    /// Copies the database to the new file `to`, which only its owner may read and write.
    ///
    /// The copy is a consistent snapshot and complete when this returns; readers and writers continue
    /// meanwhile. It can be opened with [`SqliteStore::open`] and has no log file. It does not contain
    /// the key-encryption key.
    pub async fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        let readers = Arc::clone(&self.readers);
        let target = to.to_owned();
        let copying = move || match readers.as_ref() {
            Readers::File { path, reading, .. } => copy(path, *reading, &target),
            Readers::Memory(_) => Err(BackupError::Io {
                path: target,
                source: io::ErrorKind::Unsupported.into(),
            }),
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(copying)
                .await
                .unwrap_or_else(|error| {
                    Err(BackupError::Io {
                        path: to.to_owned(),
                        source: io::Error::other(error),
                    })
                }),
            Err(_) => copying(),
        }
    }
}

fn copy(database: &Path, reading: ReadMode, to: &Path) -> Result<Backup, BackupError> {
    let io = |source| BackupError::Io {
        path: to.to_owned(),
        source,
    };
    if to.try_exists().map_err(io)? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let directory = parent_directory(to);
    // The copy is a temporary file that is renamed: a file with the final name is a complete backup.
    let aside = tempfile::NamedTempFile::new_in(directory).map_err(io)?;
    let done = vacuum(database, reading, aside.path()).and_then(|()| verify_copy(aside.path()));
    let copied = done.map_err(|fault| BackupError::Store {
        path: to.to_owned(),
        source: fault.0,
    })?;
    aside.as_file().sync_all().map_err(io)?;
    let bytes = aside.as_file().metadata().map_err(io)?.len();
    aside
        .persist_noclobber(to)
        .map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
            _ => io(error.error),
        })?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io)?;
    Ok(Backup { bytes, ..copied })
}

/// Copies the database in one read transaction; free pages are left out.
fn vacuum(database: &Path, reading: ReadMode, to: &Path) -> Result<()> {
    let to = to.to_str().ok_or_else(|| {
        SqlError(StoreError::Invalid(
            "its path is not text in UTF-8".to_owned(),
        ))
    })?;
    let connection = open::open_reader(database, BUSY_TIMEOUT, reading)?;
    // The copy is written; the database is not.
    connection.pragma_update(None, "query_only", false)?;
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}

/// Checks the copy and counts its contents.
fn verify_copy(copy: &Path) -> Result<Backup> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict != "ok" {
        return Err(corrupt(format!("the copy is not whole: {verdict}")));
    }
    let count = |table: &str| {
        let count = format!("SELECT count(*) FROM {table}");
        from_sql_count(
            connection.query_row(&count, [], |row| row.get(0))?,
            "a count",
        )
    };
    let wrapped_by = data_keys::all(&connection)?.pop().map(|key| key.kek_id);
    Ok(Backup {
        bytes: 0,
        documents: count("documents")?,
        secrets: count("secrets")?,
        wrapped_by,
    })
}
