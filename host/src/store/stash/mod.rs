//! The stash: a directory that keeps commits of answers which a store could not take.
//!
//! What a server has answered to the use of a token cannot be asked for again. When the store does
//! not take it, it is kept here, one file for each subject and epoch, and applied before anything
//! else happens to that subject. Files are written aside, synchronised and renamed, so that a crash
//! leaves a whole entry or none. Every process that shares the store shares the directory.
//!
//! What is not an entry of this store, or does not open, is moved to the folder `quarantine` in it.
//! The folder `reserve` has room for entries that are kept while the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::ownership::Ownership;
use super::seal::{SealError, SealedElsewhere, Sealer};
use crate::types::Reference;

mod entry;
mod files;
mod reserve;
#[cfg(test)]
mod tests;

pub use entry::{Kept, Label, Name};
use files::{files, io_error, is_abandoned, make_directory, make_folder, read, synchronise};
use reserve::{Reserve, is_full};

/// Where files are moved that nobody can apply.
const QUARANTINE: &str = "quarantine";
/// Precedes the names of files that are being written.
const UNFINISHED: &str = ".unfinished-";

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StashError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be sealed, or opened yet: this process does not know the data key.
    #[error("{0}")]
    Seal(SealError),
    /// It is for another store, which may still want it.
    #[error("{} is for another store, {store}: each store needs a stash of its own", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The store it is for.
        store: String,
    },
    /// It will never be readable.
    #[error("{} cannot be applied: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The stash of one store.
#[derive(Debug)]
pub struct Stash {
    directory: PathBuf,
    store: String,
    sealer: Arc<Sealer>,
    reserve: Reserve,
    /// A file whose owner and mode the directory gets when it is made.
    like: Option<PathBuf>,
}

/// One file of a stash, as far as it can be read without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself; none when it is no entry.
    pub label: Option<Label>,
    /// The data key that it is sealed with.
    pub data_key: Option<u32>,
    /// It was moved aside: nobody will apply it.
    pub quarantined: bool,
}

impl Stash {
    /// The stash of the store `store`, in a directory that is made when it is first needed.
    pub fn new(directory: impl Into<PathBuf>, store: &str, sealer: Arc<Sealer>) -> Self {
        let directory = directory.into();
        Self {
            store: store.to_owned(),
            sealer,
            reserve: Reserve::new(&directory, 0),
            like: None,
            directory,
        }
    }

