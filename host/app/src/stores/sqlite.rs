//! Stores in an SQLite file: `sqlite:PATH`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::Store;
use relation_host::store::scratch::ScratchStore;
use relation_host::store::sqlite::{Backup, ScratchFile, SqliteOptions, SqliteStore};
use relation_host::store::transfer::TransferStore;

use super::{OpenMode, StoreKind, StoreLocation, StoreUrl};
use crate::error::MAKE_STORE;
use crate::{AppError, ErrorKind};

/// Stores in an SQLite file.
pub(super) const KIND: StoreKind = StoreKind {
    schemes: &["sqlite"],
    form: "sqlite:PATH",
    parse,
};

fn parse(location: &str, directory: &Path) -> Result<StoreUrl, String> {
    // `sqlite:///var/lib/relation.db`, as file URLs are often written.
    let path = location.strip_prefix("//").unwrap_or(location);
    if path.is_empty() {
        return Err("sqlite: must be followed by the path of a file".to_owned());
    }
    if path == ":memory:" {
        return Err("a store must outlive the process: name a file".to_owned());
    }
    Ok(StoreUrl::sqlite(directory.join(path)))
}

/// The file of a store.
pub(super) struct SqliteFile(PathBuf);

impl SqliteFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

#[async_trait]
impl StoreLocation for SqliteFile {
    async fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError> {
        let options = SqliteOptions::default();
        let store = match mode {
            OpenMode::Read => SqliteStore::open_to_read(&self.0, &options),
            OpenMode::Existing => SqliteStore::open_existing(&self.0, &options),
            OpenMode::Create => SqliteStore::open(&self.0, &options),
        };
        Ok(Arc::new(store?))
    }

    async fn exists(&self) -> bool {
        self.0.exists()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    async fn backup(&self, file: &Path) -> Result<Backup, AppError> {
        if !self.0.exists() {
            let message = format!("there is no store {} to back up", self.0.display());
            return Err(AppError::new(ErrorKind::NotFound, message).hint(MAKE_STORE));
        }
        let store = SqliteStore::open_to_read(&self.0, &SqliteOptions::default())?;
        let copied = store.backup(file).await;
        copied.map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))
    }

    async fn take_for_tests(&self) -> Result<Arc<dyn ScratchStore>, AppError> {
        let file = ScratchFile::take(&self.0).map_err(|error| {
            let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
            let reason = match exists {
                true => "the file exists, and tests remove all data".to_owned(),
                false => error.to_string(),
            };
            let error = AppError::usage(format!("cannot use {self} for tests: {reason}"));
            match exists {
                true => error.hint("name a file that does not exist"),
                false => error,
            }
        })?;
        Ok(Arc::new(file))
    }

    async fn open_to_transfer(&self, create: bool) -> Result<Arc<dyn TransferStore>, AppError> {
        let options = SqliteOptions::default();
        Ok(Arc::new(SqliteStore::open_to_transfer(
            &self.0, &options, create,
        )?))
    }
}
