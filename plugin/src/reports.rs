//! The reports that workflows return, as plain values of the contract's types.

use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Reference, Timestamp};
use crate::record::{self, Record, State};

/// The expiry of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The expiry, in milliseconds since the epoch.
    pub at: Timestamp,
    /// Whether Webex did not report the lifetime: the expiry is then the last known value, or the
    /// configured assumption.
    pub assumed: bool,
}

impl From<record::Expiry> for Expiry {
    fn from(expiry: record::Expiry) -> Self {
        Self {
            at: expiry.at,
            assumed: expiry.assumed,
        }
    }
}

/// The state of one grant of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatus {
    /// The grant.
    pub grant: Grant,
    /// The grant's state.
    pub state: State,
    /// The access token's expiry, if there is a token.
    pub access_token_expires: Option<Expiry>,
    /// The refresh token's expiry, if there is a token.
    pub refresh_token_expires: Option<Expiry>,
    /// The time of the next refresh.
    pub next_refresh: Option<Timestamp>,
    /// The granted scopes, if Webex named them.
    pub scopes: Vec<String>,
    /// Required scopes that were not granted; empty if Webex named none at all.
    pub missing_scopes: Vec<String>,
}

impl GrantStatus {
    /// Creates the report of one grant's state.
    pub fn new(grant: Grant, state: &record::GrantState) -> Self {
        Self {
            grant,
            state: state.state,
            access_token_expires: state.access.map(Expiry::from),
            refresh_token_expires: state.refresh.map(Expiry::from),
            next_refresh: state.next_refresh,
            scopes: state.scopes.clone(),
            missing_scopes: state.missing_scopes.clone(),
        }
    }
}

/// The state of one record after a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// The record's primary key.
    pub pkid: String,
    /// The customer's name.
    pub name: String,
    /// The record's node.
    pub hierarchy: String,
    /// The state of the organisation's grant.
    pub state: State,
    /// The access token's expiry, if there is a token.
    pub access_token_expires: Option<Expiry>,
    /// The refresh token's expiry, if there is a token.
    pub refresh_token_expires: Option<Expiry>,
    /// The time of the next refresh.
    pub next_refresh: Option<Timestamp>,
    /// The grants of the connection, the organisation's first.
    pub grants: Vec<GrantStatus>,
    /// Notes for the administrator, such as the next step; may be empty.
    pub notes: String,
}

impl ConnectionReport {
    /// Creates the report of `record` for callers.
    pub fn from_record(record: &Record) -> Self {
        let connection = &record.body.connection;
        Self {
            pkid: record.pkid.clone(),
            name: record.name().to_owned(),
            hierarchy: record.hierarchy.clone(),
            state: connection.state,
            access_token_expires: connection.access.map(Expiry::from),
            refresh_token_expires: connection.refresh.map(Expiry::from),
            next_refresh: connection.next_refresh,
            grants: std::iter::once((&Grant::Organization, connection))
                .chain(&record.body.further_grants)
                .map(|(grant, state)| GrantStatus::new(*grant, state))
                .collect(),
            notes: derived::notes(&record.body),
        }
    }
}

/// The result of `add`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddReport {
    /// The record; after a replay, the pkid is the one of the first add.
    pub connection: ConnectionReport,
    /// The documents that the commit created, the record first.
    pub created: Vec<Reference>,
    /// Whether an earlier add with the same idempotency key had created the record, so that this
    /// call created nothing.
    pub replayed: bool,
}

/// The outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Webex responded with tokens, changed or not.
    Connected,
    /// A transient error; a wakeup will retry.
    Retrying,
    /// Webex refused the refresh token: a person must connect again.
    Reauthorize,
    /// The refresh token has expired: a person must connect again.
    Expired,
}

/// The result of `refresh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshReport {
    /// The refreshed grant.
    pub grant: Grant,
    /// The outcome.
    pub outcome: RefreshOutcome,
    /// The record afterwards.
    pub connection: ConnectionReport,
    /// The explanation for the administrator.
    pub message: String,
    /// Webex's tracking id of the failed request.
    pub tracking_id: Option<String>,
    /// Whether an earlier attempt had already done this call's work, so that no request was sent.
    pub joined: bool,
}

