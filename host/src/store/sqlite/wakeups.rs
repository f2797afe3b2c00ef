//! Wakeups: scheduled, cancelled, settled and listed.

use rusqlite::{Connection, Row, params};

use super::fault::{Done, corrupt, count_in, count_out, millis, moment, reference};
use super::search::{self, Subtree};
use super::sequence;
use crate::store::DueWakeup;
use crate::types::{Hierarchy, Reference, Timestamp, Wakeup};

const SCHEDULE: &str = "INSERT INTO wakeups
    (model, pkid, id, due, payload, revision, attempts, deadline, ripe, scheduled)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?4 <= (SELECT until FROM ripening WHERE id = 1), ?8)
    ON CONFLICT DO UPDATE SET due = excluded.due, payload = excluded.payload,
        revision = excluded.revision, attempts = 0, deadline = excluded.deadline,
        ripe = excluded.ripe, scheduled = excluded.scheduled";
const CANCEL: &str = "DELETE FROM wakeups WHERE model = ?1 AND pkid = ?2 AND id = ?3";
const CANCEL_ALL: &str = "DELETE FROM wakeups WHERE model = ?1 AND pkid = ?2";
const DONE: &str =
    "DELETE FROM wakeups WHERE model = ?1 AND pkid = ?2 AND id = ?3 AND revision = ?4";
const RETRY: &str = "UPDATE wakeups SET due = ?5, attempts = attempts + 1, scheduled = ?6,
        ripe = ?5 <= (SELECT until FROM ripening WHERE id = 1)
    WHERE model = ?1 AND pkid = ?2 AND id = ?3 AND revision = ?4";
const STILL_THERE: &str = "SELECT 1 FROM wakeups
    WHERE model = ?1 AND pkid = ?2 AND id = ?3 AND revision = ?4 AND attempts = ?5";
const OF_SUBJECT: &str = "SELECT model, pkid, id, due, payload, revision, attempts, deadline
    FROM wakeups WHERE model = ?1 AND pkid = ?2 ORDER BY due, id";
const BY_DUE: &str = "SELECT model, pkid, id, due, payload, revision, attempts, deadline
    FROM wakeups WHERE (due, model, pkid, id) > (?1, ?2, ?3, ?4) ORDER BY due, model, pkid, id LIMIT ?5";
const NEXT_DUE: &str = "SELECT MIN(due) FROM wakeups";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CANCEL,
    CANCEL_ALL,
    DONE,
    RETRY,
    STILL_THERE,
    OF_SUBJECT,
    BY_DUE,
    NEXT_DUE,
];

/// How many documents of a subtree are looked at for one page of its wakeups: at first, and when a
/// walk by due time has found too few.
const FEW: usize = 64;
const LISTED: usize = 5_000;

pub(super) fn schedule(connection: &Connection, wakeup: &Wakeup, now: Timestamp) -> Done<()> {
    let revision = sequence::next(connection)?;
    connection.prepare_cached(SCHEDULE)?.execute(params![
        wakeup.subject.model,
        wakeup.subject.pkid.as_str(),
        wakeup.id,
        millis(wakeup.due),
        wakeup.payload,
        revision,
        deadline_in(wakeup.deadline),
        millis(now)
    ])?;
    Ok(())
}

pub(super) fn cancel(connection: &Connection, subject: &Reference, id: &str) -> Done<()> {
    connection.prepare_cached(CANCEL)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        id
    ])?;
    Ok(())
}

pub(super) fn cancel_all(connection: &Connection, subject: &Reference) -> Done<()> {
    connection
        .prepare_cached(CANCEL_ALL)?
        .execute(params![subject.model, subject.pkid.as_str()])?;
    Ok(())
}

/// Removes an answered wakeup, unless it was scheduled anew.
pub(super) fn done(connection: &Connection, answered: &DueWakeup) -> Done<()> {
    let (model, pkid, id, revision) = names(answered);
    connection
        .prepare_cached(DONE)?
        .execute(params![model, pkid, id, revision])?;
    Ok(())
}

/// Makes a wakeup due again at `at`, as of `now`, unless the wakeup was scheduled again.
pub(super) fn retry(
    connection: &Connection,
    failed: &DueWakeup,
    at: Timestamp,
    now: Timestamp,
) -> Done<()> {
    let (model, pkid, id, revision) = names(failed);
    connection.prepare_cached(RETRY)?.execute(params![
        model,
        pkid,
        id,
        revision,
        millis(at),
        millis(now)
    ])?;
    Ok(())
}

/// Whether the wakeup waits to be answered, just as it was found: a failed answer that was recorded
/// meanwhile counts as well.
pub(super) fn is_waiting(connection: &Connection, found: &DueWakeup) -> Done<bool> {
    let (model, pkid, id, revision) = names(found);
    let mut statement = connection.prepare_cached(STILL_THERE)?;
    Ok(statement.exists(params![model, pkid, id, revision, found.attempts])?)
}

