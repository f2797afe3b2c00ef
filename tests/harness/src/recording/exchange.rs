//! One exchange: as it was seen, and as a step of a scenario has it.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use relation_host::egress::TransportError;
use serde_json::Value;
use toml::Table;

use super::expectation::{Words, braces};
use super::placeholders::{Learning, Placeholders};
use crate::script::Fault;
use crate::transcript::{Body, Request as Sent};

/// Fields of an answer that belong to its connection, or that a replay has no use for.
const LEFT_OUT: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "set-cookie",
    "transfer-encoding",
];

/// What was asked and what came back.
pub(super) struct Exchange {
    request: Request<Bytes>,
    answer: Option<Answered>,
}

/// What came back.
pub(super) struct Answered {
    response: Option<Response<Bytes>>,
    /// What went wrong, and in which words the host tells it.
    fault: Option<(Fault, String)>,
}

impl Answered {
    /// What a scenario can say of it; the error says why it cannot.
    pub(super) fn of(answer: &Result<Response<Bytes>, TransportError>) -> Result<Self, String> {
        let (response, fault) = match answer {
            Ok(response) => (Some(response), None),
            Err(TransportError::Egress(error)) => (None, Some(error)),
            Err(TransportError::EgressInBody(response, error)) => (Some(response), Some(error)),
            Err(other) => return Self::of_a_test(other),
        };
        let fault = match fault {
            None => None,
            Some(error) => Some((
                Fault::of(error).ok_or_else(|| format!("it met: {error}"))?,
                error.to_string(),
            )),
        };
        Self {
            response: response.cloned(),
            fault,
        }
        .sayable()
    }

    /// As a transport of a test has it, which no network is behind.
    fn of_a_test(fault: &TransportError) -> Result<Self, String> {
        let (response, fault) = match fault {
            TransportError::Unresolved => (None, Fault::Unresolved),
            TransportError::Refused => (None, Fault::Refused),
            TransportError::Untrusted => (None, Fault::Untrusted),
            TransportError::Timeout => (None, Fault::Timeout),
            TransportError::Reset => (None, Fault::Reset),
            TransportError::Garbled => (None, Fault::Garbled),
            TransportError::Cut(response) => (Some(response), Fault::Cut),
            TransportError::Stalled(response) => (Some(response), Fault::Stalled),
            TransportError::Egress(error) | TransportError::EgressInBody(_, error) => {
                return Err(error.to_string());
            }
        };
        Self {
            response: response.cloned(),
            // The same words are told when it is replayed.
            fault: Some((fault, String::new())),
        }
        .sayable()
    }

    fn sayable(self) -> Result<Self, String> {
        let Some(response) = &self.response else {
            return Ok(self);
        };
        let status = response.status().as_u16();
        if !(200..=599).contains(&status) {
            return Err(format!("it was answered with the status {status}"));
        }
        match std::str::from_utf8(response.body()) {
            Ok(_) => Ok(self),
            // What is cut may be cut within a character, and is read by nobody.
            Err(_) if self.fault.is_some() => Ok(self),
            Err(_) => Err("it was answered with what is no text".to_owned()),
        }
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let response = self.response.as_ref();
        response.map_or(0, |response| response.body().len())
    }
}

impl Exchange {
    pub(super) fn of(request: Request<Bytes>) -> Self {
        Self {
            request,
            answer: None,
        }
    }

    /// Whether nothing has come back yet.
    pub(super) fn waits(&self) -> bool {
        self.answer.is_none()
    }

    pub(super) fn answered(&mut self, answer: Answered) {
        self.answer = Some(answer);
    }

    /// The words in which the host told what went wrong.
    pub(super) fn fault(&self) -> Option<&str> {
        let (_, words) = self.answer.as_ref()?.fault.as_ref()?;
        Some(words)
    }

