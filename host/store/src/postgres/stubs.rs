//! Methods that are not written yet.
#![allow(clippy::unimplemented, reason = "in work")]

use async_trait::async_trait;
use relation_types::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_types::{Document, Filter, Hierarchy, Page, Reference, Timestamp};

use super::PostgresStore;
use crate::seal::{DataKey, Sealed};
use crate::{
    BeginOutcome, CallEnd, CallStart, CallStore, Commit, DocumentStore, DueWakeup, KeyStore,
    KeyUse, KindFilter, PruneReport, PruneRequest, Recovery, RedateReport, ResealStep, Retirement,
    SecretScope, SortOrder, StoreError, StoredSecret, TransactionStore, WakeupStore,
};

#[async_trait]
impl DocumentStore for PostgresStore {
    async fn get(&self, _: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        unimplemented!()
    }

    async fn list(
        &self,
        _: &Filter,
        _: &SortOrder,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page<Document>, StoreError> {
        unimplemented!()
    }

    async fn count(&self, _: &Filter, _: u64) -> Result<u64, StoreError> {
        unimplemented!()
    }

    async fn commit(&self, _: Commit) -> Result<(), StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl WakeupStore for PostgresStore {
    async fn wakeups(&self, _: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        unimplemented!()
    }

    async fn upcoming(
        &self,
        _: Option<&Hierarchy>,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        unimplemented!()
    }

    async fn due(
        &self,
        _: Timestamp,
        _: u32,
        _: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        unimplemented!()
    }

    async fn count_due(&self, _: Timestamp, _: u64) -> Result<u64, StoreError> {
        unimplemented!()
    }

    async fn next_due(&self, _: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl CallStore for PostgresStore {
    async fn begin(&self, _: CallStart) -> Result<BeginOutcome, StoreError> {
        unimplemented!()
    }

    async fn report(&self, _: TransactionUpdate) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn end(&self, _: CallEnd) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn recover(&self, _: Timestamp) -> Result<Recovery, StoreError> {
        unimplemented!()
    }

    async fn redate(&self, _: Timestamp) -> Result<RedateReport, StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl TransactionStore for PostgresStore {
    async fn transaction(&self, _: &str) -> Result<Option<Transaction>, StoreError> {
        unimplemented!()
    }

    async fn transactions(
        &self,
        _: &TransactionFilter,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        unimplemented!()
    }

    async fn count_transactions(&self, _: &TransactionFilter, _: u64) -> Result<u64, StoreError> {
        unimplemented!()
    }

    async fn prune_transactions(&self, _: PruneRequest) -> Result<PruneReport, StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn sealed(&self, _: &Reference, _: &str) -> Result<Option<Sealed>, StoreError> {
        unimplemented!()
    }

    async fn secrets(
        &self,
        _: SecretScope,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        unimplemented!()
    }

    async fn reseal(&self, _: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        unimplemented!()
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        unimplemented!()
    }

    async fn add_data_key(&self, _: DataKey) -> Result<DataKey, StoreError> {
        unimplemented!()
    }

    async fn rewrap_data_keys(&self, _: Vec<DataKey>, _: Vec<DataKey>) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn retire_data_key(&self, _: u32, _: bool) -> Result<Retirement, StoreError> {
        unimplemented!()
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        unimplemented!()
    }
}
