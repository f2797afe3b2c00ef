//! Errors from Webex: two kinds of bodies understood, sorted by who acts next, put into words.

use std::fmt;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::media::MediaType;
use super::scrub::Scrubber;
use crate::platform::{Failure, HttpError, HttpResponse, Timestamp};
use crate::text::strip_mark;
use crate::timing;

/// The largest error body that is looked into.
const LARGEST_ERROR_BODY: usize = 64 * 1024;

/// What kind of error it was, which is who acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A person, at Webex: the grant is dead, only a new consent helps.
    Refused,
    /// The operator: Webex does not accept the client id or the client secret, or has disabled the
    /// integration.
    Client,
    /// Whoever gave it: the access token is not valid.
    Unauthorized,
    /// A person: a scope was not granted, or the account lacks a role.
    Forbidden,
    /// Nothing is there.
    NotFound,
    /// Nobody: Webex asks for patience.
    RateLimited,
    /// Nobody: a passing fault of Webex, a proxy or the network, or an answer that makes no sense.
    Unavailable,
    /// Webex's support: the response came, and is not what was announced.
    Malformed,
    /// The operator: the host's policy forbids the request.
    Denied,
    /// The operator: a limit of the host was hit.
    Limit,
    /// The author of the plugin: Webex does not understand the request.
    Rejected,
}

/// Why a request to Webex did not succeed. No text in it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebexError {
    /// Who acts next.
    pub kind: ErrorKind,
    /// What was tried: method and address, without a query.
    pub request: String,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// OAuth's error code (RFC 6749, section 5.2), such as `invalid_grant`.
    pub error: Option<String>,
    /// What Webex or the host said about it.
    pub description: Option<String>,
    /// Webex's name for the request, to be given to its support.
    pub tracking_id: Option<String>,
    /// How long Webex asks us to wait, in milliseconds.
    pub retry_after: Option<u64>,
    /// The media type of the response's `Content-Type`.
    pub content_type: MediaType,
    /// Whether the body is an error of Webex's API, and not of a proxy in between.
    pub is_webex: bool,
    /// The request may have been carried out, and what it brought is lost: no answer came, none
    /// that can be read, or one of a gateway that had none (502, 504) or of a server that broke
    /// off (500).
    pub lost: bool,
}

impl WebexError {
    /// An error of `kind` before or without an answer.
    pub fn new(kind: ErrorKind, request: impl Into<String>, description: Option<String>) -> Self {
        Self {
            kind,
            request: request.into(),
            status: None,
            error: None,
            description,
            tracking_id: None,
            retry_after: None,
            content_type: MediaType::Absent,
            is_webex: false,
            lost: false,
        }
    }

    /// What it means that a request got no answer.
    pub fn unanswered(request: &str, error: &HttpError, scrubber: &Scrubber) -> Self {
        let (kind, text) = match error {
            HttpError::Denied(text) => (ErrorKind::Denied, text),
            HttpError::Limit(text) | HttpError::TooLarge(text) => (ErrorKind::Limit, text),
            HttpError::Network(text) | HttpError::Lost(text) => (ErrorKind::Unavailable, text),
        };
        Self {
            lost: error.may_have_been_received(),
            ..Self::new(kind, request, scrubber.text(text))
        }
    }

    /// What an answer other than success means at the REST API.
    pub fn answered(
        request: &str,
        answer: &HttpResponse,
        now: Timestamp,
        scrubber: &Scrubber,
    ) -> Self {
        let body = ErrorBody::read(answer.body());
        let kind = match (answer.status().as_u16(), body.passing_kind()) {
            (400 | 401 | 403, Some(kind)) => kind,
            _ => kind_of(answer.status()),
        };
        Self::with_body(kind, request, Answered::of(answer, now), &body, scrubber)
    }

    /// An answer whose content cannot be used: a passing fault, told without the content.
    pub fn unusable(request: &str, answered: Answered, what: &str, scrubber: &Scrubber) -> Self {
        let body = ErrorBody::default();
        let kind = ErrorKind::Unavailable;
        Self {
            description: Some(what.to_owned()),
            lost: true,
            ..Self::with_body(kind, request, answered, &body, scrubber)
        }
    }

    /// An error that came with the status of a success: OAuth's code says what it is. Without a
    /// code that is known it is a passing fault, told in Webex's words.
    pub(super) fn from_success(
        request: &str,
        answered: Answered,
        body: &ErrorBody,
        scrubber: &Scrubber,
    ) -> Self {
        let kind = match (body.passing_kind(), body.code()) {
            (Some(kind), _) => kind,
            // RFC 6750, section 3.1.
            (None, Some("invalid_token")) => ErrorKind::Unauthorized,
            (None, Some("insufficient_scope")) => ErrorKind::Forbidden,
            _ => ErrorKind::Unavailable,
        };
        Self::with_body(kind, request, answered, body, scrubber)
    }

