//! PostgreSQL servers for tests.
//!
//! [`Cluster::shared`] is one server for all tests of a process. It ends with the process, also when that is killed.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

mod programs;
mod server;

pub use programs::Programs;
use server::Server;

/// The settings of every server: small, and with room for the connections of many stores.
const SETTINGS: &str = "listen_addresses = ''
max_connections = 400
shared_buffers = 64MB
max_wal_size = 256MB
min_wal_size = 64MB
wal_level = replica
max_wal_senders = 4
autovacuum = on
log_min_messages = warning
logging_collector = off
timezone = 'UTC'
";

/// A PostgreSQL server with a directory of its own, which listens on a Unix socket there.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    directory: TempDir,
    server: parking::Slot<Server>,
    databases: AtomicU32,
}

/// A database of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    url: String,
}

impl Database {
    /// Returns the address, for a superuser without a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Cluster {
    /// Returns the server that all tests of this process share, with `fsync` on. `None`, with a line that says so, when
    /// PostgreSQL is not installed; with `RELATION_REQUIRE_POSTGRES` that is an error.
    pub fn shared() -> Result<Option<&'static Self>> {
        static SHARED: OnceLock<Result<Option<Cluster>, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Self::start("").map_err(|error| format!("{error:#}"))) {
            Ok(cluster) => Ok(cluster.as_ref()),
            Err(error) => Err(anyhow::anyhow!("{error}")),
        }
    }

    /// Starts a server with more settings, as lines of `postgresql.conf`.
    pub fn start(settings: &str) -> Result<Option<Self>> {
        let Some(programs) = Programs::find()? else {
            return Ok(None);
        };
        // The path of a socket may have 107 bytes, so that a long TMPDIR is not used.
        let directory = TempDir::with_prefix_in("pg-", "/tmp")?;
        programs.give(directory.path())?;
        let data = directory.path().join("data");
        let made = programs
            .command("initdb")
            .args([
                "--no-sync",
                "--no-instructions",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--auth=trust", "--username=postgres", "--pgdata"])
            .arg(&data)
            .output()
            .context("initdb")?;
        let errors = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb failed: {errors}");
        let socket = directory.path().display();
        let lines = format!("{SETTINGS}unix_socket_directories = '{socket}'\n{settings}\n");
        let file = data.join("postgresql.auto.conf");
        std::fs::write(file, lines)?;
        let server = Server::start(&programs, directory.path())?;
        Ok(Some(Self {
            programs,
            directory,
            server: parking::Slot::new(Some(server)),
            databases: AtomicU32::new(0),
        }))
    }

    /// Returns the directory of the socket.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates an empty database.
    pub fn database(&self) -> Result<Database> {
        self.create_database("TEMPLATE template0")
    }

    /// Creates a database with the contents of another one, which has no connections.
    pub fn copy_database(&self, original: &Database) -> Result<Database> {
        self.create_database(&format!("TEMPLATE {}", original.name))
    }

    /// Creates a database with options, such as `TEMPLATE template0 LOCALE 'tr_TR.UTF-8'`.
    pub fn create_database(&self, options: &str) -> Result<Database> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.execute("postgres", &format!("CREATE DATABASE {name} {options}"))?;
        Ok(Database {
            url: self.url(&name),
            name,
        })
    }

    /// Returns the address of a database with this name.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory().display().to_string().replace('/', "%2F");
        format!("postgresql://postgres@{directory}/{database}")
    }

    /// Runs statements with psql, and returns the rows as lines.
    pub fn execute(&self, database: &str, statements: &str) -> Result<String> {
        let ran = self
            .programs
            .command("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-h",
            ])
            .arg(self.directory())
            .args(["-d", database, "-c", statements])
            .output()
            .context("psql")?;
        let errors = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "{statements}: {errors}");
        Ok(String::from_utf8_lossy(&ran.stdout).trim_end().to_owned())
    }

    /// Stops the server without a checkpoint, as a crash does; what was committed is in the log.
    pub fn crash(&self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::crash)
    }

    /// Starts the server again.
    pub fn restart(&self) -> Result<()> {
        self.crash()?;
        let server = Server::start(&self.programs, self.directory.path())?;
        self.server.put(server);
        Ok(())
    }
}

mod parking {
    use std::sync::{Mutex, PoisonError};

    /// A value that can be taken and put back.
    #[derive(Debug)]
    pub(super) struct Slot<T>(Mutex<Option<T>>);

    impl<T> Slot<T> {
        pub(super) fn new(value: Option<T>) -> Self {
            Self(Mutex::new(value))
        }

        pub(super) fn take(&self) -> Option<T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
        }

        pub(super) fn put(&self, value: T) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
    }
}
