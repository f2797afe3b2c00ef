//! Error bodies in the two formats of Webex.

use serde_json::{Map, Value};

use super::errors::{ErrorDetail, ErrorKind, ResponseHead};
use crate::text::strip_byte_order_mark;

/// The maximum size of an error body that is parsed.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;
/// The maximum number of errors in a list that are read.
const MAX_DETAILS: usize = 50;

/// An error body in one of two formats: RFC 6749's `{error, error_description}` or Webex's
/// `{message, errors: [{description}], trackingId}`. Only the messages of `{error: {message}}` are used. Not redacted:
/// the body may repeat a secret.
#[derive(Clone, Default)]
pub(super) struct ErrorBody {
    pub(super) error: Option<String>,
    pub(super) messages: Vec<String>,
    pub(super) tracking_id: Option<String>,
    // Webex's list of errors, at most MAX_DETAILS.
    pub(super) details: Vec<ErrorDetail>,
    // The `error` is an object, as gateways and other APIs of the vendor write it. Its messages are
    // shown, but it cannot refuse a token.
    has_error_object: bool,
}

impl ErrorBody {
    /// Parses the known members of a body; ignores an unknown format.
    pub(super) fn parse(body: &[u8]) -> Self {
        if body.len() > MAX_ERROR_BODY_BYTES {
            return Self::default();
        }
        match serde_json::from_slice(strip_byte_order_mark(body)) {
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
        // Contact Center has its list in the member `message` of the error object.
        let lists = [
            fields.get("errors"),
            nested.and_then(|nested| nested.get("message")),
        ];
        let details: Vec<ErrorDetail> = lists
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(ErrorDetail::parse)
            .take(MAX_DETAILS)
            .collect();
        let described = details.iter().take(3);
        let described = described.map(|detail| detail.description.clone());
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
            details,
            has_error_object: nested.is_some(),
        }
    }

    /// Returns whether Webex's API wrote the body: it has a tracking id, or a list of errors. A message
    /// alone may be that of a gateway.
    pub(super) fn is_webex(&self, head: &ResponseHead) -> bool {
        let has_tracking_id = self.tracking_id.is_some();
        let has_messages = !self.messages.is_empty();
        has_tracking_id || !self.details.is_empty() || (has_messages && head.tracking_id.is_some())
    }

    /// Returns the error in a body with the status of a success; none when the body is content.
    pub(super) fn from_success(fields: &Map<String, Value>) -> Option<Self> {
        let content = ["access_token", "items", "id"];
        if content.iter().any(|member| fields.contains_key(*member)) {
            return None;
        }
        Some(Self::from_fields(fields)).filter(|body| {
            let explained = body.has_error_object || body.tracking_id.is_some();
            body.error.is_some() || (explained && !body.messages.is_empty())
        })
    }

    /// Returns OAuth's code, trimmed for comparison.
    pub(super) fn code(&self) -> Option<&str> {
        self.error.as_deref().map(str::trim)
    }

    /// Returns the transient kind that OAuth's code names, if any (RFC 6749, section 4.1.2.1; RFC
    /// 8628, section 3.5).
    pub(super) fn passing_kind(&self) -> Option<ErrorKind> {
        match self.code()? {
            "temporarily_unavailable" | "server_error" | "authorization_pending" => {
                Some(ErrorKind::Unavailable)
            }
            "slow_down" => Some(ErrorKind::RateLimited),
            _ => None,
        }
    }

    /// Returns whether the messages may refuse a credential. Those of an `error` object may not: neither
    /// OAuth nor Webex's token endpoint uses that format.
    pub(super) fn can_refuse(&self) -> bool {
        !self.has_error_object
    }

    /// Returns all messages as one text.
    pub(super) fn message(&self) -> String {
        self.messages.join("; ")
    }
}
