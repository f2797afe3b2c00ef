//! A file for tests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{SqliteOptions, SqliteStore};
use crate::scratch::ScratchStore;
use crate::{Store, StoreError, parent_directory};

/// A file for tests.
#[derive(Debug)]
pub struct ScratchFile {
    path: PathBuf,
}

impl ScratchFile {
    /// Takes a file that does not exist.
    ///
    /// # Errors
    /// The file exists: its data may not be of a test.
    pub fn take(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        match path.try_exists()? {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok(Self { path }),
        }
    }

    /// Removes the database, and the files that SQLite and hosts have beside it.
    fn remove_files(&self) -> io::Result<()> {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        let exact = ["", "-wal", "-shm", "-journal"].map(|end| format!("{name}{end}"));
        let holders = format!("{name}-holder-");
        for entry in std::fs::read_dir(parent_directory(&self.path))? {
            let entry = entry?;
            let found = entry.file_name();
            let found = found.to_str().unwrap_or_default();
            if exact.iter().any(|own| own == found) || found.starts_with(&holders) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[async_trait]
impl ScratchStore for ScratchFile {
    async fn clear(&self) -> Result<(), StoreError> {
        let removed = self.remove_files();
        removed.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        let opened = SqliteStore::open(&self.path, &SqliteOptions::default());
        let store = opened.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(store))
    }

    async fn remove(&self) -> Result<(), StoreError> {
        self.clear().await
    }
}
