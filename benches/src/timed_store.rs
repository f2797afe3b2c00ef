//! A wrapper that times the calls to a store.

use relation_host::store::StoreError;
use relation_host::store::layer::{Layered, Operation, StoreLayer};

use crate::phases::{Phase, Phases};

/// A layer that times the inner store's calls.
pub type TimedStore = Layered<Phases>;

impl StoreLayer for Phases {
    async fn wrap<T: Send>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let phase = match operation {
            Operation::Read => Phase::Read,
            Operation::Sealed => Phase::Sealed,
            Operation::Commit => Phase::Commit,
            Operation::Begin => Phase::Begin,
            Operation::End => Phase::End,
            // Not a part of a call.
            Operation::Report | Operation::Other => return work.await,
        };
        self.time(phase, work).await
    }
}
