//! What the workflows answer: the reports of the contract as plain values.

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
            notes: derived::notes(connection),
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
    /// Such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The threshold crossed, in milliseconds before the expiry; 0: the expiry itself.
    pub threshold: u64,
    /// How often it was found; 1 for a new alert.
    pub count: u32,
}

/// What `check-expiry` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryReport {
    /// The record afterwards.
    pub connection: Connection,
    /// Milliseconds left of the access token, 0 when over; none when there is no token.
    pub access_token_left: Option<u64>,
    /// Milliseconds left of the refresh token, 0 when over; none when there is no token.
    pub refresh_token_left: Option<u64>,
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

/// What a wakeup led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeReport {
    /// It was time to refresh.
    Refreshed(RefreshReport),
    /// It was time to look at the expiries.
    Checked(ExpiryReport),
    /// There was nothing to do any more, and why.
    Nothing(String),
}
