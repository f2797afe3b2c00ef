//! One trial: a copy of a scene, a host on it, and the calls that are made.

use std::sync::Arc;

use relation_harness::memory::MemoryStore;
use relation_host::entropy::SeededEntropy;
use relation_host::reports::Authorization;
use relation_host::schedule::clock::{Clock as _, ManualClock};
use relation_host::store::seal::Sealer;
use relation_host::store::{Change, Commit, Store, StoreError};
use relation_host::types::{Document, Pkid, Reference};
use relation_host::{ComponentSource, Host};
use secrecy::SecretString;

use crate::bench::{Bench, BenchError, client_secret};
use crate::call::{Call, Seen};
use crate::judge::{self, Permits};
use crate::scenes::Set;
use crate::verdict::Verdict;
use crate::web::Spoiled;

/// What a trial's randomness begins with: the same for every trial, so that only the input differs, and
/// another than that of the scenes, which have given names out already.
pub(crate) const SEED: u64 = 0x5eed;

/// One trial.
pub struct Trial<'b> {
    bench: &'b Bench,
    pub(crate) store: MemoryStore,
    /// Its time.
    pub clock: Arc<ManualClock>,
    host: Host,
    record: Option<Pkid>,
    consents: Arc<[Authorization]>,
    /// What is stored, as far as no call has changed it.
    pub(crate) before: Arc<[Document]>,
    /// The store that [`before`](Self::before) is from: no call reaches it.
    pub(crate) untouched: MemoryStore,
    pub(crate) calls: u32,
    /// Whether both tokens were there before the call that is judged.
    pub(crate) held: bool,
}

impl<'b> Trial<'b> {
    pub(crate) async fn begin(bench: &'b Bench, set: &Set, seed: u64) -> Result<Self, BenchError> {
        let store = set.store.fork();
        let clock = Arc::new(ManualClock::new(set.now));
        let shared = &bench.shared;
        let host = Host::builder()
            .component(ComponentSource::Loaded(Box::new(shared.plugin.clone())))
            .store(Arc::new(store.clone()))
            .sealer(Arc::clone(&shared.sealer))
            .clock(Arc::clone(&clock) as _)
            .settings(shared.settings.clone())
            .secret_setting("webex.client-secret", SecretString::from(client_secret()))
            .egress(bench.client.clone())
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .interceptor(Arc::clone(&bench.watch) as _)
            .build()
            .await?;
        bench.web.prepare([]);
        bench.watch.take();
        Ok(Self {
            bench,
            store,
            clock,
            host,
            record: set.record.clone(),
            consents: Arc::clone(&set.consents),
            before: Arc::clone(&set.documents),
            untouched: set.store.clone(),
            calls: 0,
            held: false,
        })
    }

    /// The scene's record.
    pub fn record(&self) -> Option<Pkid> {
        self.record.clone()
    }

    /// The scene's consents, in the order in which they began.
    pub fn consents(&self) -> &[Authorization] {
        &self.consents
    }

    /// What is stored as long as nothing was called.
    pub fn documents(&self) -> &[Document] {
        &self.before
    }

    /// What seals secrets here.
    pub fn sealer(&self) -> &Sealer {
        &self.bench.shared.sealer
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &self.store
    }

    /// The next requests are answered so, those behind them well.
    pub fn prepare(&self, answers: impl IntoIterator<Item = Spoiled>) {
        self.bench.web.prepare(answers);
    }

    /// Changes what is stored, past every workflow.
    ///
    /// # Errors
    /// What no store would keep.
    pub async fn change(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        self.before = self.store.documents().into();
        self.untouched = self.store.fork();
        Ok(())
    }

    /// Makes a call. None: there was nothing to call.
    pub async fn call(&mut self, call: Call) -> Option<Seen> {
        self.calls += 1;
        let function = call.function();
        let asked_before = self.bench.web.requests();
        self.bench.watch.take();
        let result = call.make(&self.host).await?;
        let (transaction, answer) = match result {
            Ok(called) => (Some(called.transaction), Ok(called.value)),
            Err(error) => (error.transaction, Err(error.kind)),
        };
        Some(Seen {
            function,
            answer,
            transaction,
            sight: self.bench.watch.take(),
            requests: self.bench.web.requests().wrapping_sub(asked_before),
        })
    }

    /// Whether both tokens of the organisation's grant are sealed.
    pub(crate) async fn holds_tokens(&self) -> bool {
        let Some(record) = self.record().map(Reference::record) else {
            return false;
        };
        let (access, refresh) = (
            self.store.sealed(&record, "token").await,
            self.store.sealed(&record, "refresh_token").await,
        );
        matches!((access, refresh), (Ok(Some(_)), Ok(Some(_))))
    }

    /// Makes a call and says what is wrong with what came of it, if anything is.
    pub async fn judged(mut self, call: Call, permits: Permits) -> Verdict {
        self.held = self.holds_tokens().await;
        match self.call(call).await {
            Some(seen) => judge::judge(self, seen, permits).await,
            None => Verdict::nothing(),
        }
    }

    pub(crate) fn into_set(self, record: Pkid, consents: Vec<Authorization>) -> Set {
        Set {
            documents: self.store.documents().into(),
            now: self.clock.now(),
            record: Some(record),
            consents: consents.into(),
            store: self.store,
        }
    }
}
