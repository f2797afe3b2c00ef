//! A development server, an emulated Webex, an installation and workers, for the tests.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod customer;
pub mod tap;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use relation_app::PluginFile;
use relation_app::config::{Config, TemporalConfig};
use relation_host::clock::{Clock, SystemClock};
use relation_temporal::worker::{self, Parts};
use relation_temporal::{connection, search};
use tempfile::TempDir;
use temporalio_client::Client;
use tokio::process::{Child, Command};
use webex_emulator::{DEFAULT_CLIENT_SECRET, Emulator, Organization};

/// The address to which Webex returns the browser.
pub const REDIRECT: &str = "http://127.0.0.1:8400/callback";
/// The node of customers.
pub const NODE: &str = "sys.Provider.Reseller.Contoso";
/// A generous limit for what waits for a process.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Everything that a test needs, in a directory of its own.
pub struct World {
    pub webex: Emulator,
    /// The organization that consents.
    pub organization: Organization,
    pub client: Client,
    pub parts: Parts,
    server: Child,
    directory: TempDir,
    config: Config,
    port: u16,
    /// The store, as the configuration names it.
    store: String,
}

/// The options of a world.
pub struct WorldOptions {
    /// The store, as the configuration names it.
    pub store: String,
    /// Whether the development server keeps its data in memory; they do not survive a restart of it.
    pub in_memory: bool,
    /// Settings of the development server, as `NAME=VALUE`.
    pub settings: Vec<String>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            store: "sqlite:relation.db".to_owned(),
            in_memory: false,
            settings: Vec::new(),
        }
    }
}

/// The addresses that a process uses.
pub struct Addresses {
    /// The store, as the configuration names it.
    pub store: String,
    /// The Temporal server, without a scheme.
    pub temporal: String,
    /// The emulator, without a scheme.
    pub webex: String,
}

/// Returns the program of the development server, if it is installed.
pub fn server_program() -> Option<PathBuf> {
    let installed = std::env::var_os("RELATION_TEMPORAL_PROGRAMS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = installed.into_iter().chain(std::env::split_paths(&path));
    let found = directories.find_map(|directory| {
        let file = directory.join("temporal");
        file.is_file().then_some(file)
    });
    if found.is_none() {
        assert!(
            std::env::var_os("RELATION_REQUIRE_TEMPORAL").is_none(),
            "the program `temporal` is not installed: `cargo xtask engine temporal test` installs it"
        );
        println!("SKIPPED: the program `temporal` is not installed");
    }
    found
}

/// Returns the program of the time-skipping server, which is installed beside the development server.
pub fn skipping_server_program() -> Option<PathBuf> {
    let program = server_program()?.with_file_name("temporal-test-server");
    if program.is_file() {
        return Some(program);
    }
    println!("SKIPPED: the program `temporal-test-server` is not installed");
    None
}

/// Returns the component that `cargo xtask build` has made.
pub fn component() -> PathBuf {
    let named = std::env::var_os("RELATION_COMPONENT").expect(
        "RELATION_COMPONENT names the component: run the tests by `cargo xtask engine temporal test`",
    );
    PathBuf::from(named)
}

/// Returns the worker that was built beside this program.
fn worker_program() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own file");
    // <target>/<profile>/deps/<test> and <target>/<profile>/examples/<example>
    let profile = own
        .ancestors()
        .nth(2)
        .expect("the program is in the target directory");
    profile.join("relation-temporal")
}

