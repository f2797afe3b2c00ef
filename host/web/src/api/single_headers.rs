//! Headers that a request has once. With two, one would be ignored, and the caller would not know which.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;

use crate::WebError;

/// The names of the headers that the API reads, as people write them.
static SINGLE: [(HeaderName, &str); 5] = [
    (header::AUTHORIZATION, "Authorization"),
    (header::CONTENT_TYPE, "Content-Type"),
    (
        HeaderName::from_static("idempotency-key"),
        "Idempotency-Key",
    ),
    (header::IF_MATCH, "If-Match"),
    (header::ORIGIN, "Origin"),
];

/// Refuses a request that has one of these headers more than once.
pub(crate) async fn refuse_repeated_headers(request: Request, next: Next) -> Response {
    let field_errors = find_repeated(request.headers());
    if field_errors.is_empty() {
        return next.run(request).await;
    }
    let error = AppError::new(ErrorKind::Usage, "the headers are not right");
    let error = AppError {
        field_errors,
        ..error
    };
    WebError::from(error.hint("send each of these headers once")).into_response()
}

fn find_repeated(headers: &HeaderMap) -> Vec<FieldError> {
    let is_repeated = |name: &HeaderName| headers.get_all(name).iter().count() > 1;
    let repeated = SINGLE.iter().filter(|(name, _)| is_repeated(name));
    repeated
        .map(|(_, name)| FieldError {
            field: (*name).to_owned(),
            message: "is given more than once".to_owned(),
        })
        .collect()
}
