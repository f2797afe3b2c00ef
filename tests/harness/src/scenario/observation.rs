//! The observed effects of a step, in the format of expectations.

use std::collections::BTreeMap;

use relation_host::types::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::harness::{CallFailure, ObservedCall};
use crate::storage::{Difference, Snapshot, StoredDocument};
use crate::transcript::{Body, Exchange, ExchangeOutcome, Request};

/// The observed effects of a step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observation {
    /// The time after the step.
    pub now: Timestamp,
    /// The result of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The error of the call: `case`, `text`, for `invalid` also `fields`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The wakeups that ran: `wakeup`, `record`, `at`, and `result` or `error`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fired: Vec<Value>,
    /// The effects of each concurrent call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Observation>,
    /// The requests.
    pub http: Vec<Value>,
    /// The changes to the store.
    pub changes: StorageChanges,
    /// The documents after the step, by model.
    #[serde(skip)]
    pub documents: BTreeMap<String, Vec<Value>>,
    /// The wakeups after the step: `id`, `record`, `due` and so on.
    #[serde(skip)]
    pub wakeups: Vec<Value>,
    /// The active alerts after the step.
    #[serde(skip)]
    pub alerts: Vec<Value>,
    /// The log: `level` and `message`.
    pub log: Vec<Value>,
    /// The last progress, as `[ 3/9 ] words`.
    pub progress: Vec<Value>,
    /// The status of the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Value>,
}

/// The changes to the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StorageChanges {
    /// The created documents, by model.
    pub added: BTreeMap<String, Vec<Value>>,
    /// The changed documents, by model.
    pub changed: BTreeMap<String, Vec<Value>>,
    /// The removed documents, by model.
    pub removed: BTreeMap<String, Vec<Value>>,
    /// The names of new secrets.
    pub secrets_set: Vec<Value>,
    /// The names of changed secrets.
    pub secrets_changed: Vec<Value>,
    /// The names of removed secrets.
    pub secrets_unset: Vec<Value>,
    /// Whether wakeups were added, changed or removed.
    pub wakeups: bool,
}

impl StorageChanges {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Observation {
    /// Adds the effects of a call.
    pub fn add_call(&mut self, call: &ObservedCall<Value>) {
        self.http.extend(call.http.iter().map(exchange_to_json));
        self.changes.add(&call.storage);
        self.add_transaction(call);
    }

    /// Returns a call's own effects, without changes that may be those of concurrent calls.
    pub fn from_call(call: &ObservedCall<Value>) -> Self {
        let mut alone = Self::default();
        alone.add_transaction(call);
        alone.set_outcome(call);
        alone
    }

    fn add_transaction(&mut self, call: &ObservedCall<Value>) {
        if let Some(transaction) = &call.transaction {
            self.transaction = Some(json!(transaction.status.as_str()));
            let lines = transaction.log.iter();
            self.log
                .extend(lines.map(|line| json!({ "level": line.level, "message": line.message })));
            self.progress.extend(
                transaction
                    .progress
                    .iter()
                    .map(|progress| json!(progress.to_string())),
            );
        }
    }

    /// Adds the requests of a call that was cut off, or of several calls.
    pub fn add_requests(&mut self, exchanges: &[Exchange]) {
        self.http.extend(exchanges.iter().map(exchange_to_json));
    }

    /// Adds the changes of a call that was cut off, or of several calls.
    pub fn add_changes(&mut self, difference: &Difference) {
        self.changes.add(difference);
    }

    /// Sets the outcome of a call.
    pub fn set_outcome(&mut self, call: &ObservedCall<Value>) {
        match &call.result {
            Ok(result) => self.result = Some(result.clone()),
            Err(failed) => self.error = Some(error_to_json(failed)),
        }
    }

    /// Adds a wakeup that has run.
    pub fn add_fired(&mut self, call: &ObservedCall<Value>) {
        let mut fired = Map::new();
        let wakeup = call.input.get("wakeup").cloned().unwrap_or_default();
        let text = |value: Option<&Value>| value.cloned().unwrap_or_default();
        match &wakeup {
            Value::Object(wakeup) => {
                fired.insert("wakeup".to_owned(), text(wakeup.get("id")));
                let subject = wakeup.get("subject").and_then(Value::as_str);
                let record = json!(pkid_of(subject.unwrap_or_default()));
                fired.insert("record".to_owned(), record);
            }
            other => {
                fired.insert("wakeup".to_owned(), other.clone());
            }
        }
        fired.insert("at".to_owned(), json!(call.at));
        match &call.result {
            Ok(result) => fired.insert("result".to_owned(), result.clone()),
            Err(failed) => fired.insert("error".to_owned(), error_to_json(failed)),
        };
        self.fired.push(Value::Object(fired));
    }

