//! Stores by URL: the scheme selects the kind of store.
//!
//! A further kind is a file with a [`StoreLocation`], and an entry in [`KINDS`].

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::Store;
use relation_host::store::scratch::ScratchStore;
use relation_host::store::sqlite::Backup;
use relation_host::store::transfer::TransferStore;
use relation_host::types::Timestamp;
use serde::Serialize;

use self::sqlite::SqliteFile;
use crate::AppError;
use crate::check::CheckFinding;

/// Every kind of store that a URL can name.
const KINDS: &[StoreKind] = &[
    sqlite::KIND,
    #[cfg(feature = "postgres")]
    postgres::KIND,
];

/// A kind of store.
struct StoreKind {
    /// The schemes of its URLs, without the colon.
    schemes: &'static [&'static str],
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
    async fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError>;

    /// Returns whether the store exists. One that cannot be reached does not count.
    async fn exists(&self) -> bool;

    /// Returns the local file of the store, if it has one.
    fn file(&self) -> Option<&Path>;

    /// Copies a consistent snapshot of the store to a new file, while hosts run.
    async fn backup(&self, file: &Path) -> Result<Backup, AppError>;

    /// Opens the store as the source or the target of a move. A store that does not exist is created if `create` is set.
    async fn open_to_transfer(&self, create: bool) -> Result<Arc<dyn TransferStore>, AppError>;

    /// Takes the place of the store for tests, which remove all data there.
    async fn take_for_tests(&self) -> Result<Arc<dyn ScratchStore>, AppError>;

    /// Returns whether the URL contains a password.
    fn has_password(&self) -> bool {
        false
    }

    /// Checks the server of the store, which must exist.
    async fn check_server(&self) -> Result<Vec<CheckFinding>, AppError> {
        Ok(Vec::new())
    }

    /// Lists the hosts that use the store, if it has a list of them. The times are by the clock of `now`.
    async fn list_hosts(&self, _now: Timestamp) -> Result<Vec<HostInfo>, AppError> {
        Ok(Vec::new())
    }
}

/// A host that uses a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostInfo {
    /// The name of its machine.
    pub name: String,
    /// Its release.
    pub version: String,
    /// When the host was last seen.
    pub seen: Timestamp,
    /// Whether the host still runs, as far as the store can tell.
    pub alive: bool,
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
            let kind = KINDS.iter().find(|kind| kind.schemes.contains(&scheme))?;
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
    pub async fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError> {
        self.0.open(mode).await
    }

    /// Returns whether the store exists. One that cannot be reached does not count.
    pub async fn exists(&self) -> bool {
        self.0.exists().await
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

    /// Takes the place of the store for tests, which remove all data there.
    ///
    /// # Errors
    /// There is a store that was not made for tests, or none can be made.
    pub async fn take_for_tests(&self) -> Result<Arc<dyn ScratchStore>, AppError> {
        self.0.take_for_tests().await
    }

    /// Returns whether the URL contains a password.
    pub fn has_password(&self) -> bool {
        self.0.has_password()
    }

    /// Checks the server of the store, which must exist. A store in a file has none.
    ///
    /// # Errors
    /// The store cannot be reached or opened.
    pub async fn check_server(&self) -> Result<Vec<CheckFinding>, AppError> {
        self.0.check_server().await
    }

    /// Lists the hosts that use the store. A store in a file has no list.
    ///
    /// # Errors
    /// The store cannot be reached or opened.
    pub async fn list_hosts(&self, now: Timestamp) -> Result<Vec<HostInfo>, AppError> {
        self.0.list_hosts(now).await
    }
}

/// Removes a possible password from a text that may not be a valid URL, for errors and hints.
pub fn hide_password(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    // A password may itself contain an `@` that should have been encoded.
    if let Some((before, after)) = shown.rsplit_once('@')
        && let Some(start) = before.find("//").map(|start| start + 2)
        && let Some((user, _)) = before.get(start..).and_then(|login| login.split_once(':'))
    {
        let scheme = before.get(..start).unwrap_or_default();
        shown = Cow::Owned(format!("{scheme}{user}:***@{after}"));
    }
    let Some(start) = shown.to_lowercase().find("password=") else {
        return shown;
    };
    let start = start + "password=".len();
    let end = shown.get(start..).and_then(|rest| rest.find('&'));
    let end = end.map_or(shown.len(), |end| start + end);
    let (before, after) = (shown.get(..start), shown.get(end..));
    Cow::Owned(format!(
        "{}***{}",
        before.unwrap_or_default(),
        after.unwrap_or_default()
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_hidden_in_every_text() {
        for text in [
            "postgres://relation:canary@h/d",
            "postgre://relation:can@ary@h/d",
            "postgres://relation:can/ary?x@h/d",
            "postgres://:canary@h/d",
            "postgres://h/d?password=canary",
            "postgres://h/d?Password=canary&sslmode=disable",
            "postgres://u:canary@h/d?password=canary&sslmode=disable",
            "host=h user=u password=canary dbname=d",
        ] {
            let shown = hide_password(text);
            assert!(!shown.contains("can") && !shown.contains("ary"), "{shown}");
            assert!(shown.contains("***"), "{shown}");
        }
        for text in [
            "sqlite:relation.db",
            "sqlite:C:/a@b/relation.db",
            "postgres://relation@h:5432/d?password-file=f",
            "postgres://h:5432/d",
        ] {
            assert_eq!(hide_password(text), text);
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn every_kind_has_its_schemes() {
        let parse = |text: &str| StoreUrl::parse(text, Path::new("etc")).unwrap();
        assert_eq!(parse("sqlite:a.db").file(), Some(Path::new("etc/a.db")));
        for scheme in ["postgres", "postgresql"] {
            let url = parse(&format!("{scheme}://relation:canary@h/d"));
            assert_eq!(url.to_string(), "postgres://relation@h/d");
            assert_eq!(format!("{url:?}"), url.to_string());
            assert_eq!(url.file(), None);
            assert!(url.has_password());
        }
        let unknown = StoreUrl::parse("postgre://u:canary@h/d", Path::new("etc")).unwrap_err();
        assert!(
            unknown.contains("sqlite:PATH or postgres://USER@HOST/DATABASE"),
            "{unknown}"
        );
        assert!(!unknown.contains("canary"), "{unknown}");
    }
}
