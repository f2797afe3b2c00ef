//! The harness: hosts that run a component with a test store, clock and HTTP transport, and observe each call.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::clock::{Clock, ManualClock};
use relation_host::component::Plugin;
use relation_host::entropy::SeededEntropy;
use relation_host::imports::Interceptor;
use relation_host::store::scratch::ScratchStore;
use relation_host::types::Timestamp;
use relation_host::{ComponentSource, Host, NodeSettings};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use crate::memory::MemoryStore;
use crate::redaction::Redactor;
use crate::script::ScriptError;
use crate::storage::{ObservingLayer, OperationCounts, Snapshot};
use crate::transcript::{Exchange, Transcript};

mod advance;
mod builder;
mod call;
mod initial_state;
mod key;
mod observe;
mod observed_call;
mod test_host;
mod transport;
mod typed;

pub use builder::{HarnessBuilder, Http, START_TIME, StartError, StoreKind};
pub(crate) use builder::{WEBEX_ORIGINS, load_plugin};
pub use call::Call;
pub use initial_state::{InitialState, InitialStateError};
pub use observed_call::{CallFailure, ObservedCall};
use test_host::TestHost;
use transport::{HttpBackend, TranscriptTransport};

/// Hosts that run one component, with everything that they use.
///
/// Time only advances with [`Harness::advance`], requests stay in the process, and all visible random bytes
/// come from one seed. So the same component, script, calls and seed give the same [`Transcript`], byte for
/// byte, if calls are made one after the other. Runs on any tokio runtime.
pub struct Harness {
    config: HarnessConfig,
    clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    redactor: Redactor,
    store_layer: ObservingLayer,
    transport: Arc<TranscriptTransport>,
    /// At least one host.
    hosts: Vec<TestHost>,
    /// The number of copies made, each with randomness of its own.
    forks: Mutex<u64>,
    transcript: Mutex<Vec<ObservedCall<Value>>>,
    directory: TempDir,
    /// Whether the use of the script was verified.
    verified: bool,
}

/// The configuration of further hosts.
#[derive(Clone)]
struct HarnessConfig {
    plugin: Plugin,
    settings: std::collections::BTreeMap<String, String>,
    secrets: std::collections::BTreeMap<String, SecretString>,
    node_settings: Option<Arc<dyn NodeSettings>>,
    allow: Vec<String>,
    interceptor: Option<Arc<dyn Interceptor>>,
    leases: bool,
    store: StoreKind,
    /// The store in place of the kind of store.
    scratch: Option<Arc<dyn ScratchStore>>,
    seed: u64,
}

impl Harness {
    /// Starts building a harness for a component.
    pub fn builder(component: ComponentSource) -> HarnessBuilder {
        HarnessBuilder::new(component)
    }

    async fn start_empty(
        config: HarnessConfig,
        clock: Arc<ManualClock>,
        redactor: Redactor,
        backend: HttpBackend,
    ) -> Result<Self, StartError> {
        let store_layer = ObservingLayer::new(std::collections::BTreeSet::new(), config.leases);
        let memory = match (&config.scratch, config.store) {
            (Some(scratch), _) => {
                scratch.clear().await?;
                None
            }
            // Sealed values are bound to this id, which no transcript shows.
            (None, StoreKind::Memory) => Some(MemoryStore::new("harness")),
            (None, StoreKind::Sqlite) => None,
        };
        let directory = TempDir::new()?;
        Self::assemble(
            config,
            clock,
            redactor,
            backend,
            store_layer,
            memory,
            directory,
        )
        .await
    }

    async fn assemble(
        config: HarnessConfig,
        clock: Arc<ManualClock>,
        redactor: Redactor,
        backend: HttpBackend,
        store_layer: ObservingLayer,
        memory: Option<MemoryStore>,
        directory: TempDir,
    ) -> Result<Self, StartError> {
        let transport = TranscriptTransport::new(Arc::clone(&clock), redactor.clone(), backend);
        let mut harness = Self {
            entropy: Arc::new(SeededEntropy::new(config.seed)),
            config,
            clock,
            redactor,
            store_layer,
            transport: Arc::new(transport),
            hosts: Vec::new(),
            forks: Mutex::new(0),
            transcript: Mutex::default(),
            directory,
            // An incomplete harness has no script to verify.
            verified: true,
        };
        let first = harness.start_host(memory).await?;
        harness.hosts.push(first);
        harness.verified = false;
        Ok(harness)
    }

    /// Returns the first host.
    pub fn host(&self) -> &Host {
        &self.first().host
    }

