//! Stores that do not do what a commit says, all of it or nothing.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Commit, Store, StoreError};

use super::store;

/// What is wrong with commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    /// All changes but the last of several.
    AllButTheLast,
    /// Whatever they depend on.
    Unconditionally,
    /// If the first check holds.
    OnTheFirstCheck,
    /// The last change first.
    Backwards,
    /// And refuses to delete what is not there.
    NoIdleDelete,
    /// And deletes nothing.
    NoDelete,
    /// And takes no text or list that is as long as it may be.
    WithinTighterBounds,
}

impl StoreLayer for Writes {
    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        match self {
            Self::AllButTheLast if commit.changes.len() > 1 => drop(commit.changes.pop()),
            Self::AllButTheLast => {}
            Self::Unconditionally => commit.checks.clear(),
            Self::OnTheFirstCheck => commit.checks.truncate(1),
            Self::Backwards => commit.changes.reverse(),
            Self::NoIdleDelete => {
                for change in &commit.changes {
                    if let Change::Delete(reference) = change
                        && inner.get(std::slice::from_ref(reference)).await? == [None]
                    {
                        return Err(StoreError::Invalid(format!("there is no {reference}")));
                    }
                }
            }
            Self::NoDelete => commit
                .changes
                .retain(|change| !matches!(change, Change::Delete(_))),
            Self::WithinTighterBounds => {
                if commit.changes.iter().any(is_at_a_bound) {
                    return Err(StoreError::Invalid("too long".to_owned()));
                }
            }
        }
        inner.commit(commit).await
    }
}

fn is_at_a_bound(change: &Change) -> bool {
    match change {
        Change::Put(document) => {
            let long = |name: &str, value: &str| name.len() >= 64 || value.len() >= 4096;
            document.reference.model.len() >= 128
                || document.keys.len() >= 16
                || document.keys.iter().any(|key| long(&key.name, &key.value))
        }
        Change::Schedule(wakeup) => wakeup.id.len() >= 64 || wakeup.payload.len() >= 4096,
        _ => false,
    }
}

broken_hosts! {
    a_commit_that_loses_its_last_change: store(Writes::AllButTheLast) => ["storage.commit.whole"];
    checks_that_are_not_looked_at: store(Writes::Unconditionally) => [
        "storage.commit.nothing",
        "storage.commit.version-check",
        "storage.commit.absent-check",
        "storage.commit.unique-check",
    ];
    checks_of_which_one_is_looked_at: store(Writes::OnTheFirstCheck) => ["storage.commit.every-check"];
    changes_in_another_order: store(Writes::Backwards) => ["storage.commit.order"];
    removals_that_are_refused: store(Writes::NoIdleDelete) => ["storage.commit.idle-removal"];
    deletes_that_are_not_done: store(Writes::NoDelete) => [
        "storage.find.deleted",
        "storage.delete.cascade",
        "delivery.deleted",
        "delete.leaves-nothing",
    ];
    bounds_that_are_too_tight: store(Writes::WithinTighterBounds) => [
        "storage.bounds.reference",
        "storage.bounds.keys",
        "scheduling.bounds",
    ];
}
