//! The host: combines a plugin, a store and a clock, and offers the workflows as functions.
//!
//! Every call is a transaction. It waits for the record's lock, claims the record's lease and runs
//! a fresh instance. One write at the end closes the transaction and releases the lease.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::component::{Plugin, convert};
use crate::egress::Client;
use crate::imports::Services;
use crate::imports::bindings::exports::automate::spark_customer::workflows as guest;
use crate::reports::{
    AccessTokenReport, AddReport, Authorization, ConnectReport, ConnectionReport, Deletion,
    ExpiryReport, Grant, Model, RefreshReport,
};
use crate::store::Store;
use crate::store::stash::Stash;
use crate::text::format_count;
use crate::transactions::Originator;
use crate::types::{Failure, Hierarchy, Pkid, RECORD_MODEL, Timestamp};

mod builder;
mod call;
mod call_end;
pub mod callbacks;
mod calls_in_flight;
mod clear_text;
mod error;
mod handlers;
mod housekeeping;
mod ids;
mod input_secrets;
mod outcome;
mod queue;
mod queue_cancel;
mod queue_run;
mod queued_run;
mod record_locks;
mod records;
mod setting_names;
mod stash_replay;
mod stop;
mod sync;
mod variants;
mod wake;

pub use builder::{BuildError, ComponentSource, HostBuilder};
use call::CallRequest;
use callbacks::{Callback, Callbacks};
use calls_in_flight::CallsInFlight;
pub use error::{CallError, CallErrorKind};
use handlers::RegisteredHandler;
pub use handlers::{
    HandledWakeup, HandlerError, HandlerOptions, NextRun, WakeupHandler, WakeupResult,
};
use housekeeping::Housekeeping;
pub use housekeeping::Retention;
use outcome::{CallSummary, summarize_expiry, summarize_refresh};
pub use queue::{QueueError, QueuedCall};
pub use queue_cancel::Cancellation;
use queued_run::QueuedRun;
use record_locks::RecordLocks;
use setting_names::check_names;
pub use stash_replay::StashSummary;
pub use wake::WakeupOutcome;

/// The runner of one plugin's workflows on one store. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct Host {
    parts: Arc<Parts>,
    /// The originator of the calls.
    originator: Option<Arc<Originator>>,
    /// The callback of the calls.
    callback: Option<Arc<Callback>>,
    /// The queued call that this host runs.
    queued: Option<Arc<QueuedRun>>,
    /// The version that the record of a call must have.
    expected_version: Option<u64>,
    /// The id of the transaction of the next call.
    transaction: Option<Arc<Mutex<Option<String>>>>,
    /// Ends calls early.
    stop: Option<CancellationToken>,
}

struct Parts {
    plugin: Plugin,
    services: Arc<Services>,
    client: Client,
    callbacks: Callbacks,
    handlers: Vec<RegisteredHandler>,
    record_locks: RecordLocks,
    /// The number of calls begun; used for ids if randomness is seeded.
    calls_begun: AtomicU64,
    calls_in_flight: CallsInFlight,
    housekeeping: Housekeeping,
    /// Set once, before the host is returned to the caller.
    stash_at_start: std::sync::OnceLock<StashSummary>,
}

/// The result of a workflow and the id of its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the `value` says what the workflow did: a refresh may have failed"]
pub struct CallOutput<T> {
    /// The transaction's id.
    pub transaction: String,
    /// The workflow's result.
    pub value: T,
}

/// The input of `add`. Its JSON has the token response in clear text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddRequest {
    /// The node that the record belongs to.
    pub hierarchy: Hierarchy,
    /// The values of the model's fields, by name.
    pub fields: Map<String, Value>,
    /// The JSON response of the token endpoint, if tokens were obtained elsewhere.
    #[serde(with = "clear_text")]
    pub token_response: Option<SecretString>,
    /// A second add with the same key at the same node creates nothing.
    pub idempotency_key: Option<String>,
}

