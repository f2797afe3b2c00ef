//! The begin and the end of a call: lease, transaction and wakeup in one write.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Done, count_in, count_out, millis, moment};
use super::{sequence, transactions, wakeups};
use crate::store::{Answered, Begin, Begun, End, Lease};
use crate::types::{Reference, Timestamp};

const FOUND: &str = "SELECT expires, began FROM leases WHERE model = ?1 AND pkid = ?2";
const CLAIM: &str = "INSERT INTO leases (model, pkid, epoch, holder, expires, began)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder,
        expires = excluded.expires, began = excluded.began";
const CURRENT: &str = "SELECT 1 FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";
const RELEASE: &str = "DELETE FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";
/// As `recovery` does of the leases of processes that are gone.
const ABANDON: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE model = ?1 AND pkid = ?2 AND epoch = ?3 AND EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
/// The row of a call that was cut off (see `recovery`).
const FORGET: &str = "DELETE FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = 0";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FOUND, CURRENT, RELEASE, ABANDON, FORGET];

pub(super) fn begin(connection: &Connection, holder: &str, begin: &Begin) -> Done<Begun> {
    if let Some(wakeup) = &begin.wakeup
        && !wakeups::is_waiting(connection, wakeup)?
    {
        return Ok(Begun::Gone);
    }
    let lease = match &begin.subject {
        None => None,
        Some(subject) => {
            let found = found(connection, subject)?;
            if let Some(Found { expires, .. }) = found
                && expires > begin.now
            {
                return Ok(Begun::Busy(expires));
            }
            // Whoever ended a call has released its lease, so this one was cut off.
            let interrupted = found.map(|found| found.began);
            Some(claim(connection, holder, subject, begin, interrupted)?)
        }
    };
    transactions::begin(connection, holder, &begin.transaction)?;
    Ok(Begun::Started(lease))
}

pub(super) fn end(connection: &Connection, end: &End) -> Done<()> {
    transactions::finish(connection, &end.transaction)?;
    let held = match &end.lease {
        Some(lease) if end.interrupted && abandon(connection, lease)? => true,
        Some(lease) => release(connection, lease)?,
        None => true,
    };
    match &end.wakeup {
        Some(Answered::Done(wakeup)) if held => wakeups::done(connection, wakeup),
        Some(Answered::Retry(wakeup, at)) if held => {
            let ended = end.transaction.outcome.as_ref();
            let now = ended.map(|outcome| outcome.completed).unwrap_or_default();
            wakeups::retry(connection, wakeup, *at, now)
        }
        _ => Ok(()),
    }
}

/// Whether `lease` is the one that its subject is held by.
pub(super) fn is_current(connection: &Connection, lease: &Lease) -> Done<bool> {
    let subject = &lease.subject;
    let mut statement = connection.prepare_cached(CURRENT)?;
    Ok(statement.exists(params![
        subject.model,
        subject.pkid.as_str(),
        count_in(lease.epoch)
    ])?)
}

/// Forgets that a call on `subject`, which is deleted, was cut off.
pub(super) fn forget(connection: &Connection, subject: &Reference) -> Done<()> {
    connection
        .prepare_cached(FORGET)?
        .execute(params![subject.model, subject.pkid.as_str()])?;
    Ok(())
}

/// A lease that was not released.
#[derive(Clone, Copy)]
struct Found {
    expires: Timestamp,
    began: Timestamp,
}

fn found(connection: &Connection, subject: &Reference) -> Done<Option<Found>> {
    let mut statement = connection.prepare_cached(FOUND)?;
    let found = statement.query_row(params![subject.model, subject.pkid.as_str()], |row| {
        Ok(Found {
            expires: moment(row.get(0)?),
            began: moment(row.get(1)?),
        })
    });
    Ok(found.optional()?)
}

fn claim(
    connection: &Connection,
    holder: &str,
    subject: &Reference,
    begin: &Begin,
    interrupted: Option<Timestamp>,
) -> Done<Lease> {
    let epoch = sequence::next(connection)?;
    let expires = begin.now.after(begin.lease);
    connection.prepare_cached(CLAIM)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        epoch,
        holder,
        millis(expires),
        millis(begin.now)
    ])?;
    Ok(Lease {
        subject: subject.clone(),
        epoch: count_out(epoch, "an epoch")?,
        expires,
        interrupted,
    })
}

/// Whether the lease was still held.
fn release(connection: &Connection, lease: &Lease) -> Done<bool> {
    give_up(connection, RELEASE, lease)
}

/// Whether the lease was still held, and its subject exists.
fn abandon(connection: &Connection, lease: &Lease) -> Done<bool> {
    give_up(connection, ABANDON, lease)
}

fn give_up(connection: &Connection, statement: &str, lease: &Lease) -> Done<bool> {
    let subject = &lease.subject;
    let released = connection.prepare_cached(statement)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        count_in(lease.epoch)
    ])?;
    Ok(released > 0)
}