/// Returns a port that nobody uses. It is below those that the system gives to connections, so that none of them takes it
/// before the server does, and no other test of this process gets it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until a check returns a value.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn start_server(program: &Path, port: u16, database: Option<&Path>, settings: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1"]);
    if let Some(database) = database {
        command.arg("--db-filename").arg(database);
    }
    for setting in settings {
        command.args(["--dynamic-config-value", setting]);
    }
    command
        .args(["--port", &port.to_string(), "--log-level", "error"])
        .args([
            "--http-port",
            "0",
            "--metrics-port",
            &free_port().to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the development server starts")
}

fn config_text(webex: &Emulator, addresses: &Addresses) -> String {
    let Addresses {
        store,
        temporal,
        webex: origin,
    } = addresses;
    format!(
        r#"
        store = "{store}"
        [webex]
        base-url = "http://{origin}/v1"
        client-id = "{client_id}"
        client-secret-file = "secret"
        [egress]
        allow = ["http://{origin}"]
        proxies = ["http://proxy.invalid:3128"]
        [dispatch]
        engine = "temporal"
        [temporal]
        address = "http://{temporal}"
        "#,
        client_id = webex.client_id(),
    )
}

impl World {
    /// Starts the servers and creates an installation.
    pub async fn start(program: &Path, webex: webex_emulator::Builder) -> Self {
        Self::start_with(program, webex, WorldOptions::default()).await
    }

    /// Starts like [`World::start`], with options.
    pub async fn start_with(
        program: &Path,
        webex: webex_emulator::Builder,
        options: WorldOptions,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let database = directory.path().join("temporal.db");
        let database = (!options.in_memory).then_some(database.as_path());
        let server = start_server(program, port, database, &options.settings);
        let clock = Arc::new(SystemClock::new());
        Self::with_server(server, port, directory, webex, clock, options.store).await
    }

    /// Starts like [`World::start`], with the time-skipping server, and hosts with this clock.
    pub async fn start_skipping(
        program: &Path,
        webex: webex_emulator::Builder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let server = Command::new(program)
            .args([&port.to_string(), "--enable-time-skipping"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the time-skipping server starts");
        let store = WorldOptions::default().store;
        Self::with_server(server, port, directory, webex, clock, store).await
    }

    async fn with_server(
        server: Child,
        port: u16,
        directory: TempDir,
        webex: webex_emulator::Builder,
        clock: Arc<dyn Clock>,
        store: String,
    ) -> Self {
        let webex = webex.redirect_uri(REDIRECT).start().await.unwrap();
        std::fs::write(directory.path().join("secret"), DEFAULT_CLIENT_SECRET).unwrap();
        let addresses = Addresses {
            store: store.clone(),
            temporal: format!("127.0.0.1:{port}"),
            webex: webex.address().to_string(),
        };
        let file = directory.path().join("relation.toml");
        std::fs::write(&file, config_text(&webex, &addresses)).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        let plugin = || PluginFile {
            file: Some(component()),
            embedded: None,
        };
        let installation = relation_app::Installation {
            config: config.clone(),
            clock: Arc::clone(&clock),
            plugin: plugin(),
        };
        installation.create_store().await.unwrap();
        let parts = worker::open(config.clone(), plugin(), clock).await.unwrap();
        let client = eventually("the server responds", async || {
            connection::connect(&config.temporal).await.ok()
        });
        let client = client.await;
        eventually("the namespace is there", async || {
            search::register(&client).await.ok()
        })
        .await;
        Self {
            organization: webex.create_organization("Contoso"),
            webex,
            client,
            parts,
            server,
            directory,
            config,
            port,
            store,
        }
    }

    /// Starts a worker as a process of its own.
    pub fn worker(&self) -> Child {
        self.worker_with(&self.directory.path().join("relation.toml"))
    }

    /// Starts a worker with a configuration of its own.
    pub fn worker_with(&self, config: &Path) -> Child {
        Command::new(worker_program())
            .arg("--config")
            .arg(config)
            .arg("--plugin")
            .arg(component())
            .args(["worker", "--registered"])
            .env("RELATION_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker starts")
    }

    /// Kills the development server, and starts it again with the same data.
    pub async fn restart_server(&mut self, program: &Path) {
        self.server.kill().await.unwrap();
        let database = self.directory.path().join("temporal.db");
        self.server = start_server(program, self.port, Some(&database), &[]);
    }

    /// Kills the development server. [`World::restart_server`] starts it again.
    pub async fn kill_server(&mut self) {
        self.server.kill().await.unwrap();
    }

    /// The process of the development server.
    pub fn server(&self) -> &Child {
        &self.server
    }

    /// The directory of all files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The addresses of the servers.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            store: self.store.clone(),
            temporal: self.address(),
            webex: self.webex.address().to_string(),
        }
    }

    /// Writes a configuration with these addresses. Returns the file.
    pub fn write_config(&self, name: &str, addresses: &Addresses) -> PathBuf {
        let file = self.directory.path().join(name);
        std::fs::write(&file, config_text(&self.webex, addresses)).unwrap();
        file
    }

    /// The address of the development server, as other SDKs write it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The configuration of the server.
    pub fn temporal(&self) -> &TemporalConfig {
        &self.config.temporal
    }

    /// The task queue of the workers.
    pub fn task_queue(&self) -> &str {
        &self.config.temporal.task_queue
    }
}
