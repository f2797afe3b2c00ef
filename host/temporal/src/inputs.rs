//! Inputs and results that have secrets. They are sealed in the host's store, and the history has their primary keys.
//!
//! A used input is removed after ten minutes, since Temporal may repeat an activity. An input that nobody uses is removed
//! after a day.

use std::sync::Arc;
use std::time::Duration;

use relation_host::clock::Clock;
use relation_host::store::seal::{SealError, Sealer};
use relation_host::store::{Change, Check, Commit, KindFilter, Store, StoreError};
use relation_host::types::{Document, FieldError, Hierarchy, Pkid, Reference, Timestamp, Wakeup};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The model of stored inputs.
pub const INPUT_MODEL: &str = "host/TemporalInput";
/// The kind of the wakeup at which an unused input is removed.
pub const INPUT_WAKEUP: &str = "temporal-input";
/// How long an input is kept that nobody uses.
pub const INPUT_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long an input is kept that was used.
const USED_LIFETIME: Duration = Duration::from_secs(600);

/// The name of the secret.
const SECRET: &str = "input";
/// The most inputs that one step of cleaning removes.
const CLEANUP_BATCH: u32 = 100;

/// The use of a stored input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Fields and a token response, for `add` and `modify`: the JSON of [`SecretFields`].
    Fields,
    /// The address to which Webex returned the browser, for `complete-connect`.
    Callback,
    /// The address of a consent page, from `connect`.
    Link,
}

/// Fields with secrets, as they are stored. The JSON has them in clear text; it is stored only sealed.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFields {
    /// The fields, by name.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// The JSON response of the token endpoint, if tokens were obtained elsewhere.
    #[serde(default)]
    pub token_response: Option<Value>,
}

/// The reason why an input cannot be stored or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The input does not exist.
    #[error(
        "the input {0} is not stored: it was used, or is older than a day; store the secret again"
    )]
    Missing(Pkid),
    /// The input has another purpose.
    #[error("the input {0} has another purpose")]
    WrongPurpose(Pkid),
    /// The input is not what its purpose needs.
    #[error("the input {0} is not a JSON object with `fields` and `token_response`")]
    Malformed(Pkid),
    /// The store or its keys could not be used.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<StoreError> for InputError {
    fn from(error: StoreError) -> Self {
        Self::Seal(error.into())
    }
}

/// The stored inputs.
#[derive(Clone)]
pub struct Inputs {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
}

