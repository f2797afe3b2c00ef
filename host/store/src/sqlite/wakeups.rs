//! Wakeups: scheduling, canceling, settling and listing.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::error::{
    Result, corrupt, from_millis, from_sql_count, parse_reference, to_millis, to_sql_count,
};
use super::search::{self, Subtree};
use super::writer::Batch;
use super::{SqliteStore, due};
use crate::cursor::{Listing, build_page, validate_limit};
use crate::{DeadlineCounts, DueWakeup, KindFilter, StoreError, WakeupStore};
use relation_types::{Hierarchy, Page, Reference, Timestamp, Wakeup};

const SCHEDULE: &str = "INSERT INTO wakeups
    (model, pkid, id, due, payload, revision, attempts, deadline, ripe, scheduled)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?4 <= (SELECT until FROM ripening WHERE id = 1), ?8)
    ON CONFLICT DO UPDATE SET due = excluded.due, payload = excluded.payload,
        revision = excluded.revision, attempts = 0, deadline = excluded.deadline,
        ripe = excluded.ripe, scheduled = excluded.scheduled";
const CANCEL: &str = "DELETE FROM wakeups WHERE model = ?1 AND pkid = ?2 AND id = ?3";
const CANCEL_ALL: &str = "DELETE FROM wakeups WHERE model = ?1 AND pkid = ?2";
const COMPLETE: &str =
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
const NEXT_DUE: &str = "SELECT MIN(due) FROM wakeups WHERE due > ?1";
const NEXT_DEADLINE: &str = "SELECT MIN(deadline) FROM wakeups
    WHERE kind = ?1 AND deadline < 9223372036854775807";
const DEADLINES_UNTIL: &str = "SELECT 1 FROM wakeups
    WHERE kind = ?1 AND deadline <= ?2 AND deadline < 9223372036854775807 LIMIT ?3";
const DUE_AT: &str = "SELECT 1 FROM wakeups WHERE due <= ?1 LIMIT ?2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CANCEL,
    CANCEL_ALL,
    COMPLETE,
    RETRY,
    STILL_THERE,
    OF_SUBJECT,
    BY_DUE,
    NEXT_DUE,
    NEXT_DEADLINE,
    DEADLINES_UNTIL,
    DUE_AT,
];

/// The number of documents of a subtree that are read for one page of wakeups. It applies at first, and after a walk by
/// due time has found too few.
const FEW: usize = 64;
const LISTED: usize = 5_000;

