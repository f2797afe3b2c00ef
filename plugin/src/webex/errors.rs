//! Errors from Webex: two formats of bodies, classified by who must act, and their texts.

use std::fmt;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::error_body::ErrorBody;
use super::media::MediaType;
use super::redactor::Redactor;
use crate::model::derived;
use crate::platform::{Failure, HttpError, HttpResponse, Millis, UnixMillis};
use crate::timing;

/// The kind of an error, which says who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A person must consent again: Webex refuses the grant permanently.
    Refused,
    /// The operator must act: Webex does not accept the client id or the client secret, or has
    /// disabled the integration.
    Client,
    /// The caller must use another access token: this one is not valid.
    Unauthorized,
    /// A person must act: a scope was not granted, or the account lacks a role.
    Forbidden,
    /// The resource does not exist. The operator must act if that is the token endpoint or a list: the base address is
    /// usually wrong.
    NotFound,
    /// The request can be retried later: Webex limits the rate.
    RateLimited,
    /// The request can be retried later: a transient error of Webex, a proxy or the network, or an
    /// invalid response.
    Unavailable,
    /// Webex's support must act: the response arrived completely and is not valid.
    Malformed,
    /// The administrator must act: a proxy does not accept its user or password.
    ProxyCredentials,
    /// The operator must act: the host's policy forbids the request.
    Denied,
    /// The operator must act: a limit of the host was reached.
    Limit,
    /// The author of the plugin must act: Webex does not accept the request's form.
    Rejected,
}

/// One error of Webex's list.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct ErrorDetail {
    /// Webex's number of the error, such as 10022 for an e-mail address that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u64>,
    /// The text for a person.
    pub description: String,
}

impl ErrorDetail {
    /// Parses `{description, errorCode}`; none without a description.
    pub fn parse(error: &Value) -> Option<Self> {
        let description = error.get("description")?.as_str()?;
        Some(Self {
            code: error.get("errorCode").and_then(Value::as_u64),
            description: description.to_owned(),
        })
    }
}

impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description.trim_end_matches('.'))?;
        match self.code {
            Some(code) => write!(f, " (error {code})"),
            None => Ok(()),
        }
    }
}

/// Webex's list of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorDetails(Vec<ErrorDetail>);

/// The reason why a request to Webex failed. Its texts do not contain secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebexError {
    /// The kind, which says who must act.
    pub kind: ErrorKind,
    /// The label of the request: method and URL without the query.
    pub request: String,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// OAuth's error code (RFC 6749, section 5.2), such as `invalid_grant`.
    pub error: Option<Box<str>>,
    /// The explanation of Webex or the host.
    pub description: Option<String>,
    // Boxed, so that results with this error stay small.
    pub(super) details: Option<Box<ErrorDetails>>,
    /// Webex's tracking id of the request, for its support.
    pub tracking_id: Option<String>,
    /// The pause that Webex asks for.
    pub retry_after: Option<Millis>,
    /// The media type of the response's `Content-Type`.
    pub content_type: MediaType,
    /// Whether the body is an error of Webex's API, and not of a proxy.
    pub is_webex: bool,
    /// Whether the request may have been carried out although its result is lost. Then no readable response arrived, a
    /// gateway had none (502, 504), or the server broke off (500).
    pub lost: bool,
}

impl WebexError {
    /// Creates an error of `kind` before or without a response.
    pub fn new(kind: ErrorKind, request: impl Into<String>, description: Option<String>) -> Self {
        Self {
            kind,
            request: request.into(),
            status: None,
            error: None,
            description,
            details: None,
            tracking_id: None,
            retry_after: None,
            content_type: MediaType::Absent,
            is_webex: false,
            lost: false,
        }
    }

    /// Creates the error of a request that received no response.
    pub fn from_http_error(request: &str, error: &HttpError, redactor: &Redactor) -> Self {
        let (kind, text) = match error {
            HttpError::Denied(text) => (ErrorKind::Denied, text),
            HttpError::Limit(text) | HttpError::TooLarge(text) => (ErrorKind::Limit, text),
            HttpError::ProxyCredentials(text) => (ErrorKind::ProxyCredentials, text),
            HttpError::Network(text) | HttpError::Lost(text) => (ErrorKind::Unavailable, text),
        };
        Self {
            lost: error.may_have_been_received(),
            ..Self::new(kind, request, redactor.redact(text))
        }
    }

    /// Creates the error of an unsuccessful response of the REST API.
    pub fn from_response(
        request: &str,
        response: &HttpResponse,
        now: UnixMillis,
        redactor: &Redactor,
    ) -> Self {
        let body = ErrorBody::parse(response.body());
        let kind = match (response.status().as_u16(), body.passing_kind()) {
            (400 | 401 | 403, Some(kind)) => kind,
            _ => classify_status(response.status()),
        };
        Self::with_body(
            kind,
            request,
            ResponseHead::from_response(response, now),
            &body,
            redactor,
        )
    }

