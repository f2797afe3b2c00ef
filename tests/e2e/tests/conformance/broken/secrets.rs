//! Stores that mix secrets up, lose them or reveal them.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use relation_harness::MemoryStore;
use relation_harness::conformance::Conformance;
use relation_host::store::layer::StoreLayer;
use relation_host::store::seal::Sealed;
use relation_host::store::{CallEnd, Change, Commit, Store, StoreError};
use relation_host::types::Reference;

use super::{around, store};
use crate::support::on;

/// The suite's secret that must not be revealed (`tests/host-conformance/src/verbs.rs`).
const SECRET_VALUE: &str = "a-secret-that-a-call-has-seen-5f2c";

/// A defect of secrets.
enum SecretDefect {
    /// Loses every secret.
    Lost,
    /// Keeps the first value.
    NotReplaced,
    /// Keeps a removed secret.
    NotRemoved,
    /// Accepts a secret for a document that does not exist, and loses it.
    WithoutOwner,
    /// Stores secrets by name alone, so that the latest is everybody's.
    SharedByName(Mutex<BTreeMap<String, Sealed>>),
    /// Puts secrets back where they were redacted in the outcome of a call.
    Leaked,
}

impl StoreLayer for SecretDefect {
    async fn sealed(
        &self,
        inner: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<Sealed>, StoreError> {
        match self {
            Self::Lost => Ok(None),
            Self::SharedByName(latest) => Ok(latest.lock().get(name).cloned()),
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
            Self::WithoutOwner => {
                let mut without = commit.clone();
                without
                    .changes
                    .retain(|change| !matches!(change, Change::PutSecret { .. }));
                return match inner.commit(commit).await {
                    Err(StoreError::Invalid(_)) => inner.commit(without).await,
                    other => other,
                };
            }
            Self::SharedByName(latest) => {
                for change in &commit.changes {
                    if let Change::PutSecret { name, sealed, .. } = change {
                        latest.lock().insert(name.clone(), sealed.clone());
                    }
                }
            }
            Self::Lost | Self::Leaked => {}
        }
        inner.commit(commit).await
    }

    async fn end(&self, inner: &dyn Store, mut end: CallEnd) -> Result<(), StoreError> {
        if let (Self::Leaked, Some(outcome)) = (self, &mut end.transaction.outcome) {
            outcome.message = outcome.message.replace("[secret]", SECRET_VALUE);
        }
        inner.end(end).await
    }
}

fn shared_by_name() -> SecretDefect {
    SecretDefect::SharedByName(Mutex::default())
}

/// Creates a host that has lost its secrets after a restart.
async fn lost_by_a_restart() -> Conformance {
    let first = MemoryStore::new("conformance");
    let again = first.clone();
    let run = on(std::sync::Arc::new(first)).await;
    run.reopen_with(move || {
        let store = around(again.another_host(), SecretDefect::Lost);
        std::future::ready(Ok(store))
    })
}

broken_hosts! {
    secrets_are_lost: store(SecretDefect::Lost) => ["secrets.reveal"];
    secrets_are_not_replaced: store(SecretDefect::NotReplaced) => ["secrets.replace"];
    secrets_are_not_removed: store(SecretDefect::NotRemoved) => ["secrets.remove"];
    secrets_without_an_owner: store(SecretDefect::WithoutOwner) => ["secrets.owner"];
    secrets_shared_by_name: store(shared_by_name()) => ["secrets.absent", "secrets.own"];
    secrets_are_leaked: store(SecretDefect::Leaked) => ["secrets.redacted"];
    secrets_are_lost_by_a_restart: lost_by_a_restart() => ["storage.commit.durable"];
}
