//! The begin and the end of a call: lease, transaction and wakeup in one write.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, from_millis, from_sql_count, to_millis, to_sql_count};
use super::writer::{Batch, Durability};
use super::{SqliteStore, documents, queue, recovery, transactions, wakeups};
use crate::{
    BeginOutcome, CallEnd, CallStart, CallStore, Lease, Recovery, RedateReport, StoreError,
    WakeupSettlement,
};
use relation_types::transactions::TransactionUpdate;
use relation_types::{QUEUED_CALL_MODEL, Reference, Timestamp};

const FIND: &str = "SELECT expires, began FROM leases WHERE model = ?1 AND pkid = ?2";
const CLAIM: &str = "INSERT INTO leases (model, pkid, epoch, holder, expires, began)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder,
        expires = excluded.expires, began = excluded.began";
const CURRENT: &str = "SELECT 1 FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";
const RELEASE: &str = "DELETE FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";
/// The same update as `recovery` makes for the leases of ended processes.
const ABANDON: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE model = ?1 AND pkid = ?2 AND epoch = ?3 AND EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
/// The row of an interrupted call (see `recovery`).
const FORGET: &str = "DELETE FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = 0";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, CURRENT, RELEASE, ABANDON, FORGET];

#[async_trait]
impl CallStore for SqliteStore {
    async fn begin(&self, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        let holder = Arc::clone(&self.process_lock);
        self.writer
            .write_as(Durability::Process, move |connection| {
                super::calls::begin(connection, holder.id(), &begin)
            })
            .await
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.writer
            .write_as(Durability::Process, move |connection| {
                transactions::report(connection, &update)
            })
            .await
    }

    async fn end(&self, end: CallEnd) -> Result<(), StoreError> {
        self.writer
            .write_as(Durability::Process, move |connection| {
                super::calls::end(connection, &end)
            })
            .await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        let holder = Arc::clone(&self.process_lock);
        let (recovery, gone) = self
            .writer
            .write(move |connection| recovery::recover(connection, &holder, now))
            .await?;
        for gone in gone {
            self.process_lock.remove_file(gone);
        }
        Ok(recovery)
    }

    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        self.writer
            .write(move |connection| recovery::redate(connection, now))
            .await
    }
}

pub(super) fn begin(batch: &Batch<'_>, holder: &str, begin: &CallStart) -> Result<BeginOutcome> {
    if let Some(wakeup) = &begin.wakeup
        && !wakeups::is_waiting(batch, wakeup)?
    {
        return Ok(BeginOutcome::Gone);
    }
    let lease = match &begin.subject {
        None => None,
        Some(subject) => {
            let found = find_lease(batch, subject)?;
            if let Some(UnreleasedLease { expires, .. }) = found
                && expires > begin.now
            {
                return Ok(BeginOutcome::Busy(expires));
            }
            // The end of a call releases its lease, so this call was interrupted.
            let interrupted = found.map(|found| found.began);
            Some(claim(batch, holder, subject, begin, interrupted)?)
        }
    };
    match &begin.wakeup {
        Some(wakeup) if wakeup.wakeup.subject.model == QUEUED_CALL_MODEL => {
            let new = &begin.transaction;
            queue::begin(batch, holder, new, lease.is_some())?;
        }
        _ => transactions::begin(batch, holder, &begin.transaction)?,
    }
    Ok(BeginOutcome::Started(lease))
}

pub(super) fn end(connection: &Connection, end: &CallEnd) -> Result<()> {
    let held = match &end.lease {
        Some(lease) if end.interrupted && abandon(connection, lease)? => true,
        Some(lease) => release(connection, lease)?,
        None => true,
    };
    if held || !end.is_of_queued_call() {
        transactions::finish(connection, &end.transaction)?;
    }
    match &end.wakeup {
        Some(WakeupSettlement::Done(wakeup)) if held => wakeups::complete(connection, wakeup),
        Some(WakeupSettlement::Delete(wakeup)) if held => {
            delete_document(connection, &wakeup.wakeup.subject)
        }
        Some(WakeupSettlement::Retry(wakeup, at)) if held => {
            let ended = end.transaction.outcome.as_ref();
            let now = ended.map(|outcome| outcome.completed).unwrap_or_default();
            wakeups::retry(connection, wakeup, *at, now)
        }
        _ => Ok(()),
    }
}

/// Deletes a document with everything that belongs to it.
pub(super) fn delete_document(connection: &Connection, reference: &Reference) -> Result<()> {
    documents::delete(connection, reference)?;
    forget(connection, reference)?;
    wakeups::cancel_all(connection, reference)
}

/// Returns whether `lease` is the subject's current lease.
pub(super) fn is_current(connection: &Connection, lease: &Lease) -> Result<bool> {
    let subject = &lease.subject;
    let mut statement = connection.prepare_cached(CURRENT)?;
    Ok(statement.exists(params![
        subject.model,
        subject.pkid.as_str(),
        to_sql_count(lease.epoch)
    ])?)
}

/// Removes the record of an interrupted call on `subject`, which is being deleted.
fn forget(connection: &Connection, subject: &Reference) -> Result<()> {
    connection
        .prepare_cached(FORGET)?
        .execute(params![subject.model, subject.pkid.as_str()])?;
    Ok(())
}

/// A lease that was not released.
#[derive(Clone, Copy)]
struct UnreleasedLease {
    expires: Timestamp,
    began: Timestamp,
}

fn find_lease(connection: &Connection, subject: &Reference) -> Result<Option<UnreleasedLease>> {
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_row(params![subject.model, subject.pkid.as_str()], |row| {
        Ok(UnreleasedLease {
            expires: from_millis(row.get(0)?),
            began: from_millis(row.get(1)?),
        })
    });
    Ok(found.optional()?)
}

fn claim(
    batch: &Batch<'_>,
    holder: &str,
    subject: &Reference,
    begin: &CallStart,
    interrupted: Option<Timestamp>,
) -> Result<Lease> {
    let epoch = batch.next_number()?;
    let expires = begin.now.after(begin.lease);
    batch.prepare_cached(CLAIM)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        epoch,
        holder,
        to_millis(expires),
        to_millis(begin.now)
    ])?;
    Ok(Lease {
        subject: subject.clone(),
        epoch: from_sql_count(epoch, "an epoch")?,
        expires,
        interrupted,
    })
}

/// Releases the lease; returns whether the lease was still held.
fn release(connection: &Connection, lease: &Lease) -> Result<bool> {
    execute_for(connection, RELEASE, lease)
}

/// Marks the lease's call as interrupted; returns whether the lease was still held and its subject
/// exists.
fn abandon(connection: &Connection, lease: &Lease) -> Result<bool> {
    execute_for(connection, ABANDON, lease)
}

fn execute_for(connection: &Connection, statement: &str, lease: &Lease) -> Result<bool> {
    let subject = &lease.subject;
    let released = connection.prepare_cached(statement)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        to_sql_count(lease.epoch)
    ])?;
    Ok(released > 0)
}