    /// Returns a host by its index; `None` if there is no such host.
    pub fn host_at(&self, number: usize) -> Option<&Host> {
        self.hosts.get(number).map(|host| &host.host)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a harness is made with one, and none is ever taken away without another"
    )]
    fn first(&self) -> &TestHost {
        &self.hosts[0]
    }

    /// Returns the clock of all hosts.
    pub fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Returns the clock's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the redactor, which knows every secret seen so far.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Returns the directory of the stash and, if there is one, of the database.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the number of hosts.
    pub fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// Returns whether the store is in memory. Calls on it are never interrupted by others.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.first().memory.is_some()
    }

    /// Returns the number of operations that the store has begun, and the number of those that run.
    pub(crate) fn count_operations(&self) -> OperationCounts {
        self.store_layer.count_operations()
    }

    /// Starts another host on the same store, like another process. Returns its index for [`Harness::call_on`].
    pub async fn another_host(&mut self) -> Result<usize, StartError> {
        let memory = self.first().memory.as_ref().map(MemoryStore::another_host);
        let host = self.start_host(memory).await?;
        self.hosts.push(host);
        Ok(self.hosts.len() - 1)
    }

    /// Ends every host as a crash would, and starts one host on the data they left.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        for host in &self.hosts {
            host.kill();
        }
        let memory = self.first().memory.as_ref().map(MemoryStore::another_host);
        let host = self.start_host(memory).await?;
        self.hosts = vec![host];
        // A database detects dead processes by their open files, which were still open until here.
        self.host().store().recover(self.now()).await?;
        Ok(())
    }

    /// Copies the harness as after a crash now, with one host. The copy's store, clock and script continue from
    /// the present state. The copy has its own randomness, which is deterministic too.
    ///
    /// # Errors
    /// [`StartError::Fork`] unless the store is in memory and HTTP is scripted.
    pub async fn fork(&self) -> Result<Self, StartError> {
        let Some(memory) = &self.first().memory else {
            return Err(StartError::Fork("whose store is not in memory"));
        };
        let Some(playback) = self.transport.script() else {
            return Err(StartError::Fork("whose HTTP is not scripted"));
        };
        let forks = {
            let mut forks = self.forks.lock();
            *forks += 1;
            *forks
        };
        // Any odd constant separates the seeds of copies of copies; this one is SplitMix64's.
        let apart = forks.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let config = HarnessConfig {
            seed: self.config.seed ^ apart,
            ..self.config.clone()
        };
        let directory = TempDir::new()?;
        test_host::copy_stash(self.directory.path(), directory.path())?;
        Self::assemble(
            config,
            Arc::new(ManualClock::new(self.now())),
            self.redactor.clone(),
            HttpBackend::Script(Mutex::new(playback)),
            ObservingLayer::new(self.store_layer.documents(), self.config.leases),
            Some(memory.fork().another_host()),
            directory,
        )
        .await
    }

    /// Returns the content of the store.
    pub async fn snapshot(&self) -> Result<Snapshot, relation_host::store::StoreError> {
        let TestHost { host, sealer, .. } = self.first();
        let known = self.store_layer.documents();
        Snapshot::capture(&**host.store(), sealer, &self.redactor, &known).await
    }

    /// Returns all HTTP exchanges so far.
    pub fn http(&self) -> Vec<Exchange> {
        self.transport.exchanges()
    }

    /// Returns all calls so far with their effects.
    pub fn transcript(&self) -> Transcript {
        Transcript {
            calls: self.transcript.lock().clone(),
        }
    }

    /// Ends the run and verifies the script. A harness that is dropped without this call verifies itself, and
    /// panics if a step was not used or a request was not expected.
    ///
    /// # Errors
    /// The requests are not those of the script.
    pub fn finish(mut self) -> Result<Transcript, ScriptError> {
        self.verified = true;
        self.transport.verify()?;
        Ok(self.transcript())
    }

    /// Advances the clock by `by` and runs each wakeup when it is due, one after the other by deadline, until
    /// none is due. Returns all calls made.
    pub async fn advance(&self, by: Duration) -> Vec<ObservedCall<Value>> {
        advance::run_until(self, self.now().after(by)).await
    }
}

impl Drop for Harness {
    #[expect(
        clippy::panic,
        reason = "a test that forgets to ask how its script ended must not pass; other mocks do so too"
    )]
    fn drop(&mut self) {
        if self.verified || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.transport.verify() {
            panic!("{error}");
        }
    }
}
