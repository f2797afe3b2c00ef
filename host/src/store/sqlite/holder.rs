//! Whether the process that opened a store still lives, told by locks on files beside the database.
//!
//! Each opened database has a holder id and a file `DATABASE-holder-ID` that it keeps locked. The
//! operating system lets go of the lock when the process ends, however it ends: a file that can be
//! locked, or is not there, means that its holder is gone. The file gets its name only after it is
//! locked, so nobody ever finds a living holder's file unlocked.
//!
//! The file gets the owner and the mode of the database, so that every process that may use the
//! database can tell. A file that cannot be opened all the same says nothing about its holder, whose
//! leases then end by their time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::store::ownership::{Ownership, directory_of, explain, name_file};
use crate::sync::lock;

/// This process as the holder of leases and of running transactions.
#[derive(Debug)]
pub(super) struct Holder {
    id: String,
    /// None for a database in memory, which nobody shares.
    lock: Option<Lock>,
    /// The files of which a warning has told.
    told: Mutex<BTreeSet<PathBuf>>,
}

/// The state of the process that opened a store.
#[derive(Debug)]
pub(super) enum State {
    /// It runs.
    Alive,
    /// It has ended.
    Gone(Gone),
    /// Its file cannot be read.
    Unknown,
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
            told: Mutex::default(),
        }
    }

    /// A new holder of the database at `path`, with its locked file beside it.
    pub(super) fn beside(database: &Path) -> io::Result<Self> {
        let id = new_id();
        let path = holder_file(database, &id);
        let failed = |error: io::Error| name_file(&path, &error);
        let unnamed = tempfile::NamedTempFile::new_in(directory_of(database)).map_err(failed)?;
        unnamed
            .as_file()
            .try_lock()
            .map_err(|error| failed(error.into()))?;
        Ownership::read(database)
            .and_then(|ownership| ownership.pass_to_file(unnamed.as_file()))
            .map_err(failed)?;
        let file = unnamed
            .persist_noclobber(&path)
            .map_err(|error| failed(error.error))?;
        Ok(Self {
            id,
            lock: Some(Lock {
                database: database.to_owned(),
                path,
                _file: file,
            }),
            told: Mutex::default(),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Finds out whether the holder `id` is gone; the answer stays true while it is kept.
    pub(super) fn look_at(&self, id: &str) -> State {
        let Some(lock) = &self.lock else {
            // Nobody else can hold anything in a database in memory.
            return match id == self.id {
                true => State::Alive,
                false => State::Gone(Gone::default()),
            };
        };
        if id == self.id {
            return State::Alive;
        }
        let path = holder_file(&lock.database, id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return State::Gone(Gone::default());
            }
            Err(error) => {
                self.warn(&path, &error);
                return State::Unknown;
            }
        };
        match file.try_lock() {
            Ok(()) => State::Gone(Gone {
                found: Some((path, file)),
            }),
            Err(TryLockError::WouldBlock) => State::Alive,
            Err(TryLockError::Error(error)) => {
                self.warn(&path, &error);
                State::Unknown
            }
        }
    }

    /// Removes the file of a holder that is gone, once the database does not name it any more.
    pub(super) fn forget(&self, gone: Gone) {
        if let Some((path, _locked)) = gone.found
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
            && lock(&self.told).insert(path.clone())
        {
            let why = explain(directory_of(&path), &error);
            tracing::warn!(
                "cannot remove the file {} of a process that has ended: {error}{why}; remove it by hand",
                path.display()
            );
        }
    }

    /// Tells once of a file that does not say whether its process runs.
    fn warn(&self, path: &Path, error: &io::Error) {
        if lock(&self.told).insert(path.to_owned()) {
            let why = explain(path, error);
            tracing::warn!(
                "cannot tell from the file {} whether its process runs: {error}{why}; leases of that \
                 process end by their time. Remove the file when the process has ended",
                path.display()
            );
        }
    }

    /// The ids of all holders, this one and gone ones among them, that have a file. A directory that
    /// cannot be listed hides only those that hold nothing any more.
    pub(super) fn known(&self) -> Vec<String> {
        let Some(lock) = &self.lock else {
            return Vec::new();
        };
        let Some(prefix) = holder_file(&lock.database, "")
            .file_name()
            .map(OsString::from)
        else {
            return Vec::new();
        };
        let directory = directory_of(&lock.path);
        let prefix = prefix.to_string_lossy().into_owned();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                self.warn_of_directory(directory, &error);
                return Vec::new();
            }
        };
        let mut ids = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    let id = name.to_str().and_then(|name| name.strip_prefix(&prefix));
                    ids.extend(id.map(str::to_owned));
                }
                Err(error) => self.warn_of_directory(directory, &error),
            }
        }
        ids
    }

    fn warn_of_directory(&self, directory: &Path, error: &io::Error) {
        if lock(&self.told).insert(directory.to_owned()) {
            let why = explain(directory, error);
            tracing::warn!(
                "cannot list the directory {}: {error}{why}; files of processes that have ended stay in it",
                directory.display()
            );
        }
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
#[derive(Debug, Default)]
pub(super) struct Gone {
    found: Option<(PathBuf, File)>,
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