    /// Learns the secrets in it. `innocent` knows texts that are none.
    pub(super) fn learn(&self, learning: &mut Learning, innocent: &impl Fn(&str) -> bool) {
        let sent = Sent::read(&self.request);
        for (name, value) in &sent.headers {
            learning.header(name, value);
        }
        for (name, value) in &sent.query {
            learning.field(name, value);
        }
        match &sent.body {
            Body::Form(fields) => {
                for (name, value) in fields {
                    learning.field(name, value);
                }
            }
            Body::Json(value) => learning.json(value),
            Body::Empty | Body::Text(_) | Body::Bytes(..) => {}
        }
        let Some(response) = self
            .answer
            .as_ref()
            .and_then(|answer| answer.response.as_ref())
        else {
            return;
        };
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                learning.header(name.as_str(), value);
            }
        }
        let body = String::from_utf8_lossy(response.body());
        match serde_json::from_str::<Value>(&body) {
            Ok(value) => {
                learning.json(&value);
                if !response.status().is_success() {
                    words_of(&value, &mut |text| learning.words(text, innocent));
                }
            }
            Err(_) => learning.words(&body, innocent),
        }
    }

    /// As a scenario has it.
    pub(super) fn written(&self, words: &Words<'_>) -> Table {
        let placeholders = words.placeholders();
        let sent = Sent::read(&self.request);
        let mut request = Table::new();
        request.insert("method".to_owned(), sent.method.into());
        let url = braces(&placeholders.text(&sent.url));
        request.insert("url".to_owned(), url.into());
        let fields = |fields: &[(String, String)]| -> Table {
            let fields = fields.iter().map(|(name, value)| {
                let value = words.plain(&placeholders.field(name, value));
                (placeholders.text(name), value.into())
            });
            fields.collect()
        };
        if !sent.query.is_empty() {
            request.insert("query".to_owned(), fields(&sent.query).into());
        }
        if let Some(value) = sent.headers.get("authorization") {
            let value = words.plain(&placeholders.header("authorization", value));
            let headers = Table::from_iter([("authorization".to_owned(), value.into())]);
            request.insert("headers".to_owned(), headers.into());
        }
        match &sent.body {
            Body::Form(pairs) => {
                request.insert("form".to_owned(), fields(pairs).into());
            }
            Body::Json(value) => {
                let value = words.json(&placeholders.json(value));
                request.insert("json".to_owned(), value);
            }
            Body::Text(text) => {
                let text = words.plain(&placeholders.text(text));
                request.insert("body".to_owned(), text.into());
            }
            Body::Empty | Body::Bytes(..) => {}
        }
        let answer = match &self.answer {
            Some(answer) => answer.written(placeholders),
            None => fault(Fault::Timeout),
        };
        Table::from_iter([
            ("request".to_owned(), request.into()),
            ("answer".to_owned(), answer.into()),
        ])
    }
}

impl Answered {
    fn written(&self, placeholders: &Placeholders) -> Table {
        let mut table = match (&self.response, &self.fault) {
            (None, Some((what, _))) => return fault(*what),
            (None, None) => return fault(Fault::Timeout),
            (Some(_), Some((what, _))) => fault(*what),
            (Some(_), None) => Table::new(),
        };
        let Some(response) = &self.response else {
            return table;
        };
        let status = i64::from(response.status().as_u16());
        table.insert("status".to_owned(), status.into());
        let body = String::from_utf8_lossy(response.body());
        let json = serde_json::from_str::<Value>(&body).ok();
        let json = json.map(|value| placeholders.json(&value));
        match (json.as_ref().and_then(as_toml), json) {
            _ if body.is_empty() => {}
            (Some(value), _) => {
                table.insert("json".to_owned(), value);
            }
            (None, Some(value)) => {
                table.insert("body".to_owned(), braces(&value.to_string()).into());
            }
            (None, None) => {
                let told = braces(&placeholders.text(&body));
                table.insert("body".to_owned(), told.into());
            }
        }
        let headers = headers(response.headers(), placeholders);
        if !headers.is_empty() {
            table.insert("headers".to_owned(), headers.into());
        }
        table
    }
}

fn fault(what: Fault) -> Table {
    Table::from_iter([("fault".to_owned(), what.as_str().into())])
}

fn headers(headers: &HeaderMap, placeholders: &Placeholders) -> Table {
    let mut told = Table::new();
    for name in headers.keys() {
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let values = headers.get_all(name).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            let value = braces(&placeholders.header(name.as_str(), &values.join(", ")));
            told.insert(name.to_string(), value.into());
        }
    }
    told
}

/// A value as a scenario gives it; none: TOML or the format has no words for a part of it.
pub(super) fn as_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => "<null>".into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None if number.is_f64() => number.as_f64()?.into(),
            None => return None,
        },
        Value::String(text) if text == "<null>" => return None,
        Value::String(text) => braces(text).into(),
        Value::Array(items) => {
            let items = items.iter().map(as_toml);
            toml::Value::Array(items.collect::<Option<_>>()?)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Some((name.clone(), as_toml(value)?)));
            toml::Value::Table(members.collect::<Option<_>>()?)
        }
    })
}

/// Every text in a value.
fn words_of(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| words_of(item, each)),
        Value::Object(members) => members.values().for_each(|value| words_of(value, each)),
        _ => {}
    }
}
