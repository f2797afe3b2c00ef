//! Shared parts of all trials: the compiled plugin, the worlds, the egress, the key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use relation_harness::memory::MemoryStore;
use relation_host::component::{GuestError, Plugin};
use relation_host::egress::{Client, ClientOptions, Policy, PolicyError};
use relation_host::store::seal::{KeyEncryptionKey, KeyError, KeyProvider, SealError, Sealer};
use relation_host::types::Timestamp;
use relation_host::{BuildError, Limits};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::fake_webex::{BASE_URL, CANARY, FakeWebex};
use crate::import_trace::ImportTracer;
use crate::trial::{SEED, Trial};
use crate::worlds::{WorldKind, WorldSnapshots};

/// The start time of every world: 2026-01-01T00:00:00Z.
pub const START_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// The reason why a runner could not be created.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The component's file could not be read.
    #[error(
        "could not read the component {}: {error}; `cargo xtask build` makes it", path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
    /// The component does not fit the host.
    #[error(transparent)]
    Plugin(#[from] GuestError),
    /// The runner's own settings are wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The runner's own key does not fit.
    #[error(transparent)]
    Key(#[from] SealError),
    /// The runner's host could not be built.
    #[error(transparent)]
    Host(#[from] BuildError),
    /// No thread or timer could be created.
    #[error("could not start a runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// The workflows did not create the worlds in which trials begin.
    #[error("cannot create the worlds: {0}")]
    WorldKind(String),
}

/// A runner of trials, one at a time. Another thread takes [`TrialRunner::fork`].
pub struct TrialRunner {
    runtime: Runtime,
    pub(crate) shared: Arc<Shared>,
    pub(crate) snapshots: WorldSnapshots,
    pub(crate) webex: Arc<FakeWebex>,
    pub(crate) tracer: Arc<ImportTracer>,
    pub(crate) client: Client,
}

/// Shared parts of the runners of all threads.
pub(crate) struct Shared {
    pub(crate) plugin: Plugin,
    pub(crate) sealer: Arc<Sealer>,
    /// Settings of the plugin besides those of every world.
    pub(crate) settings: BTreeMap<String, String>,
}

impl TrialRunner {
    /// Creates a runner for the component in `file`.
    ///
    /// # Errors
    /// See [`RunnerError`].
    pub fn new(file: &Path) -> Result<Self, RunnerError> {
        let mut runner = Self::with_empty_worlds(file, BTreeMap::new())?;
        runner.snapshots = runner.runtime.block_on(WorldSnapshots::create(&runner))?;
        Ok(runner)
    }

    /// Creates a runner whose only world is [`WorldKind::Empty`], for a component that behaves
    /// differently from ours.
    ///
    /// # Errors
    /// See [`RunnerError`].
    pub fn with_empty_worlds(
        file: &Path,
        settings: BTreeMap<String, String>,
    ) -> Result<Self, RunnerError> {
        let bytes = std::fs::read(file).map_err(|error| RunnerError::Unreadable {
            path: file.to_owned(),
            error,
        })?;
        let plugin = Plugin::load(&bytes, [], Limits::default())?;
        let runtime = runtime()?;
        let store = MemoryStore::new("fuzz");
        let sealer = runtime.block_on(Sealer::open(&store, KnownKey, START_TIME))?;
        let shared = Arc::new(Shared {
            plugin,
            sealer: Arc::new(sealer),
            settings: defaults().into_iter().chain(settings).collect(),
        });
        Self::around(shared, WorldSnapshots::empty(store), runtime)
    }

    /// Creates a runner for another thread; expensive parts are shared.
    ///
    /// # Errors
    /// See [`RunnerError`].
    pub fn fork(&self) -> Result<Self, RunnerError> {
        Self::around(Arc::clone(&self.shared), self.snapshots.copy(), runtime()?)
    }

    fn around(
        shared: Arc<Shared>,
        snapshots: WorldSnapshots,
        runtime: Runtime,
    ) -> Result<Self, RunnerError> {
        let webex = Arc::new(FakeWebex::default());
        let everywhere = ["https://webexapis.com".to_owned()];
        let proxies = ["http://proxy.example:3128".to_owned()];
        let policy = Policy::parse(&everywhere)?.with_proxies(&proxies)?;
        let client =
            Client::with_transport(policy, ClientOptions::default(), Arc::clone(&webex) as _);
        Ok(Self {
            runtime,
            shared,
            snapshots,
            webex,
            tracer: Arc::default(),
            client,
        })
    }

    /// Runs a future to its end on this runner's thread.
    pub fn run<T>(&self, trial: impl Future<Output = T>) -> T {
        self.runtime.block_on(trial)
    }

    /// Opens a fresh copy of `world`.
    ///
    /// # Errors
    /// [`RunnerError::Host`].
    pub async fn open(&self, world: WorldKind) -> Result<Trial<'_>, RunnerError> {
        Trial::begin(self, self.snapshots.get(world), SEED).await
    }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
}

fn defaults() -> BTreeMap<String, String> {
    [
        ("webex.base-url", BASE_URL),
        ("webex.client-id", "C0ffee"),
        ("refresh.jitter", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Returns the client secret of every trial.
pub(crate) fn client_secret() -> String {
    format!("{CANARY}client")
}

/// A key that protects nothing: a trial's secrets are worthless.
struct KnownKey;

impl KeyProvider for KnownKey {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        Ok(Some(KeyEncryptionKey::new(Zeroizing::new([7; 32]))))
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        Ok(KeyEncryptionKey::new(Zeroizing::new([7; 32])))
    }

    fn describe(&self) -> String {
        "the key of the fuzz targets".to_owned()
    }
}
