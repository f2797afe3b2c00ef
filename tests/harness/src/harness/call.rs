//! Every workflow with its inputs as data: what a scenario, a recording or a sweep says.

use std::fmt;

use relation_host::reports::{Grant, SyncKind};
use relation_host::types::{Hierarchy, Pkid};
use relation_host::{AddRequest, CallError, CallOutput, Host};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::redaction::Redactor;

/// A workflow and its inputs.
///
/// As data it is an object whose `workflow` names it: `{"workflow": "refresh", "pkid": "…"}`.
#[derive(Clone, Deserialize)]
#[serde(
    tag = "workflow",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum Call {
    /// Describes the model. No transaction.
    Describe {},
    /// Asks the plugin whether it takes its settings. No transaction.
    CheckSettings {},
    /// Adds a record; the host gives it its key.
    Add {
        /// The node where it belongs.
        hierarchy: Hierarchy,
        /// The model's fields.
        fields: Map<String, Value>,
        /// The token endpoint's answer, for tokens that were fetched elsewhere: JSON, or any text.
        #[serde(default, deserialize_with = "answer")]
        token_response: Option<SecretString>,
        /// A second add with the same key at the same node makes nothing.
        #[serde(default)]
        idempotency_key: Option<String>,
    },
    /// Changes the fields given.
    Modify {
        /// The record.
        pkid: Pkid,
        /// The fields to change.
        fields: Map<String, Value>,
        /// As in `add`.
        #[serde(default, deserialize_with = "answer")]
        token_response: Option<SecretString>,
    },
    /// Deletes a record with all that belongs to it.
    Delete {
        /// The record.
        pkid: Pkid,
        /// Only says what that would be.
        #[serde(default)]
        dry_run: bool,
    },
    /// Begins a consent.
    Connect {
        /// The record.
        pkid: Pkid,
        /// What is to be consented to.
        #[serde(default)]
        grant: Grant,
        /// Where the browser is sent afterwards.
        redirect_uri: String,
    },
    /// Completes a consent.
    CompleteConnect {
        /// The record.
        pkid: Pkid,
        /// The address to which the browser was sent, with its query.
        #[serde(deserialize_with = "secret")]
        callback: SecretString,
    },
    /// Refreshes tokens now.
    Refresh {
        /// The record.
        pkid: Pkid,
        /// Which tokens.
        #[serde(default)]
        grant: Grant,
    },
    /// Looks at the expiries of tokens.
    CheckExpiry {
        /// The record.
        pkid: Pkid,
        /// Which tokens.
        #[serde(default)]
        grant: Grant,
    },
    /// Imports from Webex.
    Sync {
        /// The record.
        pkid: Pkid,
        /// What is imported.
        kind: SyncKind,
        /// Removes what has vanished even where that is not plausible.
        #[serde(default)]
        accept_removals: bool,
    },
}

/// A text as it is, and any other JSON as its text.
fn answer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    let answer: Option<Value> = Option::deserialize(from)?;
    Ok(answer.map(|answer| match answer {
        Value::String(text) => SecretString::from(text),
        other => SecretString::from(other.to_string()),
    }))
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

