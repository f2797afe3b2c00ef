//! The headers of requests and responses about records: versions and idempotency keys.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;

use super::body::invalid;
use crate::WebError;

/// The maximum length of an idempotency key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// Returns the tag of a version.
pub(crate) fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version that a request with `If-Match` is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Any version.
    Any,
    /// The current version.
    Current,
    /// Another version.
    Other,
}

/// Compares `If-Match` with the current version.
pub(crate) fn match_version(headers: &HeaderMap, current: u64) -> Match {
    let Some(wanted) = headers.get(header::IF_MATCH) else {
        return Match::Any;
    };
    let wanted = wanted.to_str().unwrap_or_default();
    let current = etag(current);
    let mut tags = wanted.split(',').map(str::trim);
    match tags.find(|tag| *tag == "*" || *tag == current) {
        Some("*") => Match::Any,
        Some(_) => Match::Current,
        None => Match::Other,
    }
}

/// Refuses a change that is based on another version of the record. Returns the version that the call must still find,
/// since another call may change the record before this one.
pub(super) fn check_version(
    headers: &HeaderMap,
    record: &StoredRecord,
) -> Result<Option<u64>, WebError> {
    match match_version(headers, record.document.version) {
        Match::Any => Ok(None),
        Match::Current => Ok(Some(record.document.version)),
        Match::Other => {
            let error = AppError::new(
                ErrorKind::Changed,
                "the record was changed in the meantime: its version is not the one of If-Match",
            );
            let hint = "read the record again, and repeat the change with its ETag";
            Err(error.hint(hint).into())
        }
    }
}

/// Refuses `If-Match` where no version is compared. The caller would believe that nothing is overwritten.
pub(crate) async fn refuse_version(request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::IF_MATCH) {
        return next.run(request).await;
    }
    let error = AppError::new(ErrorKind::Usage, "the headers are not right");
    let error = AppError {
        field_errors: vec![FieldError {
            field: "If-Match".to_owned(),
            message: "is not compared by this request, which has changed nothing".to_owned(),
        }],
        ..error
    };
    let hint = "If-Match is the version of one record: leave it out, or send a PUT, PATCH, DELETE or action for each \
                record";
    WebError::from(error.hint(hint)).into_response()
}

/// Reads the key by which a repeated add is found.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, WebError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key)
            if (1..=MAX_KEY_CHARS).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(key.to_owned()))
        }
        _ => Err(invalid(
            "Idempotency-Key",
            &format!("must be 1 to {MAX_KEY_CHARS} visible ASCII characters"),
        )),
    }
}
