//! The error of a request, as the API and the page report it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};
use relation_host::types::FieldError;
use serde::Serialize;

/// The error of a request: an HTTP status with an [`AppError`].
#[derive(Clone, Debug)]
pub struct WebError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error.
    pub error: AppError,
}

/// Returns the HTTP status of an error: the only place that decides it.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::Invalid | ErrorKind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict | ErrorKind::Busy | ErrorKind::Reauthorize => StatusCode::CONFLICT,
        ErrorKind::Changed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable | ErrorKind::Problem => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::LimitExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Plugin | ErrorKind::Internal | ErrorKind::Failed | ErrorKind::BrokenPipe => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// Returns the code by which a program recognizes an error that needs more than its status.
fn code_of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::KeyReused => Some(KEY_REUSED),
        _ => None,
    }
}

/// The code of an idempotency key that was used for a different request.
pub(crate) const KEY_REUSED: &str = "idempotency-key-reused";

impl WebError {
    /// Creates an error with a status that does not follow from the error's kind.
    pub fn new(status: StatusCode, error: AppError) -> Self {
        Self { status, error }
    }

    /// Creates the one error for objects outside of the principal's nodes and for objects that do not exist.
    pub fn not_found() -> Self {
        AppError::new(ErrorKind::NotFound, "there is nothing at this address").into()
    }

    /// Creates the error of a request without a session or API key, or with an invalid one.
    pub fn unauthenticated() -> Self {
        let error = AppError::new(
            ErrorKind::Usage,
            "the request has no valid session or API key",
        );
        let hint = "log in, or send `Authorization: Bearer rel_…`";
        Self::new(StatusCode::UNAUTHORIZED, error.hint(hint))
    }

    /// Creates the error of a principal who sees the object, but may not do this with it.
    pub fn forbidden(operation: &str) -> Self {
        let error = AppError::new(
            ErrorKind::Usage,
            format!("your roles do not permit the operation {operation} here"),
        );
        let hint = "an administrator of this node can give you a role that does";
        Self::new(StatusCode::FORBIDDEN, error.hint(hint))
    }
}

/// Gives errors of the framework the form of all errors.
pub(crate) async fn describe_error(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<WebError>().is_some() {
        return response;
    }
    let error = match status {
        // A path whose parameters cannot be decoded.
        StatusCode::BAD_REQUEST => WebError::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            let error = AppError::new(ErrorKind::Usage, "the method is not offered here");
            WebError::new(status, error.hint("the header Allow has the methods"))
        }
        _ => {
            let reason = status.canonical_reason().unwrap_or("the request failed");
            WebError::new(status, AppError::new(ErrorKind::Usage, reason))
        }
    };
    error.into_response()
}

impl<E: Into<AppError>> From<E> for WebError {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            status: status_of(error.kind),
            error,
        }
    }
}

/// The body of an error: RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let status = self.status;
        // The cause of an internal error is in the log and in the transaction, not in a response.
        let hidden = status == StatusCode::INTERNAL_SERVER_ERROR;
        if hidden {
            tracing::error!(error = self.error.message, "a request failed");
        }
        let problem = Problem {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: match hidden {
                true => "the request failed; the host's log has the reason",
                false => &self.error.message,
            },
            code: code_of(self.error.kind),
            // The hints of some errors name commands, for people at the host.
            hint: (self.error.hint.as_deref())
                .filter(|hint| !hidden && !hint.contains("`relation-host ")),
            transaction_id: self.error.transaction.as_deref(),
            errors: &self.error.field_errors,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        // The page renders it for people.
        response.extensions_mut().insert(self);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}
