//! What the workflows answer, in the host's own types: stable for whoever embeds the library, and
//! ready to be written as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::types::{Hierarchy, Pkid, Reference, Timestamp};

/// What kind of value a field of the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is an e-mail address.
    Email,
    /// A text that is a URL; a link when read-only.
    Uri,
    /// A text: RFC 3339, UTC.
    DateTime,
    /// `true` or `false`.
    Boolean,
    /// A list of objects, whose fields are listed as `name[].field`.
    Objects,
}

/// One of the values that a field may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is stored.
    pub value: String,
    /// What a person is shown.
    pub title: String,
}

/// One field of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The label of the form.
    pub title: String,
    /// What it takes.
    pub kind: FieldKind,
    /// Must be given at add.
    pub required: bool,
    /// The most characters that a text may have.
    pub max_length: Option<u32>,
    /// Write-only: never returned, shown or logged.
    pub password: bool,
    /// Set by the plugin; refused as input.
    pub read_only: bool,
    /// Given at add and never changed afterwards.
    pub add_only: bool,
    /// The values allowed; empty: any.
    pub choices: Vec<Choice>,
    /// One sentence for the person who fills in the form.
    pub help: String,
}

/// Something that can be done with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name, such as `RefreshAccessToken`.
    pub name: String,
    /// Its title.
    pub title: String,
    /// One sentence about it.
    pub help: String,
}

/// A setting that the plugin reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingDescription {
    /// The key under which the plugin reads it.
    pub key: String,
    /// Whether its value is a secret.
    pub secret: bool,
    /// The form of its value, as words that follow "must be".
    pub format: String,
    /// The value in effect without one.
    pub default: Option<String>,
    /// One sentence for an operator.
    pub help: String,
}

/// The model as the plugin describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// `relation/SparkCustomer`.
    pub name: String,
    /// `data/SparkCustomer`.
    pub record_model: String,
    /// Its title.
    pub title: String,
    /// Its fields, in the order of the form.
    pub fields: Vec<Field>,
    /// Its actions.
    pub actions: Vec<Action>,
    /// The settings that the plugin reads.
    pub settings: Vec<SettingDescription>,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It never had tokens.
    NotConnected,
    /// Tokens are there and get refreshed.
    Connected,
    /// The refresh token expires within the last threshold of notice.
    Expiring,
    /// The refresh token's time is over: a person must connect again.
    Expired,
    /// Webex refused the refresh token: a person must connect again.
    Reauthorize,
    /// A scope that this release needs was not granted.
    MissingScope,
    /// The last attempt failed for a passing reason; the tokens are kept.
    Retrying,
}

impl State {
    /// The contract's word for it.
    pub fn as_str(self) -> &'static str {
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

/// When a token expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The moment.
    pub at: Timestamp,
    /// Nobody said so: the last known value, or the configured assumption.
    pub assumed: bool,
}

/// One of the consents that a connection is made of.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// The organisation. Every connection has it.
    #[default]
    Organization,
    /// The customers of a wholesale partner.
    WholesaleCustomers,
    /// The users of a wholesale partner's customers.
    WholesaleUsers,
}

impl Grant {
    /// The contract's word for it.
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

/// How one grant of a record stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantStatus {
    /// Which one.
    pub grant: Grant,
    /// How it stands.
    pub state: State,
    /// When its access token expires.
    pub access_token_expires: Option<Expiry>,
    /// When its refresh token expires.
    pub refresh_token_expires: Option<Expiry>,
    /// When its next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// The scopes granted, when Webex named them.
    pub scopes: Vec<String>,
    /// Required scopes that were not granted.
    pub missing_scopes: Vec<String>,
}

/// How one record stands after a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// Its node.
    pub hierarchy: Hierarchy,
    /// How it stands.
    pub state: State,
    /// When the access token expires.
    pub access_token_expires: Option<Expiry>,
    /// When the refresh token expires.
    pub refresh_token_expires: Option<Expiry>,
    /// When the next refresh is due.
    pub next_refresh: Option<Timestamp>,
    /// Every grant that the connection is made of, the organisation's first.
    pub grants: Vec<GrantStatus>,
    /// For the administrator; may be empty.
    pub notes: String,
}

