//! PostgreSQL servers for tests.
//!
//! [`Cluster::shared`] is one server for all tests of a process. It ends with the process, also when that is killed.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

mod address;
mod bouncer;
mod frozen;
mod programs;
mod standby;
mod supervised;

pub use address::free_address;
pub use bouncer::Bouncer;
pub use frozen::Frozen;
pub use programs::Programs;
use supervised::{Supervised, wait_until};

/// The settings of every server: small, and with room for the connections of many stores.
const SETTINGS: &str = "listen_addresses = ''
max_connections = 800
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
    port: u16,
    server: Mutex<Option<Supervised>>,
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

    /// Returns the server without `fsync` that all tests of this process share. It is fast, and its data does not survive a
    /// crash of the machine. `None` as for [`Cluster::shared`].
    pub fn shared_without_fsync() -> Result<Option<&'static Self>> {
        static SHARED: OnceLock<Result<Option<Cluster>, String>> = OnceLock::new();
        let settings = "fsync = off\nfull_page_writes = off";
        match SHARED.get_or_init(|| Self::start(settings).map_err(|error| format!("{error:#}"))) {
            Ok(cluster) => Ok(cluster.as_ref()),
            Err(error) => Err(anyhow::anyhow!("{error}")),
        }
    }

    /// Starts a server with more settings, as lines of `postgresql.conf`.
    pub fn start(settings: &str) -> Result<Option<Self>> {
        Self::start_on(5432, settings)
    }

    /// Starts a server that also listens on a free port of 127.0.0.1 (see [`Cluster::port`]).
    pub fn start_with_tcp(settings: &str) -> Result<Option<Self>> {
        let port = free_address("127.0.0.1")?.port();
        let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\n{settings}");
        Self::start_on(port, &settings)
    }

    fn start_on(port: u16, settings: &str) -> Result<Option<Self>> {
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
        Self::start_in(programs, directory, port, settings).map(Some)
    }

    /// Starts the server whose data is in the directory.
    fn start_in(programs: Programs, directory: TempDir, port: u16, settings: &str) -> Result<Self> {
        let socket = directory.path().display();
        let lines = format!("{SETTINGS}unix_socket_directories = '{socket}'\n{settings}\n");
        let file = directory.path().join("data/postgresql.auto.conf");
        std::fs::write(file, lines)?;
        let cluster = Self {
            programs,
            directory,
            port,
            server: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        cluster.restart()?;
        Ok(cluster)
    }

    /// Returns the directory of the socket.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the port, which is part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
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
        socket_url(self.directory(), self.port, database)
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
            .args(["-p", &self.port.to_string()])
            .args(["-d", database, "-c", statements])
            .output()
            .context("psql")?;
        let errors = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "{statements}: {errors}");
        Ok(String::from_utf8_lossy(&ran.stdout).trim_end().to_owned())
    }

    /// Stops the server without a checkpoint, as a crash does; what was committed is in the log.
    pub fn crash(&self) -> Result<()> {
        let running = self.lock().take();
        running.map_or(Ok(()), |server| server.stop("QUIT"))
    }

    /// Starts the server again.
    pub fn restart(&self) -> Result<()> {
        self.crash()?;
        let directory = self.directory();
        let data = directory.join("data");
        // Left by a server that has crashed.
        let _ = std::fs::remove_file(data.join("postmaster.pid"));
        let server = Supervised::start(
            &self.programs,
            directory,
            &self.programs.path("postgres"),
            &["-D", &data.display().to_string()],
            "QUIT",
        )?;
        wait_until(directory, || is_ready(&data))?;
        *self.lock() = Some(server);
        Ok(())
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    fn lock(&self) -> MutexGuard<'_, Option<Supervised>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a server accepts connections. A standby accepts some when it is ready.
fn is_ready(data: &Path) -> bool {
    let state = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    state
        .lines()
        .nth(7)
        .is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
}

/// Returns the address of a database behind a Unix socket.
pub(crate) fn socket_url(directory: &Path, port: u16, database: &str) -> String {
    let directory = directory.display().to_string().replace('/', "%2F");
    format!("postgresql://postgres@{directory}:{port}/{database}")
}
