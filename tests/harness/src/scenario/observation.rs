//! What a step did, in the words of a scenario: what its expectations are held against.

use std::collections::BTreeMap;

use relation_host::types::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::harness::{Failed, Observed};
use crate::storage::{Difference, Snapshot, Stored};
use crate::transcript::{Body, Exchange, Outcome, Request};

/// What a step did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observation {
    /// What time it was afterwards.
    pub now: Timestamp,
    /// What the call answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// How the call failed: `case`, `text`, for `invalid` also `fields`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The wakeups that were answered: `wakeup`, `record`, `at`, and `result` or `error`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fired: Vec<Value>,
    /// What each of several calls at once did alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Observation>,
    /// The requests that were made.
    pub http: Vec<Value>,
    /// What changed.
    pub changes: Changed,
    /// Documents that are there afterwards, by model.
    #[serde(skip)]
    pub documents: BTreeMap<String, Vec<Value>>,
    /// Wakeups that are there afterwards: `id`, `record`, `due` and so on.
    #[serde(skip)]
    pub wakeups: Vec<Value>,
    /// Alerts that stand afterwards.
    #[serde(skip)]
    pub alerts: Vec<Value>,
    /// What was logged: `level` and `message`.
    pub log: Vec<Value>,
    /// The last progress that was told, as `[ 3/9 ] words`.
    pub progress: Vec<Value>,
    /// The status of the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Value>,
}

/// What changed in the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changed {
    /// Documents that were made, by model.
    pub added: BTreeMap<String, Vec<Value>>,
    /// Documents that are not as they were, by model.
    pub changed: BTreeMap<String, Vec<Value>>,
    /// Documents that are gone, by model.
    pub removed: BTreeMap<String, Vec<Value>>,
    /// Names of secrets that were sealed for the first time.
    pub secrets_set: Vec<Value>,
    /// Names of secrets that have another value.
    pub secrets_changed: Vec<Value>,
    /// Names of secrets that are gone.
    pub secrets_unset: Vec<Value>,
    /// Whether wakeups came, moved or went.
    pub wakeups: bool,
}

impl Changed {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Observation {
    /// Adds what one call did.
    pub fn add(&mut self, seen: &Observed<Value>) {
        self.http.extend(seen.http.iter().map(request));
        self.changes.add(&seen.storage);
        self.transaction(seen);
    }

    /// What a call alone did: not what changed meanwhile, for that is also of others.
    pub fn of_call(seen: &Observed<Value>) -> Self {
        let mut alone = Self::default();
        alone.transaction(seen);
        alone.outcome(seen);
        alone
    }

    fn transaction(&mut self, seen: &Observed<Value>) {
        if let Some(transaction) = &seen.transaction {
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

    /// Adds requests of a call that was cut off, or of several.
    pub fn requests(&mut self, exchanges: &[Exchange]) {
        self.http.extend(exchanges.iter().map(request));
    }

    /// Adds what a call changed that was cut off, or what several did.
    pub fn changed(&mut self, difference: &Difference) {
        self.changes.add(difference);
    }

    /// Takes the outcome of a call that the scenario made.
    pub fn outcome(&mut self, seen: &Observed<Value>) {
        match &seen.result {
            Ok(result) => self.result = Some(result.clone()),
            Err(failed) => self.error = Some(error(failed)),
        }
    }

    /// Takes a wakeup that was answered.
    pub fn fired(&mut self, seen: &Observed<Value>) {
        let mut fired = Map::new();
        let wakeup = seen.asked.get("wakeup").cloned().unwrap_or_default();
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
        fired.insert("at".to_owned(), json!(seen.at));
        match &seen.result {
            Ok(result) => fired.insert("result".to_owned(), result.clone()),
            Err(failed) => fired.insert("error".to_owned(), error(failed)),
        };
        self.fired.push(Value::Object(fired));
    }

    /// Takes what the store holds afterwards.
    pub fn state(&mut self, snapshot: &Snapshot) {
        for (name, stored) in &snapshot.documents {
            let model = model_of(name).to_owned();
            self.documents
                .entry(model)
                .or_default()
                .push(document(name, stored));
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

impl Changed {
    /// Adds what one call changed. Of what several calls change, each change is told.
    fn add(&mut self, difference: &Difference) {
        let by_model = |to: &mut BTreeMap<String, Vec<Value>>, name: &str, stored: &Stored| {
            let model = model_of(name).to_owned();
            let document = document(name, stored);
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

/// The members of a document's body, and beside them what the platform knows of it.
fn document(name: &str, stored: &Stored) -> Value {
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

/// How a call failed, in a scenario's words.
pub(crate) fn error(failed: &Failed) -> Value {
    match failed {
        Failed::Refused { failure } => {
            let told = json!(failure);
            let mut error = json!({
                "case": told.get("kind").cloned().unwrap_or_default(),
                "text": failure.to_string(),
            });
            if let (relation_host::types::Failure::Invalid(faults), Value::Object(error)) =
                (failure, &mut error)
            {
                let fields = faults
                    .iter()
                    .map(|fault| (fault.field.clone(), json!(fault.message)));
                error.insert("fields".to_owned(), Value::Object(fields.collect()));
            }
            error
        }
        Failed::Guest { what, message } => {
            json!({ "case": "trap", "text": format!("{what}: {message}") })
        }
        other => json!({ "case": "host", "text": other.to_string() }),
    }
}

fn request(exchange: &Exchange) -> Value {
    let mut request = sent(&exchange.request);
    if let Value::Object(request) = &mut request {
        if let Some(proxy) = &exchange.proxy {
            request.insert("proxy".to_owned(), json!(proxy));
        }
        match &exchange.outcome {
            Outcome::Answer(answer) => request.insert("status".to_owned(), json!(answer.status)),
            Outcome::Fault(fault) => request.insert("fault".to_owned(), json!(fault)),
        };
    }
    request
}

/// A request in a scenario's words.
pub fn sent(sent: &Request) -> Value {
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
