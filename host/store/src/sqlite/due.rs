//! Due wakeups by deadline, at a cost that follows the number requested.
//!
//! The query has two orders: due at or before now, and among these the earliest deadline first. No
//! single index serves both. Small numbers of due wakeups are sorted. When there are many, newly due
//! ones are marked as ready (the column `ripe`), each once; an index orders the ready ones by kind and
//! deadline. A backlog thus costs one more write per wakeup, and no query sorts all of it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, to_millis};
use super::wakeups::{self, Position};
use crate::{DueWakeup, KindFilter};
use relation_types::Timestamp;

const MORE_THAN: &str = "SELECT 1 FROM wakeups WHERE due <= ?1 LIMIT 1 OFFSET ?2";
const DUE: &str =
    "SELECT w.model, w.pkid, w.id, w.due, w.payload, w.revision, w.attempts, w.deadline
    FROM wakeups w
    WHERE w.due <= ?1 AND NOT EXISTS (SELECT 1 FROM leases l
        WHERE l.model = w.model AND l.pkid = w.pkid AND l.expires > ?1)";
/// A wakeup can be marked as ready before it is due if the clock was set back.
const READY: &str =
    "SELECT w.model, w.pkid, w.id, w.due, w.payload, w.revision, w.attempts, w.deadline
    FROM wakeups w INDEXED BY wakeups_ripe
    WHERE w.ripe = 1 AND w.kind = ?2 AND w.due <= ?1 AND NOT EXISTS (SELECT 1 FROM leases l
        WHERE l.model = w.model AND l.pkid = w.pkid AND l.expires > ?1)
    ORDER BY w.deadline, w.due, w.model, w.pkid, w.id";
const NEXT_KIND: &str = "SELECT kind FROM wakeups INDEXED BY wakeups_ripe
    WHERE ripe = 1 AND kind >= ?1 ORDER BY kind LIMIT 1";
const WATERMARK: &str = "SELECT until FROM ripening WHERE id = 1";
const ANY_BETWEEN: &str = "SELECT 1 FROM wakeups WHERE due > ?1 AND due <= ?2 LIMIT 1";
const NTH_BETWEEN: &str =
    "SELECT due FROM wakeups WHERE due > ?1 AND due <= ?2 ORDER BY due LIMIT 1 OFFSET ?3";
const MARK_READY: &str = "UPDATE wakeups SET ripe = 1 WHERE due > ?1 AND due <= ?2";
const SET_WATERMARK: &str = "UPDATE ripening SET until = ?1 WHERE id = 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    MORE_THAN,
    DUE,
    READY,
    NEXT_KIND,
    WATERMARK,
    ANY_BETWEEN,
    NTH_BETWEEN,
    MARK_READY,
    SET_WATERMARK,
];

/// The number of wakeups that one write marks as ready, so that other writes are not delayed. Wakeups
/// due in the same millisecond are marked together.
const MARK_BATCH: i64 = 5_000;

/// A [`KindFilter`] that another thread can own.
pub(super) enum OwnedKinds {
    Only(String),
    Except(Vec<String>),
}

impl From<KindFilter<'_>> for OwnedKinds {
    fn from(kinds: KindFilter<'_>) -> Self {
        match kinds {
            KindFilter::All => Self::Except(Vec::new()),
            KindFilter::Only(kind) => Self::Only(kind.to_owned()),
            KindFilter::Except(kinds) => {
                Self::Except(kinds.iter().map(|kind| (*kind).to_owned()).collect())
            }
        }
    }
}

impl OwnedKinds {
    fn admits(&self, kind: &str) -> bool {
        match self {
            Self::Only(only) => only == kind,
            Self::Except(others) => !others.iter().any(|other| other == kind),
        }
    }
}

/// The result of a search for due wakeups.
pub(super) enum DueLookup {
    /// The earliest due wakeups.
    Due(Vec<DueWakeup>),
    /// Many are due, and not all of them are marked as ready: call [`mark_ready`] and search again.
    Unmarked,
}

/// Finds wakeups that are due at `now` and whose subject is not leased, by deadline, at most `limit` and
/// one per subject. Only `kinds` are searched.
pub(super) fn find(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    kinds: &OwnedKinds,
) -> Result<DueLookup> {
    let now = to_millis(now);
    let few = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_mul(4).max(64));
    let many = connection
        .prepare_cached(MORE_THAN)?
        .exists(params![now, few])?;
    if !many {
        let mut statement = connection.prepare_cached(DUE)?;
        let mut due = Vec::new();
        let mut rows = statement.query([now])?;
        while let Some(row) = rows.next()? {
            due.push(wakeups::read(row)?);
        }
        due.retain(|due| kinds.admits(due.wakeup.kind()));
        return Ok(DueLookup::Due(earliest(due, limit)));
    }
    if connection
        .prepare_cached(ANY_BETWEEN)?
        .exists(params![ready_watermark(connection)?, now])?
    {
        return Ok(DueLookup::Unmarked);
    }
    if let OwnedKinds::Only(kind) = kinds {
        let due = find_ready(connection, now, kind, limit)?;
        return Ok(DueLookup::Due(due));
    }
    let mut due = Vec::new();
    let mut kind = next_kind(connection, "")?;
    while let Some(this) = kind {
        if kinds.admits(&this) {
            due.append(&mut find_ready(connection, now, &this, limit)?);
        }
        // The smallest greater text.
        kind = next_kind(connection, &format!("{this}\0"))?;
    }
    Ok(DueLookup::Due(earliest(due, limit)))
}

/// Returns the first `limit` by deadline, one per subject.
fn earliest(mut due: Vec<DueWakeup>, limit: usize) -> Vec<DueWakeup> {
    due.sort_by_cached_key(|due| {
        (
            wakeups::to_sql_deadline(due.wakeup.deadline),
            Position::from_wakeup(due),
        )
    });
    let mut subjects = HashSet::new();
    due.retain(|due| subjects.insert(due.wakeup.subject.clone()));
    due.truncate(limit);
    due
}

/// Returns the first kind at or after `from` that has ready wakeups.
fn next_kind(connection: &Connection, from: &str) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached(NEXT_KIND)?
        .query_row([from], |row| row.get(0))
        .optional()?)
}

/// Returns the first ready wakeups of one kind, one per subject.
fn find_ready(connection: &Connection, now: i64, kind: &str, max: usize) -> Result<Vec<DueWakeup>> {
    let mut statement = connection.prepare_cached(READY)?;
    let mut rows = statement.query(params![now, kind])?;
    let mut subjects = HashSet::new();
    let mut found = Vec::new();
    while found.len() < max {
        let Some(row) = rows.next()? else {
            break;
        };
        let due = wakeups::read(row)?;
        if subjects.insert(due.wakeup.subject.clone()) {
            found.push(due);
        }
    }
    Ok(found)
}

/// Marks the next batch of wakeups that are due at `now` as ready, the earliest first.
pub(super) fn mark_ready(connection: &Connection, now: Timestamp) -> Result<()> {
    let from = ready_watermark(connection)?;
    let now = to_millis(now);
    if now <= from {
        return Ok(());
    }
    let last: Option<i64> = connection
        .prepare_cached(NTH_BETWEEN)?
        .query_row(params![from, now, MARK_BATCH - 1], |row| row.get(0))
        .optional()?;
    let until = last.unwrap_or(now);
    connection
        .prepare_cached(MARK_READY)?
        .execute(params![from, until])?;
    connection.prepare_cached(SET_WATERMARK)?.execute([until])?;
    Ok(())
}

fn ready_watermark(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached(WATERMARK)?
        .query_row([], |row| row.get(0))?)
}
