//! What hosts that are gone have left behind: their leases, and their transactions that never ended.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::fault::{Done, Fault, millis};
use super::holder::{Gone, Holder};
use super::transactions;
use crate::store::{Recovery, StoreError};
use crate::transactions::{Outcome, Status};
use crate::types::Timestamp;

/// Leases are only as many as calls that run, so these look at all of them.
const HOLDERS: &str = "SELECT DISTINCT holder FROM leases";
const RELEASE_ALL: &str = "DELETE FROM leases WHERE holder = ?1";
const RELEASE_EXPIRED: &str = "DELETE FROM leases WHERE expires <= ?1";

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
        let released = connection.prepare_cached(RELEASE_ALL)?.execute([&id])?;
        recovery.leases += released as u64;
        let outcome = Outcome {
            status: Status::Fail,
            message: "interrupted: the host process that ran it has ended".to_owned(),
            completed: now,
        };
        recovery.transactions += transactions::close_all_of(connection, &id, &outcome)?;
        forgotten.push(gone);
    }
    let expired = connection
        .prepare_cached(RELEASE_EXPIRED)?
        .execute(params![millis(now)])?;
    recovery.leases += expired as u64;
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