    /// A response that came whole and is not valid: neither the network nor a proxy is the cause.
    pub(super) fn malformed(
        request: &str,
        answered: Answered,
        what: &str,
        scrubber: &Scrubber,
    ) -> Self {
        Self {
            kind: ErrorKind::Malformed,
            ..Self::unusable(request, answered, what, scrubber)
        }
    }

    pub(super) fn with_body(
        kind: ErrorKind,
        request: &str,
        answered: Answered,
        body: &ErrorBody,
        scrubber: &Scrubber,
    ) -> Self {
        let tracking_id = body.tracking_id.as_ref().or(answered.tracking_id.as_ref());
        Self {
            kind,
            request: request.to_owned(),
            status: Some(answered.status.as_u16()),
            error: body.error.as_deref().and_then(|code| scrubber.name(code)),
            description: scrubber.text(&body.words()),
            tracking_id: tracking_id.and_then(|id| scrubber.name(id)),
            retry_after: answered.retry_after,
            content_type: answered.content_type,
            is_webex: body.is_webex(&answered),
            lost: matches!(answered.status.as_u16(), 500 | 502 | 504),
        }
    }

    /// Whether it is about the integration that all customers share: Webex says by OAuth's code that
    /// it does not accept the integration.
    pub fn is_about_client(&self) -> bool {
        let coded = matches!(
            self.error.as_deref(),
            Some("invalid_client" | "unauthorized_client")
        );
        self.kind == ErrorKind::Client && coded
    }

    /// What happened and why, without what to do about it and without the tracking id.
    pub fn reason(&self) -> String {
        let mut text = format!("{} failed", self.request);
        if let Some(status) = self.status {
            text.push_str(&format!(" with status {}", describe_status(status)));
        }
        for said in [&self.error, &self.description].into_iter().flatten() {
            text.push_str(": ");
            text.push_str(said.trim_end_matches('.'));
        }
        text
    }

    /// Describes what came in place of an answer of Webex: the request, the status and the content type.
    pub fn describe_response(&self) -> String {
        let status = self.status.map_or_else(
            || "no status".to_owned(),
            |status| format!("status {}", describe_status(status)),
        );
        let content_type = self.content_type;
        format!(
            "{} was answered with {status} and {content_type}",
            self.request
        )
    }

    /// What a person can do about it; empty when the host's own words say so.
    pub fn advice(&self) -> &'static str {
        match self.kind {
            ErrorKind::Refused => "connect this customer to Webex again",
            ErrorKind::Client => {
                "check the client id and the client secret in the host's configuration \
                 (webex.client-id, webex.client-secret), and that the integration is enabled at Webex"
            }
            ErrorKind::Unauthorized => "use an access token that is valid",
            ErrorKind::Forbidden => {
                "connect with an account that has the roles needed, and grant all scopes"
            }
            ErrorKind::NotFound => {
                "check the organisation, and webex.base-url in the host's configuration"
            }
            ErrorKind::RateLimited => "wait and try again",
            ErrorKind::Unavailable if self.status == Some(407) => {
                "check user and password of the proxy"
            }
            // In Webex's own words: the way there works.
            ErrorKind::Unavailable if self.error.is_some() => "try again later",
            ErrorKind::Unavailable => {
                "try again later; if it stays so, check the network and the proxies"
            }
            ErrorKind::Malformed => {
                "try again later; if it stays so, report this, with the tracking id, to Webex's \
                 support"
            }
            ErrorKind::Denied | ErrorKind::Limit => "",
            ErrorKind::Rejected => "report this, with the tracking id, to the plugin's authors",
        }
    }

    /// The failure of a workflow that needed the answer.
    pub fn into_failure(self, now: Timestamp) -> Failure {
        let text = self.to_string();
        match self.kind {
            ErrorKind::Refused | ErrorKind::Unauthorized | ErrorKind::Forbidden => {
                Failure::Reauthorize(text)
            }
            ErrorKind::RateLimited => {
                let until = self.retry_after.map(|pause| now.saturating_add(pause));
                Failure::RateLimited(until)
            }
            ErrorKind::Unavailable | ErrorKind::Malformed => Failure::Unavailable(text),
            ErrorKind::Client | ErrorKind::Denied | ErrorKind::Limit => {
                Failure::LimitExceeded(text)
            }
            ErrorKind::NotFound | ErrorKind::Rejected => Failure::Internal(text),
        }
    }
}

impl fmt::Display for WebexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        if let Some(tracking_id) = &self.tracking_id {
            write!(f, " (tracking id {tracking_id})")?;
        }
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl std::error::Error for WebexError {}

fn describe_status(status: u16) -> String {
    let words = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match words {
        Some(words) => format!("{status} {words}"),
        None => status.to_string(),
    }
}

