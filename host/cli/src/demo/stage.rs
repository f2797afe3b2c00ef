//! Where the demo plays: an emulated Webex, a database and its key in a directory of their own, the
//! host on top, and the clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::schedule::clock::{Clock, ManualClock, SystemClock};
use relation_host::schedule::dispatcher::{Dispatcher, DispatcherOptions, Summary};
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::types::Timestamp;
use relation_host::{ComponentSource, Host};
use secrecy::SecretString;
use tempfile::TempDir;
use webex_emulator::{DEFAULT_CLIENT_SECRET, Emulator};

use super::consent::REDIRECT;
use crate::Global;
use crate::config::StoreUrl;
use crate::failure::{Failed, Kind};
use crate::session;

/// When the demo warns of an expiry, in days before it; the last is the platform's default.
pub const THRESHOLDS: [u64; 4] = [30, 14, 7, 2];

/// Whole days.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// Everything that plays a part.
pub struct Stage {
    /// When the curtain rose, in real time.
    pub opened: Instant,
    /// The emulated Webex.
    pub webex: Emulator,
    /// The time, for the emulator, the host and the component alike.
    pub clock: Arc<ManualClock>,
    /// The host with the component.
    pub host: Host,
    dispatcher: Dispatcher,
    directory: TempDir,
}

impl Stage {
    /// Sets everything up; the component is that of `--plugin`, or else the carried one.
    pub async fn set(global: &Global) -> Result<Self, Failed> {
        let opened = Instant::now();
        let (_, component) = session::component_bytes(global.plugin.as_deref())?;
        let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
        let directory = tempfile::Builder::new()
            .prefix("relation-demo-")
            .tempdir()
            .map_err(|error| broken("cannot make a directory for the demo", error))?;

        let emulated = Arc::clone(&clock);
        let webex = Emulator::builder()
            .clock(Arc::new(move || emulated.now().0))
            .redirect_uri(REDIRECT)
            .start()
            .await
            .map_err(|error| broken("cannot start the emulated Webex", error))?;

        let store = session::open_store(&StoreUrl::Sqlite(database(&directory)))?;
        let keys = KeyFile::new(key_file(&directory));
        let sealer = Sealer::open(store.as_ref(), keys, clock.now()).await?;
        let mut host = Host::builder()
            .component(ComponentSource::Bytes(component.into_owned()))
            .store(store)
            .sealer(Arc::new(sealer))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .settings(settings(&webex))
            .secret_setting(
                session::CLIENT_SECRET,
                SecretString::from(DEFAULT_CLIENT_SECRET),
            )
            .egress(egress(&webex)?)
            .stash(directory.path().join("relation.db-stash"));
        if let Some(cache) = session::component_cache(global) {
            host = host.component_cache(cache);
        }
        let host = host.build().await?;
        Ok(Self {
            opened,
            dispatcher: host.dispatcher(DispatcherOptions::default()),
            webex,
            clock,
            host,
            directory,
        })
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass until `until`, and everything happen that is due on the way.
    pub async fn pass_until(&self, until: Timestamp) -> Result<Summary, Failed> {
        Ok(self.dispatcher.run_through(&self.clock, until).await?)
    }

    /// Lets this much time pass.
    pub async fn pass(&self, span: Duration) -> Result<Summary, Failed> {
        self.pass_until(self.now().after(span)).await
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        database(&self.directory)
    }

    /// The file of its key.
    pub fn key_file(&self) -> PathBuf {
        key_file(&self.directory)
    }

    /// How many requests the token endpoint got.
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

fn settings(webex: &Emulator) -> BTreeMap<String, String> {
    let thresholds = THRESHOLDS.map(|days| format!("{days}d")).join(",");
    [
        ("webex.base-url", webex.base_url()),
        ("webex.client-id", webex.client_id().to_owned()),
        ("expiry.thresholds", thresholds),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Only the emulator may be reached; it is listed by its address, which is not a public one.
fn egress(webex: &Emulator) -> Result<Client, Failed> {
    let origin = format!("http://{}", webex.address());
    let policy = Policy::parse(&[origin])
        .map_err(|error| broken("cannot allow the way to the emulator", error))?;
    Client::new(policy, ClientOptions::default())
        .map_err(|error| broken("cannot make the way to the emulator", error))
}

fn broken(what: &str, error: impl std::fmt::Display) -> Failed {
    Failed::new(Kind::Failed, format!("{what}: {error}"))
}
