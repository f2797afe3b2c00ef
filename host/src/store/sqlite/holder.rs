//! Whether the process that opened a store still lives, told by locks on files beside the database.
//!
//! Each opened database has a holder id and a file `DATABASE-holder-ID` that it keeps locked. The
//! operating system lets go of the lock when the process ends, however it ends: a file that can be
//! locked, or is not there, means that its holder is gone. The file gets its name only after it is
//! locked, so nobody ever finds a living holder's file unlocked.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// This process as the holder of leases and of running transactions.
#[derive(Debug)]
pub(super) struct Holder {
    id: String,
    /// None for a database in memory, which nobody shares.
    lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    database: PathBuf,
    path: PathBuf,
    /// Locked for as long as it is open.
    _file: File,
}

impl Holder {
    /// The holder of a database that no other process can open.
    pub(super) fn alone() -> Self {
        Self {
            id: new_id(),
            lock: None,
        }
    }

    /// A new holder of the database at `path`, with its locked file beside it.
    pub(super) fn beside(database: &Path) -> io::Result<Self> {
        let id = new_id();
        let path = holder_file(database, &id);
        let directory = match database.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let unnamed = tempfile::NamedTempFile::new_in(directory)?;
        unnamed.as_file().try_lock()?;
        let file = unnamed
            .persist_noclobber(&path)
            .map_err(|error| error.error)?;
        Ok(Self {
            id,
            lock: Some(Lock {
                database: database.to_owned(),
                path,
                _file: file,
            }),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Finds out whether the holder `id` is gone; the answer stays true while it is kept.
    pub(super) fn gone(&self, id: &str) -> io::Result<Option<Gone>> {
        let Some(lock) = &self.lock else {
            // Nobody else can hold anything in a database in memory.
            return Ok((id != self.id).then_some(Gone { found: None }));
        };
        if id == self.id {
            return Ok(None);
        }
        let path = holder_file(&lock.database, id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Gone { found: None }));
            }
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Gone {
                found: Some((path, file)),
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The ids of all holders, this one and gone ones among them, that have a file.
    pub(super) fn known(&self) -> io::Result<Vec<String>> {
        let Some(lock) = &self.lock else {
            return Ok(Vec::new());
        };
        let (Some(directory), Some(prefix)) = (
            lock.path.parent(),
            holder_file(&lock.database, "")
                .file_name()
                .map(OsString::from),
        ) else {
            return Ok(Vec::new());
        };
        let prefix = prefix.to_string_lossy().into_owned();
        let mut ids = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            ids.extend(id.map(str::to_owned));
        }
        Ok(ids)
    }

    /// Lets go of the lock and leaves the file behind, as a process does that is killed.
    #[cfg(test)]
    pub(super) fn die(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock._file.unlock().unwrap();
            std::mem::forget(lock);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(file = %self.path.display(), %error, "a holder's file could not be removed");
        }
    }
}

/// A holder whose process has ended; nobody else can come to the same conclusion meanwhile.
#[derive(Debug)]
pub(super) struct Gone {
    found: Option<(PathBuf, File)>,
}

impl Gone {
    /// Removes its file, once nothing in the database names it any more.
    pub(super) fn forget(self) {
        if let Some((path, _locked)) = self.found
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::debug!(file = %path.display(), %error, "a holder's file could not be removed");
        }
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn holder_file(database: &Path, id: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-holder-");
    name.push(id);
    PathBuf::from(name)
}
