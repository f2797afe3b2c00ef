//! Builds a harness.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_host::clock::ManualClock;
use relation_host::component::{ComponentCache, Plugin};
use relation_host::egress::{PolicyError, Transport};
use relation_host::imports::Interceptor;
use relation_host::store::StoreError;
use relation_host::store::scratch::ScratchStore;
use relation_host::store::seal::SealError;
use relation_host::store::sqlite::OpenError;
use relation_host::types::Timestamp;
use relation_host::{BuildError, ComponentSource, Limits, NodeSettings};
use secrecy::{ExposeSecret, SecretString};

use super::transport::HttpBackend;
use super::{Harness, HarnessConfig};
use crate::redaction::Redactor;
use crate::script::{Playback, Script};

/// The default start of the clock: 2026-01-01T00:00:00Z.
pub const START_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// The origins that are allowed by default, besides those of the script: Webex, and Contact Center in each region.
pub(crate) const WEBEX_ORIGINS: [&str; 8] = [
    "https://webexapis.com",
    "https://api.wxcc-us1.cisco.com",
    "https://api.wxcc-anz1.cisco.com",
    "https://api.wxcc-eu1.cisco.com",
    "https://api.wxcc-eu2.cisco.com",
    "https://api.wxcc-jp1.cisco.com",
    "https://api.wxcc-ca1.cisco.com",
    "https://api.wxcc-sg1.cisco.com",
];

/// The store of a harness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: fast, and can be forked.
    #[default]
    Memory,
    /// A SQLite database in a temporary directory; each host opens it like another process.
    Sqlite,
}

/// The source of HTTP responses. Requests are never sent over a network.
pub enum Http {
    /// A script.
    Script(Script),
    /// Any other transport, such as an emulator.
    Transport(Arc<dyn Transport>),
}

/// The reason why a harness, or one of its hosts, could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The component does not fit, or the host could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The temporary directory, or a file in it, cannot be used.
    #[error("cannot use a temporary directory: {0}")]
    Directory(#[from] std::io::Error),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The secrets could not be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The list of allowed origins is invalid.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The harness cannot be copied.
    #[error("cannot fork a harness {0}")]
    Fork(&'static str),
}

/// A builder of a [`Harness`].
pub struct HarnessBuilder {
    component: ComponentSource,
    clock: Arc<ManualClock>,
    seed: u64,
    store: StoreKind,
    scratch: Option<Arc<dyn ScratchStore>>,
    settings: BTreeMap<String, String>,
    secrets: BTreeMap<String, SecretString>,
    node_settings: Option<Arc<dyn NodeSettings>>,
    limits: Limits,
    http: Http,
    allow: Option<Vec<String>>,
    interceptor: Option<Arc<dyn Interceptor>>,
    leases: bool,
    component_cache: Option<ComponentCache>,
}

impl HarnessBuilder {
    pub(super) fn new(component: ComponentSource) -> Self {
        Self {
            component,
            clock: Arc::new(ManualClock::new(START_TIME)),
            seed: 0,
            store: StoreKind::default(),
            scratch: None,
            settings: BTreeMap::new(),
            secrets: BTreeMap::new(),
            node_settings: None,
            limits: Limits::default(),
            http: Http::Script(Script::default()),
            allow: None,
            interceptor: None,
            leases: true,
            component_cache: None,
        }
    }

    /// Sets the clock, which an emulator can share ([`crate::emulated::emulator_clock`]). The default shows
    /// [`START_TIME`]. Only [`Harness::advance`] moves the clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the seed of all randomness; the default is 0. The same seed gives the same run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the kind of store; the default is in memory.
    #[must_use]
    pub fn store(mut self, kind: StoreKind) -> Self {
        self.store = kind;
        self
    }

    /// Sets another store, in place of a kind of store. The harness removes its data at the start, and uses it alone.
    #[must_use]
    pub fn scratch_store(mut self, store: Arc<dyn ScratchStore>) -> Self {
        self.scratch = Some(store);
        self
    }

    /// Adds a plain setting of the plugin.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Adds a secret setting of the plugin.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }

    /// Sets the source of plain settings that differ from node to node.
    #[must_use]
    pub fn node_settings(mut self, source: Arc<dyn NodeSettings>) -> Self {
        self.node_settings = Some(source);
        self
    }

    /// Sets the limits of a call. A component that is loaded already keeps its own.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the source of HTTP responses. The default is an empty script, which expects no request.
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    /// Sets the allowed origins, as in `egress.allow`. The default is `https://webexapis.com` and the origins
    /// of the script.
    #[must_use]
    pub fn allow(mut self, entries: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow = Some(entries.into_iter().map(Into::into).collect());
        self
    }

    /// Installs an interceptor for the imports of every call.
    #[must_use]
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }

    /// Sets whether leases separate calls on one record; the default is true. Without leases every claim is
    /// granted and no commit is fenced, which no real host may do. Use it only to show that a test finds the
    /// races that leases prevent.
    #[must_use]
    pub fn leases(mut self, on: bool) -> Self {
        self.leases = on;
        self
    }

    /// Caches the compiled component for later processes. By default nothing is written. Harnesses of one
    /// process always share compiled components.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.component_cache = Some(cache);
        self
    }

    /// Compiles the component, unless this process has compiled it before, and starts a host.
    pub async fn start(self) -> Result<Harness, StartError> {
        let plugin = load_plugin(self.component, &self.limits, self.component_cache.as_ref())?;
        let redactor = Redactor::default();
        for secret in self.secrets.values() {
            redactor.learn(secret.expose_secret());
        }
        let allow = self.allow.unwrap_or_else(|| {
            let mut allow = match &self.http {
                Http::Script(script) => script.origins(),
                Http::Transport(_) => Vec::new(),
            };
            allow.extend(WEBEX_ORIGINS.map(str::to_owned));
            allow
        });
        let backend = match self.http {
            Http::Script(script) => HttpBackend::Script(Mutex::new(Playback::new(script))),
            Http::Transport(transport) => HttpBackend::Transport(transport),
        };
        let config = HarnessConfig {
            plugin,
            settings: self.settings,
            secrets: self.secrets,
            node_settings: self.node_settings,
            allow,
            interceptor: self.interceptor,
            leases: self.leases,
            store: self.store,
            scratch: self.scratch,
            seed: self.seed,
        };
        Harness::start_empty(config, self.clock, redactor, backend).await
    }
}

/// The number of compiled components that a process keeps, more than any run alternates between.
const MAX_LOADED: usize = 8;

/// Loads a plugin once for all harnesses of this process with these limits.
pub(crate) fn load_plugin(
    source: ComponentSource,
    limits: &Limits,
    cache: Option<&ComponentCache>,
) -> Result<Plugin, BuildError> {
    static LOADED: Mutex<Vec<(Vec<u8>, Plugin)>> = Mutex::new(Vec::new());
    let bytes = match source {
        ComponentSource::Loaded(plugin) => return Ok(*plugin),
        ComponentSource::Bytes(bytes) => bytes,
        ComponentSource::File(path) => {
            std::fs::read(&path).map_err(|error| BuildError::Unreadable { path, error })?
        }
    };
    let mut loaded = LOADED.lock();
    let known = loaded
        .iter()
        .find(|(known, plugin)| *known == bytes && plugin.limits() == limits);
    if let Some((_, plugin)) = known {
        return Ok(plugin.clone());
    }
    let plugin = Plugin::load_with(&bytes, [], limits.clone(), cache)?;
    if loaded.len() >= MAX_LOADED {
        loaded.remove(0);
    }
    loaded.push((bytes, plugin.clone()));
    Ok(plugin)
}
