//! The transactions of queued calls and of bulks.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, SqlError, from_sql_count, to_millis};
use super::sorted::list_nodes;
use super::transactions::close;
use crate::StoreError;
use relation_types::Timestamp;
use relation_types::transactions::{NewTransaction, TransactionOutcome, parent_of};

/// A host that lost the lease of a queued call may have left its transaction in any status.
const BEGIN: &str = "UPDATE transactions
    SET status = 'Processing', message = '', started = ?2, holder = ?3, completed = NULL
    WHERE id = ?1 AND request IS NOT NULL AND (?4 OR status = 'Queued')";
const REQUEUE: &str = "UPDATE transactions SET status = 'Queued', message = ?2
    WHERE id = ?1 AND request IS NOT NULL";
/// A call of a bulk that has not ended. The parts of the bulk `id` are between `id.` and `id/`.
const OPEN_PARTS: [&str; 2] = [
    "SELECT 1 FROM transactions INDEXED BY transactions_queued
        WHERE status = 'Queued' AND id > ?1 AND id < ?2",
    "SELECT 1 FROM transactions INDEXED BY transactions_running
        WHERE status = 'Processing' AND id > ?1 AND id < ?2",
];
const IS_OPEN_BULK: &str = "SELECT 1 FROM transactions
    WHERE id = ?1 AND status = 'Queued' AND request IS NULL";
const COUNT_PARTS: &str =
    "SELECT COUNT(*), COUNT(*) FILTER (WHERE status = 'Success') FROM transactions
    WHERE id > ?1 AND id < ?2 AND instr(substr(id, length(?1) + 1), '.') = 0";

const PLACE: &str = "SELECT hierarchy FROM transactions WHERE id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BEGIN,
    REQUEUE,
    OPEN_PARTS[0],
    OPEN_PARTS[1],
    IS_OPEN_BULK,
    COUNT_PARTS,
    PLACE,
];

/// Returns the nodes at which a transaction is listed. A call of a bulk is listed where its bulk is not.
pub(super) fn find_listing_nodes(
    connection: &Connection,
    id: &str,
    node: &str,
) -> Result<Vec<String>> {
    let mut nodes = list_nodes(node);
    if let Some(bulk) = parent_of(id) {
        let mut statement = connection.prepare_cached(PLACE)?;
        let place = statement.query_row([bulk], |row| row.get(0)).optional()?;
        let place: Option<String> = place.flatten();
        let of_bulk = place.map_or_else(Vec::new, |place| list_nodes(&place));
        nodes.retain(|node| !of_bulk.contains(node));
    }
    Ok(nodes)
}

/// Begins a queued transaction: in any status under the lease of its call, otherwise only if it is queued.
pub(super) fn begin(
    connection: &Connection,
    holder: &str,
    new: &NewTransaction,
    is_leased: bool,
) -> Result<()> {
    let started = to_millis(new.started);
    let begun = connection
        .prepare_cached(BEGIN)?
        .execute(params![new.id, started, holder, is_leased])?;
    match begun {
        0 => Err(SqlError(StoreError::not_queued(&new.id))),
        _ => Ok(()),
    }
}

/// Closes a bulk if all of its calls have ended.
pub(super) fn close_bulk(connection: &Connection, id: &str, now: Timestamp) -> Result<()> {
    let range = [format!("{id}."), format!("{id}/")];
    let is_open = connection.prepare_cached(IS_OPEN_BULK)?.exists([id])?;
    if !is_open {
        return Ok(());
    }
    for statement in OPEN_PARTS {
        let range = [&range[0], &range[1]];
        if connection.prepare_cached(statement)?.exists(range)? {
            return Ok(());
        }
    }
    let mut statement = connection.prepare_cached(COUNT_PARTS)?;
    let (calls, succeeded): (i64, i64) =
        statement.query_row(range, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let calls = from_sql_count(calls, "a count of calls")?;
    let succeeded = from_sql_count(succeeded, "a count of calls")?;
    close(
        connection,
        id,
        &TransactionOutcome::bulk(calls, succeeded, now),
    )
}

/// Ends a running transaction of an ended process. A queued call waits for its next attempt.
pub(super) fn interrupt(
    connection: &Connection,
    id: &str,
    outcome: &TransactionOutcome,
) -> Result<()> {
    let requeued = connection
        .prepare_cached(REQUEUE)?
        .execute([id, outcome.message.as_str()])?;
    match requeued {
        0 => close(connection, id, outcome),
        _ => Ok(()),
    }
}