    /// Keeps `bytes` of room in reserve, in whole files, for entries that find the disk full. Nothing
    /// is reserved before [`Stash::fill_reserve`].
    #[must_use]
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = Reserve::new(&self.directory, bytes);
        self
    }

    /// Makes the directory with the owner and the mode of `file`, such as the database, for those who
    /// share it. Without that it is its parent's owner's.
    #[must_use]
    pub fn like(mut self, file: Option<PathBuf>) -> Self {
        self.like = file;
        self
    }

    /// Reserves what is missing of the room that was asked for. Blocks.
    ///
    /// # Errors
    /// The disk is full, or the directory cannot be made or written: a full disk alone may then lose
    /// a response.
    pub fn fill_reserve(&self) -> Result<(), StashError> {
        if self.wants_reserve() {
            self.make()?;
        }
        self.reserve.fill()
    }

    /// Whether room is to be kept in reserve.
    pub fn wants_reserve(&self) -> bool {
        self.reserve.wanted() > 0
    }

    /// Whether room is missing in the reserve.
    pub fn lacks_reserve(&self) -> bool {
        reserve::size(&self.directory) < self.reserve.wanted()
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps a commit, durably; in place of an earlier one of the same subject and epoch. Blocks.
    pub fn keep(&self, kept: &Kept) -> Result<(), StashError> {
        let path = self.path(&Name::of(&kept.subject, kept.epoch));
        let failed = |action| io_error(action, &path);
        let unwritable = |error: serde_json::Error| failed("write")(error.into());
        let label = entry::label(kept, &self.store);
        let content = entry::content(kept, &label).map_err(unwritable)?;
        let sealed = self
            .sealer
            .seal_kept(&kept.subject, kept.epoch, &content)
            .map_err(StashError::Seal)?;
        let bytes = entry::join(&label, &sealed).map_err(unwritable)?;

        match self.write(&bytes, &path) {
            Err(StashError::Io { source, .. }) if is_full(&source) => {
                let Some(written) = self.reserve.write(&bytes, &path) else {
                    return Err(failed("write")(source));
                };
                written?;
                tracing::warn!(
                    left = reserve::size(&self.directory),
                    "the disk is full: a response was kept in room that was in reserve"
                );
            }
            written => written?,
        }
        synchronise(&self.directory)
    }

    fn write(&self, bytes: &[u8], path: &Path) -> Result<(), StashError> {
        let failed = |action| io_error(action, path);
        self.make()?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.directory)
            .map_err(failed("write"))?;
        Ownership::read(&self.directory)
            .and_then(|ownership| ownership.pass_to_file(file.as_file()))
            .map_err(failed("pass on"))?;
        file.write_all(bytes).map_err(failed("write"))?;
        file.as_file().sync_all().map_err(failed("synchronise"))?;
        file.persist(path)
            .map_err(|error| failed("name")(error.error))?;
        Ok(())
    }

    fn make(&self) -> Result<(), StashError> {
        let made = make_directory(&self.directory)?;
        let (Some(made), Some(like)) = (made, &self.like) else {
            return Ok(());
        };
        Ownership::read(like)
            .and_then(|ownership| ownership.pass_to_directory(&made))
            .map_err(io_error("pass on", &self.directory))
    }

    /// The entries of a subject, by epoch; those among them that cannot be read.
    pub fn of(&self, subject: &Reference) -> Result<Vec<Name>, StashError> {
        let mut names = Vec::new();
        for file in files(&self.directory)? {
            let name = file.file_name();
            let name = name.to_str().and_then(Name::parse);
            let Some(name) = name.filter(|name| name.is_of(subject)) else {
                continue;
            };
            match self.parts(&name) {
                Ok(Some(parts)) if parts.label.subject == *subject => names.push(name),
                Ok(_) => {}
                Err(StashError::Unreadable { .. }) => names.push(name),
                Err(error @ StashError::Foreign { .. }) => {
                    tracing::error!(%error, "an entry of the stash cannot be applied");
                }
                Err(error) => return Err(error),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The subjects of all entries. What is no entry is moved aside; entries of another store stay
    /// where they are, and a log line says so.
    pub fn subjects(&self) -> Result<Vec<Reference>, StashError> {
        let mut subjects = BTreeSet::new();
        for file in files(&self.directory)? {
            let name = file.file_name();
            let path = file.path();
            if file.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                if is_abandoned(&file) {
                    self.set_aside(&path, "its writer was interrupted")?;
                }
                continue;
            }
            match name.to_str().and_then(Name::parse) {
                Some(name) => match self.parts(&name) {
                    Ok(Some(parts)) => {
                        subjects.insert(parts.label.subject);
                    }
                    Ok(None) => {}
                    Err(StashError::Unreadable { why, .. }) => self.set_aside(&path, &why)?,
                    Err(error) => {
                        tracing::error!(%error, "an entry of the stash cannot be applied")
                    }
                },
                None => self.set_aside(&path, "its name is not that of an entry")?,
            }
        }
        Ok(subjects.into_iter().collect())
    }

    /// What was kept; none when it is not there any more.
    pub fn read(&self, name: &Name) -> Result<Option<Kept>, StashError> {
        let Some(parts) = self.parts(name)? else {
            return Ok(None);
        };
        let unreadable = |why| StashError::Unreadable {
            path: self.path(name),
            why,
        };
        let label = parts.label;
        let content = match self
            .sealer
            .open_kept(&label.subject, label.epoch, &parts.sealed)
        {
            Ok(content) => content,
            // Another process may have made the key; it is there at the next start.
            Err(error @ SealError::UnknownDataKey { .. }) => return Err(StashError::Seal(error)),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        entry::kept(&content, label).map(Some).map_err(unreadable)
    }

    /// Removes an entry, durably; one that is not there any more is none.
    pub fn remove(&self, name: &Name) -> Result<(), StashError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => synchronise(&self.directory),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }

    /// Moves an entry aside that nobody can apply.
    pub fn quarantine(&self, name: &Name, why: &str) -> Result<(), StashError> {
        self.set_aside(&self.path(name), why)
    }

    /// How many entries need the data key `key`, those set aside included.
    ///
    /// What cannot be opened counts with the key that it names.
    pub fn sealed_with(&self, key: u32) -> Result<u64, StashError> {
        let mut entries = 0;
        for listed in list(&self.directory)? {
            let name = listed.path.file_name().and_then(|name| name.to_str());
            let kept = match name.and_then(Name::parse) {
                Some(name) if !listed.quarantined => self.read(&name).ok().flatten(),
                _ => None,
            };
            let within = kept.is_some_and(|kept| kept.data_keys().any(|other| other == key));
            entries += u64::from(within || listed.data_key == Some(key));
        }
        Ok(entries)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(name.file())
    }

    fn parts(&self, name: &Name) -> Result<Option<entry::Parts>, StashError> {
        let path = self.path(name);
        let Some(bytes) = read(&path)? else {
            return Ok(None);
        };
        let parts = entry::split(&bytes).map_err(|why| StashError::Unreadable {
            path: path.clone(),
            why,
        })?;
        if parts.label.store != self.store {
            return Err(StashError::Foreign {
                path,
                store: parts.label.store,
            });
        }
        if !name.fits(&parts.label) {
            let why = "its name is not that of its subject and epoch".to_owned();
            return Err(StashError::Unreadable { path, why });
        }
        Ok(Some(parts))
    }

    fn set_aside(&self, path: &Path, why: &str) -> Result<(), StashError> {
        let quarantine = self.directory.join(QUARANTINE);
        make_folder(&quarantine)?;
        let name = path.file_name().unwrap_or_default();
        let mut to = quarantine.join(name);
        let mut others = 0_u32;
        while to.symlink_metadata().is_ok() {
            others += 1;
            let mut numbered = name.to_owned();
            numbered.push(format!(".{others}"));
            to = quarantine.join(numbered);
        }
        match fs::rename(path, &to) {
            Ok(()) => {
                tracing::error!(file = %path.display(), moved_to = %to.display(), why, "a file in the stash cannot be applied and was moved aside");
                synchronise(&self.directory)
            }
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("move aside", path)(error)),
        }
    }
}

