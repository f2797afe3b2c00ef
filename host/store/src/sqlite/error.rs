//! Conversions between SQLite and the store: errors, and numbers in both directions.

use rusqlite::ErrorCode;

use crate::{StoreError, columns};
use relation_types::{Hierarchy, Reference};

pub(super) use crate::columns::{from_millis, to_millis, to_sql_count};

/// A [`StoreError`] that SQLite's errors convert to with `?`, so that SQLite is not visible to users of
/// the store.
#[derive(Debug)]
pub(super) struct SqlError(pub(super) StoreError);

pub(super) type Result<T, E = SqlError> = std::result::Result<T, E>;

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<SqlError> for StoreError {
    fn from(fault: SqlError) -> Self {
        fault.0
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode as Code;

        Self(match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => StoreError::Unavailable(
                "the database is locked by another process: is a long write or a backup running?"
                    .to_owned(),
            ),
            Some(Code::DiskFull) => StoreError::Unavailable(
                "the disk of the database is full: free space on it".to_owned(),
            ),
            Some(Code::ReadOnly) => StoreError::Unavailable(format!(
                "the database cannot be written: is its disk mounted read-only, or the file write-protected? ({error})"
            )),
            Some(Code::SystemIoFailure) if is_about_shared_memory(&error) => {
                StoreError::Unavailable(
                    "the index of the database's log (-shm) cannot be made beside it: its disk is \
                     probably full, free space on it"
                        .to_owned(),
                )
            }
            Some(
                Code::SystemIoFailure
                | Code::CannotOpen
                | Code::OutOfMemory
                | Code::PermissionDenied
                | Code::FileLockingProtocolFailed
                | Code::OperationInterrupted
                | Code::OperationAborted,
            ) => StoreError::Unavailable(error.to_string()),
            _ => StoreError::Corrupt(error.to_string()),
        })
    }
}

/// Returns whether SQLite could not create or enlarge the file that processes share.
fn is_about_shared_memory(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE};

    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| {
        [
            SQLITE_IOERR_SHMMAP,
            SQLITE_IOERR_SHMOPEN,
            SQLITE_IOERR_SHMSIZE,
        ]
        .contains(&code)
    })
}

pub(super) fn corrupt(what: impl Into<String>) -> SqlError {
    SqlError(StoreError::Corrupt(what.into()))
}

/// Copies the error for each write that one SQLite error has stopped.
pub(super) fn copy_error(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

pub(super) fn from_sql_count(stored: i64, what: &str) -> Result<u64> {
    Ok(columns::from_sql_count(stored, what)?)
}

pub(super) fn parse_reference(model: String, pkid: String) -> Result<Reference> {
    Ok(columns::parse_reference(model, pkid)?)
}

pub(super) fn parse_hierarchy(text: String, owner: &Reference) -> Result<Hierarchy> {
    Ok(columns::parse_hierarchy(text, owner)?)
}