    /// Creates the error of a response with an unusable body: a transient error, whose text does
    /// not contain the body.
    pub fn unusable(request: &str, head: ResponseHead, problem: &str, redactor: &Redactor) -> Self {
        let body = ErrorBody::default();
        let kind = ErrorKind::Unavailable;
        Self {
            description: Some(problem.to_owned()),
            lost: true,
            ..Self::with_body(kind, request, head, &body, redactor)
        }
    }

    /// Creates the error of a body with an error and the status of a success. OAuth's code decides
    /// the kind; an unknown code is a transient error with Webex's text.
    pub(super) fn from_success(
        request: &str,
        head: ResponseHead,
        body: &ErrorBody,
        redactor: &Redactor,
    ) -> Self {
        let kind = match (body.passing_kind(), body.code()) {
            (Some(kind), _) => kind,
            // RFC 6750, section 3.1.
            (None, Some("invalid_token")) => ErrorKind::Unauthorized,
            (None, Some("insufficient_scope")) => ErrorKind::Forbidden,
            _ => ErrorKind::Unavailable,
        };
        Self::with_body(kind, request, head, body, redactor)
    }

    /// Creates the error of a complete response that is not valid: neither the network nor a proxy
    /// is the cause.
    pub(super) fn malformed(
        request: &str,
        head: ResponseHead,
        problem: &str,
        redactor: &Redactor,
    ) -> Self {
        Self {
            kind: ErrorKind::Malformed,
            ..Self::unusable(request, head, problem, redactor)
        }
    }

    pub(super) fn with_body(
        kind: ErrorKind,
        request: &str,
        head: ResponseHead,
        body: &ErrorBody,
        redactor: &Redactor,
    ) -> Self {
        let tracking_id = body.tracking_id.as_ref().or(head.tracking_id.as_ref());
        let details = body.details.iter().filter_map(|detail| {
            Some(ErrorDetail {
                code: detail.code,
                description: redactor.redact(&detail.description)?,
            })
        });
        Self {
            kind,
            request: request.to_owned(),
            status: Some(head.status.as_u16()),
            error: body
                .error
                .as_deref()
                .and_then(|code| redactor.redact_name(code))
                .map(String::into_boxed_str),
            description: redactor.redact(&body.message()),
            tracking_id: tracking_id.and_then(|id| redactor.redact_name(id)),
            retry_after: head.retry_after,
            content_type: head.content_type,
            is_webex: body.is_webex(&head),
            lost: matches!(head.status.as_u16(), 500 | 502 | 504),
            details: None,
        }
        .with_details(details.collect())
    }

    /// Returns Webex's list of errors.
    pub fn details(&self) -> &[ErrorDetail] {
        self.details.as_ref().map_or(&[], |details| &details.0)
    }

    /// Adds Webex's list of errors.
    pub fn with_details(self, details: Vec<ErrorDetail>) -> Self {
        let details = (!details.is_empty()).then(|| Box::new(ErrorDetails(details)));
        Self { details, ..self }
    }

    /// Returns whether the error is about the integration that all customers share: OAuth's code says that
    /// Webex does not accept the integration.
    pub fn is_about_client(&self) -> bool {
        let coded = matches!(
            self.error.as_deref(),
            Some("invalid_client" | "unauthorized_client")
        );
        self.kind == ErrorKind::Client && coded
    }

    /// Returns whether further attempts fail too, until the operator corrects a setting, a limit or the proxy. A
    /// response that was too large does not count, since the next response may be smaller.
    pub fn needs_change(&self) -> bool {
        match self.kind {
            ErrorKind::Client
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::ProxyCredentials => true,
            ErrorKind::Limit => !self.lost,
            _ => false,
        }
    }

    /// Returns whether the request did not reach Webex: a proxy, the network or the host's policy is the cause.
    pub fn is_before_webex(&self) -> bool {
        match self.kind {
            ErrorKind::ProxyCredentials | ErrorKind::Denied => true,
            ErrorKind::Unavailable => self.status.is_none(),
            _ => false,
        }
    }

    /// Returns whether the request certainly did not reach Webex, so that the same request can be sent again.
    pub fn is_unsent(&self) -> bool {
        self.is_before_webex() && !self.lost
    }

    /// Returns request, status and cause, without the advice and the tracking id.
    pub fn reason(&self) -> String {
        let mut text = format!("{} failed", self.request);
        if let Some(status) = self.status {
            text.push_str(&format!(" with status {}", describe_status(status)));
        }
        let parts = [self.error.as_deref(), self.description.as_deref()];
        for part in parts.into_iter().flatten() {
            text.push_str(": ");
            text.push_str(part.trim_end_matches('.'));
        }
        text
    }

    /// Returns the reason with Webex's tracking id, without advice.
    pub fn reason_with_tracking_id(&self) -> String {
        match &self.tracking_id {
            Some(tracking_id) => format!("{} (tracking id {tracking_id})", self.reason()),
            None => self.reason(),
        }
    }

