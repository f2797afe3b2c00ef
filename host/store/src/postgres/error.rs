//! Conversions between PostgreSQL and the store: errors, and numbers in both directions.

use std::error::Error as _;

use relation_types::{Hierarchy, Reference};
use tokio_postgres::error::{DbError, Severity};

use crate::{StoreError, columns};

pub(super) use crate::columns::{from_millis, to_millis, to_sql_count};

/// A [`StoreError`] that the errors of PostgreSQL convert to with `?`, so that PostgreSQL is not visible to users of
/// the store.
#[derive(Debug)]
pub(super) struct PgError(pub(super) StoreError);

pub(super) type Result<T, E = PgError> = std::result::Result<T, E>;

/// The error of a write.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The function has refused the write with an SQLSTATE of this store, such as RL001. Nothing was changed.
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The message: JSON or empty.
        detail: String,
    },
    /// Any other error.
    Store(StoreError),
}

impl From<StoreError> for PgError {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        error.0
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(describe(&error))
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PgError> for WriteError {
    fn from(error: PgError) -> Self {
        Self::Store(error.0)
    }
}

impl From<tokio_postgres::Error> for WriteError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) if refusal.code().code().starts_with("RL") => Self::Refused {
                code: refusal.code().code().to_owned(),
                detail: refusal.message().to_owned(),
            },
            _ => Self::Store(describe(&error)),
        }
    }
}

/// For writes that have no refusal of their own.
impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused { code, .. } => {
                Self::Corrupt(format!("the database has refused a write with {code}"))
            }
            WriteError::Store(error) => error,
        }
    }
}

impl From<WriteError> for PgError {
    fn from(error: WriteError) -> Self {
        Self(error.into())
    }
}

/// The consequence of an error for its connection and its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The connection or its server has gone: the outcome of the statement is unknown.
    Broken,
    /// The server is read-only, such as a standby: nothing was changed, and another server may be the right one.
    ReadOnly,
    /// The transaction met another one: nothing was changed, and the statement must be repeated.
    Again,
    /// The prepared statement does not exist or has changed: nothing was changed.
    Stale,
    /// The statement changed no data, and repeating it does not help.
    Final,
}

/// Returns the consequence of an error.
pub(super) fn classify(error: &tokio_postgres::Error) -> Class {
    let Some(report) = error.as_db_error() else {
        return if is_local(error) {
            Class::Final
        } else {
            Class::Broken
        };
    };
    let code = report.code().code();
    match code {
        "25006" => Class::ReadOnly,
        "40001" | "40P01" => Class::Again,
        "0A000" | "26000" => Class::Stale,
        _ if is_fatal(report) || code.starts_with("08") || code.starts_with("57P") => Class::Broken,
        _ => Class::Final,
    }
}

/// Returns whether a value could not be converted, so that the connection works.
fn is_local(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    [
        "error serializing",
        "error deserializing",
        "error encoding",
        "expected ",
        "invalid column",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

fn is_fatal(report: &DbError) -> bool {
    matches!(
        report.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    )
}

/// Converts an error for users of the store. Neither values nor passwords are part of it.
pub(super) fn describe(error: &tokio_postgres::Error) -> StoreError {
    let Some(report) = error.as_db_error() else {
        return describe_local(error);
    };
    let code = report.code().code();
    let message = report.message();
    let hint = match code {
        "57014" => Some("the statement took too long"),
        "55P03" => Some("another write holds what this one needs"),
        "25006" => Some("this server is read-only: is it a standby?"),
        "53100" => Some("the disk of the database server is full: free space on it"),
        "53300" => Some("the server has no more connections: raise max_connections"),
        "28P01" | "28000" => Some("check the user, the password and pg_hba.conf"),
        "3D000" => Some("create it first (createdb)"),
        "42501" => Some("grant the rights that the documentation names"),
        _ => None,
    };
    let unavailable = is_fatal(report)
        || ["08", "40", "53", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class))
        || matches!(code, "55P03" | "25006" | "42501");
    let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
    if unavailable {
        return StoreError::Unavailable(format!("{message} ({code}){hint}"));
    }
    let constraint = report
        .constraint()
        .map(|name| format!(", constraint {name}"));
    let constraint = constraint.unwrap_or_default();
    // The message of a violated constraint or a bad value can contain the value.
    if code.starts_with("22") || code.starts_with("23") {
        return StoreError::Corrupt(format!("PostgreSQL reports {code}{constraint}"));
    }
    StoreError::Corrupt(format!("{message} ({code}{constraint}){hint}"))
}

fn describe_local(error: &tokio_postgres::Error) -> StoreError {
    let source = error.source().map(|source| format!(": {source}"));
    let text = format!("{error}{}", source.unwrap_or_default());
    if is_local(error) {
        return StoreError::Corrupt(text);
    }
    StoreError::Unavailable(format!("PostgreSQL: {text}"))
}

pub(super) fn corrupt(what: impl Into<String>) -> PgError {
    PgError(StoreError::Corrupt(what.into()))
}

/// Refuses a text with U+0000, which PostgreSQL cannot store.
pub(super) fn require_text(what: &str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        return Err(StoreError::Invalid(format!(
            "{what} contains the character U+0000"
        )));
    }
    Ok(())
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
