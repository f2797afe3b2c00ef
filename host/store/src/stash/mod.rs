//! The stash: a directory for commits of responses that a store could not take.
//!
//! A response to the use of a token cannot be requested again. A commit that the store cannot take is stored here, one
//! file per subject and epoch. It is applied before any other call on that subject. Files are written under a temporary
//! name, synchronized and renamed, so a crash leaves a whole entry or none. All processes that share the store share
//! the directory.
//!
//! Files that are not entries of this store, or do not open, are moved to the directory `quarantine`. The
//! directory `reserve` holds disk space for entries while the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::ownership::Ownership;
use super::seal::{DataKeyUser, SealError, Sealer};
use relation_types::Reference;

mod entry;
mod files;
mod reserve;
#[cfg(test)]
mod tests;

pub use entry::{EntryName, Label, StashedCommit};
use files::{
    create_directory, create_folder, io_error, is_abandoned, list_files, read, sync_directory,
};
use reserve::{Reserve, is_full};

/// The action of the transactions of calls that apply stashed commits.
pub const APPLY_ACTION: &str = "apply-stash";

/// The directory for files that cannot be applied.
const QUARANTINE: &str = "quarantine";
/// The prefix of files that are being written.
const UNFINISHED_PREFIX: &str = ".unfinished-";

/// The error of an operation on the stash.
#[derive(Debug, thiserror::Error)]
pub enum StashError {
    /// An operation of the file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted operation.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The entry cannot be sealed, or not be opened yet: this process does not know the data key.
    #[error("{0}")]
    Seal(SealError),
    /// The entry is for another store, which may still need it.
    #[error("{} is for another store, {store}: each store needs a stash of its own", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id of that store.
        store: String,
    },
    /// The entry is permanently unreadable.
    #[error("{} cannot be applied: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The defect.
        reason: String,
    },
}

/// The stash of one store.
#[derive(Debug)]
pub struct Stash {
    directory: PathBuf,
    store: String,
    sealer: Arc<Sealer>,
    reserve: Reserve,
    /// The file whose owner and mode the directory gets when it is created.
    ownership_file: Option<PathBuf>,
}

/// One file of a stash, as far as it is readable without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StashFile {
    /// The file.
    pub path: PathBuf,
    /// The label of the entry; `None` if the file is not an entry.
    pub label: Option<Label>,
    /// The data key that seals the entry.
    pub data_key: Option<u32>,
    /// Whether the file is in quarantine and will not be applied.
    pub quarantined: bool,
}

impl Stash {
    /// Creates the stash of the store `store`. The directory is created when it is first needed.
    pub fn new(directory: impl Into<PathBuf>, store: &str, sealer: Arc<Sealer>) -> Self {
        let directory = directory.into();
        Self {
            store: store.to_owned(),
            sealer,
            reserve: Reserve::new(&directory, 0),
            ownership_file: None,
            directory,
        }
    }

