//! What is due, the earliest deadline first, at a cost that follows what is asked for.
//!
//! A wakeup is found by two orders at once: due until now, and of those the earliest deadline. No
//! index has both. While few are due they are simply sorted. When many are, those that have come due
//! since the last time are marked as ripe, each once, and the ripe are in an index by kind and
//! deadline; so a backlog costs one more write for each of its wakeups, and no look at it sorts it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Done, millis};
use super::wakeups::{self, Position};
use crate::store::DueWakeup;
use crate::types::Timestamp;

const MORE_THAN: &str = "SELECT 1 FROM wakeups WHERE due <= ?1 LIMIT 1 OFFSET ?2";
const DUE: &str =
    "SELECT w.model, w.pkid, w.id, w.due, w.payload, w.revision, w.attempts, w.deadline
    FROM wakeups w
    WHERE w.due <= ?1 AND NOT EXISTS (SELECT 1 FROM leases l
        WHERE l.model = w.model AND l.pkid = w.pkid AND l.expires > ?1)";
/// A wakeup can be ripe before it is due where the clock was set back.
const RIPE: &str =
    "SELECT w.model, w.pkid, w.id, w.due, w.payload, w.revision, w.attempts, w.deadline
    FROM wakeups w INDEXED BY wakeups_ripe
    WHERE w.ripe = 1 AND w.kind = ?2 AND w.due <= ?1 AND NOT EXISTS (SELECT 1 FROM leases l
        WHERE l.model = w.model AND l.pkid = w.pkid AND l.expires > ?1)
    ORDER BY w.deadline, w.due, w.model, w.pkid, w.id";
const NEXT_KIND: &str = "SELECT kind FROM wakeups INDEXED BY wakeups_ripe
    WHERE ripe = 1 AND kind >= ?1 ORDER BY kind LIMIT 1";
const UNTIL: &str = "SELECT until FROM ripening WHERE id = 1";
const ANY_BETWEEN: &str = "SELECT 1 FROM wakeups WHERE due > ?1 AND due <= ?2 LIMIT 1";
const NTH_BETWEEN: &str =
    "SELECT due FROM wakeups WHERE due > ?1 AND due <= ?2 ORDER BY due LIMIT 1 OFFSET ?3";
const RIPEN: &str = "UPDATE wakeups SET ripe = 1 WHERE due > ?1 AND due <= ?2";
const RIPE_UNTIL: &str = "UPDATE ripening SET until = ?1 WHERE id = 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    MORE_THAN,
    DUE,
    RIPE,
    NEXT_KIND,
    UNTIL,
    ANY_BETWEEN,
    NTH_BETWEEN,
    RIPEN,
    RIPE_UNTIL,
];

/// How many wakeups one write marks as ripe, so that other writes get their turn; those that are due
/// at the same millisecond are marked together.
const TOGETHER: i64 = 5_000;

/// What a look for due wakeups found.
pub(super) enum Found {
    /// The first of them.
    Due(Vec<DueWakeup>),
    /// Many are due, and not all of them are marked as ripe: [`ripen`], and look again.
    Unripe,
}

/// The wakeups that are due at `now` and whose subject nobody holds, by deadline, at most `limit` and
/// one for each subject; those of the kind `without` are left out.
pub(super) fn find(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    without: Option<&str>,
) -> Done<Found> {
    let now = millis(now);
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
        due.retain(|due| Some(due.wakeup.kind()) != without);
        return Ok(Found::Due(first(due, limit)));
    }
    if connection
        .prepare_cached(ANY_BETWEEN)?
        .exists(params![ripe_until(connection)?, now])?
    {
        return Ok(Found::Unripe);
    }
    let mut due = Vec::new();
    let mut kind = kind_from(connection, "")?;
    while let Some(this) = kind {
        if Some(this.as_str()) != without {
            due.append(&mut ripe(connection, now, &this, limit)?);
        }
        // The least text that is greater.
        kind = kind_from(connection, &format!("{this}\0"))?;
    }
    Ok(Found::Due(first(due, limit)))
}

/// The first `limit` by deadline, one for each subject.
fn first(mut due: Vec<DueWakeup>, limit: usize) -> Vec<DueWakeup> {
    due.sort_by_cached_key(|due| (wakeups::deadline_in(due.wakeup.deadline), Position::of(due)));
    let mut subjects = HashSet::new();
    due.retain(|due| subjects.insert(due.wakeup.subject.clone()));
    due.truncate(limit);
    due
}

/// The first kind, from this one on, of which there are ripe wakeups.
fn kind_from(connection: &Connection, from: &str) -> Done<Option<String>> {
    Ok(connection
        .prepare_cached(NEXT_KIND)?
        .query_row([from], |row| row.get(0))
        .optional()?)
}

/// The first ripe wakeups of one kind, one for each subject.
fn ripe(connection: &Connection, now: i64, kind: &str, most: usize) -> Done<Vec<DueWakeup>> {
    let mut statement = connection.prepare_cached(RIPE)?;
    let mut rows = statement.query(params![now, kind])?;
    let mut subjects = HashSet::new();
    let mut found = Vec::new();
    while found.len() < most {
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

/// Marks wakeups that are due at `now` as ripe, the earliest of them; moves on with each call.
pub(super) fn ripen(connection: &Connection, now: Timestamp) -> Done<()> {
    let from = ripe_until(connection)?;
    let now = millis(now);
    if now <= from {
        return Ok(());
    }
    let last: Option<i64> = connection
        .prepare_cached(NTH_BETWEEN)?
        .query_row(params![from, now, TOGETHER - 1], |row| row.get(0))
        .optional()?;
    let until = last.unwrap_or(now);
    connection
        .prepare_cached(RIPEN)?
        .execute(params![from, until])?;
    connection.prepare_cached(RIPE_UNTIL)?.execute([until])?;
    Ok(())
}

fn ripe_until(connection: &Connection) -> Done<i64> {
    Ok(connection
        .prepare_cached(UNTIL)?
        .query_row([], |row| row.get(0))?)
}
