//! Stands around the store: remembers which documents were ever written, since stores list none, and takes the leases
//! away where a test wants to see what they prevent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Begin, BeginOutcome, Change, Commit, End, Store, StoreError};
use relation_host::types::Reference;

/// Watches a store. Clones share what they saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    documents: Arc<Mutex<BTreeSet<Reference>>>,
    leases: bool,
}

impl Seen {
    /// One that has seen `documents`. Without `leases` every claim is granted, and no commit is fenced.
    pub(crate) fn new(documents: BTreeSet<Reference>, leases: bool) -> Self {
        Self {
            documents: Arc::new(Mutex::new(documents)),
            leases,
        }
    }

    /// Every document that a commit named; some may be gone, or never have been.
    pub(crate) fn documents(&self) -> BTreeSet<Reference> {
        let documents = self.documents.lock();
        documents.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, commit: &Commit) {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for change in &commit.changes {
            if let Change::Put(document) = change {
                documents.insert(document.reference.clone());
            }
        }
    }
}

impl StoreLayer for Seen {
    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        self.see(&commit);
        if !self.leases {
            commit.fence = None;
        }
        inner.commit(commit).await
    }

    async fn begin(&self, inner: &dyn Store, mut begin: Begin) -> Result<BeginOutcome, StoreError> {
        if self.leases {
            return inner.begin(begin).await;
        }
        // It has expired as soon as it is claimed, so the next claim takes it over.
        begin.lease = Duration::ZERO;
        Ok(match inner.begin(begin).await? {
            // Taken over from nobody: the call before it is not one that was cut off.
            BeginOutcome::Started(Some(mut lease)) => {
                lease.interrupted = None;
                BeginOutcome::Started(Some(lease))
            }
            other => other,
        })
    }

    async fn end(&self, inner: &dyn Store, mut end: End) -> Result<(), StoreError> {
        if !self.leases {
            // A lease that somebody took over would keep the wakeup from being settled.
            end.lease = None;
        }
        inner.end(end).await
    }
}
