//! The begin and the end of a call: lease, transaction and wakeup in one write.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Done, count_in, count_out, millis, moment};
use super::{sequence, transactions, wakeups};
use crate::store::{Answered, Begin, Begun, End, Lease};
use crate::types::{Reference, Timestamp};

const EXPIRES: &str = "SELECT expires FROM leases WHERE model = ?1 AND pkid = ?2";
const CLAIM: &str = "INSERT INTO leases (model, pkid, epoch, holder, expires)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder,
        expires = excluded.expires";
const CURRENT: &str = "SELECT 1 FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";
const RELEASE: &str = "DELETE FROM leases WHERE model = ?1 AND pkid = ?2 AND epoch = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[EXPIRES, CURRENT, RELEASE];

pub(super) fn begin(connection: &Connection, holder: &str, begin: &Begin) -> Done<Begun> {
    if let Some(wakeup) = &begin.wakeup
        && !wakeups::is_waiting(connection, wakeup)?
    {
        return Ok(Begun::Gone);
    }
    let lease = match &begin.subject {
        None => None,
        Some(subject) => {
            if let Some(until) = held_until(connection, subject, begin.now)? {
                return Ok(Begun::Busy(until));
            }
            let expires = begin.now.after(begin.lease);
            Some(claim(connection, holder, subject, expires)?)
        }
    };
    transactions::begin(connection, holder, &begin.transaction)?;
    Ok(Begun::Started(lease))
}

pub(super) fn end(connection: &Connection, end: &End) -> Done<()> {
    transactions::finish(connection, &end.transaction)?;
    let held = match &end.lease {
        Some(lease) => release(connection, lease)?,
        None => true,
    };
    match &end.wakeup {
        Some(Answered::Done(wakeup)) if held => wakeups::done(connection, wakeup),
        Some(Answered::Retry(wakeup, at)) if held => wakeups::retry(connection, wakeup, *at),
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

fn held_until(
    connection: &Connection,
    subject: &Reference,
    now: Timestamp,
) -> Done<Option<Timestamp>> {
    let expires: Option<i64> = connection
        .prepare_cached(EXPIRES)?
        .query_row(params![subject.model, subject.pkid.as_str()], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(expires.map(moment).filter(|expires| *expires > now))
}

fn claim(
    connection: &Connection,
    holder: &str,
    subject: &Reference,
    expires: Timestamp,
) -> Done<Lease> {
    let epoch = sequence::next(connection)?;
    connection.prepare_cached(CLAIM)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        epoch,
        holder,
        millis(expires)
    ])?;
    Ok(Lease {
        subject: subject.clone(),
        epoch: count_out(epoch, "an epoch")?,
        expires,
        interrupted: None,
    })
}

/// Whether the lease was still held.
fn release(connection: &Connection, lease: &Lease) -> Done<bool> {
    let subject = &lease.subject;
    let released = connection.prepare_cached(RELEASE)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        count_in(lease.epoch)
    ])?;
    Ok(released > 0)
}