/// What an answer says besides its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its tracking id, as it came.
    pub tracking_id: Option<String>,
    /// Its `Retry-After` in milliseconds, capped; none when absent or malformed.
    pub retry_after: Option<u64>,
    /// The media type of the response's `Content-Type`.
    pub content_type: MediaType,
}

impl Answered {
    /// Reads status and headers of an answer.
    pub fn of(answer: &HttpResponse, now: Timestamp) -> Self {
        Self {
            status: answer.status(),
            tracking_id: header(answer.headers(), "trackingid").map(str::to_owned),
            retry_after: header(answer.headers(), "retry-after")
                .and_then(|value| timing::parse_retry_after(value, now)),
            content_type: MediaType::parse(header(answer.headers(), "content-type")),
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::RateLimited,
        // Time-outs, locks and proxies pass; so does a redirect, which nobody follows.
        407 | 408 | 409 | 423 | 425 | 428 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::Unavailable,
    }
}

/// An error body of either shape: RFC 6749's `{error, error_description}` or Webex's
/// `{message, errors: [{description}], trackingId}`; of `{error: {message}}` the words only. Raw: it may repeat a secret.
#[derive(Clone, Default)]
pub(super) struct ErrorBody {
    pub(super) error: Option<String>,
    pub(super) messages: Vec<String>,
    pub(super) tracking_id: Option<String>,
    // It has Webex's list of errors.
    described: bool,
    // Its `error` is an object, as gateways and other APIs of the vendor write it. Its words are shown; it
    // judges no token.
    nested: bool,
}

impl ErrorBody {
    /// Understands as much of a body as makes sense; nothing of one that does not.
    pub(super) fn read(body: &[u8]) -> Self {
        if body.len() > LARGEST_ERROR_BODY {
            return Self::default();
        }
        match serde_json::from_slice(strip_mark(body)) {
            Ok(Value::Object(fields)) => Self::from_fields(&fields),
            _ => Self::default(),
        }
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Self {
        let text_in = |fields: &Map<String, Value>, name: &str| {
            fields
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .filter(|text| !text.trim().is_empty())
        };
        let text = |name: &str| text_in(fields, name);
        let nested = fields.get("error").and_then(Value::as_object);
        let nested_text = |name: &str| nested.and_then(|fields| text_in(fields, name));
        let described: Vec<String> = fields
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|error| error.get("description").and_then(Value::as_str))
            .map(str::to_owned)
            .take(3)
            .collect();
        let is_described = !described.is_empty();
        let mut messages: Vec<String> = Vec::new();
        for message in [
            text("error_description"),
            text("message"),
            nested_text("error_description"),
            nested_text("message"),
            nested_text("description"),
        ]
        .into_iter()
        .flatten()
        .chain(described)
        {
            if !message.is_empty() && !messages.contains(&message) {
                messages.push(message);
            }
        }
        Self {
            error: text("error"),
            messages,
            tracking_id: text("trackingId").or_else(|| nested_text("trackingId")),
            described: is_described,
            nested: nested.is_some(),
        }
    }

    /// Whether Webex's API wrote it: it names the request, or lists its errors. A sentence alone may be
    /// that of a gateway in between.
    fn is_webex(&self, answered: &Answered) -> bool {
        let named = self.tracking_id.is_some();
        let told = !self.messages.is_empty();
        named || self.described || (told && answered.tracking_id.is_some())
    }

    /// The error of a body that came with the status of a success; none when it is content.
    pub(super) fn from_success(fields: &Map<String, Value>) -> Option<Self> {
        let content = ["access_token", "items", "id"];
        if content.iter().any(|member| fields.contains_key(*member)) {
            return None;
        }
        Some(Self::from_fields(fields)).filter(|body| {
            let explained = body.nested || body.tracking_id.is_some();
            body.error.is_some() || (explained && !body.messages.is_empty())
        })
    }

    /// OAuth's code, as it is compared.
    pub(super) fn code(&self) -> Option<&str> {
        self.error.as_deref().map(str::trim)
    }

    /// Returns the kind of passing fault that OAuth's code names, if any (RFC 6749, section 4.1.2.1;
    /// RFC 8628, section 3.5).
    pub(super) fn passing_kind(&self) -> Option<ErrorKind> {
        match self.code()? {
            "temporarily_unavailable" | "server_error" | "authorization_pending" => {
                Some(ErrorKind::Unavailable)
            }
            "slow_down" => Some(ErrorKind::RateLimited),
            _ => None,
        }
    }

    /// Whether its words may judge what was shown: not those of an `error` that is an object, which is
    /// neither OAuth's shape nor the one that Webex's token endpoint writes.
    pub(super) fn can_refuse(&self) -> bool {
        !self.nested
    }

    /// All that it says, as one text.
    pub(super) fn words(&self) -> String {
        self.messages.join("; ")
    }
}
