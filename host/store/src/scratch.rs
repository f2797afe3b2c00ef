//! Stores for tests, which are emptied again and again.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Store, StoreError};

/// A store for tests, which is emptied before each of them. One test uses it at a time.
///
/// Its leases expire by the times that callers give, so that a test can simulate the clock.
#[async_trait]
pub trait ScratchStore: Debug + Send + Sync {
    /// Removes all data. Every host that has opened the store must have closed it.
    async fn clear(&self) -> Result<(), StoreError>;

    /// Opens the store as another host, like another process.
    async fn open(&self) -> Result<Arc<dyn Store>, StoreError>;

    /// Removes the store, and leaves its place as it was before.
    async fn remove(&self) -> Result<(), StoreError>;
}
