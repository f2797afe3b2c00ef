//! One trial: a copy of a world, a host on it, and its calls.

use std::sync::Arc;

use relation_harness::memory::MemoryStore;
use relation_host::clock::{Clock as _, ManualClock};
use relation_host::entropy::SeededEntropy;
use relation_host::reports::Authorization;
use relation_host::store::seal::Sealer;
use relation_host::store::{Change, Commit, DocumentStore as _, KeyStore as _, Store, StoreError};
use relation_host::types::{Document, Pkid, Reference};
use relation_host::{ComponentSource, Host};
use secrecy::SecretString;

use crate::call::{Call, CallOutcome};
use crate::fake_webex::ResponseMutation;
use crate::oracle::{self, Allowances};
use crate::runner::{RunnerError, TrialRunner, client_secret};
use crate::verdict::Verdict;
use crate::worlds::WorldSnapshot;

/// Seed of a trial's randomness: the same for every trial, so that only the input differs. The worlds have another
/// seed, since they have used up names.
pub(crate) const SEED: u64 = 0x5eed;

/// One trial.
pub struct Trial<'b> {
    runner: &'b TrialRunner,
    pub(crate) store: MemoryStore,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    host: Host,
    record: Option<Pkid>,
    consents: Arc<[Authorization]>,
    /// The stored documents before any call.
    pub(crate) before: Arc<[Document]>,
    /// The store that [`before`](Self::before) is from: no call reaches it.
    pub(crate) untouched_store: MemoryStore,
    pub(crate) calls: u32,
    /// Whether both tokens existed before the judged call.
    pub(crate) had_tokens: bool,
}

impl<'b> Trial<'b> {
    pub(crate) async fn begin(
        runner: &'b TrialRunner,
        snapshot: &WorldSnapshot,
        seed: u64,
    ) -> Result<Self, RunnerError> {
        let store = snapshot.store.fork();
        let clock = Arc::new(ManualClock::new(snapshot.now));
        let shared = &runner.shared;
        let host = Host::builder()
            .component(ComponentSource::Loaded(Box::new(shared.plugin.clone())))
            .store(Arc::new(store.clone()))
            .sealer(Arc::clone(&shared.sealer))
            .clock(Arc::clone(&clock) as _)
            .settings(shared.settings.clone())
            .secret_setting("webex.client-secret", SecretString::from(client_secret()))
            .egress(runner.client.clone())
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .interceptor(Arc::clone(&runner.tracer) as _)
            .build()
            .await?;
        runner.webex.prepare([]);
        runner.tracer.take();
        Ok(Self {
            runner,
            store,
            clock,
            host,
            record: snapshot.record.clone(),
            consents: Arc::clone(&snapshot.consents),
            before: Arc::clone(&snapshot.documents),
            untouched_store: snapshot.store.clone(),
            calls: 0,
            had_tokens: false,
        })
    }

    /// Returns the world's record.
    pub fn record(&self) -> Option<Pkid> {
        self.record.clone()
    }

    /// Returns the world's consents, in the order in which they began.
    pub fn consents(&self) -> &[Authorization] {
        &self.consents
    }

    /// Returns the stored documents before any call.
    pub fn documents(&self) -> &[Document] {
        &self.before
    }

    /// Returns the sealer of secrets.
    pub fn sealer(&self) -> &Sealer {
        &self.runner.shared.sealer
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        &self.store
    }

    /// Prepares mutations for the next requests; later ones get correct responses.
    pub fn prepare(&self, mutations: impl IntoIterator<Item = ResponseMutation>) {
        self.runner.webex.prepare(mutations);
    }

    /// Changes stored documents without a workflow.
    ///
    /// # Errors
    /// The store refuses the changes.
    pub async fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        self.before = self.store.documents().into();
        self.untouched_store = self.store.fork();
        Ok(())
    }

    /// Performs a call. Returns `None` if there was nothing to call.
    pub async fn call(&mut self, call: Call) -> Option<CallOutcome> {
        self.calls += 1;
        let function = call.function();
        let asked_before = self.runner.webex.requests();
        self.runner.tracer.take();
        let result = call.run(&self.host).await?;
        let (transaction, result) = match result {
            Ok(called) => (Some(called.transaction), Ok(called.value)),
            Err(error) => (error.transaction, Err(error.kind)),
        };
        Some(CallOutcome {
            function,
            result,
            transaction,
            imports: self.runner.tracer.take(),
            requests: self.runner.webex.requests().wrapping_sub(asked_before),
        })
    }

    /// Returns whether both tokens of the organization's grant are sealed.
    pub(crate) async fn has_tokens(&self) -> bool {
        let Some(record) = self.record().map(Reference::record) else {
            return false;
        };
        let (access, refresh) = (
            self.store.sealed(&record, "token").await,
            self.store.sealed(&record, "refresh_token").await,
        );
        matches!((access, refresh), (Ok(Some(_)), Ok(Some(_))))
    }

    /// Performs a call and judges its outcome.
    pub async fn run(mut self, call: Call, allowed: Allowances) -> Verdict {
        self.had_tokens = self.has_tokens().await;
        match self.call(call).await {
            Some(observed) => oracle::check(self, observed, allowed).await,
            None => Verdict::idle(),
        }
    }

    pub(crate) fn into_snapshot(self, record: Pkid, consents: Vec<Authorization>) -> WorldSnapshot {
        WorldSnapshot {
            documents: self.store.documents().into(),
            now: self.clock.now(),
            record: Some(record),
            consents: consents.into(),
            store: self.store,
        }
    }
}
