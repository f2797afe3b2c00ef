//! Stores that mix secrets up, lose them or tell them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use relation_harness::MemoryStore;
use relation_harness::conformance::Conformance;
use relation_host::store::layer::StoreLayer;
use relation_host::store::seal::Sealed;
use relation_host::store::{Change, Commit, End, Store, StoreError};
use relation_host::types::Reference;

use super::{around, store};
use crate::support::on;

/// The suite's secret that must not be told (`tests/host-conformance/src/verbs.rs`).
const TOLD: &str = "a-secret-that-a-call-has-seen-5f2c";

/// What is wrong with secrets.
enum Secrets {
    /// They are gone.
    Lost,
    /// The first one stays.
    NotReplaced,
    /// What is to be removed stays.
    NotRemoved,
    /// A document that does not exist can have one; it is gone.
    OfNobody,
    /// They are known by their name alone, and the latest is everybody's.
    OfEverybody(Mutex<BTreeMap<String, Sealed>>),
    /// They are put back where they were scrubbed from how a call ended.
    Told,
}

impl StoreLayer for Secrets {
    async fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<Sealed>, StoreError> {
        match self {
            Self::Lost => Ok(None),
            Self::OfEverybody(latest) => Ok(latest.lock().unwrap().get(name).cloned()),
            _ => inner.sealed(owner, name).await,
        }
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        match self {
            Self::NotReplaced => {
                let mut changes = Vec::new();
                for change in commit.changes {
                    if let Change::PutSecret { owner, name, .. } = &change
                        && inner.sealed(owner, name).await?.is_some()
                    {
                        continue;
                    }
                    changes.push(change);
                }
                commit.changes = changes;
            }
            Self::NotRemoved => commit
                .changes
                .retain(|change| !matches!(change, Change::RemoveSecret(..))),
            Self::OfNobody => {
                let mut without = commit.clone();
                without
                    .changes
                    .retain(|change| !matches!(change, Change::PutSecret { .. }));
                return match inner.commit(commit).await {
                    Err(StoreError::Invalid(_)) => inner.commit(without).await,
                    other => other,
                };
            }
            Self::OfEverybody(latest) => {
                for change in &commit.changes {
                    if let Change::PutSecret { name, sealed, .. } = change {
                        latest.lock().unwrap().insert(name.clone(), sealed.clone());
                    }
                }
            }
            Self::Lost | Self::Told => {}
        }
        inner.commit(commit).await
    }

    async fn end(&self, inner: &dyn Store, mut end: End) -> Result<(), StoreError> {
        if let (Self::Told, Some(outcome)) = (self, &mut end.transaction.outcome) {
            outcome.message = outcome.message.replace("[secret]", TOLD);
        }
        inner.end(end).await
    }
}

fn of_everybody() -> Secrets {
    Secrets::OfEverybody(Mutex::default())
}

/// A host that finds its secrets gone after a restart.
async fn lost_by_a_restart() -> Conformance {
    let first = MemoryStore::new("conformance");
    let again = first.clone();
    let run = on(std::sync::Arc::new(first)).await;
    run.reopening(Box::new(move || {
        Ok(around(again.another_host(), Secrets::Lost))
    }))
}

broken_hosts! {
    secrets_that_are_lost: store(Secrets::Lost) => ["secrets.reveal"];
    secrets_that_are_not_replaced: store(Secrets::NotReplaced) => ["secrets.replace"];
    secrets_that_are_not_removed: store(Secrets::NotRemoved) => ["secrets.remove"];
    secrets_of_nobody: store(Secrets::OfNobody) => ["secrets.owner"];
    secrets_of_everybody: store(of_everybody()) => ["secrets.absent", "secrets.own"];
    secrets_that_are_told: store(Secrets::Told) => ["secrets.scrubbed"];
    secrets_that_a_restart_loses: lost_by_a_restart() => ["storage.commit.durable"];
}
