//! Patterns for requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::RequestMismatch;
use crate::redaction::Redactor;
use crate::transcript::{Body, Request};

/// Matches any value; as a name, allows other fields.
const ANY: &str = "*";

/// A pattern for requests. Parts without a value are not compared.
///
/// The value `*` matches any value. `query`, `form` and `json` list all fields, unless a field is called `*`:
/// then others are allowed. A secret can be written in clear, or as the digest in transcripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestPattern {
    /// The method, such as `POST`.
    pub method: String,
    /// The scheme, host, path, and the port if it is not the default, without the query.
    pub url: String,
    /// The decoded query parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// Required header fields; others are allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The decoded fields of a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
    /// The JSON body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Any other body, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl RequestPattern {
    /// Creates a pattern with this method and address.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            ..Self::default()
        }
    }

    /// Creates a pattern for a `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Creates a pattern for a `POST` request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let query = self.query.get_or_insert_default();
        query.insert(name.into(), value.into());
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Adds a form field.
    #[must_use]
    pub fn form(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let form = self.form.get_or_insert_default();
        form.insert(name.into(), value.into());
        self
    }

    /// Sets the JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    /// Returns the differences of a request; empty if it matches.
    pub(crate) fn mismatches(
        &self,
        request: &Request,
        redactor: &Redactor,
    ) -> Vec<RequestMismatch> {
        let mut found = Vec::new();
        let mut compare = |part: &str, expected: &str, sent: &str| {
            if expected != ANY && expected != sent {
                found.push(RequestMismatch::new(part, Some(expected), Some(sent)));
            }
        };
        compare("method", &self.method, &request.method);
        compare("url", &self.url, &request.url);
        for (name, expected) in &self.headers {
            let sent = request.headers.get(&name.to_ascii_lowercase());
            let shown = |value: &str| redactor.header(name, value);
            found.extend(text(&format!("header {name}"), expected, sent, shown));
        }
        if let Some(query) = &self.query {
            found.extend(pairs("query", query, &request.query, redactor));
        }
        if let Some(form) = &self.form {
            match &request.body {
                Body::Form(sent) => found.extend(pairs("form", form, sent, redactor)),
                other => found.push(kind("a form", other)),
            }
        }
        if let Some(expected) = &self.json {
            match &request.body {
                Body::Json(sent) => {
                    let shown = (redactor.json(expected), redactor.json(sent));
                    json("json", (expected, &shown.0), (sent, &shown.1), &mut found);
                }
                other => found.push(kind("JSON", other)),
            }
        }
        if let Some(expected) = &self.body {
            match &request.body {
                Body::Text(sent) => {
                    let shown = |value: &str| redactor.text(value);
                    found.extend(text("body", expected, Some(sent), shown));
                }
                other => found.push(kind("a text", other)),
            }
        }
        found
    }
}

fn kind(expected: &str, sent: &Body) -> RequestMismatch {
    let sent = match sent {
        Body::Empty => "none",
        Body::Form(_) => "a form",
        Body::Json(_) => "JSON",
        Body::Text(_) => "a text",
        Body::Bytes(..) => "bytes",
    };
    RequestMismatch::new("body", Some(expected), Some(sent))
}

/// Compares a text in clear, and redacted as in transcripts.
fn text(
    part: &str,
    expected: &str,
    sent: Option<&String>,
    shown: impl Fn(&str) -> String,
) -> Option<RequestMismatch> {
    let Some(sent) = sent else {
        return Some(RequestMismatch::new(part, Some(&shown(expected)), None));
    };
    let shown_sent = shown(sent);
    if expected == ANY || expected == sent || expected == shown_sent {
        return None;
    }
    Some(RequestMismatch::new(
        part,
        Some(&shown(expected)),
        Some(&shown_sent),
    ))
}

fn pairs(
    part: &str,
    expected: &BTreeMap<String, String>,
    sent: &[(String, String)],
    redactor: &Redactor,
) -> Vec<RequestMismatch> {
    let mut found = Vec::new();
    for (name, expected) in expected.iter().filter(|(name, _)| *name != ANY) {
        let sent = sent.iter().find(|(sent, _)| sent == name);
        let sent = sent.map(|(_, value)| value);
        let shown = |value: &str| redactor.field(name, value);
        found.extend(text(&format!("{part} {name}"), expected, sent, shown));
    }
    if expected.contains_key(ANY) {
        return found;
    }
    for (place, (name, value)) in sent.iter().enumerate() {
        let again = sent.iter().take(place).any(|(earlier, _)| earlier == name);
        if again || !expected.contains_key(name) {
            let shown = redactor.field(name, value);
            found.push(RequestMismatch::new(
                &format!("{part} {name}"),
                None,
                Some(&shown),
            ));
        }
    }
    found
}

/// A value in clear, and redacted as in transcripts.
type ValuePair<'a> = (&'a Value, &'a Value);

fn json(path: &str, expected: ValuePair, sent: ValuePair, found: &mut Vec<RequestMismatch>) {
    let same = expected.0 == sent.0 || expected.0 == sent.1;
    if same || expected.0.as_str() == Some(ANY) {
        return;
    }
    let absent = Value::Null;
    if let (Value::Object(wanted), Value::Object(got)) = (expected.0, sent.0) {
        let open = wanted.contains_key(ANY);
        let mut names: Vec<&String> = wanted.keys().filter(|name| *name != ANY).collect();
        names.extend(
            got.keys()
                .filter(|name| !open && !wanted.contains_key(*name)),
        );
        for name in names {
            let path = format!("{path}.{name}");
            let shown = |whole: &Value| whole.get(name).map(Value::to_string);
            match (wanted.get(name), got.get(name)) {
                (Some(one), Some(other)) => {
                    let one = (one, expected.1.get(name).unwrap_or(&absent));
                    let other = (other, sent.1.get(name).unwrap_or(&absent));
                    json(&path, one, other, found);
                }
                _ => found.push(RequestMismatch {
                    part: path,
                    expected: shown(expected.1),
                    sent: shown(sent.1),
                }),
            }
        }
        return;
    }
    if let (Value::Array(wanted), Value::Array(got)) = (expected.0, sent.0)
        && wanted.len() == got.len()
    {
        for (index, (one, other)) in wanted.iter().zip(got).enumerate() {
            let one = (one, expected.1.get(index).unwrap_or(&absent));
            let other = (other, sent.1.get(index).unwrap_or(&absent));
            json(&format!("{path}[{index}]"), one, other, found);
        }
        return;
    }
    let (expected, sent) = (expected.1.to_string(), sent.1.to_string());
    found.push(RequestMismatch::new(path, Some(&expected), Some(&sent)));
}