    /// Describes a response that is not Webex's: the request, the status and the content type.
    pub fn describe_response(&self) -> String {
        let status = self.status.map_or_else(
            || "no status".to_owned(),
            |status| format!("status {}", describe_status(status)),
        );
        let content_type = self.content_type;
        format!("{} received {status} and {content_type}", self.request)
    }

    /// Returns what a person can do about the error; empty when the host's own text says so.
    pub fn advice(&self) -> &'static str {
        match self.kind {
            ErrorKind::Refused => "connect this customer to Webex again",
            ErrorKind::Client if self.status.is_none() => {
                "the integration's page at Webex shows what is missing"
            }
            ErrorKind::Client => {
                "check the client id and the client secret in the host's configuration, and that \
                 the integration is enabled at Webex"
            }
            ErrorKind::Unauthorized => "use an access token that is valid",
            ErrorKind::Forbidden => {
                "connect with an account that has the roles needed, and grant all scopes"
            }
            ErrorKind::NotFound => {
                "check webex.base-url in the host's configuration, and the organization"
            }
            ErrorKind::RateLimited => "wait and try again",
            ErrorKind::ProxyCredentials if self.status.is_some() => {
                "correct user and password of the proxy"
            }
            // The text is Webex's own, so the network and the proxies work.
            ErrorKind::Unavailable if self.error.is_some() => "try again later",
            ErrorKind::Unavailable => {
                "try again later; if it stays so, check the network and the proxies"
            }
            ErrorKind::Malformed => {
                "try again later; if it stays so, report this, with the tracking id, to Webex's \
                 support"
            }
            ErrorKind::ProxyCredentials | ErrorKind::Denied | ErrorKind::Limit => "",
            ErrorKind::Rejected => "report this, with the tracking id, to the plugin's authors",
        }
    }

    /// Converts the error to the failure of a workflow that needed the response.
    pub fn into_failure(self, now: UnixMillis) -> Failure {
        let text = self.to_string();
        match self.kind {
            _ if self.needs_change() => Failure::LimitExceeded(text),
            ErrorKind::Refused | ErrorKind::Unauthorized | ErrorKind::Forbidden => {
                Failure::Reauthorize(text)
            }
            ErrorKind::RateLimited => {
                let until = self.retry_after.map(|pause| now + pause);
                Failure::RateLimited(until)
            }
            // The text is Webex's response, which says more to the caller than an error of the plugin's own.
            ErrorKind::Rejected
            | ErrorKind::Unavailable
            | ErrorKind::Malformed
            | ErrorKind::Client
            | ErrorKind::Denied
            | ErrorKind::Limit
            | ErrorKind::NotFound
            | ErrorKind::ProxyCredentials => Failure::Unavailable(text),
        }
    }

    /// Converts the error to the failure of a workflow, whose text ends with `consequence`. A rate limit becomes
    /// `unavailable`, since `rate-limited` has no text.
    pub fn into_failure_with(self, now: UnixMillis, consequence: &str) -> Failure {
        let text = format!("{self}; {consequence}");
        match self.clone().into_failure(now) {
            Failure::RateLimited(Some(until)) => {
                let until = derived::format_timestamp(until);
                Failure::Unavailable(format!("{self}, not before {until}; {consequence}"))
            }
            Failure::RateLimited(None) | Failure::Unavailable(_) => Failure::Unavailable(text),
            Failure::LimitExceeded(_) => Failure::LimitExceeded(text),
            Failure::Reauthorize(_) => Failure::Reauthorize(text),
            failure => failure,
        }
    }
}

impl fmt::Display for WebexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason_with_tracking_id())?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl std::error::Error for WebexError {}

fn describe_status(status: u16) -> String {
    let phrase = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match phrase {
        Some(phrase) => format!("{status} {phrase}"),
        None => status.to_string(),
    }
}

/// Status and headers of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The tracking id, as it was sent.
    pub tracking_id: Option<String>,
    /// The `Retry-After`, capped; none when absent or malformed.
    pub retry_after: Option<Millis>,
    /// The media type of the response's `Content-Type`.
    pub content_type: MediaType,
}

impl ResponseHead {
    /// Reads status and headers of a response.
    pub fn from_response(response: &HttpResponse, now: UnixMillis) -> Self {
        Self {
            status: response.status(),
            tracking_id: header(response.headers(), "trackingid").map(str::to_owned),
            retry_after: header(response.headers(), "retry-after")
                .and_then(|value| timing::parse_retry_after(value, now)),
            content_type: MediaType::parse(header(response.headers(), "content-type")),
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn classify_status(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::RateLimited,
        407 => ErrorKind::ProxyCredentials,
        // Time-outs and locks are transient; so is a redirect, because redirects are not followed.
        408 | 409 | 423 | 425 | 428 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::Unavailable,
    }
}
