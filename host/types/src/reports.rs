//! The results of the workflows in the host's own types, which are stable for embedders and
//! serialize to JSON.

mod description;

use std::borrow::Cow;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::description::{
    Action, Choice, Field, FieldKind, Finding, FindingLevel, Model, SettingDescription,
};
use crate::{Hierarchy, Pkid, Reference, Timestamp};

/// The state of a connection or grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Tokens were never stored.
    NotConnected,
    /// Tokens are stored and refreshed.
    Connected,
    /// The refresh token expires within the last alert threshold.
    Expiring,
    /// The refresh token has expired: a person must connect again.
    Expired,
    /// Webex refused the refresh token: a person must connect again.
    Reauthorize,
    /// A scope that this release needs was not granted.
    MissingScope,
    /// The last attempt failed with a temporary error; the tokens are kept.
    Retrying,
}

impl State {
    /// All states, the most urgent first.
    pub const ALL: [Self; 7] = [
        Self::Expired,
        Self::Reauthorize,
        Self::Expiring,
        Self::MissingScope,
        Self::NotConnected,
        Self::Retrying,
        Self::Connected,
    ];

    /// Returns the state's name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not-connected",
            Self::Connected => "connected",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Reauthorize => "reauthorize",
            Self::MissingScope => "missing-scope",
            Self::Retrying => "retrying",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The expiry of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The time of expiry.
    pub at: Timestamp,
    /// Webex did not report the expiry: it is the last known value or the configured assumption.
    pub assumed: bool,
}

/// One of the consents that a connection consists of.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// The organization. Every connection has it.
    #[default]
    Organization,
    /// The customers of a wholesale partner.
    WholesaleCustomers,
    /// The users of a wholesale partner's customers.
    WholesaleUsers,
}

impl Grant {
    /// Returns the grant's name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::WholesaleCustomers => "wholesale-customers",
            Self::WholesaleUsers => "wholesale-users",
        }
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of a grant's last refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRefresh {
    /// The number of consecutive failures.
    pub attempts: u32,
    /// The time when the first of these failures began. `None` if it is not known, for a refusal, and while Webex does
    /// not accept the integration.
    pub since: Option<Timestamp>,
    /// The reason, for the administrator.
    pub reason: String,
    /// Webex's tracking id of the request.
    pub tracking_id: Option<String>,
    /// Whether further attempts fail too until the operator corrects the cause: a setting, a policy or limit of
    /// the host, or a proxy.
    pub needs_change: bool,
}

/// The state of one grant of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantStatus {
    /// The grant.
    pub grant: Grant,
    /// The grant's state.
    pub state: State,
    /// The expiry of the grant's access token.
    pub access_token_expires: Option<Expiry>,
    /// The expiry of the grant's refresh token.
    pub refresh_token_expires: Option<Expiry>,
    /// The lifetime of the grant's refresh token, from its issue to its expiry.
    pub refresh_token_lifetime_ms: Option<u64>,
    /// A counter that rises with each new refresh token and each later expiry.
    pub generation: u64,
    /// The time when tokens were last received.
    pub refreshed: Option<Timestamp>,
    /// The error of the last refresh, which is retried or was a refusal; `None` after a success.
    pub failed_refresh: Option<FailedRefresh>,
    /// The time when the grant's next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// The granted scopes, if Webex reported them.
    pub scopes: Vec<String>,
    /// Required scopes that were not granted.
    pub missing_scopes: Vec<String>,
}

/// The state of one record after a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// The record's key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// The customer's node in the hierarchy.
    pub hierarchy: Hierarchy,
    /// The connection's state.
    pub state: State,
    /// The expiry of the access token.
    pub access_token_expires: Option<Expiry>,
    /// The expiry of the refresh token.
    pub refresh_token_expires: Option<Expiry>,
    /// The time when the next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// All grants of the connection, the organization's first.
    pub grants: Vec<GrantStatus>,
    /// A text for the administrator; may be empty.
    pub notes: String,
}

