//! What the workflows answer: the reports of the contract as plain values.

use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Reference, Timestamp};
use crate::record::{self, Record, State};

/// When a token expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The moment.
    pub at: Timestamp,
    /// Webex did not say: the last known value, or the configured assumption.
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

/// How one grant of a record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStatus {
    /// Which one.
    pub grant: Grant,
    /// How it stands.
    pub state: State,
    /// The access token's expiry, when there is a token.
    pub access_token_expires: Option<Expiry>,
    /// The refresh token's expiry, when there is a token.
    pub refresh_token_expires: Option<Expiry>,
    /// When the next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// The scopes granted, when Webex named them.
    pub scopes: Vec<String>,
    /// Required scopes that were not granted; empty when Webex named none at all.
    pub missing_scopes: Vec<String>,
}

impl GrantStatus {
    /// The view of one of a record's grants.
    pub fn of(grant: Grant, connection: &record::Connection) -> Self {
        Self {
            grant,
            state: connection.state,
            access_token_expires: connection.access.map(Expiry::from),
            refresh_token_expires: connection.refresh.map(Expiry::from),
            next_refresh: connection.next_refresh,
            scopes: connection.scopes.clone(),
            missing_scopes: connection.missing_scopes.clone(),
        }
    }
}

/// How one record stands after a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The record's primary key.
    pub pkid: String,
    /// The customer's name.
    pub name: String,
    /// The record's node.
    pub hierarchy: String,
    /// How the connection stands.
    pub state: State,
    /// The access token's expiry, when there is a token.
    pub access_token_expires: Option<Expiry>,
    /// The refresh token's expiry, when there is a token.
    pub refresh_token_expires: Option<Expiry>,
    /// When the next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// Every grant that the connection is made of, the organisation's first.
    pub grants: Vec<GrantStatus>,
    /// For the administrator, such as what to do next; may be empty.
    pub notes: String,
}

impl Connection {
    /// The view of `record` that callers are given.
    pub fn of(record: &Record) -> Self {
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
                .map(|(grant, connection)| GrantStatus::of(*grant, connection))
                .collect(),
            notes: derived::notes(&record.body),
        }
    }
}

/// What `add` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The record; its pkid is the one of the first add when this was a replay.
    pub connection: Connection,
    /// Everything the commit created, the record first.
    pub created: Vec<Reference>,
    /// Nothing was made: an earlier add with this idempotency key had made it.
    pub replayed: bool,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Webex answered with tokens, changed or not.
    Connected,
    /// A passing fault; a wakeup tries again.
    Retrying,
    /// Webex refused the refresh token: a person must connect again.
    Reauthorize,
    /// The refresh token's time is over: a person must connect again.
    Expired,
}

/// What `refresh` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshReport {
    /// Which tokens.
    pub grant: Grant,
    /// How it ended.
    pub outcome: RefreshOutcome,
    /// The record afterwards.
    pub connection: Connection,
    /// What happened, for the administrator.
    pub message: String,
    /// Webex's name for the failed request.
    pub tracking_id: Option<String>,
    /// No request was made: an earlier attempt had already answered this call.
    pub joined: bool,
}

/// A notice about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its document of `data/Alert`.
    pub reference: Reference,
    /// The grant that it is about.
    pub grant: Grant,
    /// Such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The threshold crossed, in milliseconds before the expiry; 0: the expiry itself.
    pub threshold_ms: u64,
    /// How often it was found; 1 for a new alert.
    pub count: u32,
}

/// What `check-expiry` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryReport {
    /// Which tokens.
    pub grant: Grant,
    /// The record afterwards.
    pub connection: Connection,
    /// Milliseconds left of the access token, 0 when over; none when there is no token.
    pub access_token_remaining_ms: Option<u64>,
    /// Milliseconds left of the refresh token, 0 when over; none when there is no token.
    pub refresh_token_remaining_ms: Option<u64>,
    /// The alert that stands now.
    pub alert: Option<Alert>,
    /// Alerts that a recovery ended with this check.
    pub cleared: Vec<Reference>,
}

/// What became of the tokens at Webex when the record was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Webex confirmed it.
    Revoked,
    /// It was not tried, and why.
    Skipped(String),
    /// It was tried and failed, and why: the tokens die at their own expiry.
    Failed(String),
}

/// What `delete` removed, or would remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Every document and its name, in the order of removal.
    pub documents: Vec<(Reference, String)>,
    /// The ids of the wakeups.
    pub wakeups: Vec<String>,
    /// What became of the tokens.
    pub revocation: Revocation,
}

/// Where a person goes to consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What is to be consented to.
    pub grant: Grant,
    /// The address of Webex's consent page.
    pub url: String,
    /// The `state` parameter in it: the pkid, a full stop, 256 random bits in base64url.
    pub state: String,
    /// Where Webex sends the browser afterwards.
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The callback must have come until then.
    pub expires: Timestamp,
}

/// What a completed consent changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectReport {
    /// What was consented to.
    pub grant: Grant,
    /// The record afterwards.
    pub connection: Connection,
    /// The organisation that consented: its bare UUID.
    pub organization: String,
    /// Alerts that the new consent ended.
    pub cleared: Vec<Reference>,
    /// When the import of roles and licences begins, if this consent starts one.
    pub sync_due: Option<Timestamp>,
    /// For the administrator.
    pub message: String,
}

/// What is imported from Webex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncKind {
    /// `device/spark/Role` and `device/spark/License`.
    RolesLicenses,
}

/// What an import has done with the documents of one model, counted from its first step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportCount {
    /// Such as `device/spark/Role`.
    pub model: String,
    /// How many Webex named.
    pub found: u32,
    /// New ones.
    pub added: u32,
    /// Changed ones.
    pub updated: u32,
    /// Vanished ones.
    pub removed: u32,
}

/// What one call of `sync` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// What is imported.
    pub kind: SyncKind,
    /// The record's primary key.
    pub pkid: String,
    /// Steps done since the import began.
    pub done: u32,
    /// Steps that it has, as far as is known.
    pub total: u32,
    /// What became of the documents.
    pub models: Vec<ImportCount>,
    /// A wakeup goes on with it at this moment; none: it is at its end.
    pub continues: Option<Timestamp>,
    /// For the administrator.
    pub message: String,
}

/// What a wakeup led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeReport {
    /// It was time to refresh.
    Refreshed(RefreshReport),
    /// It was time to look at the expiries.
    Checked(ExpiryReport),
    /// It was time to import, or to go on with it.
    Synced(SyncReport),
    /// There was nothing to do any more, and why.
    Nothing(String),
}
