//! The harness's store layer: remembers all written documents, which stores do not list, and can disable leases
//! for a test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::store::layer::StoreLayer;
use relation_host::store::{BeginOutcome, CallEnd, CallStart, Change, Commit, Store, StoreError};
use relation_host::types::Reference;

/// A store layer. Clones share what they observed.
#[derive(Clone, Debug)]
pub(crate) struct ObservingLayer {
    documents: Arc<Mutex<BTreeSet<Reference>>>,
    leases: bool,
}

impl ObservingLayer {
    /// Creates a layer that knows `documents`. Without `leases` every claim is granted, and no commit is
    /// fenced.
    pub(crate) fn new(documents: BTreeSet<Reference>, leases: bool) -> Self {
        Self {
            documents: Arc::new(Mutex::new(documents)),
            leases,
        }
    }

    /// Returns all documents that were written; some may not exist.
    pub(crate) fn documents(&self) -> BTreeSet<Reference> {
        self.documents.lock().clone()
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