/// A document that belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedDocument {
    /// The document.
    #[serde(flatten)]
    pub reference: Reference,
    /// The document's name.
    pub name: String,
    /// The document's purpose for the record, such as `refresh-schedule`.
    pub role: String,
}

/// A stored record, as the plugin shows it to administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordDetails {
    /// The state of the connection.
    pub connection: ConnectionReport,
    /// The model's fields, with those that the plugin sets, without secrets.
    pub fields: Map<String, Value>,
    /// The documents that belong to the record.
    pub owned_documents: Vec<OwnedDocument>,
}

/// The result of `add`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddReport {
    /// The new record.
    pub connection: ConnectionReport,
    /// References of all created documents, the record's first.
    pub created: Vec<Reference>,
    /// Whether an earlier add with this idempotency key had created the record.
    pub replayed: bool,
}

/// The outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshOutcome {
    /// Webex returned tokens.
    Connected,
    /// A temporary error; a wakeup will retry.
    Retrying,
    /// Webex refused the refresh token.
    Reauthorize,
    /// The refresh token has expired.
    Expired,
}

/// The result of `refresh`, which may be a failure: see [`RefreshReport::into_result`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "Webex may have returned no tokens: use `into_result`"]
pub struct RefreshReport {
    /// The grant that was refreshed.
    pub grant: Grant,
    /// The outcome of the refresh.
    pub outcome: RefreshOutcome,
    /// The state of the record after the refresh.
    pub connection: ConnectionReport,
    /// A text for the administrator.
    pub message: String,
    /// Webex's tracking id of the failed request.
    pub tracking_id: Option<String>,
    /// Whether another attempt had already refreshed the tokens, so this call sent no request.
    pub joined: bool,
}

impl RefreshReport {
    /// Returns whether Webex returned tokens, to this call or to the attempt that it joined.
    pub fn is_connected(&self) -> bool {
        self.outcome == RefreshOutcome::Connected
    }

    /// Returns whether refreshes of this grant fail until the operator corrects the cause.
    pub fn needs_change(&self) -> bool {
        let mut grants = self.connection.grants.iter();
        grants
            .find(|status| status.grant == self.grant)
            .and_then(|status| status.failed_refresh.as_ref())
            .is_some_and(|failed| failed.needs_change)
    }

    /// Returns the report of a refresh with new tokens.
    ///
    /// # Errors
    /// Webex returned no tokens. The outcome says whether a wakeup will retry or a person has to
    /// connect again.
    pub fn into_result(self) -> Result<Self, RefreshError> {
        match self.is_connected() {
            true => Ok(self),
            false => Err(RefreshError(Box::new(self))),
        }
    }
}

/// The report of a refresh without new tokens. Displays its message and Webex's tracking id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshError(pub Box<RefreshReport>);

impl std::fmt::Display for RefreshError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.tracking_id {
            Some(id) => write!(f, " (tracking id {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RefreshError {}

/// An alert about a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The alert's document.
    pub reference: Reference,
    /// The grant that the alert is about.
    pub grant: Grant,
    /// The alert's code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// Milliseconds before the expiry; 0 is the expiry itself.
    pub threshold_ms: u64,
    /// The number of times that the alert was raised.
    pub count: u32,
}

/// The result of `check-expiry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryReport {
    /// The grant that was checked.
    pub grant: Grant,
    /// The state of the record.
    pub connection: ConnectionReport,
    /// Remaining lifetime of the access token, in milliseconds.
    pub access_token_remaining_ms: Option<u64>,
    /// Remaining lifetime of the refresh token, in milliseconds.
    pub refresh_token_remaining_ms: Option<u64>,
    /// The active alert.
    pub alert: Option<Alert>,
    /// Alerts that were cleared after a recovery.
    pub cleared: Vec<Reference>,
}

