//! The counter of the store, which never repeats a number.

use rusqlite::Connection;

use super::error::Result;

const NEXT: &str = "UPDATE sequence SET value = value + 1 RETURNING value";

/// Returns the next number, which is greater than all earlier ones. It is consumed when the transaction
/// commits.
pub(super) fn next(connection: &Connection) -> Result<i64> {
    let value = connection
        .prepare_cached(NEXT)?
        .query_row([], |row| row.get(0))?;
    Ok(value)
}