#[async_trait]
impl SealedElsewhere for Stash {
    fn describe(&self) -> String {
        format!("the stash {}", self.directory.display())
    }

    async fn sealed_with(&self, key: u32) -> io::Result<u64> {
        Self::sealed_with(self, key).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// The bytes that the stash at `directory` has in reserve.
pub fn reserved(directory: &Path) -> u64 {
    reserve::size(directory)
}

/// Everything in the stash at `directory`, in the order of names, those set aside last.
pub fn list(directory: &Path) -> Result<Vec<Listed>, StashError> {
    let mut all = Vec::new();
    for (directory, quarantined) in [
        (directory.to_owned(), false),
        (directory.join(QUARANTINE), true),
    ] {
        let mut paths: Vec<PathBuf> = files(&directory)?
            .filter(|file| file.file_type().is_ok_and(|kind| !kind.is_dir()))
            .map(|file| file.path())
            .collect();
        paths.sort_unstable();
        for path in paths {
            let Some(bytes) = read(&path)? else { continue };
            let parts = entry::split(&bytes).ok();
            all.push(Listed {
                data_key: parts.as_ref().map(|parts| parts.sealed.key()),
                label: parts.map(|parts| parts.label),
                path,
                quarantined,
            });
        }
    }
    Ok(all)
}
