//! A commit: the fence, the checks, the changes, the news of its transaction.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::fault::{Done, Fault, conflict, invalid};
use super::{calls, data_keys, documents, search, transactions, wakeups};
use crate::store::{Change, Check, Commit, StoreError};
use crate::types::{Document, Key, Reference};

/// What can be told of a commit without the database, so that the writer need not look.
pub(super) fn validate(commit: &Commit) -> Result<(), StoreError> {
    for change in &commit.changes {
        if let Change::Put(document) = change {
            validate_document(document)?;
        }
    }
    Ok(())
}

fn validate_document(document: &Document) -> Result<(), StoreError> {
    let which = &document.reference;
    let body: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&document.body);
    if let Err(error) = body {
        // The error names the place in the body and none of its content.
        return Err(StoreError::Invalid(format!(
            "the body of {which} is not one JSON object: {:?} at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        )));
    }
    let mut names = BTreeSet::new();
    for key in &document.keys {
        if !names.insert(&key.name) {
            return Err(StoreError::Invalid(format!(
                "{which} has the key {} twice",
                key.name
            )));
        }
    }
    Ok(())
}

pub(super) fn commit(connection: &Connection, commit: &Commit) -> Done<()> {
    if let Some(lease) = &commit.fence
        && !calls::is_current(connection, lease)?
    {
        return Err(Fault(StoreError::Fenced {
            subject: lease.subject.clone(),
            epoch: lease.epoch,
        }));
    }
    for check in &commit.checks {
        verify(connection, check)?;
    }
    check_keys(connection, commit)?;
    let mut owners = BTreeSet::new();
    for change in &commit.changes {
        apply(connection, change, &mut owners)?;
    }
    for owner in owners {
        if !documents::exists(connection, owner)? {
            return Err(invalid(format!(
                "a secret or a wakeup of {owner}, which does not exist after the commit"
            )));
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
        let Change::Seal { sealed, .. } = change else {
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
    match check {
        Check::Version(which, expected) => match documents::version(connection, which)? {
            Some(found) if found == *expected => Ok(()),
            Some(found) => Err(conflict(format!(
                "{which} has changed: its version is {found}, not {expected}"
            ))),
            None => Err(conflict(format!("{which} does not exist any more"))),
        },
        Check::Absent(which) => match documents::exists(connection, which)? {
            true => Err(conflict(format!("{which} exists already"))),
            false => Ok(()),
        },
        Check::Unique(filter, except) => {
            match search::any_other(connection, filter, except.as_ref())? {
                None => Ok(()),
                Some(pkid) => Err(conflict(format!(
                    "{}/{pkid} {}",
                    filter.model,
                    shared(&filter.equals)
                ))),
            }
        }
    }
}

/// What another document that matches has in common with the one that was to be the only one.
fn shared(keys: &[Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    match names.as_slice() {
        [] => "is there already".to_owned(),
        names => format!("has the same {} already", names.join(" and ")),
    }
}

/// Applies one change; `owners` are the documents that must exist once all are applied.
fn apply<'a>(
    connection: &Connection,
    change: &'a Change,
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
        Change::Seal {
            owner,
            name,
            sealed,
        } => {
            owners.insert(owner);
            documents::seal(connection, owner, name, sealed)
        }
        Change::Unseal(owner, name) => documents::unseal(connection, owner, name),
        Change::Schedule(wakeup) => {
            owners.insert(&wakeup.subject);
            wakeups::schedule(connection, wakeup)
        }
        Change::Cancel(subject, id) => wakeups::cancel(connection, subject, id),
    }
}
