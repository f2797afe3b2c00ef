//! A decorator for stores. A [`StoreLayer`] can count or time operations, observe writes, or, in a test,
//! make an operation fail or do something else.

use std::sync::Arc;

use async_trait::async_trait;

use super::seal::{DataKey, Sealed};
use super::{
    BeginOutcome, CallEnd, CallStart, CallStore, Commit, DeadlineCounts, DocumentStore, DueWakeup,
    HostShare, KeyStore, KeyUse, KindFilter, PruneReport, PruneRequest, Recovery, RedateReport,
    ResealStep, Retirement, SecretScope, SortOrder, Store, StoreError, StoreStatistics,
    StoredSecret, TransactionStore, WakeupStore,
};
use relation_types::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_types::{Document, Filter, Hierarchy, Page, Pkid, Reference, Timestamp};

/// A kind of store operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `get`, `find`, `find_pkids` and `wakeups`: the reads of a workflow.
    Read,
    /// `sealed`: a workflow reads a secret.
    Sealed,
    /// `commit`: a workflow writes.
    Commit,
    /// `begin` of a call.
    Begin,
    /// `report` of progress.
    Report,
    /// `end` of a call.
    End,
    /// All other operations: listings, due wakeups, recovery, transactions, keys.
    Other,
}

/// A layer over a store. Each method receives the inner store and delegates to it by default.
pub trait StoreLayer: Send + Sync + 'static {
    /// Runs `work`, which is one operation, or returns another result in its place.
    fn wrap<T: Send>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let _ = operation;
        work
    }

    /// Replaces [`DocumentStore::get`].
    fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> impl Future<Output = Result<Vec<Option<Document>>, StoreError>> + Send {
        async move { inner.get(references).await }
    }

    /// Replaces [`DocumentStore::find`].
    fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Document>, StoreError>> + Send {
        async move { inner.find(filter, cursor, limit).await }
    }

    /// Replaces [`DocumentStore::find_pkids`].
    fn find_pkids(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Pkid>, StoreError>> + Send {
        async move { inner.find_pkids(filter, cursor, limit).await }
    }

    /// Replaces [`DocumentStore::commit`].
    fn commit(
        &self,
        inner: &dyn Store,
        commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { inner.commit(commit).await }
    }

    /// Replaces [`KeyStore::sealed`].
    fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> impl Future<Output = Result<Option<Sealed>, StoreError>> + Send {
        async move { inner.sealed(owner, name).await }
    }

    /// Replaces [`WakeupStore::wakeups`].
    fn wakeups(
        &self,
        inner: &dyn Store,
        subject: &Reference,
    ) -> impl Future<Output = Result<Vec<DueWakeup>, StoreError>> + Send {
        async move { inner.wakeups(subject).await }
    }

    /// Replaces [`WakeupStore::due`].
    fn due(
        &self,
        inner: &dyn Store,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> impl Future<Output = Result<Vec<DueWakeup>, StoreError>> + Send {
        async move { inner.due(now, limit, kinds).await }
    }

    /// Replaces [`WakeupStore::share`].
    fn share(&self, inner: &dyn Store) -> HostShare {
        inner.share()
    }

    /// Replaces [`CallStore::begin`].
    fn begin(
        &self,
        inner: &dyn Store,
        begin: CallStart,
    ) -> impl Future<Output = Result<BeginOutcome, StoreError>> + Send {
        async move { inner.begin(begin).await }
    }

    /// Replaces [`CallStore::end`].
    fn end(
        &self,
        inner: &dyn Store,
        end: CallEnd,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { inner.end(end).await }
    }
}

/// A store with a layer around each operation.
pub struct Layered<L> {
    inner: Arc<dyn Store>,
    layer: L,
}

impl<L: StoreLayer> Layered<L> {
    /// Puts `layer` around each operation of `inner`.
    pub fn new(inner: Arc<dyn Store>, layer: L) -> Self {
        Self { inner, layer }
    }
}

#[async_trait]
impl<L: StoreLayer> Store for Layered<L> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn statistics(&self) -> Result<StoreStatistics, StoreError> {
        self.layer
            .wrap(Operation::Other, self.inner.statistics())
            .await
    }
}

