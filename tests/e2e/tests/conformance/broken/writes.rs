//! Stores that do not apply a commit as written, atomically.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Commit, Store, StoreError};

use super::store;

/// A defect of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommitDefect {
    /// Drops the last of several changes.
    AllButTheLast,
    /// Ignores the preconditions.
    Unconditionally,
    /// Checks only the first precondition.
    OnTheFirstCheck,
    /// Applies the changes in reverse order.
    Backwards,
    /// Rejects the delete of a missing document.
    NoIdleDelete,
    /// Deletes nothing.
    NoDelete,
    /// Rejects texts and lists of the largest permitted size.
    WithinTighterBounds,
}

impl StoreLayer for CommitDefect {
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
    commit_loses_its_last_change: store(CommitDefect::AllButTheLast) => ["storage.commit.whole"];
    checks_are_ignored: store(CommitDefect::Unconditionally) => [
        "storage.commit.nothing",
        "storage.commit.version-check",
        "storage.commit.absent-check",
        "storage.commit.unique-check",
    ];
    only_the_first_check_counts: store(CommitDefect::OnTheFirstCheck) => ["storage.commit.every-check"];
    changes_are_in_another_order: store(CommitDefect::Backwards) => ["storage.commit.order"];
    idle_removals_are_rejected: store(CommitDefect::NoIdleDelete) => ["storage.commit.idle-removal"];
    deletes_are_not_done: store(CommitDefect::NoDelete) => [
        "storage.find.deleted",
        "storage.delete.cascade",
        "delivery.deleted",
        "delete.leaves-nothing",
    ];
    limits_are_too_tight: store(CommitDefect::WithinTighterBounds) => [
        "storage.bounds.reference",
        "storage.bounds.keys",
        "scheduling.bounds",
    ];
}
