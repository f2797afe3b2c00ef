//! The host: a plugin, a store and a clock put together, and the workflows as functions to call.
//!
//! Every call is a transaction. It waits its turn for the record, claims the record's lease, runs a
//! fresh instance, and ends in one write that closes the transaction and releases the lease.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::component::{GuestError, Plugin, convert};
use crate::egress::Client;
use crate::imports::Services;
use crate::imports::bindings::exports::automate::spark_customer::workflows as guest;
use crate::reports::{
    Added, Authorization, ConnectReport, Connection, Deletion, ExpiryReport, Grant, Model,
    RefreshReport,
};
use crate::schedule::clock::Clock;
use crate::store::stash::Stash;
use crate::store::{DueWakeup, Store, StoreError};
use crate::types::{Failure, Hierarchy, Pkid, RECORD_MODEL, Reference, Timestamp};

mod builder;
mod call;
mod given;
mod housekeeping;
mod import;
mod kept;
mod names;
mod outcome;
mod turns;
mod wake;

pub use builder::{BuildError, ComponentSource, HostBuilder};
use call::Ask;
use housekeeping::Housekeeping;
pub use housekeeping::Retention;
pub use kept::StashSummary;
use outcome::{Ending, expiry_ending, refresh_ending};
use turns::Turns;
pub use wake::Fired;

/// Runs the workflows of one plugin on one store. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct Host {
    parts: Arc<Parts>,
}

struct Parts {
    plugin: Plugin,
    services: Arc<Services>,
    client: Client,
    turns: Turns,
    /// How many calls have begun, where randomness repeats itself.
    begun: AtomicU64,
    housekeeping: Housekeeping,
    /// Set once, before anybody else has the host.
    stash_at_start: std::sync::OnceLock<StashSummary>,
}

/// What a workflow answered, and the transaction that recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<T> {
    /// The transaction's id.
    pub transaction: String,
    /// The answer.
    pub value: T,
}

/// A call that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct CallError {
    /// The transaction's id, when the call got as far as that.
    pub transaction: Option<String>,
    /// Why.
    #[source]
    pub kind: CallErrorKind,
}

/// Why a call did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallErrorKind {
    /// The workflow says no; the case says who acts next.
    #[error(transparent)]
    Refused(Failure),
    /// The plugin gave no answer.
    #[error(transparent)]
    Guest(GuestError),
    /// Another host runs a workflow on this record.
    #[error("another call holds {subject} until {until} at the latest")]
    Busy {
        /// The record.
        subject: Reference,
        /// When its lease expires.
        until: Timestamp,
    },
    /// The store could not begin or end the call.
    #[error(transparent)]
    Store(StoreError),
}

/// What a new record is made of.
#[derive(Clone, Debug)]
pub struct AddRequest {
    /// The node where it belongs.
    pub hierarchy: Hierarchy,
    /// The model's fields by name.
    pub fields: Map<String, Value>,
    /// The token endpoint's JSON answer, for tokens that were fetched elsewhere.
    pub token_response: Option<SecretString>,
    /// A second add with the same key at the same node makes nothing.
    pub idempotency_key: Option<String>,
}

