//! The counter of the store, which never repeats a number.

use std::cell::Cell;

use rusqlite::Connection;

use super::error::Result;

const READ: &str = "SELECT value FROM sequence";
const STORE: &str = "UPDATE sequence SET value = ?1";

/// The counter during one transaction of the database, which excludes other writers: read before the
/// first number, stored after the last.
#[derive(Debug, Default)]
pub(super) struct Sequence(Cell<Option<i64>>);

impl Sequence {
    /// Returns the next number, which is greater than all earlier ones. It is consumed when the
    /// transaction commits.
    pub(super) fn next(&self, connection: &Connection) -> Result<i64> {
        let last = match self.0.get() {
            Some(last) => last,
            None => connection
                .prepare_cached(READ)?
                .query_row([], |row| row.get(0))?,
        };
        let next = last + 1;
        self.0.set(Some(next));
        Ok(next)
    }

    /// Returns the last number of this transaction, for [`restore`](Self::restore).
    pub(super) fn last(&self) -> Option<i64> {
        self.0.get()
    }

    /// Returns to an earlier number, after a request was rolled back with the numbers that it had.
    pub(super) fn restore(&self, last: Option<i64>) {
        self.0.set(last);
    }

    /// Stores the counter before the transaction commits.
    pub(super) fn store(&self, connection: &Connection) -> Result<()> {
        if let Some(last) = self.0.take() {
            connection.prepare_cached(STORE)?.execute([last])?;
        }
        Ok(())
    }
}