    /// Reserves `bytes` of disk space, rounded up to whole files, for entries that find the disk full.
    /// The space is allocated by [`Stash::fill_reserve`].
    #[must_use]
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = Reserve::new(&self.directory, bytes);
        self
    }

    /// Creates the directory with the owner and the mode of `file`, such as the database, so that its
    /// users can share the stash. By default it belongs to the owner of its parent.
    #[must_use]
    pub fn with_ownership_of(mut self, file: Option<PathBuf>) -> Self {
        self.ownership_file = file;
        self
    }

    /// Allocates the missing part of the reserve. Blocks.
    ///
    /// # Errors
    /// The disk is full, or the directory cannot be created or written: a full disk alone may then lose
    /// a response.
    pub fn fill_reserve(&self) -> Result<(), StashError> {
        if self.wants_reserve() {
            self.create()?;
        }
        self.reserve.fill()
    }

    /// Returns whether a reserve is configured.
    pub fn wants_reserve(&self) -> bool {
        self.reserve.target_bytes() > 0
    }

    /// Returns whether the reserve is incomplete.
    pub fn lacks_reserve(&self) -> bool {
        reserve::bytes_reserved(&self.directory) < self.reserve.target_bytes()
    }

    /// Returns the directory of the stash.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stores a commit durably, replacing an earlier one of the same subject and epoch. Blocks.
    pub fn keep(&self, commit: &StashedCommit) -> Result<(), StashError> {
        let path = self.path(&EntryName::new(&commit.subject, commit.epoch));
        let failed = |action| io_error(action, &path);
        let unwritable = |error: serde_json::Error| failed("write")(error.into());
        let label = entry::make_label(commit, &self.store);
        let content = entry::encode_content(commit, &label).map_err(unwritable)?;
        let sealed = self
            .sealer
            .seal_stash_entry(&commit.subject, commit.epoch, &content)
            .map_err(StashError::Seal)?;
        let bytes = entry::join(&label, &sealed).map_err(unwritable)?;

        match self.write(&bytes, &path) {
            Err(StashError::Io { source, .. }) if is_full(&source) => {
                let Some(written) = self.reserve.write(&bytes, &path) else {
                    return Err(failed("write")(source));
                };
                written?;
                tracing::warn!(
                    left = reserve::bytes_reserved(&self.directory),
                    "the disk is full: a response was stored in reserved space"
                );
            }
            written => written?,
        }
        sync_directory(&self.directory)
    }

    fn write(&self, bytes: &[u8], path: &Path) -> Result<(), StashError> {
        let failed = |action| io_error(action, path);
        self.create()?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(&self.directory)
            .map_err(failed("write"))?;
        Ownership::read(&self.directory)
            .and_then(|ownership| ownership.apply_to_file(file.as_file()))
            .map_err(failed("pass on"))?;
        file.write_all(bytes).map_err(failed("write"))?;
        file.as_file().sync_all().map_err(failed("synchronize"))?;
        file.persist(path)
            .map_err(|error| failed("name")(error.error))?;
        Ok(())
    }

    fn create(&self) -> Result<(), StashError> {
        let made = create_directory(&self.directory)?;
        let (Some(made), Some(owned)) = (made, &self.ownership_file) else {
            return Ok(());
        };
        Ownership::read(owned)
            .and_then(|ownership| ownership.apply_to_directory(&made))
            .map_err(io_error("pass on", &self.directory))
    }

    /// Lists the entries of a subject by epoch, including unreadable ones.
    pub fn entries_for(&self, subject: &Reference) -> Result<Vec<EntryName>, StashError> {
        let mut names = Vec::new();
        for file in list_files(&self.directory)? {
            let name = file.file_name();
            let name = name.to_str().and_then(EntryName::parse);
            let Some(name) = name.filter(|name| name.belongs_to(subject)) else {
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

    /// Lists the subjects of all entries. Files that are not entries are moved to quarantine. Entries of
    /// another store stay, and a log line reports them.
    pub fn subjects(&self) -> Result<Vec<Reference>, StashError> {
        let mut subjects = BTreeSet::new();
        for file in list_files(&self.directory)? {
            let name = file.file_name();
            let path = file.path();
            if file.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if name
                .as_encoded_bytes()
                .starts_with(UNFINISHED_PREFIX.as_bytes())
            {
                if is_abandoned(&file) {
                    self.move_to_quarantine(&path, "its writer was interrupted")?;
                }
                continue;
            }
            match name.to_str().and_then(EntryName::parse) {
                Some(name) => match self.parts(&name) {
                    Ok(Some(parts)) => {
                        subjects.insert(parts.label.subject);
                    }
                    Ok(None) => {}
                    Err(StashError::Unreadable { reason, .. }) => {
                        self.move_to_quarantine(&path, &reason)?
                    }
                    Err(error) => {
                        tracing::error!(%error, "an entry of the stash cannot be applied")
                    }
                },
                None => self.move_to_quarantine(&path, "its name is not that of an entry")?,
            }
        }
        Ok(subjects.into_iter().collect())
    }

    /// Reads an entry; `None` if it does not exist any more.
    pub fn read(&self, name: &EntryName) -> Result<Option<StashedCommit>, StashError> {
        let Some(parts) = self.parts(name)? else {
            return Ok(None);
        };
        let unreadable = |reason| StashError::Unreadable {
            path: self.path(name),
            reason,
        };
        let label = parts.label;
        let content = match self
            .sealer
            .open_stash_entry(&label.subject, label.epoch, &parts.sealed)
        {
            Ok(content) => content,
            // Another process may have created the key; the next start will load it.
            Err(error @ SealError::UnknownDataKey { .. }) => return Err(StashError::Seal(error)),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        entry::decode_content(&content, label)
            .map(Some)
            .map_err(unreadable)
    }

    /// Removes an entry durably. A missing entry is not an error.
    pub fn remove(&self, name: &EntryName) -> Result<(), StashError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("remove", &path)(error)),
        }
    }

    /// Moves an entry that cannot be applied to quarantine.
    pub fn quarantine(&self, name: &EntryName, reason: &str) -> Result<(), StashError> {
        self.move_to_quarantine(&self.path(name), reason)
    }

    /// Counts the entries that need the data key `key`, including those in quarantine.
    ///
    /// An entry that cannot be opened counts for the key that it names.
    pub fn sealed_with(&self, key: u32) -> Result<u64, StashError> {
        let mut entries = 0;
        for listed in list(&self.directory)? {
            let name = listed.path.file_name().and_then(|name| name.to_str());
            let commit = match name.and_then(EntryName::parse) {
                Some(name) if !listed.quarantined => self.read(&name).ok().flatten(),
                _ => None,
            };
            let needs_key =
                commit.is_some_and(|commit| commit.data_keys().any(|other| other == key));
            entries += u64::from(needs_key || listed.data_key == Some(key));
        }
        Ok(entries)
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        self.directory.join(name.file_name())
    }

    fn parts(&self, name: &EntryName) -> Result<Option<entry::Parts>, StashError> {
        let path = self.path(name);
        let Some(bytes) = read(&path)? else {
            return Ok(None);
        };
        let parts = entry::split(&bytes).map_err(|reason| StashError::Unreadable {
            path: path.clone(),
            reason,
        })?;
        if parts.label.store != self.store {
            return Err(StashError::Foreign {
                path,
                store: parts.label.store,
            });
        }
        if !name.matches(&parts.label) {
            let reason = "its name is not that of its subject and epoch".to_owned();
            return Err(StashError::Unreadable { path, reason });
        }
        Ok(Some(parts))
    }

    fn move_to_quarantine(&self, path: &Path, reason: &str) -> Result<(), StashError> {
        let quarantine = self.directory.join(QUARANTINE);
        create_folder(&quarantine)?;
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
                tracing::error!(file = %path.display(), moved_to = %to.display(), why = reason, "a file in the stash cannot be applied and was moved aside");
                sync_directory(&self.directory)
            }
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("move aside", path)(error)),
        }
    }
}

