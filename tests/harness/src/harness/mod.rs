//! The harness: hosts that run a component on a store, a clock and an HTTP side of its own, and what
//! each call did.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relation_host::component::Plugin;
use relation_host::entropy::SeededEntropy;
use relation_host::imports::Interceptor;
use relation_host::schedule::clock::{Clock, ManualClock};
use relation_host::types::Timestamp;
use relation_host::{ComponentSource, Host};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use crate::memory::MemoryStore;
use crate::redaction::Redactor;
use crate::script::ScriptError;
use crate::storage::{Seen, Snapshot};
use crate::transcript::{Exchange, Transcript};

mod advance;
mod builder;
mod call;
mod given;
mod key;
mod observed;
mod observing;
mod station;
mod typed;
mod web;

pub use builder::{BEGINNING, HarnessBuilder, Http, StartError, StoreKind};
pub(crate) use builder::{WEBEX, loaded};
pub use call::Call;
pub use given::{Given, GivenError};
pub use observed::{Failed, Observed};
use station::Station;
use web::{Carrier, Web};

/// Hosts that run one component, and everything that they touch.
///
/// The clock stands still until [`Harness::advance`] moves it, nothing leaves the process, and every
/// random byte that a plugin or a transcript could show comes from one seed: so the same component, script,
/// calls and seed give the same [`Transcript`], byte for byte, as long as calls are made one after the
/// other. Runs on any tokio runtime.
pub struct Harness {
    parts: Parts,
    clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    redactor: Redactor,
    seen: Seen,
    web: Arc<Web>,
    /// At least one.
    stations: Vec<Station>,
    /// How many copies were made: each has randomness of its own.
    forks: Mutex<u64>,
    transcript: Mutex<Vec<Observed<Value>>>,
    directory: TempDir,
    /// Whether somebody asked how the script ended.
    judged: bool,
}

/// What further hosts are made of.
#[derive(Clone)]
struct Parts {
    plugin: Plugin,
    settings: std::collections::BTreeMap<String, String>,
    secrets: std::collections::BTreeMap<String, SecretString>,
    allow: Vec<String>,
    interceptor: Option<Arc<dyn Interceptor>>,
    leases: bool,
    store: StoreKind,
    seed: u64,
}

impl Harness {
    /// Starts putting a harness together around a component.
    pub fn builder(component: ComponentSource) -> HarnessBuilder {
        HarnessBuilder::new(component)
    }

    async fn begin(
        parts: Parts,
        clock: Arc<ManualClock>,
        redactor: Redactor,
        carrier: Carrier,
    ) -> Result<Self, StartError> {
        let seen = Seen::new(std::collections::BTreeSet::new(), parts.leases);
        let memory = match parts.store {
            // Sealed values are bound to the name, which no transcript shows.
            StoreKind::Memory => Some(MemoryStore::new("harness")),
            StoreKind::Sqlite => None,
        };
        let directory = TempDir::new()?;
        Self::on(parts, clock, redactor, carrier, seen, memory, directory).await
    }

    async fn on(
        parts: Parts,
        clock: Arc<ManualClock>,
        redactor: Redactor,
        carrier: Carrier,
        seen: Seen,
        memory: Option<MemoryStore>,
        directory: TempDir,
    ) -> Result<Self, StartError> {
        let web = Web::new(Arc::clone(&clock), redactor.clone(), carrier);
        let mut harness = Self {
            entropy: Arc::new(SeededEntropy::new(parts.seed)),
            parts,
            clock,
            redactor,
            seen,
            web: Arc::new(web),
            stations: Vec::new(),
            forks: Mutex::new(0),
            transcript: Mutex::default(),
            directory,
            // Until it is ready there is nothing to judge.
            judged: true,
        };
        let first = harness.station(memory).await?;
        harness.stations.push(first);
        harness.judged = false;
        Ok(harness)
    }

    /// The first host.
    pub fn host(&self) -> &Host {
        &self.first().host
    }