impl Call {
    /// What it is called, such as `check-expiry`.
    pub fn workflow(&self) -> &'static str {
        match self {
            Self::Describe {} => "describe",
            Self::CheckSettings {} => "check-settings",
            Self::Add { .. } => "add",
            Self::Modify { .. } => "modify",
            Self::Delete { .. } => "delete",
            Self::Connect { .. } => "connect",
            Self::CompleteConnect { .. } => "complete-connect",
            Self::Refresh { .. } => "refresh",
            Self::CheckExpiry { .. } => "check-expiry",
            Self::Sync { .. } => "sync",
        }
    }

    /// As JSON, with digests in place of secrets.
    pub fn shown(&self, redactor: &Redactor) -> Value {
        let fields = |fields: &Map<String, Value>| redactor.json(&Value::Object(fields.clone()));
        let answer = |answer: &Option<SecretString>| {
            answer.as_ref().map(|answer| {
                let text = answer.expose_secret();
                redactor.learn(text);
                serde_json::from_str(text).map_or_else(
                    |_| Value::String(redactor.text(text)),
                    |json| redactor.json(&json),
                )
            })
        };
        let mut shown = match self {
            Self::Describe {} | Self::CheckSettings {} => json!({}),
            Self::Add {
                hierarchy,
                fields: given,
                token_response,
                idempotency_key,
            } => json!({
                "hierarchy": hierarchy,
                "fields": fields(given),
                "token_response": answer(token_response),
                "idempotency_key": idempotency_key,
            }),
            Self::Modify {
                pkid,
                fields: given,
                token_response,
            } => json!({
                "pkid": pkid,
                "fields": fields(given),
                "token_response": answer(token_response),
            }),
            Self::Delete { pkid, dry_run } => json!({ "pkid": pkid, "dry_run": dry_run }),
            Self::Connect {
                pkid,
                grant,
                redirect_uri,
            } => json!({ "pkid": pkid, "grant": grant, "redirect_uri": redirect_uri }),
            Self::CompleteConnect { pkid, callback } => json!({
                "pkid": pkid,
                "callback": redactor.address(callback.expose_secret()),
            }),
            Self::Refresh { pkid, grant } | Self::CheckExpiry { pkid, grant } => {
                json!({ "pkid": pkid, "grant": grant })
            }
            Self::Sync {
                pkid,
                kind,
                accept_removals,
            } => json!({
                "pkid": pkid,
                "kind": kind,
                "accept_removals": accept_removals.then_some(true),
            }),
        };
        if let Value::Object(members) = &mut shown {
            members.retain(|_, value| !value.is_null());
            members.insert("workflow".to_owned(), self.workflow().into());
        }
        shown
    }

    /// Makes the call; the answer as JSON, in the words of [`relation_host::reports`].
    pub(crate) async fn make(self, host: &Host) -> Result<Told<Value>, CallError> {
        match self {
            Self::Describe {} => told_untold(host.describe().await),
            Self::CheckSettings {} => told_untold(host.check_settings().await),
            Self::Add {
                hierarchy,
                fields,
                token_response,
                idempotency_key,
            } => told(
                host.add(AddRequest {
                    hierarchy,
                    fields,
                    token_response,
                    idempotency_key,
                })
                .await,
            ),
            Self::Modify {
                pkid,
                fields,
                token_response,
            } => told(host.modify(&pkid, fields, token_response).await),
            Self::Delete { pkid, dry_run } => told(host.delete(&pkid, dry_run).await),
            Self::Connect {
                pkid,
                grant,
                redirect_uri,
            } => told(host.connect(&pkid, grant, &redirect_uri).await),
            Self::CompleteConnect { pkid, callback } => {
                told(host.complete_connect(&pkid, &callback).await)
            }
            Self::Refresh { pkid, grant } => told(host.refresh_grant(&pkid, grant).await),
            Self::CheckExpiry { pkid, grant } => told(host.check_grant(&pkid, grant).await),
            Self::Sync {
                pkid,
                kind,
                accept_removals,
            } => told(host.sync(&pkid, kind, accept_removals).await),
        }
    }
}

impl fmt::Debug for Call {
    /// With digests in place of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.shown(&Redactor::default()))
    }
}

/// What a call answered, and its transaction if it has one.
pub(crate) struct Told<T> {
    pub(crate) transaction: Option<String>,
    pub(crate) value: T,
}

pub(crate) fn told<T: Serialize>(
    called: Result<CallOutput<T>, CallError>,
) -> Result<Told<Value>, CallError> {
    called.map(|called| Told {
        transaction: Some(called.transaction),
        value: json!(called.value),
    })
}

fn told_untold<T: Serialize>(answered: Result<T, CallError>) -> Result<Told<Value>, CallError> {
    answered.map(|value| Told {
        transaction: None,
        value: json!(value),
    })
}
