//! What every trial shares: the compiled plugin, the scenes, the way out, the key.

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

use crate::scenes::{Scene, Scenes};
use crate::trial::{SEED, Trial};
use crate::watch::Watch;
use crate::web::{BASE_URL, CANARY, Web};

/// When every scene begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// Why there is no bench.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The component's file is not there.
    #[error(
        "could not read the component {}: {error}; `cargo xtask build` makes it", path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It does not fit the host.
    #[error(transparent)]
    Plugin(#[from] GuestError),
    /// The bench's own settings are wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The bench's own key does not fit.
    #[error(transparent)]
    Key(#[from] SealError),
    /// The bench's host cannot be put together.
    #[error(transparent)]
    Host(#[from] BuildError),
    /// No thread or timer can be had.
    #[error("could not start a runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// The workflows do not even do what the scenes need.
    #[error("the scene could not be set: {0}")]
    Scene(String),
}

/// Runs trials, one at a time. Another thread takes [`Bench::another`].
pub struct Bench {
    runtime: Runtime,
    pub(crate) shared: Arc<Shared>,
    pub(crate) scenes: Scenes,
    pub(crate) web: Arc<Web>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) client: Client,
}

/// What the benches of all threads have in common.
pub(crate) struct Shared {
    pub(crate) plugin: Plugin,
    pub(crate) sealer: Arc<Sealer>,
    /// What the plugin reads besides what every scene has.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Bench {
    /// A bench for the component in `file`.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn new(file: &Path) -> Result<Self, BenchError> {
        let mut bench = Self::unfurnished(file, BTreeMap::new())?;
        bench.scenes = bench.runtime.block_on(Scenes::set(&bench))?;
        Ok(bench)
    }

    /// A bench whose only scene is [`Scene::Empty`], for a component that does other things than ours.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn unfurnished(
        file: &Path,
        settings: BTreeMap<String, String>,
    ) -> Result<Self, BenchError> {
        let bytes = std::fs::read(file).map_err(|error| BenchError::Unreadable {
            path: file.to_owned(),
            error,
        })?;
        let plugin = Plugin::load(&bytes, [], Limits::default())?;
        let runtime = runtime()?;
        let store = MemoryStore::new("fuzz");
        let sealer = runtime.block_on(Sealer::open(&store, KnownKey, BEGINNING))?;
        let shared = Arc::new(Shared {
            plugin,
            sealer: Arc::new(sealer),
            settings: defaults().into_iter().chain(settings).collect(),
        });
        Self::around(shared, Scenes::nothing(store), runtime)
    }

    /// The same for another thread; what takes time is not done again.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn another(&self) -> Result<Self, BenchError> {
        Self::around(Arc::clone(&self.shared), self.scenes.copy(), runtime()?)
    }

    fn around(shared: Arc<Shared>, scenes: Scenes, runtime: Runtime) -> Result<Self, BenchError> {
        let web = Arc::new(Web::default());
        let everywhere = ["https://webexapis.com".to_owned()];
        let proxies = ["http://proxy.example:3128".to_owned()];
        let policy = Policy::parse(&everywhere)?.with_proxies(&proxies)?;
        let client =
            Client::with_transport(policy, ClientOptions::default(), Arc::clone(&web) as _);
        Ok(Self {
            runtime,
            shared,
            scenes,
            web,
            watch: Arc::default(),
            client,
        })
    }

    /// Runs something to its end on this bench's thread.
    pub fn run<T>(&self, trial: impl Future<Output = T>) -> T {
        self.runtime.block_on(trial)
    }

    /// A world of its own that begins as `scene`.
    ///
    /// # Errors
    /// [`BenchError::Host`].
    pub async fn open(&self, scene: Scene) -> Result<Trial<'_>, BenchError> {
        Trial::begin(self, self.scenes.get(scene), SEED).await
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

/// The client secret of every trial.
pub(crate) fn client_secret() -> String {
    format!("{CANARY}client")
}

/// Gives a key that protects nothing: what a trial stores is worth nothing.
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
