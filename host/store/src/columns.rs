//! Conversions between the store's values and the columns of SQL databases, whose integers are signed.

use crate::StoreError;
use relation_types::{Hierarchy, Pkid, Reference, Timestamp};

/// Converts a time. A later time than the largest integer, some 292 million years from now, is stored as that integer.
pub(crate) fn to_millis(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(crate) fn from_millis(millis: i64) -> Timestamp {
    Timestamp(u64::try_from(millis).unwrap_or_default())
}

/// Converts a count. A count that the database cannot represent matches no row.
pub(crate) fn to_sql_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(-1)
}

pub(crate) fn from_sql_count(stored: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(stored).map_err(|_| StoreError::Corrupt(format!("{what} is {stored}")))
}

pub(crate) fn parse_reference(model: String, pkid: String) -> Result<Reference, StoreError> {
    match Pkid::try_from(pkid) {
        Ok(pkid) => Ok(Reference { model, pkid }),
        Err(error) => {
            let text = format!("a row of {model} has a bad key: {error}");
            Err(StoreError::Corrupt(text))
        }
    }
}

pub(crate) fn parse_hierarchy(text: String, owner: &Reference) -> Result<Hierarchy, StoreError> {
    Hierarchy::try_from(text).map_err(|error| StoreError::Corrupt(format!("{owner}: {error}")))
}
