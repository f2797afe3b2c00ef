//! The harness's store layer: remembers all written documents, which stores do not list, and can disable leases
//! for a test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::store::layer::{Operation, StoreLayer};
use relation_host::store::{BeginOutcome, CallEnd, CallStart, Change, Commit, Store, StoreError};
use relation_host::types::Reference;

/// A store layer. Clones share what they observed.
#[derive(Clone, Debug)]
pub(crate) struct ObservingLayer {
    documents: Arc<Mutex<BTreeSet<Reference>>>,
    operations: Arc<Mutex<OperationCounts>>,
    leases: bool,
}

/// The numbers of a store's operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OperationCounts {
    /// The operations that have begun.
    pub(crate) begun: u64,
    /// Those that have not ended.
    pub(crate) running: u64,
}

/// An operation that runs. One that is dropped has ended too.
struct RunningOperation(Arc<Mutex<OperationCounts>>);

impl RunningOperation {
    fn begin(counts: &Arc<Mutex<OperationCounts>>) -> Self {
        let mut counted = counts.lock();
        counted.begun += 1;
        counted.running += 1;
        Self(Arc::clone(counts))
    }
}

impl Drop for RunningOperation {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl ObservingLayer {
    /// Creates a layer that knows `documents`. Without `leases` every claim is granted, and no commit is
    /// fenced.
    pub(crate) fn new(documents: BTreeSet<Reference>, leases: bool) -> Self {
        Self {
            documents: Arc::new(Mutex::new(documents)),
            operations: Arc::default(),
            leases,
        }
    }

    /// Returns all documents that were written; some may not exist.
    pub(crate) fn documents(&self) -> BTreeSet<Reference> {
        self.documents.lock().clone()
    }

    pub(crate) fn count_operations(&self) -> OperationCounts {
        *self.operations.lock()
    }

    fn remember_documents(&self, commit: &Commit) {
        let mut documents = self.documents.lock();
        for change in &commit.changes {
            if let Change::Put(document) = change {
                documents.insert(document.reference.clone());
            }
        }
    }
}

impl StoreLayer for ObservingLayer {
    async fn wrap<T: Send>(
        &self,
        _operation: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _running = RunningOperation::begin(&self.operations);
        work.await
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        self.remember_documents(&commit);
        if !self.leases {
            commit.fence = None;
        }
        inner.commit(commit).await
    }

    async fn begin(
        &self,
        inner: &dyn Store,
        mut begin: CallStart,
    ) -> Result<BeginOutcome, StoreError> {
        if self.leases {
            return inner.begin(begin).await;
        }
        // The lease expires immediately, so that the next claim is granted.
        begin.lease = Duration::ZERO;
        Ok(match inner.begin(begin).await? {
            // The earlier call was not cut off.
            BeginOutcome::Started(Some(mut lease)) => {
                lease.interrupted = None;
                BeginOutcome::Started(Some(lease))
            }
            other => other,
        })
    }

    async fn end(&self, inner: &dyn Store, mut end: CallEnd) -> Result<(), StoreError> {
        if !self.leases {
            // A lease that another call took over would prevent settling the wakeup.
            end.lease = None;
        }
        inner.end(end).await
    }
}
