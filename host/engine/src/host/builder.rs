//! Builds a host and reports missing or incompatible parts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::callbacks::Callbacks;
use super::calls_in_flight::CallsInFlight;
use super::handlers::{HandlerOptions, RegisteredHandler, WakeupHandler};
use super::housekeeping::{Housekeeping, Retention};
use super::record_locks::RecordLocks;
use super::{Host, Parts};
use crate::clock::{Clock, SystemClock};
use crate::component::{ComponentCache, GuestError, Plugin};
use crate::egress::Client;
use crate::imports::{Interceptor, Outbox, Services};
use crate::limits::Limits;
use crate::node_settings::NodeSettings;
use crate::observer::{Observer, Observers};
use crate::secret_setting::SecretSetting;
use crate::store::seal::Sealer;
use crate::store::stash::Stash;
use crate::store::{Store, StoreError};
use relation_types::entropy::Entropy;

/// The source of the component.
#[derive(Clone, Debug)]
pub enum ComponentSource {
    /// The component's bytes.
    Bytes(Vec<u8>),
    /// The component's file.
    File(PathBuf),
    /// A plugin that another host in this process has loaded. The limits of that plugin apply
    /// instead of the builder's, because they determined the compiled code.
    Loaded(Box<Plugin>),
}

/// The reason why a host could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A required part is missing.
    #[error("a host needs {0}: call HostBuilder::{1}")]
    Missing(&'static str, &'static str),
    /// The component's file could not be read.
    #[error("could not read the component {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        error: std::io::Error,
    },
    /// The component cannot run on this host.
    #[error(transparent)]
    Plugin(#[from] GuestError),
    /// The state left by an earlier run could not be resolved.
    #[error("could not resolve what an earlier run left: {0}")]
    Store(#[from] StoreError),
}

/// A builder of a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    component: Option<ComponentSource>,
    store: Option<Arc<dyn Store>>,
    sealer: Option<Arc<Sealer>>,
    clock: Option<Arc<dyn Clock>>,
    settings: BTreeMap<String, String>,
    secret_settings: BTreeMap<String, Arc<dyn SecretSetting>>,
    node_settings: Option<Arc<dyn NodeSettings>>,
    limits: Limits,
    egress: Option<Client>,
    callbacks: Option<Client>,
    stash: Option<PathBuf>,
    stash_reserve: u64,
    stash_like: Option<PathBuf>,
    retention: Retention,
    component_cache: Option<ComponentCache>,
    observers: Observers,
    outbox: Option<Outbox>,
    handlers: Vec<RegisteredHandler>,
    entropy: Option<Arc<dyn Entropy>>,
    interceptor: Option<Arc<dyn Interceptor>>,
}

impl HostBuilder {
    /// Sets the plugin. Required.
    #[must_use]
    pub fn component(mut self, source: ComponentSource) -> Self {
        self.component = Some(source);
        self
    }

    /// Sets the store of all durable data. Required.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the sealer of the store's secrets. Required.
    #[must_use]
    pub fn sealer(mut self, sealer: Arc<Sealer>) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// Sets the clock; the system clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the plain settings, which the plugin reads through `automate:platform/settings`.
    #[must_use]
    pub fn settings(mut self, settings: BTreeMap<String, String>) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a secret setting, which the plugin reads through `secrets.reveal-setting`. Its value is a
    /// [`SecretString`](secrecy::SecretString), or comes from a source that may change.
    #[must_use]
    pub fn secret_setting(
        mut self,
        name: impl Into<String>,
        value: impl SecretSetting + 'static,
    ) -> Self {
        self.secret_settings.insert(name.into(), Arc::new(value));
        self
    }

    /// Sets the source of plain settings that differ from node to node. In a call about a record, they replace the
    /// installation's ([`HostBuilder::settings`]). If they cannot be read within a second, the call uses the
    /// installation's settings, and the host logs a warning.
    ///
    /// Each process that runs calls needs the source.
    #[must_use]
    pub fn node_settings(mut self, source: Arc<dyn NodeSettings>) -> Self {
        self.node_settings = Some(source);
        self
    }

    /// Sets the limits of a call.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the client for outbound requests. Required, because a default that allows nothing would
    /// fail without an explanation.
    #[must_use]
    pub fn egress(mut self, client: Client) -> Self {
        self.egress = Some(client);
        self
    }

