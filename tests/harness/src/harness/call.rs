//! Workflows with their inputs as data, for scenarios, recordings and sweeps.

use std::fmt;

use relation_host::reports::{Grant, SyncSelector};
use relation_host::types::{Hierarchy, Pkid};
use relation_host::{AddRequest, CallError, CallOutput, Host};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::redaction::Redactor;

/// A workflow and its inputs.
///
/// In JSON, an object with the workflow's name in `workflow`: `{"workflow": "refresh", "pkid": "…"}`.
#[derive(Clone, Deserialize)]
#[serde(
    tag = "workflow",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum Call {
    /// Describes the model. Has no transaction.
    Describe {},
    /// Asks the plugin whether its settings are valid. Has no transaction.
    CheckSettings {},
    /// Adds a record; the host assigns its pkid.
    Add {
        /// The node of the record.
        hierarchy: Hierarchy,
        /// The model's fields.
        fields: Map<String, Value>,
        /// The token endpoint's response, for tokens that were fetched elsewhere: JSON, or any text.
        #[serde(default, deserialize_with = "deserialize_token_response")]
        token_response: Option<SecretString>,
        /// A second add with the same key at the same node creates nothing.
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
        #[serde(default, deserialize_with = "deserialize_token_response")]
        token_response: Option<SecretString>,
    },
    /// Deletes a record and everything that belongs to it.
    Delete {
        /// The record.
        pkid: Pkid,
        /// Whether to report only what would be deleted.
        #[serde(default)]
        dry_run: bool,
    },
    /// Begins a consent.
    Connect {
        /// The record.
        pkid: Pkid,
        /// The grant to consent to.
        #[serde(default)]
        grant: Grant,
        /// The address to which Webex redirects the browser.
        redirect_uri: String,
    },
    /// Completes a consent.
    CompleteConnect {
        /// The record.
        pkid: Pkid,
        /// The address to which the browser was redirected, with its query.
        #[serde(deserialize_with = "deserialize_secret")]
        callback: SecretString,
    },
    /// Refreshes tokens now.
    Refresh {
        /// The record.
        pkid: Pkid,
        /// The grant whose tokens are refreshed.
        #[serde(default)]
        grant: Grant,
    },
    /// Checks the expiries of tokens.
    CheckExpiry {
        /// The record.
        pkid: Pkid,
        /// The grant whose tokens are checked.
        #[serde(default)]
        grant: Grant,
    },
    /// Executes a data sync.
    Sync {
        /// The record.
        pkid: Pkid,
        /// The data sync.
        sync: SyncSelector,
        /// Whether to remove missing items even if that is not plausible.
        #[serde(default)]
        accept_removals: bool,
    },
    /// Runs an action that `describe` lists.
    Invoke {
        /// The record.
        pkid: Pkid,
        /// The action's name.
        action: String,
        /// The action's arguments.
        #[serde(default)]
        arguments: Map<String, Value>,
    },
}

/// Reads a text unchanged, and any other JSON as its text.
fn deserialize_token_response<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SecretString>, D::Error> {
    let response: Option<Value> = Option::deserialize(from)?;
    Ok(response.map(|response| match response {
        Value::String(text) => SecretString::from(text),
        other => SecretString::from(other.to_string()),
    }))
}

fn deserialize_secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

impl Call {
    /// Returns the workflow's name, such as `check-expiry`.
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
            Self::Invoke { .. } => "invoke",
        }
    }

    /// Returns the call as JSON, with digests in place of secrets.
    pub fn to_redacted_json(&self, redactor: &Redactor) -> Value {
        let fields = |fields: &Map<String, Value>| redactor.json(&Value::Object(fields.clone()));
        let response = |response: &Option<SecretString>| {
            response.as_ref().map(|response| {
                let text = response.expose_secret();
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
                "token_response": response(token_response),
                "idempotency_key": idempotency_key,
            }),
            Self::Modify {
                pkid,
                fields: given,
                token_response,
            } => json!({
                "pkid": pkid,
                "fields": fields(given),
                "token_response": response(token_response),
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
                sync,
                accept_removals,
            } => json!({
                "pkid": pkid,
                "sync": sync,
                "accept_removals": accept_removals.then_some(true),
            }),
            Self::Invoke {
                pkid,
                action,
                arguments,
            } => json!({ "pkid": pkid, "action": action, "arguments": fields(arguments) }),
        };
        if let Value::Object(members) = &mut shown {
            members.retain(|_, value| !value.is_null());
            members.insert("workflow".to_owned(), self.workflow().into());
        }
        shown
    }

    /// Makes the call. Returns the report as JSON, as in [`relation_host::reports`].
    pub(crate) async fn run_on(self, host: &Host) -> Result<CallReport<Value>, CallError> {
        match self {
            Self::Describe {} => report_without_transaction(host.describe().await),
            Self::CheckSettings {} => report_without_transaction(host.check_settings().await),
            Self::Add {
                hierarchy,
                fields,
                token_response,
                idempotency_key,
            } => to_report(
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
            } => to_report(host.modify(&pkid, fields, token_response).await),
            Self::Delete { pkid, dry_run } => to_report(host.delete(&pkid, dry_run).await),
            Self::Connect {
                pkid,
                grant,
                redirect_uri,
            } => to_report(host.connect(&pkid, grant, &redirect_uri).await),
            Self::CompleteConnect { pkid, callback } => {
                to_report(host.complete_connect(&pkid, &callback).await)
            }
            Self::Refresh { pkid, grant } => to_report(host.refresh_grant(&pkid, grant).await),
            Self::CheckExpiry { pkid, grant } => to_report(host.check_grant(&pkid, grant).await),
            Self::Sync {
                pkid,
                sync,
                accept_removals,
            } => to_report(host.sync(&pkid, sync, accept_removals).await),
            Self::Invoke {
                pkid,
                action,
                arguments,
            } => to_report(host.invoke(&action, &pkid, arguments).await),
        }
    }
}

impl fmt::Debug for Call {
    /// Formats the call with digests in place of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.to_redacted_json(&Redactor::default()))
    }
}

/// The report of a call, and its transaction if it has one.
pub(crate) struct CallReport<T> {
    pub(crate) transaction: Option<String>,
    pub(crate) value: T,
}

pub(crate) fn to_report<T: Serialize>(
    output: Result<CallOutput<T>, CallError>,
) -> Result<CallReport<Value>, CallError> {
    output.map(|output| CallReport {
        transaction: Some(output.transaction),
        value: json!(output.value),
    })
}

fn report_without_transaction<T: Serialize>(
    result: Result<T, CallError>,
) -> Result<CallReport<Value>, CallError> {
    result.map(|value| CallReport {
        transaction: None,
        value: json!(value),
    })
}
