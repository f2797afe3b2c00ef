//! Errors of the API: `{message, errors: [{description}], trackingId}`, and those of Contact Center:
//! `{trackingId, error: {key, reason, message: [{description, code}]}}`.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::contact_center;
use crate::ids::Digest;
use crate::record::InvalidatedTokens;

/// The header with the tracking id; its case varies between responses of the real service.
pub(crate) const TRACKING_ID: HeaderName = HeaderName::from_static("trackingid");

/// The reason why an API request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// No access token, or one that is unknown, expired or revoked; a revoked one is named, because
    /// its holder knows from now on.
    Unauthorized { revoked: Option<Digest> },
    /// A scope is missing.
    Forbidden,
    /// No such resource for this caller.
    NotFound,
    /// The resource is no longer offered.
    Gone,
    /// The resource has no such method.
    MethodNotAllowed,
    /// The request is invalid, for this reason.
    BadRequest(&'static str),
    /// Fields of the body are invalid, for these reasons.
    InvalidFields(Vec<FieldError>),
    /// Too many requests; seconds until the next one is accepted.
    TooManyRequests { retry_after: u64 },
}

/// An error of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) code: Option<u32>,
    pub(crate) description: String,
}

/// The tracking id of a request, and the format of its errors.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    id: String,
    is_contact_center: bool,
}

impl Tracking {
    /// Creates the tracking id of a request to this path.
    pub(crate) fn new(id: String, path: &str) -> Self {
        let is_contact_center = contact_center::is_path(path);
        let id = match id.strip_prefix("ROUTER_") {
            Some(uuid) if is_contact_center => format!("ccconfig_{uuid}"),
            _ => id,
        };
        Self {
            id,
            is_contact_center,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the body of an error.
    fn body(&self, status: StatusCode, problem: &Problem) -> Value {
        if self.is_contact_center {
            return json!({
                "trackingId": self.id,
                "error": {
                    "key": status.as_str(),
                    "reason": status.canonical_reason().unwrap_or("Error"),
                    "message": [{"description": problem.message, "code": status.as_u16().to_string()}],
                },
            });
        }
        let mut errors: Vec<_> = problem.fields.iter().map(FieldError::json).collect();
        if errors.is_empty() {
            errors.push(json!({"description": problem.message}));
        }
        json!({"message": problem.message, "errors": errors, "trackingId": self.id})
    }
}

impl FieldError {
    fn json(&self) -> Value {
        match self.code {
            Some(code) => json!({"description": self.description, "errorCode": code}),
            None => json!({"description": self.description}),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, message) = match &self {
            Self::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, None),
            Self::Forbidden => (StatusCode::FORBIDDEN, None),
            Self::NotFound => (StatusCode::NOT_FOUND, None),
            Self::Gone => (StatusCode::GONE, None),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, None),
            Self::BadRequest(message) => (StatusCode::BAD_REQUEST, Some(*message)),
            Self::InvalidFields(_) => (StatusCode::BAD_REQUEST, Some("Fields are invalid.")),
            Self::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
        };
        let message = message.unwrap_or_else(|| usual_message(status));
        let mut response = response(status, message);
        match self {
            Self::Unauthorized {
                revoked: Some(token),
            } => {
                response.extensions_mut().insert(InvalidatedTokens {
                    tokens: vec![token],
                    reason: "it had been refused as revoked",
                });
            }
            Self::InvalidFields(fields) => {
                response
                    .extensions_mut()
                    .insert(Problem { message, fields });
            }
            Self::TooManyRequests { retry_after } => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, retry_after.into());
            }
            _ => {}
        }
        response
    }
}

/// Creates an error response of the API without its tracking id and body: [`tracked`] adds both.
pub(crate) fn response(status: StatusCode, message: &'static str) -> Response {
    let mut response = status.into_response();
    let fields = Vec::new();
    response
        .extensions_mut()
        .insert(Problem { message, fields });
    response
}

/// The content of an error response whose body is not written yet.
#[derive(Clone)]
struct Problem {
    message: &'static str,
    fields: Vec<FieldError>,
}

/// Adds the tracking id to a response: in the header, and in the body of an API error.
pub(crate) fn tracked(mut response: Response, tracking: &Tracking) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = tracking.body(response.status(), &problem).to_string();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        *response.body_mut() = body.into();
    }
    if let Ok(value) = HeaderValue::from_str(tracking.id()) {
        response.headers_mut().entry(TRACKING_ID).or_insert(value);
    }
    response
}

/// Returns the text for a status. 401, 403 and 404 were observed on the real service.
pub(crate) fn usual_message(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "The request requires a valid access token set in the Authorization request header.",
        403 => {
            "The server understood the request, but refused to fulfill it because the access token is missing required scopes or the user is missing required roles or licenses."
        }
        404 => "The requested resource could not be found.",
        410 => "The requested resource is no longer available.",
        405 => "The requested method is not supported for this resource.",
        429 => "Too many requests have been sent in a given amount of time.",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}