    /// Sets the client that posts callbacks, with a policy of [`Policy::parse_callbacks`]. Without a client, callbacks
    /// are refused.
    ///
    /// [`Policy::parse_callbacks`]: crate::egress::Policy::parse_callbacks
    #[must_use]
    pub fn callbacks(mut self, client: Client) -> Self {
        self.callbacks = Some(client);
        self
    }

    /// Sets the stash directory, which keeps commits of responses while the store is unavailable.
    /// All hosts of a store on this machine share one directory. Without a stash, such a response
    /// is lost and logged as lost.
    #[must_use]
    pub fn stash(mut self, directory: impl Into<PathBuf>) -> Self {
        self.stash = Some(directory.into());
        self
    }

    /// Sets the bytes that the stash reserves, so that a full disk alone loses no response; 0 by
    /// default. The host warns if the space cannot be reserved.
    #[must_use]
    pub fn stash_reserve(mut self, bytes: u64) -> Self {
        self.stash_reserve = bytes;
        self
    }

    /// Sets a file, such as the database, whose owner and mode a new stash inherits. Every user of
    /// the file can then use the stash.
    #[must_use]
    pub fn stash_like(mut self, file: impl Into<PathBuf>) -> Self {
        self.stash_like = Some(file.into());
        self
    }

    /// Sets how long transactions are kept. A running dispatcher removes older ones.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the cache of compiled components. Without a cache, every process compiles the component
    /// again, which takes about a second.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.component_cache = Some(cache);
        self
    }

    /// Adds an observer, which is told of calls, wakeups and alerts.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.add(observer);
        self
    }

    /// Turns on the outbox of notices; off by default. Each commit that raises an alert, raises its severity or clears it
    /// then stores a [`NOTICE_MODEL`](crate::types::NOTICE_MODEL) document, whose wakeup is due. The handler of
    /// [`wakeup_kinds::NOTICE`](crate::wakeup_kinds::NOTICE) runs it; without one, the wakeup waits.
    ///
    /// Each process that runs calls needs the outbox. The handler is only needed where a dispatcher runs.
    #[must_use]
    pub fn outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// Sets the handler of a kind of wakeups ([`Wakeup::kind`](crate::types::Wakeup::kind)) that the plugin does not use,
    /// and whose subjects are documents of the host's own models. The dispatcher runs them beside the calls.
    #[must_use]
    pub fn wakeup_handler(
        mut self,
        kind: impl Into<String>,
        handler: Arc<dyn WakeupHandler>,
        options: HandlerOptions,
    ) -> Self {
        let kind = kind.into();
        self.handlers.retain(|registered| registered.kind != kind);
        self.handlers.push(RegisteredHandler {
            kind,
            handler,
            options,
        });
        self
    }

    /// Sets the source of random bytes other than keys; the operating system by default. For
    /// repeatable tests.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = Some(entropy);
        self
    }

    /// Sets hooks that observe and replace the imports of every call. For tests.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }

    /// Compiles and links the plugin, and resolves what terminated hosts left in the store and in
    /// the stash.
    ///
    /// Compiling blocks the thread for about a second unless the cache has the component.
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
            .ok_or(BuildError::Missing("an egress client", "egress"))?;
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
            node_settings: self.node_settings,
            observers: self.observers,
            outbox: self.outbox,
            scheduled: tokio::sync::Notify::new(),
            entropy: self.entropy,
            interceptor: self.interceptor,
        });
        let host = Host {
            parts: Arc::new(Parts {
                plugin,
                services,
                client,
                callbacks: Callbacks::new(self.callbacks),
                handlers: self.handlers,
                record_locks: RecordLocks::default(),
                calls_begun: AtomicU64::default(),
                calls_in_flight: CallsInFlight::default(),
                housekeeping: Housekeeping::new(self.retention),
                stash_at_start: std::sync::OnceLock::new(),
            }),
            originator: None,
            callback: None,
            queued: None,
            expected_version: None,
            transaction: None,
            stop: None,
        };
        let settled = host.replay_stash().await;
        let _ = host.parts.stash_at_start.set(settled);
        Ok(host)
    }
}
