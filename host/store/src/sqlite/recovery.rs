//! Recovery from ended hosts: their leases, and their transactions that never ended.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::error::{Result, from_millis, to_millis};
use super::process_lock::{EndedHolder, HolderState, ProcessLock};
use super::transactions;
use crate::{CLOCK_TOLERANCE, Recovery, RedateReport};
use relation_types::Timestamp;
use relation_types::transactions::TransactionOutcome;

/// There are only as many leases as running or interrupted calls, so these statements may read all of
/// them.
const HOLDERS: &str = "SELECT DISTINCT holder FROM leases WHERE epoch > 0";
/// If the subject does not exist, the interruption need not be recorded.
const RELEASE_ALL: &str = "DELETE FROM leases WHERE holder = ?1 AND NOT EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
const RELEASE_EXPIRED: &str = "DELETE FROM leases WHERE epoch > 0 AND expires <= ?1 AND NOT EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
/// Records an interrupted call: no lease has the epoch 0, so the row fences every commit. It can be
/// claimed immediately, and the claiming call learns when the interrupted one began.
const ABANDON_ALL: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE holder = ?1";
const ABANDON_EXPIRED: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE epoch > 0 AND expires <= ?1";
const SCHEDULED_AFTER: &str = "SELECT COUNT(*), MAX(scheduled) FROM wakeups WHERE scheduled > ?1";
const REDATE_WAKEUPS: &str = "UPDATE wakeups SET due = MIN(due, ?1), scheduled = ?1,
        ripe = MIN(due, ?1) <= (SELECT until FROM ripening WHERE id = 1)
    WHERE scheduled > ?2";
const BEGAN_AFTER: &str = "SELECT MAX(began) FROM leases WHERE began > ?1";
/// The row of an interrupted call has no expiry to correct.
const REDATE_LEASES: &str = "UPDATE leases SET began = ?1,
        expires = CASE WHEN epoch > 0 THEN ?1 + expires - began ELSE expires END
    WHERE began > ?2";

/// Releases the leases and closes the transactions of ended holders. Remove the returned
/// holders' files once the write is durable.
pub(super) fn recover(
    connection: &Connection,
    holder: &ProcessLock,
    now: Timestamp,
) -> Result<(Recovery, Vec<EndedHolder>)> {
    let mut ids: BTreeSet<String> = transactions::running_holders(connection)?;
    ids.extend(lease_holders(connection)?);
    ids.extend(holder.list_ids());

    let mut recovery = Recovery::default();
    let mut forgotten = Vec::new();
    let mut unknown = Vec::new();
    let outcome = TransactionOutcome::interrupted(now);
    for id in ids {
        let gone = match holder.state_of(&id) {
            HolderState::Alive => continue,
            HolderState::Ended(gone) => gone,
            HolderState::Unknown => {
                unknown.push(id);
                continue;
            }
        };
        for statement in [RELEASE_ALL, ABANDON_ALL] {
            let released = connection.prepare_cached(statement)?.execute([&id])?;
            recovery.leases += released as u64;
        }
        recovery.transactions += transactions::close_all_by(connection, &id, &outcome)?;
        forgotten.push(gone);
    }
    for statement in [RELEASE_EXPIRED, ABANDON_EXPIRED] {
        let expired = connection
            .prepare_cached(statement)?
            .execute(params![to_millis(now)])?;
        recovery.leases += expired as u64;
    }
    for id in unknown {
        recovery.transactions += transactions::close_without_lease(connection, &id, &outcome)?;
    }
    Ok((recovery, forgotten))
}

/// Corrects what was written while the clock was ahead of `now` by more than the tolerance.
pub(super) fn redate(connection: &Connection, now: Timestamp) -> Result<RedateReport> {
    let latest = to_millis(now.after(CLOCK_TOLERANCE));
    let (wakeups, scheduled): (i64, Option<i64>) = connection
        .prepare_cached(SCHEDULED_AFTER)?
        .query_row([latest], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let began: Option<i64> = connection
        .prepare_cached(BEGAN_AFTER)?
        .query_row([latest], |row| row.get(0))?;
    let mut redating = RedateReport {
        wakeups: u64::try_from(wakeups).unwrap_or_default(),
        leases: 0,
        latest: scheduled.max(began).map(from_millis),
    };
    // Usually there is nothing to write.
    if scheduled.is_some() {
        connection
            .prepare_cached(REDATE_WAKEUPS)?
            .execute(params![to_millis(now), latest])?;
    }
    if began.is_some() {
        let leases = connection
            .prepare_cached(REDATE_LEASES)?
            .execute(params![to_millis(now), latest])?;
        redating.leases = leases as u64;
    }
    Ok(redating)
}

fn lease_holders(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(HOLDERS)?;
    let holders = statement.query_map([], |row| row.get(0))?;
    Ok(holders.collect::<Result<_, _>>()?)
}
