//! One exchange: as it was recorded, and as a step of a scenario.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use relation_host::egress::TransportError;
use serde_json::Value;
use toml::Table;

use super::expectation_writer::{ExpectationWriter, escape_braces};
use super::placeholders::{Placeholders, SecretCollector};
use crate::script::NetworkFault;
use crate::transcript::{Body, Request as Sent};

/// Header fields that belong to the connection or are useless in a replay.
const OMITTED_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "set-cookie",
    "transfer-encoding",
];

/// A request and its response.
pub(super) struct RecordedExchange {
    request: Request<Bytes>,
    response: Option<RecordedResponse>,
}

/// A response, a fault, or both.
pub(super) struct RecordedResponse {
    response: Option<Response<Bytes>>,
    /// The fault, and the host's text for it.
    fault: Option<(NetworkFault, String)>,
}

impl RecordedResponse {
    /// Converts a response to what a scenario can express.
    ///
    /// # Errors
    /// The reason why a scenario cannot express it.
    pub(super) fn from_result(
        response: &Result<Response<Bytes>, TransportError>,
    ) -> Result<Self, String> {
        let (response, fault) = match response {
            Ok(response) => (Some(response), None),
            Err(TransportError::Egress(error)) => (None, Some(error)),
            Err(TransportError::EgressInBody(response, error)) => (Some(response), Some(error)),
            Err(other) => return Self::from_test_fault(other),
        };
        let fault = match fault {
            None => None,
            Some(error) => Some((
                NetworkFault::from_egress_error(error).ok_or_else(|| error.to_string())?,
                error.to_string(),
            )),
        };
        Self {
            response: response.cloned(),
            fault,
        }
        .ensure_expressible()
    }

    /// Converts the fault of a test's transport, which has no network.
    fn from_test_fault(fault: &TransportError) -> Result<Self, String> {
        let (response, fault) = match fault {
            TransportError::Unresolved => (None, NetworkFault::Unresolved),
            TransportError::Refused => (None, NetworkFault::Refused),
            TransportError::Untrusted => (None, NetworkFault::Untrusted),
            TransportError::Timeout => (None, NetworkFault::Timeout),
            TransportError::Reset => (None, NetworkFault::Reset),
            TransportError::Garbled => (None, NetworkFault::Garbled),
            TransportError::Cut(response) => (Some(response), NetworkFault::Cut),
            TransportError::Stalled(response) => (Some(response), NetworkFault::Stalled),
            TransportError::Egress(error) | TransportError::EgressInBody(_, error) => {
                return Err(error.to_string());
            }
        };
        Self {
            response: response.cloned(),
            // A replay has the same text.
            fault: Some((fault, String::new())),
        }
        .ensure_expressible()
    }

    fn ensure_expressible(self) -> Result<Self, String> {
        let Some(response) = &self.response else {
            return Ok(self);
        };
        let status = response.status().as_u16();
        if !(200..=599).contains(&status) {
            return Err(format!("its response has the status {status}"));
        }
        match std::str::from_utf8(response.body()) {
            Ok(_) => Ok(self),
            // A body may be cut within a character, and a cut body is not used.
            Err(_) if self.fault.is_some() => Ok(self),
            Err(_) => Err("its response is not text".to_owned()),
        }
    }

    /// Returns the approximate memory use in bytes.
    pub(super) fn bytes(&self) -> usize {
        let response = self.response.as_ref();
        response.map_or(0, |response| response.body().len())
    }
}

impl RecordedExchange {
    pub(super) fn new(request: Request<Bytes>) -> Self {
        Self {
            request,
            response: None,
        }
    }

    /// Returns whether the request has no response yet.
    pub(super) fn is_pending(&self) -> bool {
        self.response.is_none()
    }

    pub(super) fn set_response(&mut self, response: RecordedResponse) {
        self.response = Some(response);
    }

    /// Returns the host's text for the fault.
    pub(super) fn error_text(&self) -> Option<&str> {
        let (_, words) = self.response.as_ref()?.fault.as_ref()?;
        Some(words)
    }

    /// Collects the secrets in the exchange. `is_known_public` recognizes texts that are not secret.
    pub(super) fn collect_secrets(
        &self,
        collector: &mut SecretCollector,
        is_known_public: &impl Fn(&str) -> bool,
    ) {
        let sent = Sent::from_http(&self.request);
        for (name, value) in &sent.headers {
            collector.header(name, value);
        }
        for (name, value) in &sent.query {
            collector.field(name, value);
        }
        match &sent.body {
            Body::Form(fields) => {
                for (name, value) in fields {
                    collector.field(name, value);
                }
            }
            Body::Json(value) => collector.json(value),
            Body::Empty | Body::Text(_) | Body::Bytes(..) => {}
        }
        let Some(response) = self
            .response
            .as_ref()
            .and_then(|response| response.response.as_ref())
        else {
            return;
        };
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                collector.header(name.as_str(), value);
            }
        }
        let body = String::from_utf8_lossy(response.body());
        match serde_json::from_str::<Value>(&body) {
            Ok(value) => {
                collector.json(&value);
                if !response.status().is_success() {
                    for_each_text(&value, &mut |text| {
                        collector.learn_tokens(text, is_known_public)
                    });
                }
            }
            Err(_) => collector.learn_tokens(&body, is_known_public),
        }
    }

    /// Returns the exchange in the format of scenarios.
    pub(super) fn to_toml(&self, words: &ExpectationWriter<'_>) -> Table {
        let placeholders = words.placeholders();
        let sent = Sent::from_http(&self.request);
        let mut request = Table::new();
        request.insert("method".to_owned(), sent.method.into());
        let url = escape_braces(&placeholders.text(&sent.url));
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
        let response = match &self.response {
            Some(response) => response.to_toml(placeholders),
            None => fault_table(NetworkFault::Timeout),
        };
        Table::from_iter([
            ("request".to_owned(), request.into()),
            ("response".to_owned(), response.into()),
        ])
    }
}

impl RecordedResponse {
    fn to_toml(&self, placeholders: &Placeholders) -> Table {
        let mut table = match (&self.response, &self.fault) {
            (None, Some((fault, _))) => return fault_table(*fault),
            (None, None) => return fault_table(NetworkFault::Timeout),
            (Some(_), Some((fault, _))) => fault_table(*fault),
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
                table.insert("body".to_owned(), escape_braces(&value.to_string()).into());
            }
            (None, None) => {
                let text = escape_braces(&placeholders.text(&body));
                table.insert("body".to_owned(), text.into());
            }
        }
        let headers = headers(response.headers(), placeholders);
        if !headers.is_empty() {
            table.insert("headers".to_owned(), headers.into());
        }
        table
    }
}

fn fault_table(fault: NetworkFault) -> Table {
    Table::from_iter([("fault".to_owned(), fault.as_str().into())])
}

fn headers(headers: &HeaderMap, placeholders: &Placeholders) -> Table {
    let mut text = Table::new();
    for name in headers.keys() {
        if OMITTED_HEADERS.contains(&name.as_str()) {
            continue;
        }
        let values = headers.get_all(name).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            let value = escape_braces(&placeholders.header(name.as_str(), &values.join(", ")));
            text.insert(name.to_string(), value.into());
        }
    }
    text
}

/// Returns a value in the format of scenarios; `None` if TOML or the format cannot express a part of it.
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
        Value::String(text) => escape_braces(text).into(),
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

/// Visits every text in a value.
fn for_each_text(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| for_each_text(item, each)),
        Value::Object(members) => members
            .values()
            .for_each(|value| for_each_text(value, each)),
        _ => {}
    }
}
