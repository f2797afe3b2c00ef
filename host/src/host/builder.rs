//! Puts a host together and says what is missing or does not fit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use secrecy::SecretString;

use super::housekeeping::{Housekeeping, Retention};
use super::turns::Turns;
use super::{Host, Parts};
use crate::component::{ComponentCache, GuestError, Plugin};
use crate::egress::Client;
use crate::entropy::Entropy;
use crate::imports::{Interceptor, Services};
use crate::limits::Limits;
use crate::schedule::clock::{Clock, SystemClock};
use crate::store::seal::Sealer;
use crate::store::stash::Stash;
use crate::store::{Store, StoreError};

/// Where the component comes from.
#[derive(Clone, Debug)]
pub enum ComponentSource {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// A file.
    File(PathBuf),
    /// One that another host in this process has loaded. Its own limits hold, not the builder's:
    /// they shaped what was compiled.
    Loaded(Box<Plugin>),
}

/// Why a host could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A part that it needs was not given.
    #[error("a host needs {0}: call HostBuilder::{1}")]
    Missing(&'static str, &'static str),
    /// The component's file could not be read.
    #[error("could not read the component {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The component does not fit.
    #[error(transparent)]
    Plugin(#[from] GuestError),
    /// What an earlier run left could not be cleaned up.
    #[error("could not resolve what an earlier run left: {0}")]
    Store(#[from] StoreError),
}

/// Collects the parts of a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    component: Option<ComponentSource>,
    store: Option<Arc<dyn Store>>,
    sealer: Option<Arc<Sealer>>,
    clock: Option<Arc<dyn Clock>>,
    settings: BTreeMap<String, String>,
    secret_settings: BTreeMap<String, SecretString>,
    limits: Limits,
    egress: Option<Client>,
    stash: Option<PathBuf>,
    stash_reserve: u64,
    stash_like: Option<PathBuf>,
    retention: Retention,
    component_cache: Option<ComponentCache>,
    entropy: Option<Arc<dyn Entropy>>,
    interceptor: Option<Arc<dyn Interceptor>>,
}

impl HostBuilder {
    /// The plugin. Needed.
    #[must_use]
    pub fn component(mut self, source: ComponentSource) -> Self {
        self.component = Some(source);
        self
    }

    /// Where everything durable lives. Needed.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// What seals secrets for that store. Needed.
    #[must_use]
    pub fn sealer(mut self, sealer: Arc<Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Time; the machine's own when not given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Plain settings, which the plugin reads through `automate:platform/settings`.
    #[must_use]
    pub fn settings(mut self, settings: BTreeMap<String, String>) -> Self {
        self.settings = settings;
        self
    }

    /// A secret setting, which the plugin reads through `secrets.reveal-setting`.
    #[must_use]
    pub fn secret_setting(mut self, name: impl Into<String>, value: SecretString) -> Self {
        self.secret_settings.insert(name.into(), value);
        self
    }

    /// The bounds of a call.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The way out. Needed: without it nothing could be reached, and nobody would know why.
    #[must_use]
    pub fn egress(mut self, client: Client) -> Self {
        self.egress = Some(client);
        self
    }

    /// The directory that keeps commits of answers which the store cannot take, until it can. Every
    /// host of the same store on this machine names the same one. Without it such an answer is
    /// lost, and the log says so.
    #[must_use]
    pub fn stash(mut self, directory: impl Into<PathBuf>) -> Self {
        self.stash = Some(directory.into());
        self
    }

    /// Room in bytes that the stash keeps in reserve, so that a full disk alone loses no response; none
    /// when not given. The host says so when it cannot be had.
    #[must_use]
    pub fn stash_reserve(mut self, bytes: u64) -> Self {
        self.stash_reserve = bytes;
        self
    }

    /// A file, such as the database, whose owner and mode a new stash gets. Every user of the file can
    /// then use the stash.
    #[must_use]
    pub fn stash_like(mut self, file: impl Into<PathBuf>) -> Self {
        self.stash_like = Some(file.into());
        self
    }

    /// How long transactions are kept. A running dispatcher removes older ones.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Where the compiled component is kept for the next process. Without it every process compiles
    /// the component anew, which takes about a second.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.component_cache = Some(cache);
        self
    }

    /// Where random bytes come from that are no keys; the operating system when not given. For tests
    /// that repeat themselves.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = Some(entropy);
        self
    }

    /// Lets somebody look on at the imports of every call, and step in. For tests.
    #[must_use]
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }

    /// Compiles and links the plugin, and resolves what hosts that are gone left in the store
    /// and in the stash.
    ///
    /// Compiling blocks the thread, for about a second unless the cache has the component.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(self) -> Result<Host, BuildError> {
        let component = self
            .component
            .ok_or(BuildError::Missing("a component", "component"))?;
        let store = self.store.ok_or(BuildError::Missing("a store", "store"))?;
        let sealer = self
            .sealer
            .ok_or(BuildError::Missing("a sealer", "sealer"))?;
        let client = self
            .egress
            .ok_or(BuildError::Missing("a way out", "egress"))?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let cache = self.component_cache.as_ref();
        let plugin = match component {
            ComponentSource::Loaded(plugin) => plugin.with_settings(self.settings),
            ComponentSource::Bytes(bytes) => {
                Plugin::load_with(&bytes, self.settings, self.limits, cache)?
            }
            ComponentSource::File(path) => {
                let read = std::fs::read(&path);
                let bytes = read.map_err(|error| BuildError::Unreadable { path, error })?;
                Plugin::load_with(&bytes, self.settings, self.limits, cache)?
            }
        };
        let recovered = store.recover(clock.now()).await?;
        if recovered.transactions > 0 || recovered.leases > 0 {
            tracing::warn!(
                transactions = recovered.transactions,
                leases = recovered.leases,
                "resolved what an interrupted host left"
            );
        }
        let stash = self.stash.map(|directory| {
            let stash = Stash::new(directory, store.id(), Arc::clone(&sealer))
                .with_reserve(self.stash_reserve)
                .with_ownership_of(self.stash_like);
            Arc::new(stash)
        });
        let services = Arc::new(Services {
            store,
            sealer,
            stash,
            clock,
            limits: plugin.limits().clone(),
            secret_settings: self.secret_settings,
            scheduled: tokio::sync::Notify::new(),
            entropy: self.entropy,
            interceptor: self.interceptor,
        });
        let host = Host {
            parts: Arc::new(Parts {
                plugin,
                services,
                client,
                turns: Turns::default(),
                begun: AtomicU64::default(),
                housekeeping: Housekeeping::new(self.retention),
                stash_at_start: std::sync::OnceLock::new(),
            }),
        };
        let settled = host.settle_stash().await;
        let _ = host.parts.stash_at_start.set(settled);
        Ok(host)
    }
}