pub(super) fn of_subject(connection: &Connection, subject: &Reference) -> Done<Vec<DueWakeup>> {
    let mut statement = connection.prepare_cached(OF_SUBJECT)?;
    let mut rows = statement.query(params![subject.model, subject.pkid.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn next_due(connection: &Connection) -> Done<Option<Timestamp>> {
    let due: Option<i64> = connection
        .prepare_cached(NEXT_DUE)?
        .query_row([], |row| row.get(0))?;
    Ok(due.map(moment))
}

/// Where a wakeup stands among all, by due time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) due: i64,
    pub(super) model: String,
    pub(super) pkid: String,
    pub(super) id: String,
}

impl Position {
    /// Before every wakeup there can be.
    pub(super) fn first() -> Self {
        Self {
            due: -1,
            model: String::new(),
            pkid: String::new(),
            id: String::new(),
        }
    }

    pub(super) fn of(found: &DueWakeup) -> Self {
        Self {
            due: millis(found.wakeup.due),
            model: found.wakeup.subject.model.clone(),
            pkid: found.wakeup.subject.pkid.as_str().to_owned(),
            id: found.wakeup.id.clone(),
        }
    }
}

/// The first `want` wakeups behind `after`, of subjects at or below `node` when one is given.
///
/// The search for a node goes like that of documents: see [`search`].
pub(super) fn upcoming(
    connection: &Connection,
    node: Option<&Hierarchy>,
    after: Position,
    want: usize,
) -> Done<Vec<DueWakeup>> {
    let Some(node) = node else {
        return walk(connection, &after, want);
    };
    let subtree = Subtree::of(node);
    let chunk = want.saturating_mul(4).saturating_add(64);
    let mut found = Vec::new();
    let mut after = after;
    let mut ended = list(connection, node, FEW, &after, &mut found)?;
    let mut listing = true;
    while found.len() < want && !ended {
        let next = walk(connection, &after, chunk)?;
        ended = next.len() < chunk;
        if let Some(last) = next.last() {
            after = Position::of(last);
        }
        for wakeup in next {
            let subject = &wakeup.wakeup.subject;
            let place = search::place(connection, &subject.model, subject.pkid.as_str())?;
            if place.is_some_and(|path| subtree.contains(&path)) {
                found.push(wakeup);
            }
        }
        if listing && found.len() < want && !ended {
            ended = list(connection, node, LISTED, &after, &mut found)?;
            listing = false;
        }
    }
    found.truncate(want);
    Ok(found)
}

/// Adds all wakeups at `node` and below that are behind `after`, in order, unless there are more than
/// `most` documents; whether that was done.
fn list(
    connection: &Connection,
    node: &Hierarchy,
    most: usize,
    after: &Position,
    found: &mut Vec<DueWakeup>,
) -> Done<bool> {
    let Some(subjects) = search::everything_at(connection, node, most)? else {
        return Ok(false);
    };
    let mut listed = Vec::new();
    for subject in subjects {
        let wakeups = of_subject(connection, &subject)?;
        let behind = wakeups
            .into_iter()
            .filter(|found| Position::of(found) > *after);
        listed.extend(behind);
    }
    listed.sort_by_cached_key(Position::of);
    found.append(&mut listed);
    Ok(true)
}

fn walk(connection: &Connection, after: &Position, want: usize) -> Done<Vec<DueWakeup>> {
    let mut statement = connection.prepare_cached(BY_DUE)?;
    let mut rows = statement.query(params![
        after.due,
        after.model,
        after.pkid,
        after.id,
        i64::try_from(want).unwrap_or(i64::MAX)
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn names(of: &DueWakeup) -> (&str, &str, &str, i64) {
    let Wakeup { id, subject, .. } = &of.wakeup;
    let revision = count_in(of.revision);
    (&subject.model, subject.pkid.as_str(), id, revision)
}

/// A deadline as it is stored; none comes after all others.
pub(super) fn deadline_in(deadline: Option<Timestamp>) -> i64 {
    deadline.map_or(i64::MAX, millis)
}

pub(super) fn read(row: &Row<'_>) -> Done<DueWakeup> {
    let attempts: i64 = row.get(6)?;
    let deadline: i64 = row.get(7)?;
    Ok(DueWakeup {
        wakeup: Wakeup {
            subject: reference(row.get(0)?, row.get(1)?)?,
            id: row.get(2)?,
            due: moment(row.get(3)?),
            deadline: Some(deadline).filter(|at| *at < i64::MAX).map(moment),
            payload: row.get(4)?,
        },
        revision: count_out(row.get(5)?, "a revision")?,
        attempts: u32::try_from(attempts)
            .map_err(|_| corrupt(format!("the attempts of a wakeup are {attempts}")))?,
    })
}