#[async_trait]
impl<L: StoreLayer> DocumentStore for Layered<L> {
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        let work = self.layer.get(self.inner.as_ref(), references);
        self.layer.wrap(Operation::Read, work).await
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let work = self.layer.find(self.inner.as_ref(), filter, cursor, limit);
        self.layer.wrap(Operation::Read, work).await
    }

    async fn find_pkids(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Pkid>, StoreError> {
        let work = self
            .layer
            .find_pkids(self.inner.as_ref(), filter, cursor, limit);
        self.layer.wrap(Operation::Read, work).await
    }

    async fn list(
        &self,
        filter: &Filter,
        order: &SortOrder,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let work = self.inner.list(filter, order, cursor, limit);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn count(&self, filter: &Filter, at_most: u64) -> Result<u64, StoreError> {
        let work = self.inner.count(filter, at_most);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let work = self.layer.commit(self.inner.as_ref(), commit);
        self.layer.wrap(Operation::Commit, work).await
    }
}

#[async_trait]
impl<L: StoreLayer> WakeupStore for Layered<L> {
    fn share(&self) -> HostShare {
        self.layer.share(self.inner.as_ref())
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        let work = self.layer.wakeups(self.inner.as_ref(), subject);
        self.layer.wrap(Operation::Read, work).await
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let work = self.inner.upcoming(hierarchy, cursor, limit);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let work = self.layer.due(self.inner.as_ref(), now, limit, kinds);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn count_due(&self, now: Timestamp, at_most: u64) -> Result<u64, StoreError> {
        let work = self.inner.count_due(now, at_most);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn next_due(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError> {
        let work = self.inner.next_due(after);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn count_deadlines(
        &self,
        kind: &str,
        times: &[Timestamp],
        at_most: u64,
    ) -> Result<DeadlineCounts, StoreError> {
        let work = self.inner.count_deadlines(kind, times, at_most);
        self.layer.wrap(Operation::Other, work).await
    }
}

#[async_trait]
impl<L: StoreLayer> CallStore for Layered<L> {
    async fn begin(&self, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        let work = self.layer.begin(self.inner.as_ref(), begin);
        self.layer.wrap(Operation::Begin, work).await
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        let work = self.inner.report(update);
        self.layer.wrap(Operation::Report, work).await
    }

    async fn end(&self, end: CallEnd) -> Result<(), StoreError> {
        let work = self.layer.end(self.inner.as_ref(), end);
        self.layer.wrap(Operation::End, work).await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        let work = self.inner.recover(now);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        let work = self.inner.redate(now);
        self.layer.wrap(Operation::Other, work).await
    }
}

#[async_trait]
impl<L: StoreLayer> KeyStore for Layered<L> {
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        let work = self.layer.sealed(self.inner.as_ref(), owner, name);
        self.layer.wrap(Operation::Sealed, work).await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        let work = self.inner.secrets(scope, cursor, limit);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        let work = self.inner.reseal(steps);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        let work = self.inner.data_keys();
        self.layer.wrap(Operation::Other, work).await
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        let work = self.inner.add_data_key(key);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        let work = self.inner.rewrap_data_keys(current, rewrapped);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        let work = self.inner.retire_data_key(id, despite_quarantined);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        let work = self.inner.key_use();
        self.layer.wrap(Operation::Other, work).await
    }
}

#[async_trait]
impl<L: StoreLayer> TransactionStore for Layered<L> {
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        let work = self.inner.transaction(id);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let work = self.inner.transactions(filter, cursor, limit);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn count_transactions(
        &self,
        filter: &TransactionFilter,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        let work = self.inner.count_transactions(filter, at_most);
        self.layer.wrap(Operation::Other, work).await
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        let work = self.inner.prune_transactions(prune);
        self.layer.wrap(Operation::Other, work).await
    }
}
