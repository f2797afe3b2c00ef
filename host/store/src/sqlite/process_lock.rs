//! Detection of ended processes by locks on files beside the database.
//!
//! Each process that opens the database has a holder id and a file `DATABASE-holder-ID`, which it keeps
//! locked. The operating system releases the lock when the process ends in any way. A file that is
//! missing, or that can be locked, means that its process has ended. The file gets its name only after
//! it is locked, so the file of a running process is never found unlocked.
//!
//! The file has the owner and mode of the database, so every process that may use the database can check
//! it. If a file cannot be opened nevertheless, the state of its process is unknown, and its leases end
//! by expiry.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::ownership::{Ownership, explain_denied, parent_directory, with_path};

/// The identity of this process as holder of leases and running transactions.
#[derive(Debug)]
pub(super) struct ProcessLock {
    id: String,
    /// `None` for a database in memory, which is not shared.
    lock: Option<LockedFile>,
    /// The files that were already warned about.
    warned: Mutex<BTreeSet<PathBuf>>,
}

/// The state of the process that opened a store.
#[derive(Debug)]
pub(super) enum HolderState {
    /// The process runs.
    Alive,
    /// The process has ended.
    Ended(EndedHolder),
    /// The state is unknown because the file cannot be read.
    Unknown,
}

#[derive(Debug)]
struct LockedFile {
    database: PathBuf,
    path: PathBuf,
    /// Locked while it is open.
    _file: File,
}

impl ProcessLock {
    /// Creates the holder of a database that no other process can open.
    pub(super) fn in_memory() -> Self {
        Self {
            id: new_id(),
            lock: None,
            warned: Mutex::default(),
        }
    }

    /// Creates a holder of the database at `path`, with its locked file beside the database.
    pub(super) fn acquire(database: &Path) -> io::Result<Self> {
        let id = new_id();
        let path = holder_file(database, &id);
        let failed = |error: io::Error| with_path(&path, &error);
        let unnamed =
            tempfile::NamedTempFile::new_in(parent_directory(database)).map_err(failed)?;
        unnamed
            .as_file()
            .try_lock()
            .map_err(|error| failed(error.into()))?;
        Ownership::read(database)
            .and_then(|ownership| ownership.apply_to_file(unnamed.as_file()))
            .map_err(failed)?;
        let file = unnamed
            .persist_noclobber(&path)
            .map_err(|error| failed(error.error))?;
        Ok(Self {
            id,
            lock: Some(LockedFile {
                database: database.to_owned(),
                path,
                _file: file,
            }),
            warned: Mutex::default(),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Determines the state of the holder `id`. An ended state stays true while the returned value
    /// exists.
    pub(super) fn state_of(&self, id: &str) -> HolderState {
        let Some(lock) = &self.lock else {
            // A database in memory has no other holder.
            return match id == self.id {
                true => HolderState::Alive,
                false => HolderState::Ended(EndedHolder::default()),
            };
        };
        if id == self.id {
            return HolderState::Alive;
        }
        let path = holder_file(&lock.database, id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return HolderState::Ended(EndedHolder::default());
            }
            Err(error) => {
                self.warn(&path, &error);
                return HolderState::Unknown;
            }
        };
        match file.try_lock() {
            Ok(()) => HolderState::Ended(EndedHolder {
                found: Some((path, file)),
            }),
            Err(TryLockError::WouldBlock) => HolderState::Alive,
            Err(TryLockError::Error(error)) => {
                self.warn(&path, &error);
                HolderState::Unknown
            }
        }
    }

    /// Removes the file of an ended holder, once the database does not name that holder any more.
    pub(super) fn remove_file(&self, gone: EndedHolder) {
        if let Some((path, _locked)) = gone.found
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
            && self.warned.lock().insert(path.clone())
        {
            let reason = explain_denied(parent_directory(&path), &error);
            tracing::warn!(
                "cannot remove the file {} of a process that has ended: {error}{reason}; remove it manually",
                path.display()
            );
        }
    }

    /// Warns once about a file whose process state is unknown.
    fn warn(&self, path: &Path, error: &io::Error) {
        if self.warned.lock().insert(path.to_owned()) {
            let reason = explain_denied(path, error);
            tracing::warn!(
                "cannot tell from the file {} whether its process runs: {error}{reason}; leases of that \
                 process end by their time. Remove the file when the process has ended",
                path.display()
            );
        }
    }

    /// Lists the ids of all holders with a file, including this one and ended ones. A directory that
    /// cannot be listed hides only holders without leases or running transactions.
    pub(super) fn list_ids(&self) -> Vec<String> {
        let Some(lock) = &self.lock else {
            return Vec::new();
        };
        let Some(prefix) = holder_file(&lock.database, "")
            .file_name()
            .map(OsString::from)
        else {
            return Vec::new();
        };
        let directory = parent_directory(&lock.path);
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

    /// Describes the other processes that have opened the database, or may have.
    pub(super) fn find_other_processes(&self) -> Vec<String> {
        let Some(lock) = &self.lock else {
            return Vec::new();
        };
        let ids = self.list_ids();
        if !ids.contains(&self.id) {
            let directory = parent_directory(&lock.path).display();
            return vec![format!("the directory {directory} cannot be listed")];
        }
        let others = ids.into_iter().filter(|id| *id != self.id);
        let describe = |id: String| {
            let file = holder_file(&lock.database, &id);
            match self.state_of(&id) {
                HolderState::Alive => Some(format!("a process has locked {}", file.display())),
                HolderState::Unknown => {
                    let file = file.display();
                    Some(format!(
                        "{file} cannot be opened, and may belong to a process"
                    ))
                }
                HolderState::Ended(_) => None,
            }
        };
        others.filter_map(describe).collect()
    }

    fn warn_of_directory(&self, directory: &Path, error: &io::Error) {
        if self.warned.lock().insert(directory.to_owned()) {
            let reason = explain_denied(directory, error);
            tracing::warn!(
                "cannot list the directory {}: {error}{reason}; files of processes that have ended stay in it",
                directory.display()
            );
        }
    }

    /// Releases the lock and leaves the file, as a killed process does.
    #[cfg(test)]
    pub(super) fn simulate_kill(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock._file.unlock().unwrap();
            std::mem::forget(lock);
        }
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(file = %self.path.display(), %error, "a holder's file could not be removed");
        }
    }
}

/// A holder whose process has ended. The locked file keeps other processes from the same conclusion
/// meanwhile.
#[derive(Debug, Default)]
pub(super) struct EndedHolder {
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
