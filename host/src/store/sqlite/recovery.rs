//! What hosts that are gone have left behind: their leases, and their transactions that never ended.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::{Done, millis, moment};
use super::holder::{Gone, Holder, State};
use super::transactions;
use crate::store::{CLOCK_TOLERANCE, Recovery, Redating};
use crate::transactions::Outcome;
use crate::types::Timestamp;

/// Leases are only as many as calls that run or were cut off, so these look at all of them.
const HOLDERS: &str = "SELECT DISTINCT holder FROM leases WHERE epoch > 0";
/// Where the subject does not exist, or does not exist any more, nobody need know.
const RELEASE_ALL: &str = "DELETE FROM leases WHERE holder = ?1 AND NOT EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
const RELEASE_EXPIRED: &str = "DELETE FROM leases WHERE epoch > 0 AND expires <= ?1 AND NOT EXISTS
    (SELECT 1 FROM documents d WHERE d.model = leases.model AND d.pkid = leases.pkid)";
/// What is left of a lease whose call was cut off: no epoch of a lease is 0, so it fences everybody,
/// and it can be claimed at once by a call that is then told when the other one began.
const ABANDON_ALL: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE holder = ?1";
const ABANDON_EXPIRED: &str = "UPDATE leases SET epoch = 0, holder = '', expires = 0
    WHERE epoch > 0 AND expires <= ?1";
const SCHEDULED_AFTER: &str = "SELECT COUNT(*), MAX(scheduled) FROM wakeups WHERE scheduled > ?1";
const REDATE_WAKEUPS: &str = "UPDATE wakeups SET due = MIN(due, ?1), scheduled = ?1,
        ripe = MIN(due, ?1) <= (SELECT until FROM ripening WHERE id = 1)
    WHERE scheduled > ?2";
const BEGAN_AFTER: &str = "SELECT MAX(began) FROM leases WHERE began > ?1";
/// The row of a call that was cut off has no end to correct.
const REDATE_LEASES: &str = "UPDATE leases SET began = ?1,
        expires = CASE WHEN epoch > 0 THEN ?1 + expires - began ELSE expires END
    WHERE began > ?2";

/// Releases and closes what the gone have left; they are to be forgotten once that is durable.
pub(super) fn recover(
    connection: &Connection,
    holder: &Holder,
    now: Timestamp,
) -> Done<(Recovery, Vec<Gone>)> {
    let mut ids: BTreeSet<String> = transactions::running_holders(connection)?;
    ids.extend(lease_holders(connection)?);
    ids.extend(holder.known());

    let mut recovery = Recovery::default();
    let mut forgotten = Vec::new();
    let mut unknown = Vec::new();
    let outcome = Outcome::interrupted(now);
    for id in ids {
        let gone = match holder.look_at(&id) {
            State::Alive => continue,
            State::Gone(gone) => gone,
            State::Unknown => {
                unknown.push(id);
                continue;
            }
        };
        for statement in [RELEASE_ALL, ABANDON_ALL] {
            let released = connection.prepare_cached(statement)?.execute([&id])?;
            recovery.leases += released as u64;
        }
        recovery.transactions += transactions::close_all_of(connection, &id, &outcome)?;
        forgotten.push(gone);
    }
    for statement in [RELEASE_EXPIRED, ABANDON_EXPIRED] {
        let expired = connection
            .prepare_cached(statement)?
            .execute(params![millis(now)])?;
        recovery.leases += expired as u64;
    }
    for id in unknown {
        recovery.transactions +=
            transactions::close_those_without_lease(connection, &id, &outcome)?;
    }
    Ok((recovery, forgotten))
}

/// Corrects what was written while the clock showed a moment after `now` and the tolerance.
pub(super) fn redate(connection: &Connection, now: Timestamp) -> Done<Redating> {
    let latest = millis(now.after(CLOCK_TOLERANCE));
    let (wakeups, scheduled): (i64, Option<i64>) = connection
        .prepare_cached(SCHEDULED_AFTER)?
        .query_row([latest], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let began: Option<i64> = connection
        .prepare_cached(BEGAN_AFTER)?
        .query_row([latest], |row| row.get(0))?;
    let mut redating = Redating {
        wakeups: u64::try_from(wakeups).unwrap_or_default(),
        leases: 0,
        latest: scheduled.max(began).map(moment),
    };
    // Mostly there is nothing to write.
    if scheduled.is_some() {
        connection
            .prepare_cached(REDATE_WAKEUPS)?
            .execute(params![millis(now), latest])?;
    }
    if began.is_some() {
        let leases = connection
            .prepare_cached(REDATE_LEASES)?
            .execute(params![millis(now), latest])?;
        redating.leases = leases as u64;
    }
    Ok(redating)
}

fn lease_holders(connection: &Connection) -> Done<Vec<String>> {
    let mut statement = connection.prepare_cached(HOLDERS)?;
    let holders = statement.query_map([], |row| row.get(0))?;
    Ok(holders.collect::<Result<_, _>>()?)
}