impl Inputs {
    /// Creates the access to the inputs in a store.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            sealer,
            clock,
        }
    }

    /// Seals and stores a secret at a node. Returns the primary key, which may be in a history.
    ///
    /// # Errors
    /// The store or its keys could not be used.
    pub async fn put(
        &self,
        node: &Hierarchy,
        purpose: Purpose,
        clear: &SecretString,
    ) -> Result<Pkid, InputError> {
        let pkid = Pkid::random();
        let owner = input(&pkid);
        let sealed = self.sealer.seal(&owner, SECRET, clear)?;
        let now = self.clock.now();
        let document = Document {
            reference: owner.clone(),
            hierarchy: node.clone(),
            version: 0,
            body: json!({ "purpose": purpose }).to_string(),
            keys: Vec::new(),
        };
        let commit = Commit {
            checks: vec![Check::Absent(owner.clone())],
            changes: vec![
                Change::Put(document),
                Change::PutSecret {
                    owner: owner.clone(),
                    name: SECRET.to_owned(),
                    sealed,
                },
                Change::Schedule(expiry(owner, now.after(INPUT_LIFETIME))),
            ],
            now,
            ..Commit::default()
        };
        self.sealer.commit(self.store.as_ref(), commit).await?;
        Ok(pkid)
    }

    /// Opens an input. It stays stored, because Temporal may repeat the activity.
    ///
    /// # Errors
    /// The input does not exist, has another purpose, or cannot be opened.
    pub async fn open(&self, pkid: &Pkid, purpose: Purpose) -> Result<SecretString, InputError> {
        let owner = input(pkid);
        let found = self.store.get(std::slice::from_ref(&owner)).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Err(InputError::Missing(pkid.clone()));
        };
        let body: Value = serde_json::from_str(&document.body).unwrap_or_default();
        if body.get("purpose") != Some(&json!(purpose)) {
            return Err(InputError::WrongPurpose(pkid.clone()));
        }
        let store = self.store.as_ref();
        let clear = self.sealer.reveal(store, &owner, SECRET).await?;
        clear.ok_or_else(|| InputError::Missing(pkid.clone()))
    }

    /// Opens an input with fields.
    ///
    /// # Errors
    /// As for [`Inputs::open`].
    pub async fn open_fields(&self, pkid: &Pkid) -> Result<SecretFields, InputError> {
        let clear = self.open(pkid, Purpose::Fields).await?;
        // The error of the JSON could quote a secret.
        serde_json::from_str(clear.expose_secret()).map_err(|_| InputError::Malformed(pkid.clone()))
    }

    /// Removes an input that was used, after a while: Temporal may repeat the activity.
    ///
    /// # Errors
    /// The store could not be reached.
    pub async fn note_used(&self, pkid: &Pkid) -> Result<(), StoreError> {
        let now = self.clock.now();
        let commit = Commit {
            changes: vec![Change::Schedule(expiry(
                input(pkid),
                now.after(USED_LIFETIME),
            ))],
            now,
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            // It was removed meanwhile.
            Err(StoreError::Invalid(_)) => Ok(()),
            noted => noted,
        }
    }

    /// Removes an input, if it exists.
    ///
    /// # Errors
    /// The store could not be reached.
    pub async fn remove(&self, pkid: &Pkid) -> Result<(), StoreError> {
        self.store
            .commit(Commit {
                changes: vec![Change::Delete(input(pkid))],
                now: self.clock.now(),
                ..Commit::default()
            })
            .await
    }

    /// Removes inputs that nobody has used in time. Returns their number.
    ///
    /// # Errors
    /// The store could not be reached.
    pub async fn remove_expired(&self) -> Result<usize, StoreError> {
        let kind = KindFilter::Only(INPUT_WAKEUP);
        let now = self.clock.now();
        let due = self.store.due(now, CLEANUP_BATCH, kind).await?;
        for expired in &due {
            self.remove(&expired.wakeup.subject.pkid).await?;
        }
        Ok(due.len())
    }
}

/// Returns the wakeup at which an input is removed.
fn expiry(subject: Reference, due: Timestamp) -> Wakeup {
    Wakeup {
        id: INPUT_WAKEUP.to_owned(),
        subject,
        due,
        deadline: None,
        payload: String::new(),
    }
}

fn input(pkid: &Pkid) -> Reference {
    Reference::new(INPUT_MODEL, pkid.clone())
}

/// Returns errors for plain fields that may have a secret: tokens, and texts with a password in an address. Such a field
/// must be in a stored input.
pub fn find_secrets(fields: &Map<String, Value>) -> Vec<FieldError> {
    let suspicious = fields.iter().filter(|(name, value)| {
        let is_token = name.as_str() == "token" || name.ends_with("_token");
        is_token && value.as_str() != Some("") && !value.is_null() || has_password(value)
    });
    let errors = suspicious.map(|(name, _)| FieldError {
        field: name.clone(),
        message: "may be a secret, and everything here is stored in the history of Temporal: store it by \
                  `relation-temporal store`, and pass its key as `input`"
            .to_owned(),
    });
    errors.collect()
}

/// Returns whether a text in the value is an address with a user or a password.
fn has_password(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let rest = text.split_once("://").map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.contains('@'))
        }
        Value::Array(items) => items.iter().any(has_password),
        Value::Object(members) => members.values().any(has_password),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: Value) -> Vec<String> {
        let errors = find_secrets(fields.as_object().unwrap());
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn fields_with_secrets_are_found() {
        let fields = json!({
            "name": "Contoso",
            "token": "canary",
            "refresh_token": "canary",
            "https_proxy": "http://user:canary@proxy.example.com:3128/",
            "http_proxy": "http://proxy.example.com:3128/",
            "nested": [{ "proxy": "http://user:canary@proxy.example.com/" }],
        });
        let expected = ["https_proxy", "nested", "refresh_token", "token"];
        assert_eq!(found(fields), expected);
    }

    #[test]
    fn cleared_tokens_are_no_secrets() {
        let fields = json!({ "token": "", "refresh_token": null, "admin_email": "a@example.com" });
        assert!(found(fields).is_empty());
    }
}
