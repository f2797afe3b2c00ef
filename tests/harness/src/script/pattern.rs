//! What a request must look like, and in what one differs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unexpected::Mismatch;
use crate::redaction::Redactor;
use crate::transcript::{Body, Request};

/// Stands for any value; as a name, for any further fields.
const ANY: &str = "*";

/// What a request must look like. Parts that are not given are not looked at.
///
/// `*` as a value stands for any. `query`, `form` and `json` name every field that is sent, unless one of
/// them is called `*`: then there may be others. A secret can be written as itself or as the digest that
/// transcripts show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestPattern {
    /// Such as `POST`.
    pub method: String,
    /// Scheme, host, port if it is not the scheme's, and path; the query apart.
    pub url: String,
    /// The query's parameters, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<BTreeMap<String, String>>,
    /// Header fields that must be there; others may be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The fields of a form, decoded.
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
    /// A request with this method to this address.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            ..Self::default()
        }
    }

    /// A `GET` of this address.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` to this address.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// With this parameter in its query.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let query = self.query.get_or_insert_default();
        query.insert(name.into(), value.into());
        self
    }

    /// With this header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// With this field in its form.
    #[must_use]
    pub fn form(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let form = self.form.get_or_insert_default();
        form.insert(name.into(), value.into());
        self
    }

    /// With this JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    /// In what a request differs; nothing: it is what is expected.
    pub(crate) fn mismatches(&self, request: &Request, redactor: &Redactor) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut compare = |part: &str, expected: &str, sent: &str| {
            if expected != ANY && expected != sent {
                found.push(Mismatch::new(part, Some(expected), Some(sent)));
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

fn kind(expected: &str, sent: &Body) -> Mismatch {
    let sent = match sent {
        Body::Empty => "none",
        Body::Form(_) => "a form",
        Body::Json(_) => "JSON",
        Body::Text(_) => "a text",
        Body::Bytes(..) => "bytes",
    };
    Mismatch::new("body", Some(expected), Some(sent))
}

/// Compares a text as it is and as transcripts show it.
fn text(
    part: &str,
    expected: &str,
    sent: Option<&String>,
    shown: impl Fn(&str) -> String,
) -> Option<Mismatch> {
    let Some(sent) = sent else {
        return Some(Mismatch::new(part, Some(&shown(expected)), None));
    };
    let shown_sent = shown(sent);
    if expected == ANY || expected == sent || expected == shown_sent {
        return None;
    }
    Some(Mismatch::new(
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
) -> Vec<Mismatch> {
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
            found.push(Mismatch::new(&format!("{part} {name}"), None, Some(&shown)));
        }
    }
    found
}

/// A value as it is, and as transcripts show it.
type Both<'a> = (&'a Value, &'a Value);

fn json(path: &str, expected: Both, sent: Both, found: &mut Vec<Mismatch>) {
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
                _ => found.push(Mismatch {
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
    found.push(Mismatch::new(path, Some(&expected), Some(&sent)));
}