#[async_trait]
impl WakeupStore for SqliteStore {
    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        self.read(|connection| list_for_subject(connection, subject))
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_wakeups(&self.id, hierarchy);
        let after = match cursor {
            Some(cursor) => {
                let [due, model, pkid, id] = listing.position(cursor)?;
                let due = due.parse().unwrap_or_default();
                Position {
                    due,
                    model,
                    pkid,
                    id,
                }
            }
            None => Position::first(),
        };
        let node = hierarchy.cloned();
        let found = self
            .readers
            .read_blocking(move |connection| {
                let mut found = upcoming(connection, node.as_ref(), after, limit + 1)?;
                let more = found.len() > limit;
                found.truncate(limit);
                Ok((found, more))
            })
            .await?;
        Ok(build_page(found, |last| {
            let Position {
                due,
                model,
                pkid,
                id,
            } = Position::from_wakeup(last);
            listing.cursor(&[&due.to_string(), &model, &pkid, &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        loop {
            let kinds = due::OwnedKinds::from(kinds);
            let look =
                move |connection: &Connection| due::find(connection, now, limit as usize, &kinds);
            match self.readers.read_blocking(look).await? {
                due::DueLookup::Due(due) => return Ok(due),
                due::DueLookup::Unmarked => {
                    let mark = move |connection: &Batch<'_>| due::mark_ready(connection, now);
                    self.writer.write(mark).await?;
                }
            }
        }
    }

    async fn count_due(&self, now: Timestamp, at_most: u64) -> Result<u64, StoreError> {
        self.read(move |connection| {
            let rows = i64::try_from(at_most).unwrap_or(i64::MAX);
            search::count_rows(connection, DUE_AT, params![to_millis(now), rows])
        })
    }

    async fn next_due(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| next_due(connection, after))
    }

    async fn count_deadlines(
        &self,
        kind: &str,
        times: &[Timestamp],
        at_most: u64,
    ) -> Result<DeadlineCounts, StoreError> {
        let (kind, times) = (kind.to_owned(), times.to_owned());
        let count =
            move |connection: &Connection| count_deadlines(connection, &kind, &times, at_most);
        self.readers.read_blocking(count).await
    }
}

pub(super) fn schedule(batch: &Batch<'_>, wakeup: &Wakeup, now: Timestamp) -> Result<()> {
    let revision = batch.next_number()?;
    batch.prepare_cached(SCHEDULE)?.execute(params![
        wakeup.subject.model,
        wakeup.subject.pkid.as_str(),
        wakeup.id,
        to_millis(wakeup.due),
        wakeup.payload,
        revision,
        to_sql_deadline(wakeup.deadline),
        to_millis(now)
    ])?;
    Ok(())
}

pub(super) fn cancel(connection: &Connection, subject: &Reference, id: &str) -> Result<()> {
    connection.prepare_cached(CANCEL)?.execute(params![
        subject.model,
        subject.pkid.as_str(),
        id
    ])?;
    Ok(())
}

pub(super) fn cancel_all(connection: &Connection, subject: &Reference) -> Result<()> {
    connection
        .prepare_cached(CANCEL_ALL)?
        .execute(params![subject.model, subject.pkid.as_str()])?;
    Ok(())
}

/// Removes a settled wakeup, unless it was scheduled again.
pub(super) fn complete(connection: &Connection, settled: &DueWakeup) -> Result<()> {
    let (model, pkid, id, revision) = key_columns(settled);
    connection
        .prepare_cached(COMPLETE)?
        .execute(params![model, pkid, id, revision])?;
    Ok(())
}

/// Makes a wakeup due again at `at`, as of `now`, unless the wakeup was scheduled again.
pub(super) fn retry(
    connection: &Connection,
    failed: &DueWakeup,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let (model, pkid, id, revision) = key_columns(failed);
    connection.prepare_cached(RETRY)?.execute(params![
        model,
        pkid,
        id,
        revision,
        to_millis(at),
        to_millis(now)
    ])?;
    Ok(())
}

/// Returns whether the wakeup is unchanged since it was read. A failed call that was recorded meanwhile
/// also counts as a change.
pub(super) fn is_waiting(connection: &Connection, found: &DueWakeup) -> Result<bool> {
    let (model, pkid, id, revision) = key_columns(found);
    let mut statement = connection.prepare_cached(STILL_THERE)?;
    Ok(statement.exists(params![model, pkid, id, revision, found.attempts])?)
}

pub(super) fn list_for_subject(
    connection: &Connection,
    subject: &Reference,
) -> Result<Vec<DueWakeup>> {
    let mut statement = connection.prepare_cached(OF_SUBJECT)?;
    let mut rows = statement.query(params![subject.model, subject.pkid.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn next_due(connection: &Connection, after: Option<Timestamp>) -> Result<Option<Timestamp>> {
    let due: Option<i64> = connection
        .prepare_cached(NEXT_DUE)?
        .query_row([after.map_or(-1, to_millis)], |row| row.get(0))?;
    Ok(due.map(from_millis))
}

fn count_deadlines(
    connection: &Connection,
    kind: &str,
    times: &[Timestamp],
    at_most: u64,
) -> Result<DeadlineCounts> {
    let earliest: Option<i64> = connection
        .prepare_cached(NEXT_DEADLINE)?
        .query_row([kind], |row| row.get(0))?;
    let rows = i64::try_from(at_most).unwrap_or(i64::MAX);
    let counts = times.iter().map(|time| {
        search::count_rows(
            connection,
            DEADLINES_UNTIL,
            params![kind, to_millis(*time), rows],
        )
    });
    Ok(DeadlineCounts {
        earliest: earliest.map(from_millis),
        counts: counts.collect::<Result<_>>()?,
    })
}

/// The position of a wakeup in the order of due times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) due: i64,
    pub(super) model: String,
    pub(super) pkid: String,
    pub(super) id: String,
}

impl Position {
    /// Returns a position before all wakeups.
    pub(super) fn first() -> Self {
        Self {
            due: -1,
            model: String::new(),
            pkid: String::new(),
            id: String::new(),
        }
    }

    pub(super) fn from_wakeup(found: &DueWakeup) -> Self {
        Self {
            due: to_millis(found.wakeup.due),
            model: found.wakeup.subject.model.clone(),
            pkid: found.wakeup.subject.pkid.as_str().to_owned(),
            id: found.wakeup.id.clone(),
        }
    }
}

/// Returns the first `want` wakeups after `after`, optionally only of subjects at or below `node`.
///
/// A node is searched with the same strategy as for documents: see [`search`].
pub(super) fn upcoming(
    connection: &Connection,
    node: Option<&Hierarchy>,
    after: Position,
    want: usize,
) -> Result<Vec<DueWakeup>> {
    let Some(node) = node else {
        return walk(connection, &after, want);
    };
    let subtree = Subtree::new(node);
    let chunk = want.saturating_mul(4).saturating_add(64);
    let mut found = Vec::new();
    let mut after = after;
    let mut ended = list(connection, node, FEW, &after, &mut found)?;
    let mut listing = true;
    while found.len() < want && !ended {
        let next = walk(connection, &after, chunk)?;
        ended = next.len() < chunk;
        if let Some(last) = next.last() {
            after = Position::from_wakeup(last);
        }
        for wakeup in next {
            let subject = &wakeup.wakeup.subject;
            let place = search::find_node(connection, &subject.model, subject.pkid.as_str())?;
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

/// Adds all wakeups at and below `node` that are after `after`, in order, unless there are more than
/// `max` documents; returns whether it did.
fn list(
    connection: &Connection,
    node: &Hierarchy,
    max: usize,
    after: &Position,
    found: &mut Vec<DueWakeup>,
) -> Result<bool> {
    let Some(subjects) = search::list_subtree(connection, node, max)? else {
        return Ok(false);
    };
    let mut listed = Vec::new();
    for subject in subjects {
        let wakeups = list_for_subject(connection, &subject)?;
        let further = wakeups
            .into_iter()
            .filter(|found| Position::from_wakeup(found) > *after);
        listed.extend(further);
    }
    listed.sort_by_cached_key(Position::from_wakeup);
    found.append(&mut listed);
    Ok(true)
}

fn walk(connection: &Connection, after: &Position, want: usize) -> Result<Vec<DueWakeup>> {
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

fn key_columns(found: &DueWakeup) -> (&str, &str, &str, i64) {
    let Wakeup { id, subject, .. } = &found.wakeup;
    let revision = to_sql_count(found.revision);
    (&subject.model, subject.pkid.as_str(), id, revision)
}

/// Converts a deadline for SQLite; no deadline sorts last.
pub(super) fn to_sql_deadline(deadline: Option<Timestamp>) -> i64 {
    deadline.map_or(i64::MAX, to_millis)
}

pub(super) fn read(row: &Row<'_>) -> Result<DueWakeup> {
    let attempts: i64 = row.get(6)?;
    let deadline: i64 = row.get(7)?;
    Ok(DueWakeup {
        wakeup: Wakeup {
            subject: parse_reference(row.get(0)?, row.get(1)?)?,
            id: row.get(2)?,
            due: from_millis(row.get(3)?),
            deadline: Some(deadline).filter(|at| *at < i64::MAX).map(from_millis),
            payload: row.get(4)?,
        },
        revision: from_sql_count(row.get(5)?, "a revision")?,
        attempts: u32::try_from(attempts)
            .map_err(|_| corrupt(format!("the attempts of a wakeup are {attempts}")))?,
    })
}
