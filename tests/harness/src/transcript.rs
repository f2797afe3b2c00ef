//! Transcripts of runs: all calls and HTTP exchanges, with digests in place of secrets.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use relation_host::types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use crate::harness::ObservedCall;
use crate::redaction::{Redactor, digest};

/// All calls of a run and their effects, in the order of their ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Transcript {
    /// The calls.
    pub calls: Vec<ObservedCall<Value>>,
}

impl fmt::Display for Transcript {
    /// Formats each call as JSON on a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.calls {
            let line = serde_json::to_string(call).map_err(|_| fmt::Error)?;
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// A request and its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// The time of the request.
    pub at: Timestamp,
    /// The request.
    pub request: Request,
    /// The origin of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The response or the fault.
    pub outcome: ExchangeOutcome,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeOutcome {
    /// A response.
    Response(Response),
    /// No complete response: a name of [`crate::script::NetworkFault`].
    Fault(String),
}

/// A sent request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The method, such as `POST`.
    pub method: String,
    /// The scheme, host, path, and the port if it is not the default.
    pub url: String,
    /// The decoded query parameters, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The header fields by lower-case name; repeated fields are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(skip_serializing_if = "Body::is_empty")]
    pub body: Body,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The header fields by lower-case name; repeated fields are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(skip_serializing_if = "Body::is_empty")]
    pub body: Body,
}

/// A body, parsed by its content type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// `application/x-www-form-urlencoded`: the decoded fields, in order.
    Form(Vec<(String, String)>),
    /// JSON.
    Json(Value),
    /// Any other text.
    Text(String),
    /// A body that is not UTF-8: the number of bytes, and their digest.
    Bytes(u64, String),
}

impl Body {
    /// Returns whether there is no body.
    pub fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// Parses a body by its content type.
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Self {
        let content_type = headers.get(http::header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let Ok(text) = std::str::from_utf8(bytes) else {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Self::Bytes(length, digest(&String::from_utf8_lossy(bytes)));
        };
        if text.is_empty() {
            return Self::Empty;
        }
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Self::Form(pairs(bytes));
        }
        if content_type.contains("json")
            && let Ok(value) = serde_json::from_str(text)
        {
            return Self::Json(value);
        }
        Self::Text(text.to_owned())
    }

    fn redact(&self, redactor: &Redactor) -> Self {
        match self {
            Self::Form(fields) => Self::Form(redact_pairs(fields, redactor)),
            Self::Json(value) => Self::Json(redactor.json(value)),
            Self::Text(text) => Self::Text(redactor.text(text)),
            Self::Empty | Self::Bytes(..) => self.clone(),
        }
    }
}

impl Request {
    /// Converts a request, without redaction: only for matching.
    pub(crate) fn from_http(request: &http::Request<Bytes>) -> Self {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or("https");
        let host = request.headers().get(http::header::HOST);
        let authority = uri.authority().map_or_else(
            || host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
            |authority| authority.as_str(),
        );
        let standard = match scheme {
            "http" => ":80",
            _ => ":443",
        };
        let authority = authority.strip_suffix(standard).unwrap_or(authority);
        Self {
            method: request.method().to_string(),
            url: format!("{scheme}://{authority}{}", uri.path()),
            query: pairs(uri.query().unwrap_or_default().as_bytes()),
            headers: fields(request.headers()),
            body: Body::parse(request.headers(), request.body()),
        }
    }

    pub(crate) fn redact(&self, redactor: &Redactor) -> Self {
        Self {
            method: self.method.clone(),
            url: redactor.text(&self.url),
            query: redact_pairs(&self.query, redactor),
            headers: redact_fields(&self.headers, redactor),
            body: self.body.redact(redactor),
        }
    }
}

impl Response {
    pub(crate) fn from_http(response: &http::Response<Bytes>, redactor: &Redactor) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: redact_fields(&fields(response.headers()), redactor),
            body: Body::parse(response.headers(), response.body()).redact(redactor),
        }
    }
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn redact_pairs(pairs: &[(String, String)], redactor: &Redactor) -> Vec<(String, String)> {
    let shown = pairs
        .iter()
        .map(|(name, value)| (name.clone(), redactor.field(name, value)));
    shown.collect()
}

fn fields(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        fields
            .entry(name.as_str().to_owned())
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert_with(|| value.to_string());
    }
    fields
}

fn redact_fields(
    fields: &BTreeMap<String, String>,
    redactor: &Redactor,
) -> BTreeMap<String, String> {
    let shown = fields
        .iter()
        .map(|(name, value)| (name.clone(), redactor.header(name, value)));
    shown.collect()
}