#[async_trait]
impl DataKeyUser for Stash {
    fn describe(&self) -> String {
        format!("the stash {}", self.directory.display())
    }

    async fn sealed_with(&self, key: u32) -> io::Result<u64> {
        Self::sealed_with(self, key).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Returns the size of the reserve of the stash at `directory`, in bytes.
pub fn reserve_bytes(directory: &Path) -> u64 {
    reserve::bytes_reserved(directory)
}

/// Lists all files of the stash at `directory` by name, quarantined ones last.
pub fn list(directory: &Path) -> Result<Vec<StashFile>, StashError> {
    let mut all = Vec::new();
    for (directory, quarantined) in [
        (directory.to_owned(), false),
        (directory.join(QUARANTINE), true),
    ] {
        let mut paths: Vec<PathBuf> = list_files(&directory)?
            .filter(|file| file.file_type().is_ok_and(|kind| !kind.is_dir()))
            .map(|file| file.path())
            .collect();
        paths.sort_unstable();
        for path in paths {
            let Some(bytes) = read(&path)? else { continue };
            let parts = entry::split(&bytes).ok();
            all.push(StashFile {
                data_key: parts.as_ref().map(|parts| parts.sealed.key()),
                label: parts.map(|parts| parts.label),
                path,
                quarantined,
            });
        }
    }
    Ok(all)
}
