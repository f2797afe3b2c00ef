//! The one counter of the store, of which no number is given out twice.

use rusqlite::Connection;

use super::fault::Done;

const NEXT: &str = "UPDATE sequence SET value = value + 1 RETURNING value";

/// A number that is greater than every one before it; it is used up with the transaction.
pub(super) fn next(connection: &Connection) -> Done<i64> {
    let value = connection
        .prepare_cached(NEXT)?
        .query_row([], |row| row.get(0))?;
    Ok(value)
}