    /// One of the hosts, counted from 0; none: there are not as many.
    pub fn host_at(&self, number: usize) -> Option<&Host> {
        self.stations.get(number).map(|station| &station.host)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a harness is made with one, and none is ever taken away without another"
    )]
    fn first(&self) -> &Station {
        &self.stations[0]
    }

    /// The clock of everything.
    pub fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Replaces secrets by their digests; it knows every secret that was seen so far.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The directory of the database, if there is one, and of the stash.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.stations.len()
    }

    /// Starts another host on the same store, as another process; its number for [`Harness::call_on`].
    pub async fn another_host(&mut self) -> Result<usize, StartError> {
        let memory = self.first().memory.as_ref().map(MemoryStore::another_host);
        let station = self.station(memory).await?;
        self.stations.push(station);
        Ok(self.stations.len() - 1)
    }

    /// Ends every host as the loss of its process would, and starts one on what they left.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        for station in &self.stations {
            station.kill();
        }
        let memory = self.first().memory.as_ref().map(MemoryStore::another_host);
        let station = self.station(memory).await?;
        self.stations = vec![station];
        // A database knows by its open files which processes are gone: until here they were open.
        self.host().store().recover(self.now()).await?;
        Ok(())
    }

    /// A copy that goes its own way from here, with one host, as after a crash at this moment: its
    /// store, clock and script stand where these do. Its randomness is its own, and repeats itself too.
    ///
    /// # Errors
    /// [`StartError::Fork`] unless the store is in memory and HTTP is scripted.
    pub async fn fork(&self) -> Result<Self, StartError> {
        let Some(memory) = &self.first().memory else {
            return Err(StartError::Fork("whose store is not in memory"));
        };
        let Some(playing) = self.web.script() else {
            return Err(StartError::Fork("whose HTTP is not scripted"));
        };
        let forks = {
            let mut forks = self.forks.lock().unwrap_or_else(PoisonError::into_inner);
            *forks += 1;
            *forks
        };
        // Any odd constant keeps the seeds of copies of copies apart; this is SplitMix64's.
        let apart = forks.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let parts = Parts {
            seed: self.parts.seed ^ apart,
            ..self.parts.clone()
        };
        let directory = TempDir::new()?;
        station::copy_stash(self.directory.path(), directory.path())?;
        Self::on(
            parts,
            Arc::new(ManualClock::new(self.now())),
            self.redactor.clone(),
            Carrier::Script(Mutex::new(playing)),
            Seen::new(self.seen.documents(), self.parts.leases),
            Some(memory.fork().another_host()),
            directory,
        )
        .await
    }

    /// Everything that is stored.
    pub async fn snapshot(&self) -> Result<Snapshot, relation_host::store::StoreError> {
        let Station { host, sealer, .. } = self.first();
        let known = self.seen.documents();
        Snapshot::take(&**host.store(), sealer, &self.redactor, &known).await
    }

    /// Everything that went over HTTP so far.
    pub fn http(&self) -> Vec<Exchange> {
        self.web.all()
    }

    /// Everything that was called so far, and what each call did.
    pub fn transcript(&self) -> Transcript {
        let transcript = self.transcript.lock();
        let calls = transcript.unwrap_or_else(PoisonError::into_inner).clone();
        Transcript { calls }
    }

    /// Ends the run. A harness that is dropped without it looks by itself, and panics when a step of its
    /// script was not used or a request was not expected.
    ///
    /// # Errors
    /// What was sent is not what the script says.
    pub fn finish(mut self) -> Result<Transcript, ScriptError> {
        self.judged = true;
        self.web.verdict()?;
        Ok(self.transcript())
    }

    /// Moves the clock by `by` and runs what falls due on the way, each at its moment, one after the
    /// other in the order of their deadlines, until nothing is due: every call that was made.
    pub async fn advance(&self, by: Duration) -> Vec<Observed<Value>> {
        advance::through(self, self.now().after(by)).await
    }
}

impl Drop for Harness {
    #[expect(
        clippy::panic,
        reason = "a test that forgets to ask how its script ended must not pass; other mocks do so too"
    )]
    fn drop(&mut self) {
        if self.judged || std::thread::panicking() {
            return;
        }
        if let Err(error) = self.web.verdict() {
            panic!("{error}");
        }
    }
}
