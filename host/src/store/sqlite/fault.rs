//! What goes wrong inside SQLite, in the words of the store; and numbers on their way in and out.

use rusqlite::ErrorCode;

use crate::store::StoreError;
use crate::types::{Hierarchy, Pkid, Reference, Timestamp};

/// A [`StoreError`] that SQLite's own errors become by `?`, without showing SQLite to users of the
/// store.
#[derive(Debug)]
pub(super) struct Fault(pub(super) StoreError);

pub(super) type Done<T> = Result<T, Fault>;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}

impl From<rusqlite::Error> for Fault {
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

/// Whether SQLite could not make or enlarge the file that processes share.
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

pub(super) fn corrupt(what: impl Into<String>) -> Fault {
    Fault(StoreError::Corrupt(what.into()))
}

/// The same words again, for each of those that one fault of SQLite has stopped.
pub(super) fn repeat(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// SQLite's integers are signed: a moment beyond its largest, some 292 million years from now, is
/// stored as that one.
pub(super) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp(u64::try_from(millis).unwrap_or_default())
}

/// A count on its way in; one that SQLite cannot hold matches nothing.
pub(super) fn count_in(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(-1)
}

pub(super) fn count_out(stored: i64, what: &str) -> Done<u64> {
    u64::try_from(stored).map_err(|_| corrupt(format!("{what} is {stored}")))
}

pub(super) fn reference(model: String, pkid: String) -> Done<Reference> {
    match Pkid::try_from(pkid) {
        Ok(pkid) => Ok(Reference { model, pkid }),
        Err(error) => Err(corrupt(format!("a row of {model} has a bad key: {error}"))),
    }
}

pub(super) fn hierarchy(text: String, of: &Reference) -> Done<Hierarchy> {
    Hierarchy::try_from(text).map_err(|error| corrupt(format!("{of}: {error}")))
}
