//! The environment of the demo: an emulated Webex, a database and its key in a temporary directory, the host,
//! and the clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relation_app::config::Config;
use relation_app::notices::Notices;
use relation_app::{AppError, CLIENT_SECRET, ErrorKind, OpenMode, StoreUrl, open_component_cache};
use relation_host::clock::{Clock, ManualClock, SystemClock};
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::schedule::{DispatchSummary, Dispatcher, DispatcherOptions};
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::types::Timestamp;
use relation_host::{ComponentSource, Host};
use secrecy::SecretString;
use tempfile::TempDir;
use webex_emulator::{DEFAULT_CLIENT_SECRET, Emulator};

use super::consent::REDIRECT;
use crate::GlobalArgs;
use crate::context;

/// The thresholds of expiry alerts, in days before the expiry. The last is the platform's default.
pub const THRESHOLDS: [u64; 4] = [30, 14, 7, 2];

/// Returns a duration of whole days.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// The parameters of an environment.
pub struct Setup {
    /// The simulated time at the start.
    pub at: Timestamp,
    /// The redirect address that is registered at Webex.
    pub redirect: String,
    /// The thresholds of expiry alerts, in days before the expiry.
    pub thresholds: &'static [u64],
    /// Whether the host routes notices.
    pub notices: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            at: SystemClock::new().now(),
            redirect: REDIRECT.to_owned(),
            thresholds: &THRESHOLDS,
            notices: false,
        }
    }
}

/// The environment of the demo.
pub struct Environment {
    /// The real time at which the demo started.
    pub started: Instant,
    /// The emulated Webex.
    pub webex: Emulator,
    /// The clock of the emulator, the host and the component.
    pub clock: Arc<ManualClock>,
    /// The host with the component.
    pub host: Host,
    /// The notices of the host. No channel is configured, so that nothing leaves the demo.
    pub notices: Notices,
    /// The dispatcher of the host's wakeups.
    pub dispatcher: Dispatcher,
    directory: TempDir,
}

impl Environment {
    /// Sets up the environment with the component of `--plugin` or the embedded one.
    pub async fn start(global: &GlobalArgs, setup: &Setup) -> Result<Self, AppError> {
        let started = Instant::now();
        let (_, component) = context::plugin_file(global.plugin.as_deref()).read()?;
        let clock = Arc::new(ManualClock::new(setup.at));
        let directory = tempfile::Builder::new()
            .prefix("relation-demo-")
            .tempdir()
            .map_err(|error| setup_error("cannot create a directory for the demo", error))?;

        let emulated = Arc::clone(&clock);
        let webex = Emulator::builder()
            .clock(Arc::new(move || emulated.now().0))
            .redirect_uri(&setup.redirect)
            .start()
            .await
            .map_err(|error| setup_error("cannot start the emulated Webex", error))?;

        let store = StoreUrl::sqlite(database(&directory));
        let store = store.open(OpenMode::Create).await?;
        let keys = KeyFile::new(key_file(&directory));
        let sealer = Sealer::open(store.as_ref(), keys, clock.now()).await?;
        let sealer = Arc::new(sealer);
        let settings = settings(&webex, setup);
        let mut config = Config::without_file(directory.path());
        config.settings = settings.clone();
        let notices = Notices::new(&config, Arc::clone(&store), Arc::clone(&sealer));
        let mut host = Host::builder();
        if setup.notices {
            host = notices.configure(host);
        }
        host = host
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(store)
            .sealer(sealer)
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .settings(settings)
            .secret_setting(CLIENT_SECRET, SecretString::from(DEFAULT_CLIENT_SECRET))
            .egress(egress(&webex)?)
            .stash(directory.path().join("relation.db-stash"));
        if let Some(cache) = open_component_cache(global.config.as_deref()) {
            host = host.component_cache(cache);
        }
        let host = host.build().await?;
        Ok(Self {
            started,
            dispatcher: host.dispatcher(DispatcherOptions::default()),
            webex,
            clock,
            host,
            notices,
            directory,
        })
    }

    /// Returns the simulated time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the time to `until`, and runs everything that becomes due.
    pub async fn advance_until(&self, until: Timestamp) -> Result<DispatchSummary, AppError> {
        Ok(self.dispatcher.run_through(&self.clock, until).await?)
    }

    /// Advances the time by `span`.
    pub async fn advance(&self, span: Duration) -> Result<DispatchSummary, AppError> {
        self.advance_until(self.now().after(span)).await
    }

    /// Returns the path of the database.
    pub fn database(&self) -> PathBuf {
        database(&self.directory)
    }

    /// Returns the path of the key file.
    pub fn key_file(&self) -> PathBuf {
        key_file(&self.directory)
    }

    /// Returns the number of requests to the token endpoint.
    pub fn token_requests(&self) -> usize {
        let requests = self.webex.requests();
        let to_tokens = |path: &str| path == "/v1/access_token";
        requests
            .iter()
            .filter(|request| to_tokens(&request.path))
            .count()
    }
}

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("relation.db")
}

fn key_file(directory: &TempDir) -> PathBuf {
    directory.path().join("relation.key")
}

/// The regions of Contact Center, and their names at the emulator.
const REGIONS: [(&str, &str); 7] = [
    ("US", "us1"),
    ("ANZ", "anz1"),
    ("UK", "eu1"),
    ("EU", "eu2"),
    ("Japan", "jp1"),
    ("Canada", "ca1"),
    ("Singapore", "sg1"),
];

fn settings(webex: &Emulator, setup: &Setup) -> BTreeMap<String, String> {
    let thresholds = setup.thresholds.iter();
    let thresholds: Vec<_> = thresholds.map(|days| format!("{days}d")).collect();
    let root = format!("http://{}/contact-center", webex.address());
    let regions = REGIONS.map(|(region, name)| format!("{region}={root}/{name}"));
    [
        ("webex.base-url", webex.base_url()),
        ("webex.client-id", webex.client_id().to_owned()),
        ("webex.contact-center-urls", regions.join(" ")),
        ("expiry.thresholds", thresholds.join(",")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Creates a client that only reaches the emulator. The policy names the emulator's address, since the address is not
/// public.
fn egress(webex: &Emulator) -> Result<Client, AppError> {
    let origin = format!("http://{}", webex.address());
    let policy = Policy::parse(&[origin])
        .map_err(|error| setup_error("cannot allow egress to the emulator", error))?;
    Client::new(policy, ClientOptions::default())
        .map_err(|error| setup_error("cannot create the HTTP client", error))
}

fn setup_error(what: &str, error: impl std::fmt::Display) -> AppError {
    AppError::new(ErrorKind::Failed, format!("{what}: {error}"))
}