/// A notice about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The alert's document of `data/Alert`.
    pub reference: Reference,
    /// The grant that the alert is about.
    pub grant: Grant,
    /// The code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The crossed threshold in milliseconds before the expiry; 0 means the expiry itself.
    pub threshold_ms: u64,
    /// The number of occurrences; 1 for a new alert.
    pub count: u32,
}

/// The result of `check-expiry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryReport {
    /// The checked grant.
    pub grant: Grant,
    /// The record afterwards.
    pub connection: ConnectionReport,
    /// The remaining time of the access token in milliseconds, 0 when it has expired; none when
    /// there is no token.
    pub access_token_remaining_ms: Option<u64>,
    /// The remaining time of the refresh token in milliseconds, 0 when it has expired; none when
    /// there is no token.
    pub refresh_token_remaining_ms: Option<u64>,
    /// The current alert.
    pub alert: Option<Alert>,
    /// Resolved alerts that this check deleted.
    pub cleared: Vec<Reference>,
}

/// The outcome of revoking the tokens at Webex when the record was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Webex confirmed the revocation.
    Revoked,
    /// Revocation was not attempted; the text says why.
    Skipped(String),
    /// Revocation failed; the text says why. The tokens remain valid until their own expiry.
    Failed(String),
}

/// The result of `delete`, or its preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The deleted documents with their names, in the order of removal.
    pub documents: Vec<(Reference, String)>,
    /// The ids of the cancelled wakeups.
    pub wakeups: Vec<String>,
    /// The outcome of revoking the tokens.
    pub revocation: Revocation,
}

/// The authorization request of a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The grant to consent to.
    pub grant: Grant,
    /// The URL of Webex's consent page.
    pub url: String,
    /// The `state` parameter of the URL: the pkid, a full stop, 256 random bits in base64url.
    pub state: String,
    /// The URL to which Webex sends the browser afterwards.
    pub redirect_uri: String,
    /// The requested scopes.
    pub scopes: Vec<String>,
    /// The time after which the callback is refused.
    pub expires: Timestamp,
}

/// The result of a completed consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectReport {
    /// The grant that was consented to.
    pub grant: Grant,
    /// The record afterwards.
    pub connection: ConnectionReport,
    /// The bare UUID of the organisation that consented.
    pub organization: String,
    /// Alerts that the new consent resolved.
    pub cleared: Vec<Reference>,
    /// The start of the import of roles and licences, if this consent starts one.
    pub sync_due: Option<Timestamp>,
    /// The explanation for the administrator.
    pub message: String,
}

/// The kind of objects to import from Webex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncKind {
    /// `device/spark/Role` and `device/spark/License`.
    RolesLicenses,
}

/// The documents of one model that an import has changed, counted from its first step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportCount {
    /// The model, such as `device/spark/Role`.
    pub model: String,
    /// The number of entries that Webex listed.
    pub found: u32,
    /// The number of documents created.
    pub added: u32,
    /// The number of documents changed.
    pub updated: u32,
    /// The number of documents deleted.
    pub removed: u32,
}

/// The result of one call of `sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// The kind of objects imported.
    pub kind: SyncKind,
    /// The record's primary key.
    pub pkid: String,
    /// The number of steps done since the import began.
    pub done: u32,
    /// The number of steps in total, as far as it is known.
    pub total: u32,
    /// The counts per model.
    pub models: Vec<ImportCount>,
    /// The time of the wakeup that continues the import; none when the import has ended.
    pub continues: Option<Timestamp>,
    /// The explanation for the administrator.
    pub message: String,
}

/// The result of a wakeup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeReport {
    /// The wakeup refreshed tokens.
    Refreshed(RefreshReport),
    /// The wakeup checked expiries.
    Checked(ExpiryReport),
    /// The wakeup began or continued an import.
    Synced(SyncReport),
    /// The wakeup was obsolete; the text says why.
    Nothing(String),
}
