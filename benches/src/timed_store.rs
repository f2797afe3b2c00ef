//! A store around a store that times what a call asks of it.

use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::seal::{DataKey, Sealed};
use relation_host::store::{
    Begin, Begun, Commit, DueWakeup, End, KeyUse, Recovery, Reseal, Retirement, SecretScope, Store,
    StoreError, StoredSecret,
};
use relation_host::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_host::types::{Document, Filter, Hierarchy, Page, Reference, Timestamp};

use crate::phases::{Phase, Phases};

/// Times the inner store's calls.
pub struct TimedStore {
    inner: Arc<dyn Store>,
    phases: Phases,
}

impl TimedStore {
    /// Times what is asked of `inner`.
    pub fn new(inner: Arc<dyn Store>, phases: Phases) -> Self {
        Self { inner, phases }
    }
}

#[async_trait]
impl Store for TimedStore {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        let work = self.inner.get(references);
        self.phases.time(Phase::Read, work).await
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let work = self.inner.find(filter, cursor, limit);
        self.phases.time(Phase::Read, work).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let work = self.inner.commit(commit);
        self.phases.time(Phase::Commit, work).await
    }

    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        let work = self.inner.sealed(owner, name);
        self.phases.time(Phase::Sealed, work).await
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        let work = self.inner.wakeups(subject);
        self.phases.time(Phase::Read, work).await
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        self.inner.upcoming(hierarchy, cursor, limit).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.inner.due(now, limit, without).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let work = self.inner.begin(begin);
        self.phases.time(Phase::Begin, work).await
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.inner.report(update).await
    }

    async fn end(&self, end: End) -> Result<(), StoreError> {
        let work = self.inner.end(end);
        self.phases.time(Phase::End, work).await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        self.inner.recover(now).await
    }

    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        self.inner.transaction(id).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        self.inner.transactions(filter, cursor, limit).await
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.inner.data_keys().await
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.inner.add_data_key(key).await
    }

    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.inner.rewrap_data_keys(were, wrapped_anew).await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.inner.retire_data_key(id, despite_quarantined).await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.inner.key_use().await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        self.inner.secrets(scope, cursor, limit).await
    }

    async fn reseal(&self, steps: Vec<Reseal>) -> Result<Vec<bool>, StoreError> {
        self.inner.reseal(steps).await
    }
}