    /// Sets the content of the store after the step.
    pub fn set_state(&mut self, snapshot: &Snapshot) {
        for (name, stored) in &snapshot.documents {
            let model = model_of(name).to_owned();
            self.documents
                .entry(model)
                .or_default()
                .push(document_to_json(name, stored));
        }
        for (name, waiting) in &snapshot.wakeups {
            let (record, id) = name.split_once('#').unwrap_or((name, ""));
            let mut wakeup = json!(waiting);
            if let Value::Object(wakeup) = &mut wakeup {
                wakeup.insert("id".to_owned(), json!(id));
                wakeup.insert("record".to_owned(), json!(pkid_of(record)));
            }
            self.wakeups.push(wakeup);
        }
        self.alerts = self
            .documents
            .get("data/Alert")
            .cloned()
            .unwrap_or_default();
        for alert in &mut self.alerts {
            let subject = alert.get("subject").and_then(Value::as_str);
            let record = json!(pkid_of(subject.unwrap_or_default()));
            if let Value::Object(alert) = alert {
                alert.insert("record".to_owned(), record);
            }
        }
    }
}

impl StorageChanges {
    /// Adds the changes of one call. Changes of several calls to one document are merged.
    fn add(&mut self, difference: &Difference) {
        let by_model =
            |to: &mut BTreeMap<String, Vec<Value>>, name: &str, stored: &StoredDocument| {
                let model = model_of(name).to_owned();
                let document = document_to_json(name, stored);
                let documents = to.entry(model).or_default();
                let pkid = document.get("@pkid");
                match documents
                    .iter_mut()
                    .find(|other| other.get("@pkid") == pkid)
                {
                    Some(other) => *other = document,
                    None => documents.push(document),
                }
            };
        for (name, stored) in &difference.documents.added {
            by_model(&mut self.added, name, stored);
        }
        for (name, change) in &difference.documents.changed {
            by_model(&mut self.changed, name, &change.after);
        }
        for (name, stored) in &difference.documents.removed {
            by_model(&mut self.removed, name, stored);
        }
        let names = |to: &mut Vec<Value>, names: Vec<&String>| {
            for name in names {
                let name = json!(name.split_once('#').map_or(name.as_str(), |(_, name)| name));
                if !to.contains(&name) {
                    to.push(name);
                }
            }
        };
        let secrets = &difference.secrets;
        names(&mut self.secrets_set, secrets.added.keys().collect());
        names(&mut self.secrets_changed, secrets.changed.keys().collect());
        names(&mut self.secrets_unset, secrets.removed.keys().collect());
        self.wakeups |= !difference.wakeups.is_empty();
    }
}

fn model_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(model, _)| model)
}

fn pkid_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, pkid)| pkid)
}

/// Returns the members of a document's body, with the platform's metadata.
fn document_to_json(name: &str, stored: &StoredDocument) -> Value {
    let mut members = match &stored.body {
        Value::Object(members) => members.clone(),
        other => Map::from_iter([("@text".to_owned(), other.clone())]),
    };
    members.insert("@pkid".to_owned(), json!(pkid_of(name)));
    members.insert("@hierarchy".to_owned(), json!(stored.hierarchy));
    members.insert("@version".to_owned(), json!(stored.version));
    members.insert("@keys".to_owned(), json!(stored.keys));
    Value::Object(members)
}

/// Returns an error in the format of scenarios.
pub(crate) fn error_to_json(failed: &CallFailure) -> Value {
    match failed {
        CallFailure::Refused { failure } => {
            let json_failure = json!(failure);
            let mut error = json!({
                "case": json_failure.get("kind").cloned().unwrap_or_default(),
                "text": failure.to_string(),
            });
            if let (relation_host::types::Failure::Invalid(errors), Value::Object(error)) =
                (failure, &mut error)
            {
                let fields = errors
                    .iter()
                    .map(|fault| (fault.field.clone(), json!(fault.message)));
                error.insert("fields".to_owned(), Value::Object(fields.collect()));
            }
            error
        }
        CallFailure::Guest { code, message } => {
            json!({ "case": "trap", "text": format!("{code}: {message}") })
        }
        other => json!({ "case": "host", "text": other.to_string() }),
    }
}

fn exchange_to_json(exchange: &Exchange) -> Value {
    let mut request = request_to_json(&exchange.request);
    if let Value::Object(request) = &mut request {
        if let Some(proxy) = &exchange.proxy {
            request.insert("proxy".to_owned(), json!(proxy));
        }
        match &exchange.outcome {
            ExchangeOutcome::Response(response) => {
                request.insert("status".to_owned(), json!(response.status))
            }
            ExchangeOutcome::Fault(fault) => request.insert("fault".to_owned(), json!(fault)),
        };
    }
    request
}

/// Returns a request in the format of scenarios.
pub fn request_to_json(sent: &Request) -> Value {
    let path = url::Url::parse(&sent.url);
    let path = path.map_or_else(|_| sent.url.clone(), |url| url.path().to_owned());
    let pairs = |pairs: &[(String, String)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        Value::Object(pairs.collect())
    };
    let mut request = json!({
        "method": sent.method,
        "url": sent.url,
        "path": path,
        "query": pairs(&sent.query),
        "headers": sent.headers,
    });
    let body = match &sent.body {
        Body::Empty => return request,
        Body::Form(fields) => ("form", pairs(fields)),
        Body::Json(value) => ("json", value.clone()),
        Body::Text(text) => ("body", json!(text)),
        Body::Bytes(count, digest) => ("body", json!(format!("{count} bytes, {digest}"))),
    };
    if let Value::Object(request) = &mut request {
        request.insert(body.0.to_owned(), body.1);
    }
    request
}
