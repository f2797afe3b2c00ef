//! Commits: the fence, the checks, the changes, and the update of the transaction.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::error::{Result, SqlError};
use super::writer::Batch;
use super::{calls, data_keys, documents, search, transactions, wakeups};
use crate::{Change, Check, Commit, StoreError};
use relation_types::{Reference, Timestamp};

pub(super) fn commit(batch: &Batch<'_>, commit: &Commit) -> Result<()> {
    if let Some(lease) = &commit.fence
        && !calls::is_current(batch, lease)?
    {
        return Err(SqlError(StoreError::fenced(lease)));
    }
    for check in &commit.checks {
        verify(batch, check)?;
    }
    check_keys(batch, commit)?;
    let mut owners = BTreeSet::new();
    for change in &commit.changes {
        apply(batch, change, commit.now, &mut owners)?;
    }
    for owner in owners {
        if !is_put(commit, owner) && !documents::exists(batch, owner)? {
            return Err(SqlError(StoreError::missing_owner(owner)));
        }
    }
    for new in &commit.queued {
        transactions::add_queued(batch, new)?;
    }
    match &commit.transaction {
        Some(update) => transactions::report(batch, update),
        None => Ok(()),
    }
}

/// Returns whether this commit's last change of the document is a put.
fn is_put(commit: &Commit, reference: &Reference) -> bool {
    let last = commit.changes.iter().rev().find_map(|change| match change {
        Change::Put(document) if document.reference == *reference => Some(true),
        Change::Delete(deleted) if deleted == reference => Some(false),
        _ => None,
    });
    last == Some(true)
}

/// Refuses values that are sealed with an older data key, so that a rotation can finish.
fn check_keys(connection: &Connection, commit: &Commit) -> Result<()> {
    let mut newest = None;
    for change in &commit.changes {
        let Change::PutSecret { sealed, .. } = change else {
            continue;
        };
        let newest = match newest {
            Some(newest) => newest,
            None => *newest.insert(data_keys::newest(connection)?),
        };
        let key = sealed.key();
        let is_accepted = newest == Some(key)
            || (commit.older_keys && data_keys::get(connection, key)?.is_some());
        if !is_accepted {
            return Err(SqlError(StoreError::StaleKey(key)));
        }
    }
    Ok(())
}

fn verify(connection: &Connection, check: &Check) -> Result<()> {
    let refused = match check {
        Check::Version(reference, expected) => match documents::version(connection, reference)? {
            found if found == Some(*expected) => return Ok(()),
            found => StoreError::version_conflict(reference, *expected, found),
        },
        Check::Absent(reference) => match documents::exists(connection, reference)? {
            false => return Ok(()),
            true => StoreError::already_exists(reference),
        },
        Check::Unique(filter, except) => {
            match search::find_other(connection, filter, except.as_ref())? {
                None => return Ok(()),
                Some(pkid) => StoreError::not_unique(filter, &pkid),
            }
        }
    };
    Err(SqlError(refused))
}

/// Applies one change; `owners` are the documents that must exist once all are applied.
fn apply<'a>(
    batch: &Batch<'_>,
    change: &'a Change,
    now: Timestamp,
    owners: &mut BTreeSet<&'a Reference>,
) -> Result<()> {
    match change {
        Change::Put(document) => documents::put(batch, document),
        Change::Delete(reference) => {
            owners.remove(reference);
            calls::delete_document(batch, reference)
        }
        Change::PutSecret {
            owner,
            name,
            sealed,
        } => {
            owners.insert(owner);
            documents::put_secret(batch, owner, name, sealed)
        }
        Change::RemoveSecret(owner, name) => documents::remove_secret(batch, owner, name),
        Change::Schedule(wakeup) => {
            owners.insert(&wakeup.subject);
            wakeups::schedule(batch, wakeup, now)
        }
        Change::Cancel(subject, id) => wakeups::cancel(batch, subject, id),
    }
}
