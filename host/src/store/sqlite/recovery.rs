//! What hosts that are gone have left behind: their leases, and their transactions that never ended.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::{Done, Fault, millis};
use super::holder::{Gone, Holder};
use super::transactions;
use crate::store::{Recovery, StoreError};
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

/// Releases and closes what the gone have left; they are to be forgotten once that is durable.
pub(super) fn recover(
    connection: &Connection,
    holder: &Holder,
    now: Timestamp,
) -> Done<(Recovery, Vec<Gone>)> {
    let mut ids: BTreeSet<String> = transactions::running_holders(connection)?;
    ids.extend(lease_holders(connection)?);
    ids.extend(holder.known().map_err(unreadable)?);

    let mut recovery = Recovery::default();
    let mut forgotten = Vec::new();
    for id in ids {
        let Some(gone) = holder.gone(&id).map_err(unreadable)? else {
            continue;
        };
        for statement in [RELEASE_ALL, ABANDON_ALL] {
            let released = connection.prepare_cached(statement)?.execute([&id])?;
            recovery.leases += released as u64;
        }
        let outcome = Outcome::interrupted(now);
        recovery.transactions += transactions::close_all_of(connection, &id, &outcome)?;
        forgotten.push(gone);
    }
    for statement in [RELEASE_EXPIRED, ABANDON_EXPIRED] {
        let expired = connection
            .prepare_cached(statement)?
            .execute(params![millis(now)])?;
        recovery.leases += expired as u64;
    }
    Ok((recovery, forgotten))
}

fn lease_holders(connection: &Connection) -> Done<Vec<String>> {
    let mut statement = connection.prepare_cached(HOLDERS)?;
    let holders = statement.query_map([], |row| row.get(0))?;
    Ok(holders.collect::<Result<_, _>>()?)
}

fn unreadable(error: std::io::Error) -> Fault {
    Fault(StoreError::Unavailable(format!(
        "cannot tell which hosts are running from the files beside the database: {error}"
    )))
}