/// What `add` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The record.
    pub connection: Connection,
    /// Everything that was created, the record first.
    pub created: Vec<Reference>,
    /// Nothing was made: an earlier add with this idempotency key had made it.
    pub replayed: bool,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshOutcome {
    /// Webex answered with tokens.
    Connected,
    /// A passing fault: a wakeup tries again.
    Retrying,
    /// Webex refused the refresh token.
    Reauthorize,
    /// The refresh token's time is over.
    Expired,
}

/// What `refresh` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshReport {
    /// Which tokens.
    pub grant: Grant,
    /// How it ended.
    pub outcome: RefreshOutcome,
    /// How the record stands now.
    pub connection: Connection,
    /// For the administrator.
    pub message: String,
    /// Webex's name for the failed request.
    pub tracking_id: Option<String>,
    /// No request was made: another attempt had already answered this one.
    pub joined: bool,
}

/// A notice about a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its document.
    pub reference: Reference,
    /// The grant that it is about.
    pub grant: Grant,
    /// Such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// Milliseconds before the expiry; 0: the expiry itself.
    #[serde(rename = "threshold")]
    pub threshold_ms: u64,
    /// How often it was found.
    pub count: u32,
}

/// What `check-expiry` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryReport {
    /// Which tokens.
    pub grant: Grant,
    /// How the record stands.
    pub connection: Connection,
    /// Milliseconds left of the access token.
    #[serde(rename = "access_token_left")]
    pub access_token_remaining_ms: Option<u64>,
    /// Milliseconds left of the refresh token.
    #[serde(rename = "refresh_token_left")]
    pub refresh_token_remaining_ms: Option<u64>,
    /// The alert that stands now.
    pub alert: Option<Alert>,
    /// Alerts that a recovery ended.
    pub cleared: Vec<Reference>,
}

/// What became of the tokens at Webex when the record was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "reason", rename_all = "kebab-case")]
pub enum Revocation {
    /// Webex confirmed it.
    Revoked,
    /// It was not tried, and why.
    Skipped(String),
    /// It was tried and failed, and why.
    Failed(String),
}

/// What `delete` removed, or would remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Every document with its name, in the order of removal.
    pub documents: Vec<(Reference, String)>,
    /// The ids of the wakeups.
    pub wakeups: Vec<String>,
    /// What became of the tokens.
    pub revocation: Revocation,
}

/// Where a person goes to consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// What is to be consented to.
    pub grant: Grant,
    /// The address of Webex's consent page, for a browser.
    pub url: String,
    /// The `state` parameter in it, which the callback brings back.
    pub state: String,
    /// Where Webex sends the browser afterwards.
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The callback must have come until then.
    pub expires: Timestamp,
}

/// What a completed consent changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectReport {
    /// What was consented to.
    pub grant: Grant,
    /// How the record stands now.
    pub connection: Connection,
    /// The organisation that consented: its bare UUID.
    pub organization: String,
    /// Alerts that the consent ended.
    pub cleared: Vec<Reference>,
    /// When the import of roles and licences begins, if this consent starts one.
    pub sync_due: Option<Timestamp>,
    /// For the administrator.
    pub message: String,
}

/// What is imported from Webex, by the contract's word for it. The set is open: the plugin says which
/// kinds it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncKind(Cow<'static, str>);

impl SyncKind {
    /// `device/spark/Role` and `device/spark/License`.
    pub const ROLES_LICENSES: Self = Self(Cow::Borrowed("roles-licenses"));

    /// The kind that this word stands for.
    pub fn new(word: impl Into<String>) -> Self {
        Self(Cow::Owned(word.into()))
    }

    /// The contract's word for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an import has done with the documents of one model, counted from its first step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    /// What is imported.
    pub kind: SyncKind,
    /// Whose.
    pub pkid: Pkid,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "report", rename_all = "kebab-case")]
pub enum WakeReport {
    /// A refresh.
    Refreshed(RefreshReport),
    /// An expiry check.
    Checked(ExpiryReport),
    /// A step of an import.
    Synced(SyncReport),
    /// Nothing any more, and why.
    Nothing(String),
}
