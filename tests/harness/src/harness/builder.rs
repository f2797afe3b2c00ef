//! Puts a harness together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use relation_host::component::{ComponentCache, Plugin};
use relation_host::egress::{PolicyError, Transport};
use relation_host::imports::Interceptor;
use relation_host::schedule::clock::ManualClock;
use relation_host::store::StoreError;
use relation_host::store::seal::SealError;
use relation_host::store::sqlite::OpenError;
use relation_host::types::Timestamp;
use relation_host::{BuildError, ComponentSource, Limits};
use secrecy::{ExposeSecret, SecretString};

use super::web::Carrier;
use super::{Harness, Parts};
use crate::redaction::Redactor;
use crate::script::{Playing, Script};

/// When every harness begins that is told nothing else: 2026-01-01T00:00:00Z.
pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// What may be reached besides the addresses of a script, when nothing else is said.
pub(crate) const WEBEX: &str = "https://webexapis.com";

/// Where a harness keeps what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: quick, and can be forked.
    #[default]
    Memory,
    /// In a SQLite database in a temporary directory; each host opens it as another process would.
    Sqlite,
}

/// Who answers HTTP requests. Nothing is sent over a network.
pub enum Http {
    /// A script, and nothing else.
    Script(Script),
    /// Anything else, such as an emulator.
    Transport(Arc<dyn Transport>),
}

/// Why a harness, or a host of it, could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The component does not fit, or what is left could not be resolved.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The temporary directory, or a file in it.
    #[error("cannot use a temporary directory: {0}")]
    Directory(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The secrets.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What may be reached.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be copied.
    #[error("cannot fork a harness {0}")]
    Fork(&'static str),
}

/// Collects the parts of a [`Harness`].
pub struct HarnessBuilder {
    component: ComponentSource,
    clock: Arc<ManualClock>,
    seed: u64,
    store: StoreKind,
    settings: BTreeMap<String, String>,
    secrets: BTreeMap<String, SecretString>,
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
            clock: Arc::new(ManualClock::new(BEGINNING)),
            seed: 0,
            store: StoreKind::default(),
            settings: BTreeMap::new(),
            secrets: BTreeMap::new(),
            limits: Limits::default(),
            http: Http::Script(Script::default()),
            allow: None,
            interceptor: None,
            leases: true,
            component_cache: None,
        }
    }

    /// The clock, which an emulator may go by as well ([`crate::emulated::time_of`]); one that shows
    /// [`BEGINNING`] when not given. It stands still until [`Harness::advance`] moves it.
    #[must_use]
    pub fn clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where all randomness comes from; 0 when not given. The same seed gives the same run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Where things are stored; in memory when not given.
    #[must_use]
    pub fn store(mut self, kind: StoreKind) -> Self {
        self.store = kind;
        self
    }

    /// A plain setting of the plugin.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// A secret setting of the plugin.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.secrets.insert(name.into(), value);
        self
    }

    /// The bounds of a call. A component that is loaded already keeps its own.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who answers HTTP requests; an empty script, which expects none, when not given.
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    /// What may be reached, as `egress.allow` says it; `https://webexapis.com` and the addresses of the
    /// script when not given.
    #[must_use]
    pub fn allow(mut self, entries: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow = Some(entries.into_iter().map(Into::into).collect());
        self
    }

    /// Lets somebody look on at the imports of every call, and step in.
    #[must_use]
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }

    /// Whether leases keep calls on one record apart, which they do when this is not given. Without
    /// them every claim is granted and no commit is fenced, which no host may do: for showing that a
    /// test finds the races that leases prevent, and for nothing else.
    #[must_use]
    pub fn leases(mut self, on: bool) -> Self {
        self.leases = on;
        self
    }

    /// Where the compiled component is kept for the next process; nowhere when not given, for a test writes
    /// nothing that it was not told to. Harnesses of one process share what was compiled in any case.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.component_cache = Some(cache);
        self
    }

    /// Compiles the component, unless a harness of this process has, and starts a host.
    pub async fn start(self) -> Result<Harness, StartError> {
        let plugin = loaded(self.component, &self.limits, self.component_cache.as_ref())?;
        let redactor = Redactor::default();
        for secret in self.secrets.values() {
            redactor.learn(secret.expose_secret());
        }
        let allow = self.allow.unwrap_or_else(|| {
            let mut allow = match &self.http {
                Http::Script(script) => script.origins(),
                Http::Transport(_) => Vec::new(),
            };
            allow.push(WEBEX.to_owned());
            allow
        });
        let carrier = match self.http {
            Http::Script(script) => Carrier::Script(Mutex::new(Playing::new(script))),
            Http::Transport(transport) => Carrier::Transport(transport),
        };
        let parts = Parts {
            plugin,
            settings: self.settings,
            secrets: self.secrets,
            allow,
            interceptor: self.interceptor,
            leases: self.leases,
            store: self.store,
            seed: self.seed,
        };
        Harness::begin(parts, self.clock, redactor, carrier).await
    }
}

/// How many compiled components a process keeps, the latest ones: more than any run alternates between.
const KEPT: usize = 8;

/// The plugin, compiled once for all harnesses of this process that have these limits.
pub(crate) fn loaded(
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
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = loaded
        .iter()
        .find(|(known, plugin)| *known == bytes && plugin.limits() == limits);
    if let Some((_, plugin)) = known {
        return Ok(plugin.clone());
    }
    let plugin = Plugin::load_with(&bytes, [], limits.clone(), cache)?;
    if loaded.len() >= KEPT {
        loaded.remove(0);
    }
    loaded.push((bytes, plugin.clone()));
    Ok(plugin)
}