impl Host {
    /// Returns a builder of a host.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Returns the host's store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.services.store
    }

    /// Returns the host's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.services.clock
    }

    /// Returns the host's plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.parts.plugin
    }

    /// Returns the stash, if configured.
    pub fn stash(&self) -> Option<&Stash> {
        self.parts.services.stash.as_deref()
    }

    /// Returns the model that the plugin describes. No transaction is stored.
    pub async fn describe(&self) -> Result<Model, CallError> {
        let described = self
            .instance(None, async |workflows, store| {
                workflows.call_describe(store).await.map(Ok)
            })
            .await;
        described
            .and_then(|model| convert::model(model).map_err(CallErrorKind::Refused))
            .map_err(|kind| CallError {
                transaction: None,
                kind,
            })
    }

    /// Checks that the plugin stores its records in this host's [`RECORD_MODEL`], and asks the plugin
    /// whether it accepts this host's settings. Invalid settings fail every call, so check them before
    /// the first call. A setting that the plugin does not describe is invalid too. No transaction is stored.
    ///
    /// # Errors
    /// [`Failure::Invalid`] names every invalid setting and its valid values.
    /// [`Failure::Internal`] names the record model of a plugin with another one.
    pub async fn check_settings(&self) -> Result<(), CallError> {
        let described = self.describe().await?;
        if described.record_model != RECORD_MODEL {
            let text = format!(
                "the plugin {} stores its records in {:?}, this host runs plugins that store them in \
                 {RECORD_MODEL:?}: use a plugin with this record model",
                self.plugin().name(),
                described.record_model
            );
            return Err(CallError {
                transaction: None,
                kind: CallErrorKind::Refused(Failure::Internal(text)),
            });
        }
        let checked = self
            .instance(None, async |workflows, store| {
                workflows.call_check_settings(store).await
            })
            .await;
        let mut errors = check_names(
            &described.settings,
            self.plugin().settings(),
            &self.parts.services.secret_settings,
        );
        let kind = match checked {
            Ok(()) if errors.is_empty() => return Ok(()),
            Ok(()) => CallErrorKind::Refused(Failure::Invalid(errors)),
            Err(CallErrorKind::Refused(Failure::Invalid(invalid))) => {
                errors.extend(invalid);
                CallErrorKind::Refused(Failure::Invalid(errors))
            }
            Err(kind) => kind,
        };
        Err(CallError {
            transaction: None,
            kind,
        })
    }

    /// Adds a record and its owned documents.
    pub async fn add(&self, request: AddRequest) -> Result<CallOutput<AddReport>, CallError> {
        let pkid = match &self.queued {
            Some(run) => run.pkid.clone(),
            None => self.new_pkid(),
        };
        let name = request.fields.get("name").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let fields = Value::Object(request.fields).to_string();
        let token_response = expose(request.token_response.as_ref());
        let key = request.idempotency_key;
        let tokens = token_response.as_deref().unwrap_or_default();
        let call_request = CallRequest::for_record("add", pkid.clone())
            .at_node(&request.hierarchy)
            .with_name(&name)
            .with_input(&[&fields, tokens, key.as_deref().unwrap_or_default()])
            .with_secrets(input_secrets::extract_tokens(
                request.token_response.as_ref(),
            ));
        self.transact(
            call_request,
            async |workflows, store| {
                let request = guest::AddRequest {
                    pkid: pkid.to_string(),
                    hierarchy: request.hierarchy.to_string(),
                    fields,
                    token_response,
                    idempotency_key: key,
                };
                workflows.call_add(store, &request).await
            },
            convert::add_report,
            |added: &AddReport| {
                let name = &added.connection.name;
                let summary = if added.replayed {
                    CallSummary::success(format!("{name} was there already, from an earlier add"))
                } else {
                    let parts = added.created.len().saturating_sub(1);
                    CallSummary::success(format!(
                        "added {name} with {parts} documents that belong to it"
                    ))
                };
                summary.with_name(name)
            },
        )
        .await
    }

    /// Changes the given fields and keeps the others.
    pub async fn modify(
        &self,
        pkid: &Pkid,
        fields: Map<String, Value>,
        token_response: Option<SecretString>,
    ) -> Result<CallOutput<ConnectionReport>, CallError> {
        let fields = Value::Object(fields).to_string();
        let tokens = expose(token_response.as_ref());
        self.transact(
            CallRequest::for_record("modify", pkid.clone())
                .with_input(&[&fields, tokens.as_deref().unwrap_or_default()])
                .with_secrets(input_secrets::extract_tokens(token_response.as_ref())),
            async |workflows, store| {
                workflows
                    .call_modify(store, pkid.as_str(), &fields, tokens.as_ref())
                    .await
            },
            convert::connection_report,
            |connection: &ConnectionReport| {
                let name = &connection.name;
                CallSummary::success(format!("modified {name}")).with_name(name)
            },
        )
        .await
    }

    /// Deletes a record and everything that belongs to it, or reports what a delete would remove.
    pub async fn delete(
        &self,
        pkid: &Pkid,
        dry_run: bool,
    ) -> Result<CallOutput<Deletion>, CallError> {
        let action = if dry_run {
            "delete (dry run)"
        } else {
            "delete"
        };
        let deleted = self
            .transact(
                CallRequest::for_record(action, pkid.clone()),
                async |workflows, store| workflows.call_delete(store, pkid.as_str(), dry_run).await,
                convert::deletion,
                |deletion: &Deletion| {
                    let documents = deletion.documents.len() as u64;
                    let would = if dry_run { "would delete" } else { "deleted" };
                    let summary = CallSummary::success(format!(
                        "{would} {}",
                        format_count(documents, "document", "documents")
                    ));
                    // The record cannot be read any more.
                    let mut deleted = deletion.documents.iter();
                    match deleted.find(|(document, _)| document.pkid == *pkid) {
                        Some((_, name)) => summary.with_name(name),
                        None => summary,
                    }
                },
            )
            .await?;
        if !dry_run {
            self.forget_requests(pkid).await;
        }
        Ok(deleted)
    }

    /// Begins a consent: returns the URL that a person has to open.
    pub async fn connect(
        &self,
        pkid: &Pkid,
        grant: Grant,
        redirect_uri: &str,
    ) -> Result<CallOutput<Authorization>, CallError> {
        self.transact(
            CallRequest::for_record("connect", pkid.clone()),
            async |workflows, store| {
                let grant = convert::grant_out(grant);
                workflows
                    .call_connect(store, pkid.as_str(), grant, redirect_uri)
                    .await
            },
            |authorization| Ok(convert::authorization(authorization)),
            |authorization: &Authorization| {
                let until = authorization.expires;
                CallSummary::success(format!("a person can consent until {until}"))
            },
        )
        .await
    }

    /// Completes a consent with the URL to which Webex redirected the browser.
    pub async fn complete_connect(
        &self,
        pkid: &Pkid,
        callback: &SecretString,
    ) -> Result<CallOutput<ConnectReport>, CallError> {
        self.transact(
            CallRequest::for_record("complete-connect", pkid.clone())
                .with_input(&[callback.expose_secret()])
                .with_secrets(input_secrets::extract_codes(callback)),
            async |workflows, store| {
                let callback = callback.expose_secret();
                workflows
                    .call_complete_connect(store, pkid.as_str(), callback)
                    .await
            },
            convert::connect_report,
            |report: &ConnectReport| {
                CallSummary::success(report.message.clone()).with_name(&report.connection.name)
            },
        )
        .await
    }

    /// Refreshes the organization's access token now. Concurrent callers share one request.
    ///
    /// `Ok` means that the workflow ran, not that Webex returned tokens: see
    /// [`RefreshReport::into_result`].
    pub async fn refresh(&self, pkid: &Pkid) -> Result<CallOutput<RefreshReport>, CallError> {
        self.refresh_grant(pkid, Grant::Organization).await
    }

    /// Works like [`Host::refresh`], for any grant of the record.
    pub async fn refresh_grant(
        &self,
        pkid: &Pkid,
        grant: Grant,
    ) -> Result<CallOutput<RefreshReport>, CallError> {
        let requested = self.clock().now();
        self.refresh_since(pkid, grant, requested).await
    }

    /// Works like [`Host::refresh_grant`], for a caller that repeats the call after a crash. The call joins an attempt
    /// that began at or after `requested`, so that a repetition sends no second request.
    pub async fn refresh_since(
        &self,
        pkid: &Pkid,
        grant: Grant,
        requested: Timestamp,
    ) -> Result<CallOutput<RefreshReport>, CallError> {
        self.transact(
            CallRequest::for_record("refresh", pkid.clone()),
            async |workflows, store| {
                workflows
                    .call_refresh(store, pkid.as_str(), convert::grant_out(grant), requested.0)
                    .await
            },
            convert::refresh_report,
            summarize_refresh,
        )
        .await
    }

    /// Returns the access token of a grant for another workflow of the platform. The token is valid for at least
    /// `min_valid`: if it is not, it is refreshed first. Concurrent callers share one refresh. The call's transaction
    /// shows that the token was opened.
    pub async fn access_token(
        &self,
        pkid: &Pkid,
        grant: Grant,
        min_valid: Duration,
    ) -> Result<CallOutput<AccessTokenReport>, CallError> {
        let min_valid = u64::try_from(min_valid.as_millis()).unwrap_or(u64::MAX);
        self.transact(
            CallRequest::for_record("access-token", pkid.clone()),
            async |workflows, store| {
                let grant = convert::grant_out(grant);
                workflows
                    .call_access_token(store, pkid.as_str(), grant, min_valid)
                    .await
            },
            convert::access_token_report,
            |report: &AccessTokenReport| {
                let message = format!("the caller received the access token for {grant}");
                CallSummary::success(message).with_name(&report.connection.name)
            },
        )
        .await
    }

    /// Checks both expiries of the organization's tokens, and raises or clears alerts.
    pub async fn check_expiry(&self, pkid: &Pkid) -> Result<CallOutput<ExpiryReport>, CallError> {
        self.check_grant(pkid, Grant::Organization).await
    }

    /// Works like [`Host::check_expiry`], for any grant of the record.
    pub async fn check_grant(
        &self,
        pkid: &Pkid,
        grant: Grant,
    ) -> Result<CallOutput<ExpiryReport>, CallError> {
        self.transact(
            CallRequest::for_record("check-expiry", pkid.clone()),
            async |workflows, store| {
                let grant = convert::grant_out(grant);
                workflows
                    .call_check_expiry(store, pkid.as_str(), grant)
                    .await
            },
            convert::expiry_report,
            summarize_expiry,
        )
        .await
    }
}

fn expose(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}