impl Host {
    /// Starts putting a host together.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.services.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.services.clock
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.parts.plugin
    }

    /// The stash, when there is one.
    pub fn stash(&self) -> Option<&Stash> {
        self.parts.services.stash.as_deref()
    }

    /// The model, as the plugin describes it. No transaction is recorded.
    pub async fn describe(&self) -> Result<Model, CallError> {
        let described = self
            .instance(None, async |workflows, store| {
                workflows.call_describe(store).await.map(Ok)
            })
            .await;
        described.map(convert::model).map_err(|kind| CallError {
            transaction: None,
            kind,
        })
    }

    /// Checks that the plugin stores its records in this host's [`RECORD_MODEL`], and asks the plugin
    /// whether it takes the settings that this host gives it. A host that starts with settings which the
    /// plugin refuses fails in every call, so ask before the first. No transaction is recorded.
    ///
    /// # Errors
    /// [`Failure::Invalid`] names every setting that the plugin refuses, with what it may hold.
    /// [`Failure::Internal`] names the record model of a plugin that has another one.
    pub async fn check_settings(&self) -> Result<(), CallError> {
        let model = self.describe().await?.record_model;
        if model != RECORD_MODEL {
            let text = format!(
                "the plugin {} stores its records in {model:?}, this host runs plugins that store them in \
                 {RECORD_MODEL:?}: use a plugin with this record model",
                self.plugin().name()
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
        checked.map_err(|kind| CallError {
            transaction: None,
            kind,
        })
    }

    /// Adds a record with everything that belongs to it.
    pub async fn add(&self, request: AddRequest) -> Result<Called<Added>, CallError> {
        let pkid = self.new_pkid();
        let name = request.fields.get("name").and_then(Value::as_str);
        let ask = Ask::of("add", pkid.clone())
            .named(name.unwrap_or_default())
            .given(given::tokens_in(request.token_response.as_ref()));
        self.transact(
            ask,
            async |workflows, store| {
                let request = guest::AddRequest {
                    pkid: pkid.to_string(),
                    hierarchy: request.hierarchy.to_string(),
                    fields: Value::Object(request.fields.clone()).to_string(),
                    token_response: clear(request.token_response.as_ref()),
                    idempotency_key: request.idempotency_key.clone(),
                };
                workflows.call_add(store, &request).await
            },
            convert::added,
            |added: &Added| {
                let name = &added.connection.name;
                let ending = if added.replayed {
                    Ending::success(format!("{name} was there already, from an earlier add"))
                } else {
                    let parts = added.created.len().saturating_sub(1);
                    Ending::success(format!(
                        "added {name} with {parts} documents that belong to it"
                    ))
                };
                ending.named(name)
            },
        )
        .await
    }

    /// Changes the fields given and leaves the others.
    pub async fn modify(
        &self,
        pkid: &Pkid,
        fields: Map<String, Value>,
        token_response: Option<SecretString>,
    ) -> Result<Called<Connection>, CallError> {
        self.transact(
            Ask::of("modify", pkid.clone()).given(given::tokens_in(token_response.as_ref())),
            async |workflows, store| {
                let fields = Value::Object(fields.clone()).to_string();
                let tokens = clear(token_response.as_ref());
                workflows
                    .call_modify(store, pkid.as_str(), &fields, tokens.as_deref())
                    .await
            },
            convert::connection,
            |connection: &Connection| {
                let name = &connection.name;
                Ending::success(format!("modified {name}")).named(name)
            },
        )
        .await
    }

    /// Deletes a record with everything that belongs to it, or says what that would be.
    pub async fn delete(&self, pkid: &Pkid, dry_run: bool) -> Result<Called<Deletion>, CallError> {
        let action = if dry_run {
            "delete (dry run)"
        } else {
            "delete"
        };
        self.transact(
            Ask::of(action, pkid.clone()),
            async |workflows, store| workflows.call_delete(store, pkid.as_str(), dry_run).await,
            convert::deletion,
            |deletion: &Deletion| {
                let documents = deletion.documents.len();
                let would = if dry_run { "would delete" } else { "deleted" };
                let ending = Ending::success(format!("{would} {documents} documents"));
                // It cannot be looked up any more.
                let mut deleted = deletion.documents.iter();
                match deleted.find(|(document, _)| document.pkid == *pkid) {
                    Some((_, name)) => ending.named(name),
                    None => ending,
                }
            },
        )
        .await
    }

    /// Begins a consent: answers with the address to which a person goes.
    pub async fn connect(
        &self,
        pkid: &Pkid,
        grant: Grant,
        redirect_uri: &str,
    ) -> Result<Called<Authorization>, CallError> {
        self.transact(
            Ask::of("connect", pkid.clone()),
            async |workflows, store| {
                let grant = convert::grant_out(grant);
                workflows
                    .call_connect(store, pkid.as_str(), grant, redirect_uri)
                    .await
            },
            |authorization| Ok(convert::authorization(authorization)),
            |authorization: &Authorization| {
                let until = authorization.expires;
                Ending::success(format!("a person can consent until {until}"))
            },
        )
        .await
    }

    /// Completes a consent with the address to which Webex sent the browser.
    pub async fn complete_connect(
        &self,
        pkid: &Pkid,
        callback: &SecretString,
    ) -> Result<Called<ConnectReport>, CallError> {
        self.transact(
            Ask::of("complete-connect", pkid.clone()).given(given::code_in(callback)),
            async |workflows, store| {
                let callback = callback.expose_secret();
                workflows
                    .call_complete_connect(store, pkid.as_str(), callback)
                    .await
            },
            convert::connected,
            |report: &ConnectReport| {
                Ending::success(report.message.clone()).named(&report.connection.name)
            },
        )
        .await
    }

    /// Refreshes the organisation's access token now. Callers at the same time share one request.
    pub async fn refresh(&self, pkid: &Pkid) -> Result<Called<RefreshReport>, CallError> {
        self.refresh_grant(pkid, Grant::Organization).await
    }

    /// As [`Host::refresh`], of any of the record's grants.
    pub async fn refresh_grant(
        &self,
        pkid: &Pkid,
        grant: Grant,
    ) -> Result<Called<RefreshReport>, CallError> {
        let requested = self.clock().now();
        self.transact(
            Ask::of("refresh", pkid.clone()),
            async |workflows, store| {
                workflows
                    .call_refresh(store, pkid.as_str(), convert::grant_out(grant), requested.0)
                    .await
            },
            convert::refreshed,
            refresh_ending,
        )
        .await
    }

    /// Looks at both expiries of the organisation's tokens, and raises or clears alerts.
    pub async fn check_expiry(&self, pkid: &Pkid) -> Result<Called<ExpiryReport>, CallError> {
        self.check_grant(pkid, Grant::Organization).await
    }

    /// As [`Host::check_expiry`], of any of the record's grants.
    pub async fn check_grant(
        &self,
        pkid: &Pkid,
        grant: Grant,
    ) -> Result<Called<ExpiryReport>, CallError> {
        self.transact(
            Ask::of("check-expiry", pkid.clone()),
            async |workflows, store| {
                let grant = convert::grant_out(grant);
                workflows
                    .call_check_expiry(store, pkid.as_str(), grant)
                    .await
            },
            convert::checked,
            expiry_ending,
        )
        .await
    }
}

fn clear(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| secret.expose_secret().to_owned())
}

/// What the transaction of a wakeup is called: the workflow that it runs.
fn wake_action(wakeup: &DueWakeup) -> String {
    match wakeup.wakeup.kind() {
        "expiry" => "check-expiry".to_owned(),
        kind => kind.to_owned(),
    }
}
