//! Stores in a PostgreSQL database: `postgres://USER@HOST/DATABASE`.

mod address;
mod server;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relation_host::store::postgres::{
    Inspection, OpenError, PostgresOptions, PostgresStore, ScratchDatabase,
};
use relation_host::store::scratch::ScratchStore;
use relation_host::store::sqlite::Backup;
use relation_host::store::transfer::TransferStore;
use relation_host::store::{Store, StoreError};
use relation_host::types::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use self::address::Address;
use super::{HostInfo, OpenMode, StoreKind, StoreLocation, StoreUrl};
use crate::check::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::error::{MAKE_STORE, explain_mark};
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
/// After this time without a heartbeat, a host probably does not run. Heartbeats come every 5 seconds.
const SILENCE: Duration = Duration::from_secs(30);

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
            OpenMode::Read => PostgresStore::open_to_read(options).await,
            OpenMode::Create => PostgresStore::open(options).await,
            OpenMode::Existing => {
                let found = self.inspect(&options).await?;
                if found.schema_version == 0 {
                    return Err(self.explain(OpenError::Missing));
                }
                let opened = PostgresStore::open(options).await;
                if found.schema_version < found.known_schema_version && opened.is_err() {
                    return Err(self.explain(OpenError::Outdated {
                        found: found.schema_version,
                        known: found.known_schema_version,
                    }));
                }
                opened
            }
        };
        opened.map_err(|error| self.explain(error))
    }

    async fn inspect(&self, options: &PostgresOptions) -> Result<Inspection, AppError> {
        let inspected = PostgresStore::inspect(options).await;
        inspected.map_err(|error| self.explain(error))
    }

    fn options(&self) -> Result<PostgresOptions, AppError> {
        let address = &self.0;
        let options = PostgresOptions::new(address.connection());
        let mut options = options.map_err(|error| self.explain(error))?;
        if let Some(password) = self.password()? {
            options.set_password(password.expose_secret());
        }
        options.prepare = address.prepare;
        if let Some(file) = &address.root_certificates {
            options.set_root_certificates(file);
        }
        options.allow_unsafe_server = address.allow_unsafe_server;
        options.host_name = host_name();
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
        let (kind, reason, hint) = match &error {
            OpenError::Missing => {
                let message =
                    format!("there is no store {url}: the database has no schema `relation`");
                return AppError::new(ErrorKind::NotFound, message).hint(MAKE_STORE);
            }
            OpenError::Store(StoreError::Unavailable(reason)) => (
                ErrorKind::Unavailable,
                reason.clone(),
                "start the server, or correct the URL, the password or the rights; docs/postgres.md describes them",
            ),
            OpenError::Outdated { found, known } => (
                ErrorKind::Problem,
                format!("its schema has version {found} and this release needs {known}"),
                "run `relation-host init` of this release with the role that owns the schema",
            ),
            OpenError::UnsafeServer(name) => (
                ErrorKind::Problem,
                format!("the server has {name} off, so that a crash loses or damages data"),
                "set it to on; for tests, the URL may have the option `allow-unsafe-server=true`",
            ),
            OpenError::Certificates { .. }
            | OpenError::OldServer(_)
            | OpenError::Setting { .. } => (
                ErrorKind::Problem,
                error.to_string(),
                "docs/postgres.md describes what the store needs",
            ),
            OpenError::Scratch => (
                ErrorKind::Problem,
                error.to_string(),
                "use another database; `DROP SCHEMA relation CASCADE` removes a run of tests that was stopped",
            ),
            OpenError::NotScratch => {
                let message = format!("cannot use {url} for tests: {error}");
                return AppError::usage(message)
                    .hint("name a database of its own, which has no store");
            }
            OpenError::Marked(mark) => {
                let message = format!("cannot open the store {url}: {mark}");
                return explain_mark(message, mark);
            }
            _ => (
                ErrorKind::Failed,
                error.to_string(),
                "docs/postgres.md describes what the store needs",
            ),
        };
        let reason = reason
            .strip_prefix("cannot open the store: ")
            .unwrap_or(&reason);
        let message = format!("cannot open the store {url}: {reason}");
        AppError::new(kind, message).hint(hint)
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

    async fn exists(&self) -> bool {
        let inspected = match self.options() {
            Ok(options) => self.inspect(&options).await,
            Err(error) => Err(error),
        };
        inspected.is_ok_and(|found| found.schema_version > 0)
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

    async fn open_to_transfer(&self, create: bool) -> Result<Arc<dyn TransferStore>, AppError> {
        let options = self.options()?;
        if !create && self.inspect(&options).await?.schema_version == 0 {
            return Err(self.explain(OpenError::Missing));
        }
        let opened = PostgresStore::open_to_transfer(options).await;
        Ok(Arc::new(opened.map_err(|error| self.explain(error))?))
    }

    async fn take_for_tests(&self) -> Result<Arc<dyn ScratchStore>, AppError> {
        let taken = ScratchDatabase::take(self.options()?).await;
        Ok(Arc::new(taken.map_err(|error| self.explain(error))?))
    }

    fn has_password(&self) -> bool {
        self.0.password.is_some()
    }

    async fn check_server(&self) -> Result<Vec<CheckFinding>, AppError> {
        let inspection = self.inspect(&self.options()?).await?;
        let mut findings = server::judge(&inspection, &self.0);
        findings.extend(self.check_password_file());
        Ok(findings)
    }

    async fn list_hosts(&self, now: Timestamp) -> Result<Vec<HostInfo>, AppError> {
        let hosts = self.inspect(&self.options()?).await?.hosts;
        let hosts = hosts.into_iter().map(|host| HostInfo {
            name: host.name,
            version: host.version,
            seen: subtract(now, host.seen_ago),
            alive: host.seen_ago < SILENCE,
        });
        Ok(hosts.collect())
    }
}

fn subtract(now: Timestamp, ago: Duration) -> Timestamp {
    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_sub(ago))
}

/// Returns the name of this machine.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variables = ["HOSTNAME", "COMPUTERNAME"].into_iter();
    let variables = variables.filter_map(|variable| std::env::var(variable).ok());
    let mut names = kernel.into_iter().chain(variables);
    let name = names.find(|name| !name.trim().is_empty());
    name.map_or_else(|| "unnamed".to_owned(), |name| name.trim().to_owned())
}
