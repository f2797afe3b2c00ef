//! A commit: the fence, the checks, the changes, the news of its transaction.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::fault::{Done, Fault};
use super::{calls, data_keys, documents, search, transactions, wakeups};
use crate::store::{Change, Check, Commit, StoreError};
use crate::types::{Reference, Timestamp};

pub(super) fn commit(connection: &Connection, commit: &Commit) -> Done<()> {
    if let Some(lease) = &commit.fence
        && !calls::is_current(connection, lease)?
    {
        return Err(Fault(StoreError::fenced(lease)));
    }
    for check in &commit.checks {
        verify(connection, check)?;
    }
    check_keys(connection, commit)?;
    let mut owners = BTreeSet::new();
    for change in &commit.changes {
        apply(connection, change, commit.now, &mut owners)?;
    }
    for owner in owners {
        if !documents::exists(connection, owner)? {
            return Err(Fault(StoreError::orphan(owner)));
        }
    }
    match &commit.transaction {
        Some(news) => transactions::report(connection, news),
        None => Ok(()),
    }
}

/// What is sealed with an older data key is refused, so that a rotation comes to an end.
fn check_keys(connection: &Connection, commit: &Commit) -> Done<()> {
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
        let taken = newest == Some(key)
            || (commit.older_keys && data_keys::get(connection, key)?.is_some());
        if !taken {
            return Err(Fault(StoreError::StaleKey(key)));
        }
    }
    Ok(())
}

fn verify(connection: &Connection, check: &Check) -> Done<()> {
    let refused = match check {
        Check::Version(which, expected) => match documents::version(connection, which)? {
            found if found == Some(*expected) => return Ok(()),
            found => StoreError::changed(which, *expected, found),
        },
        Check::Absent(which) => match documents::exists(connection, which)? {
            false => return Ok(()),
            true => StoreError::exists(which),
        },
        Check::Unique(filter, except) => {
            match search::any_other(connection, filter, except.as_ref())? {
                None => return Ok(()),
                Some(pkid) => StoreError::taken(filter, &pkid),
            }
        }
    };
    Err(Fault(refused))
}

/// Applies one change; `owners` are the documents that must exist once all are applied.
fn apply<'a>(
    connection: &Connection,
    change: &'a Change,
    now: Timestamp,
    owners: &mut BTreeSet<&'a Reference>,
) -> Done<()> {
    match change {
        Change::Put(document) => documents::put(connection, document),
        Change::Delete(which) => {
            owners.remove(which);
            documents::delete(connection, which)?;
            calls::forget(connection, which)?;
            wakeups::cancel_all(connection, which)
        }
        Change::PutSecret {
            owner,
            name,
            sealed,
        } => {
            owners.insert(owner);
            documents::put_secret(connection, owner, name, sealed)
        }
        Change::RemoveSecret(owner, name) => documents::remove_secret(connection, owner, name),
        Change::Schedule(wakeup) => {
            owners.insert(&wakeup.subject);
            wakeups::schedule(connection, wakeup, now)
        }
        Change::Cancel(subject, id) => wakeups::cancel(connection, subject, id),
    }
}
