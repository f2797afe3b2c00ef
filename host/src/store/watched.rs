//! A store around a store: whoever brings a [`Watch`] stands before and behind each operation, to count
//! or time it, to see what is written, or, in a test, to let it fail or do something else.

use std::sync::Arc;

use async_trait::async_trait;

use super::seal::{DataKey, Sealed};
use super::{
    Begin, Begun, Commit, DueWakeup, End, KeyUse, Prune, Pruned, Recovery, Redating, Reseal,
    Retirement, SecretScope, Store, StoreError, StoredSecret,
};
use crate::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use crate::types::{Document, Filter, Hierarchy, Page, Reference, Timestamp};

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `get`, `find` and `wakeups`: what a workflow reads.
    Read,
    /// `sealed`: a secret that a workflow opens.
    Sealed,
    /// `commit`: what a workflow writes.
    Commit,
    /// `begin` of a call.
    Begin,
    /// `report` of progress.
    Report,
    /// `end` of a call.
    End,
    /// Everything else: listings, what is due, recovery, transactions, keys.
    Other,
}

/// Stands around the operations of a store, and in place of those that it says otherwise about: each is
/// given the store within, and by default asks it the same.
pub trait Watch: Send + Sync + 'static {
    /// Does `work`, which is an operation, or says in its place what came of it.
    fn around<T: Send>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let _ = operation;
        work
    }

    /// In place of [`Store::get`].
    fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> impl Future<Output = Result<Vec<Option<Document>>, StoreError>> + Send {
        async move { inner.get(references).await }
    }

    /// In place of [`Store::find`].
    fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Document>, StoreError>> + Send {
        async move { inner.find(filter, cursor, limit).await }
    }

    /// In place of [`Store::commit`].
    fn commit(
        &self,
        inner: &dyn Store,
        commit: Commit,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { inner.commit(commit).await }
    }

    /// In place of [`Store::sealed`].
    fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> impl Future<Output = Result<Option<Sealed>, StoreError>> + Send {
        async move { inner.sealed(owner, name).await }
    }

    /// In place of [`Store::wakeups`].
    fn wakeups(
        &self,
        inner: &dyn Store,
        subject: &Reference,
    ) -> impl Future<Output = Result<Vec<DueWakeup>, StoreError>> + Send {
        async move { inner.wakeups(subject).await }
    }

    /// In place of [`Store::due`].
    fn due(
        &self,
        inner: &dyn Store,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> impl Future<Output = Result<Vec<DueWakeup>, StoreError>> + Send {
        async move { inner.due(now, limit, without).await }
    }

    /// In place of [`Store::begin`].
    fn begin(
        &self,
        inner: &dyn Store,
        begin: Begin,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send {
        async move { inner.begin(begin).await }
    }

    /// In place of [`Store::end`].
    fn end(
        &self,
        inner: &dyn Store,
        end: End,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { inner.end(end).await }
    }
}

/// A store that is watched.
pub struct Watched<W> {
    inner: Arc<dyn Store>,
    watch: W,
}

impl<W: Watch> Watched<W> {
    /// `inner`, with `watch` around each of its operations.
    pub fn around(inner: Arc<dyn Store>, watch: W) -> Self {
        Self { inner, watch }
    }
}

#[async_trait]
impl<W: Watch> Store for Watched<W> {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        let work = self.watch.get(self.inner.as_ref(), references);
        self.watch.around(Operation::Read, work).await
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let work = self.watch.find(self.inner.as_ref(), filter, cursor, limit);
        self.watch.around(Operation::Read, work).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let work = self.watch.commit(self.inner.as_ref(), commit);
        self.watch.around(Operation::Commit, work).await
    }

    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        let work = self.watch.sealed(self.inner.as_ref(), owner, name);
        self.watch.around(Operation::Sealed, work).await
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        let work = self.watch.wakeups(self.inner.as_ref(), subject);
        self.watch.around(Operation::Read, work).await
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let work = self.inner.upcoming(hierarchy, cursor, limit);
        self.watch.around(Operation::Other, work).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let work = self.watch.due(self.inner.as_ref(), now, limit, without);
        self.watch.around(Operation::Other, work).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let work = self.inner.next_due();
        self.watch.around(Operation::Other, work).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let work = self.watch.begin(self.inner.as_ref(), begin);
        self.watch.around(Operation::Begin, work).await
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        let work = self.inner.report(update);
        self.watch.around(Operation::Report, work).await
    }

    async fn end(&self, end: End) -> Result<(), StoreError> {
        let work = self.watch.end(self.inner.as_ref(), end);
        self.watch.around(Operation::End, work).await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        let work = self.inner.recover(now);
        self.watch.around(Operation::Other, work).await
    }

    async fn redate(&self, now: Timestamp) -> Result<Redating, StoreError> {
        let work = self.inner.redate(now);
        self.watch.around(Operation::Other, work).await
    }

    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        let work = self.inner.transaction(id);
        self.watch.around(Operation::Other, work).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let work = self.inner.transactions(filter, cursor, limit);
        self.watch.around(Operation::Other, work).await
    }

    async fn prune_transactions(&self, prune: Prune) -> Result<Pruned, StoreError> {
        let work = self.inner.prune_transactions(prune);
        self.watch.around(Operation::Other, work).await
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        let work = self.inner.data_keys();
        self.watch.around(Operation::Other, work).await
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        let work = self.inner.add_data_key(key);
        self.watch.around(Operation::Other, work).await
    }

    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        let work = self.inner.rewrap_data_keys(were, wrapped_anew);
        self.watch.around(Operation::Other, work).await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        let work = self.inner.retire_data_key(id, despite_quarantined);
        self.watch.around(Operation::Other, work).await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        let work = self.inner.key_use();
        self.watch.around(Operation::Other, work).await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        let work = self.inner.secrets(scope, cursor, limit);
        self.watch.around(Operation::Other, work).await
    }

    async fn reseal(&self, steps: Vec<Reseal>) -> Result<Vec<bool>, StoreError> {
        let work = self.inner.reseal(steps);
        self.watch.around(Operation::Other, work).await
    }
}
