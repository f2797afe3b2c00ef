//! A copy of the database at one moment, while others read and write it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::{Done, Fault, corrupt, count_out};
use super::open::{self, Reading};
use super::readers::Readers;
use super::{SqliteStore, data_keys};
use crate::store::StoreError;

/// How long the copy waits for others that lock the database.
const BUSY: Duration = Duration::from_secs(30);

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its size.
    pub bytes: u64,
    /// Documents in it.
    pub documents: u64,
    /// Sealed secrets in it.
    pub secrets: u64,
    /// The fingerprint of the key-encryption key that its secrets need; none when no host ever made
    /// one.
    pub wrapped_by: Option<String>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("cannot make the backup {}: it is there already: name another file", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("cannot make the backup {}: {source}", path.display())]
    Io {
        /// The backup.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database cannot be copied.
    #[error("cannot make the backup {}: {source}", path.display())]
    Store {
        /// The backup.
        path: PathBuf,
        /// Why not.
        source: StoreError,
    },
}

impl SqliteStore {
    /// Copies the database to the new file `to`, readable and writable by its owner alone.
    ///
    /// The copy is the database at one moment and complete when this returns; readers and writers go
    /// on meanwhile. It is a database as [`SqliteStore::open`] opens them, without a log beside it.
    /// The key-encryption key is not in it.
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

fn copy(database: &Path, reading: Reading, to: &Path) -> Result<Backup, BackupError> {
    let io = |source| BackupError::Io {
        path: to.to_owned(),
        source,
    };
    if to.try_exists().map_err(io)? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let directory = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Written aside and then given its name: whatever has that name is a whole backup.
    let aside = tempfile::NamedTempFile::new_in(directory).map_err(io)?;
    let done = vacuum(database, reading, aside.path()).and_then(|()| contents(aside.path()));
    let counted = done.map_err(|fault| BackupError::Store {
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
    Ok(Backup { bytes, ..counted })
}

/// One read transaction of the database; pages that were freed are left out.
fn vacuum(database: &Path, reading: Reading, to: &Path) -> Done<()> {
    let to = to.to_str().ok_or_else(|| {
        Fault(StoreError::Invalid(
            "its path is not text in UTF-8".to_owned(),
        ))
    })?;
    let connection = open::open_reader(database, BUSY, reading)?;
    // The copy is written, the database is not.
    connection.pragma_update(None, "query_only", false)?;
    connection.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}

/// What is in the copy, after a look at whether it is whole.
fn contents(copy: &Path) -> Done<Backup> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict != "ok" {
        return Err(corrupt(format!("the copy is not whole: {verdict}")));
    }
    let count = |table: &str| {
        let count = format!("SELECT count(*) FROM {table}");
        count_out(
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
