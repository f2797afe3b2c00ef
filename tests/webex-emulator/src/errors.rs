//! Errors of the API: `{message, errors: [{description}], trackingId}`.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::ids::Digest;
use crate::record::InvalidatedTokens;

/// The header with the tracking id; its case varies between responses of the real service.
pub(crate) const TRACKING_ID: HeaderName = HeaderName::from_static("trackingid");

/// Why an API request failed.
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
        };
        let mut response = response(status, message.unwrap_or_else(|| usual_message(status)));
        if let Self::Unauthorized {
            revoked: Some(token),
        } = self
        {
            response.extensions_mut().insert(InvalidatedTokens {
                tokens: vec![token],
                reason: "it had been refused as revoked",
            });
        }
        response
    }
}

/// Creates an error response of the API without its tracking id and body: [`tracked`] adds both.
pub(crate) fn response(status: StatusCode, message: &'static str) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(Message(message));
    response
}

/// The text of an error response whose body is not written yet.
#[derive(Clone, Copy)]
struct Message(&'static str);

/// Adds the tracking id to a response: in the header, and in the body of an API error.
pub(crate) fn tracked(mut response: Response, tracking_id: &str) -> Response {
    if let Some(Message(message)) = response.extensions_mut().remove::<Message>() {
        let body = error(message, tracking_id).to_string();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        *response.body_mut() = body.into();
    }
    if let Ok(value) = HeaderValue::from_str(tracking_id) {
        response.headers_mut().entry(TRACKING_ID).or_insert(value);
    }
    response
}

fn error(message: &str, tracking_id: &str) -> Value {
    json!({
        "message": message,
        "errors": [{"description": message}],
        "trackingId": tracking_id,
    })
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