/// The outcome of revoking the tokens at Webex when the record was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "reason", rename_all = "kebab-case")]
pub enum Revocation {
    /// Webex confirmed the revocation.
    Revoked,
    /// The revocation was not tried, for this reason.
    Skipped(String),
    /// The revocation failed, for this reason.
    Failed(String),
}

/// The documents and wakeups that `delete` removed, or would remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// All documents with their names, in the order of removal.
    pub documents: Vec<(Reference, String)>,
    /// The ids of the removed wakeups.
    pub wakeups: Vec<String>,
    /// The outcome of revoking the tokens.
    pub revocation: Revocation,
}

/// The request for a person's consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// The grant to consent to.
    pub grant: Grant,
    /// The URL of Webex's consent page, for a browser.
    pub url: String,
    /// The `state` parameter of the URL, which the callback returns.
    pub state: String,
    /// The URI to which Webex redirects the browser afterwards.
    pub redirect_uri: String,
    /// The requested scopes.
    pub scopes: Vec<String>,
    /// The time until which the callback is accepted.
    pub expires: Timestamp,
}

/// The result of a completed consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectReport {
    /// The grant that was consented to.
    pub grant: Grant,
    /// The state of the record after the consent.
    pub connection: ConnectionReport,
    /// The organization that consented: its bare UUID.
    pub organization: String,
    /// Alerts that the consent cleared.
    pub cleared: Vec<Reference>,
    /// The time when the sync of roles and licenses begins, if this consent starts one.
    pub sync_due: Option<Timestamp>,
    /// A text for the administrator.
    pub message: String,
}

/// The access token of a grant, for another workflow of the platform. Serialized without the token.
#[derive(Clone, Debug, Serialize)]
pub struct AccessTokenReport {
    /// The access token.
    #[serde(skip)]
    pub token: SecretString,
    /// The time at which it expires; `None`: unknown.
    pub expires: Option<Expiry>,
    /// The connection.
    pub connection: ConnectionReport,
}

/// Names a data sync of a record: by its role, with or without `sync-`, by its name, or by its primary key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncSelector(Cow<'static, str>);

impl SyncSelector {
    /// The data sync of everything in the organization, users included.
    pub const ALL: Self = Self(Cow::Borrowed("all"));
    /// The data sync of roles and licenses.
    pub const ROLES_LICENSES: Self = Self(Cow::Borrowed("roles-licenses"));
    /// The data sync of users.
    pub const USERS: Self = Self(Cow::Borrowed("users"));

    /// Creates a selector from a role, a name or a primary key.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// Returns the role, the name or the primary key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The changes of one model since the import began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCount {
    /// The model, such as `device/spark/Role`.
    pub model: String,
    /// Items that Webex listed.
    pub found: u32,
    /// Added documents.
    pub added: u32,
    /// Updated documents.
    pub updated: u32,
    /// Removed documents.
    pub removed: u32,
    /// Why the list could not be read; `None`: it was read, or will be.
    pub failed: Option<String>,
}

/// The result of one call of `sync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// The data sync's name.
    pub sync: String,
    /// The data sync's primary key.
    pub sync_pkid: Pkid,
    /// The record that the import belongs to.
    pub pkid: Pkid,
    /// Completed steps since the import began.
    pub done: u32,
    /// Total number of steps, as far as known.
    pub total: u32,
    /// The changes of each model.
    pub models: Vec<ImportCount>,
    /// The time when a wakeup continues the import; `None` if the import is complete.
    pub continues: Option<Timestamp>,
    /// A text for the administrator.
    pub message: String,
}

impl SyncReport {
    /// Returns whether every list could be read so far.
    pub fn is_complete(&self) -> bool {
        self.models.iter().all(|model| model.failed.is_none())
    }
}

/// The result of a wakeup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "report", rename_all = "kebab-case")]
pub enum WakeReport {
    /// A refresh.
    Refreshed(RefreshReport),
    /// An expiry check.
    Checked(ExpiryReport),
    /// A step of an import.
    Synced(SyncReport),
    /// No work was left to do, for this reason.
    Nothing(String),
}
