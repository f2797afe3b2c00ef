//! Stores by URL: the scheme selects the kind of store.
//!
//! A further kind is a file with a [`StoreLocation`], and an entry in [`KINDS`].

mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::Store;
use relation_host::store::sqlite::Backup;
use relation_host::store::transfer::TransferStore;

use self::sqlite::SqliteFile;
use crate::AppError;

/// Every kind of store that a URL can name.
const KINDS: &[StoreKind] = &[sqlite::KIND];

/// A kind of store.
struct StoreKind {
    /// The scheme of its URLs, without the colon.
    scheme: &'static str,
    /// The form of a URL for help and errors, such as `sqlite:PATH`.
    form: &'static str,
    /// Parses the part after the scheme. A relative path is relative to the directory.
    parse: fn(&str, &Path) -> Result<StoreUrl, String>,
}

/// The mode in which a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading, also on a read-only file system. The store must exist.
    Read,
    /// For reading and writing. The store must exist: a name may be mistyped.
    Existing,
    /// For reading and writing. A store that does not exist is created.
    Create,
}

/// A store that a URL names. Its text is the URL, without a password.
#[async_trait]
trait StoreLocation: fmt::Display + Send + Sync {
    /// Opens the store.
    fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError>;

    /// Returns whether the store exists.
    fn exists(&self) -> bool;

    /// Returns the local file of the store, if it has one.
    fn file(&self) -> Option<&Path>;

    /// Copies a consistent snapshot of the store to a new file, while hosts run.
    async fn backup(&self, file: &Path) -> Result<Backup, AppError>;

    /// Opens the store as the source or the target of a move. A store that does not exist is created if `create` is set.
    async fn open_to_transfer(&self, create: bool) -> Result<Arc<dyn TransferStore>, AppError>;
}

/// The location of a store, such as `sqlite:relation.db`.
#[derive(Clone)]
pub struct StoreUrl(Arc<dyn StoreLocation>);

impl StoreUrl {
    /// Returns the location of an SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(SqliteFile::new(path.into())))
    }

    /// Parses a URL. A relative path is relative to `directory`.
    ///
    /// # Errors
    /// The scheme is unknown, or its kind of store refuses the location.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, String> {
        let parts = text.split_once(':');
        let found = parts.and_then(|(scheme, location)| {
            let kind = KINDS.iter().find(|kind| kind.scheme == scheme)?;
            Some((kind, location))
        });
        match found {
            Some((kind, location)) => (kind.parse)(location, directory),
            None => {
                let forms: Vec<&str> = KINDS.iter().map(|kind| kind.form).collect();
                Err(format!(
                    "a store is named as {}, such as \"sqlite:relation.db\"",
                    forms.join(" or ")
                ))
            }
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// The store cannot be reached or opened, or does not exist and `mode` does not create it.
    pub fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError> {
        self.0.open(mode)
    }

    /// Returns whether the store exists.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Returns the local file of the store, if it has one.
    pub fn file(&self) -> Option<&Path> {
        self.0.file()
    }

    /// Copies a consistent snapshot of the store to a new file, while hosts run.
    ///
    /// # Errors
    /// The store cannot be read, or the file exists or cannot be written.
    pub async fn backup(&self, file: &Path) -> Result<Backup, AppError> {
        self.0.backup(file).await
    }

    /// Opens the store as the source or the target of a move, also while hosts cannot open it. A store that does not
    /// exist is created if `create` is set.
    ///
    /// # Errors
    /// The store cannot be reached or opened, or does not exist.
    pub async fn open_to_transfer(&self, create: bool) -> Result<Arc<dyn TransferStore>, AppError> {
        self.0.open_to_transfer(create).await
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for StoreUrl {}
