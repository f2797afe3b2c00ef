//! Methods that are not written yet.
#![allow(clippy::unimplemented, reason = "in work")]

use async_trait::async_trait;
use relation_types::transactions::TransactionUpdate;
use relation_types::{Document, Filter, Page, Reference, Timestamp};

use super::PostgresStore;
use crate::{
    BeginOutcome, CallEnd, CallStart, CallStore, Commit, DocumentStore, Recovery, RedateReport,
    SortOrder, StoreError,
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
