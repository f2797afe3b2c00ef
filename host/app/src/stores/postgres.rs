//! Stores in a PostgreSQL database: `postgres://USER@HOST/DATABASE`.

mod address;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::postgres::{OpenError, PostgresOptions, PostgresStore};
use relation_host::store::sqlite::Backup;
use relation_host::store::{Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

use self::address::Address;
use super::{HostInfo, OpenMode, StoreKind, StoreLocation, StoreUrl};
use crate::check::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::{AppError, ErrorKind, quote_for_shell, secret_text};

/// Stores in a PostgreSQL database.
pub(super) const KIND: StoreKind = StoreKind {
    schemes: &["postgres", "postgresql"],
    form: "postgres://USER@HOST/DATABASE",
    parse,
};

/// The password of the database, in errors.
const PASSWORD: &str = "the password of the store (password-file)";
/// The variable with the password, as for other clients of PostgreSQL.
const PASSWORD_VARIABLE: &str = "PGPASSWORD";

fn parse(location: &str, directory: &Path) -> Result<StoreUrl, String> {
    let address = Address::parse(location, directory).map_err(|errors| errors.join("; "))?;
    Ok(StoreUrl(Arc::new(PostgresDatabase(address))))
}

/// The database of a store.
struct PostgresDatabase(Address);

impl fmt::Display for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PostgresDatabase {
    async fn connect(&self, mode: OpenMode) -> Result<PostgresStore, AppError> {
        let options = self.options()?;
        let opened = match mode {
            // TEMP
            OpenMode::Read | OpenMode::Existing | OpenMode::Create => {
                PostgresStore::open(options).await
            }
        };
        opened.map_err(|error| self.explain(error))
    }

    fn options(&self) -> Result<PostgresOptions, AppError> {
        let address = &self.0;
        let options = PostgresOptions::new(address.connection());
        let mut options = options.map_err(|error| self.explain(error))?;
        if let Some(password) = self.password()? {
            options.set_password(password.expose_secret());
        }
        options.prepare = address.prepare;
        options.allow_unsafe_server = address.allow_unsafe_server;
        Ok(options)
    }

    /// Returns the password of the file, of the URL, or of the environment.
    fn password(&self) -> Result<Option<SecretString>, AppError> {
        if let Some(file) = &self.0.password_file {
            let read = secret_text::read_line_of_file(file, PASSWORD);
            return read.map(Some).map_err(|error| AppError {
                kind: ErrorKind::Problem,
                ..error
            });
        }
        let given = self.0.password.clone();
        let variable = std::env::var(PASSWORD_VARIABLE).ok();
        let variable = variable.filter(|password| !password.is_empty());
        Ok(given.or(variable.map(SecretString::from)))
    }

    /// Names the store in an error, and the next step.
    fn explain(&self, error: OpenError) -> AppError {
        let url = &self.0;
        match error {
            OpenError::Store(StoreError::Unavailable(reason)) => AppError::new(
                ErrorKind::Unavailable,
                format!("cannot open the store {url}: {reason}"),
            )
            .hint("`relation-host check` tests the way to the database; docs/postgres.md describes the URL and the roles"),
            other => AppError::new(
                ErrorKind::Failed,
                format!("cannot open the store {url}: {other}"),
            ),
        }
    }

    /// Warns of a file with the password that others can read.
    fn check_password_file(&self) -> Option<CheckFinding> {
        let file = self.0.password_file.as_ref()?;
        is_open_to_others(file).then(|| {
            let message = "others on this machine can read the password of the store";
            let hint = format!("chmod 600 {}", quote_for_shell(&file.to_string_lossy()));
            CheckFinding::warning("store", message, hint)
        })
    }
}

#[async_trait]
impl StoreLocation for PostgresDatabase {
    async fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, AppError> {
        Ok(Arc::new(self.connect(mode).await?))
    }

    /// A store that is there and cannot be opened, such as one of a former release, exists.
    async fn exists(&self) -> bool {
        match self.connect(OpenMode::Read).await {
            Ok(_) => true,
            Err(error) => !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unavailable),
        }
    }

    fn file(&self) -> Option<&Path> {
        None
    }

    async fn backup(&self, file: &Path) -> Result<Backup, AppError> {
        let file = quote_for_shell(&file.to_string_lossy());
        let database = quote_for_shell(self.0.connection());
        let message = format!("the store {} is not copied by this command", self.0);
        Err(AppError::usage(message).hint(format!(
            "`pg_dump --format=custom --schema=relation --file={file} {database}` copies it while hosts run, and \
             point-in-time recovery loses less; the key is not in either: keep a copy of it somewhere else"
        )))
    }

    fn has_password(&self) -> bool {
        self.0.password.is_some()
    }

    async fn check_server(&self) -> Result<Vec<CheckFinding>, AppError> {
        Ok(self.check_password_file().into_iter().collect())
    }

    async fn list_hosts(&self) -> Result<Vec<HostInfo>, AppError> {
        Ok(Vec::new())
    }
}
