//! The stored record: what `data/SparkCustomer` documents hold, and how they are read and written.
//!
//! Secrets are not in it: tokens and proxy strings are sealed beside the document. Fields that an
//! older or newer release wrote and this one does not know are kept as they are.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::consent::Consents;
use crate::grant::Grant;
use crate::model::{complete_organization, derived};
use crate::names::normalize_name;
use crate::platform::{
    Check, Document, Failure, FieldError, Journal, Key, RECORD_MODEL, Reference, Storage, Timestamp,
};
use crate::timing::CLOCKS_APART;

/// Names of the sealed secrets of a record.
pub mod secret {
    /// The access token.
    pub const ACCESS_TOKEN: &str = "token";
    /// The refresh token.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// The whole proxy string for `http:` targets, credentials included.
    pub const HTTP_PROXY: &str = "http_proxy";
    /// The whole proxy string for `https:` targets, credentials included.
    pub const HTTPS_PROXY: &str = "https_proxy";
}

/// How a connection stands; see the contract's `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It never had tokens.
    #[default]
    NotConnected,
    /// Tokens are there and get refreshed.
    Connected,
    /// The refresh token expires within the last threshold of notice.
    Expiring,
    /// The refresh token's time is over.
    Expired,
    /// Webex refused the refresh token.
    Reauthorize,
    /// A scope that is needed was not granted. Gives way to `Expiring`, which has a date, and to
    /// `Retrying`; the scopes are named beside any state.
    MissingScope,
    /// The last attempt failed for a passing reason.
    Retrying,
}

/// When a token expires, and whether anybody said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The moment, in milliseconds since the epoch.
    pub at: Timestamp,
    /// Milliseconds from issue to expiry, as last told; the base of periods and fractions.
    pub life: u64,
    /// The answer did not say: the last known value, or the configured assumption.
    #[serde(default)]
    pub assumed: bool,
}

/// The last attempt to refresh, when it failed for a passing reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How many attempts in a row have failed.
    pub attempts: u32,
    /// What happened, for the administrator; never holds a secret.
    pub reason: String,
    /// Webex's name for the failed request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_id: Option<String>,
    /// Whether, since the last success, Webex did not accept the integration itself: the operator's
    /// matter, told by one alert of the installation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client: bool,
}

/// The connection's own part of the record: kept by the workflows, read-only to everybody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// How it stands.
    #[serde(default)]
    pub state: State,
    /// The access token's expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Expiry>,
    /// Raised each time the refresh token is a new one or its expiry moves: alerts count by it.
    #[serde(default)]
    pub generation: u64,
    /// When the last attempt to refresh began, whatever came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<Timestamp>,
    /// When the tokens were last received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<Timestamp>,
    /// When the next refresh is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh: Option<Timestamp>,
    /// The failure that is being retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The message of the last refusal, while the state is `reauthorize` or `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Retry>,
    /// Since the tokens were received, a request with the refresh token may have been carried out
    /// whose answer is lost: where Webex gives out a new refresh token each time, this one is then
    /// dead. Ends with the next tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// The scopes granted, when Webex named them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Required scopes that were not granted, when Webex named any; see [`State::MissingScope`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_scopes: Vec<String>,
}

impl Connection {
    /// Whether Webex itself refused the refresh token that is stored.
    pub fn is_refused(&self) -> bool {
        match self.state {
            State::Reauthorize => true,
            State::Expired => self.refusal.is_some(),
            _ => false,
        }
    }

    /// Whether the record was written while the clock was ahead of `now`.
    pub fn is_of_the_future(&self, now: Timestamp) -> bool {
        let latest = now.saturating_add(CLOCKS_APART);
        [self.refreshed, self.attempted]
            .into_iter()
            .flatten()
            .any(|at| at > latest)
    }
}

/// The body of a record's document.
///
/// `fields` are the model's own fields (see [`crate::model`]), as the administrator gave them and
/// without any secret: a proxy string is kept here with its password left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The model's fields by name, `name` and `notes` among them.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    /// How the connection stands: the organisation's grant.
    #[serde(default)]
    pub connection: Connection,
    /// How the other grants stand that this connection is made of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub further_grants: BTreeMap<Grant, Connection>,
    /// Consents that were begun.
    #[serde(default, skip_serializing_if = "Consents::is_empty")]
    pub consents: Consents,
    /// What `add` created besides the record and `delete` takes away: syncs, schedules, shadow.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// The caller's name for the add that made this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// A document that belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its model.
    pub model: String,
    /// Its key.
    pub pkid: String,
    /// Its name, as a person sees it.
    pub name: String,
    /// What it is to the record, such as `refresh-schedule`.
    pub role: String,
}

impl Part {
    /// The document it is.
    pub fn reference(&self) -> Reference {
        Reference::new(&self.model, &self.pkid)
    }
}

/// Names of the keys by which a record can be found.
pub mod key {
    /// The customer's name, in the form in which names are compared.
    pub const NAME: &str = "name";
    /// The organisation's bare UUID, lower case.
    pub const ORGANIZATION: &str = "organization";
    /// The connection's state.
    pub const STATE: &str = "state";
    /// The idempotency key of the add.
    pub const IDEMPOTENCY_KEY: &str = "idempotency_key";
    /// On every document that belongs to a record (syncs, schedules, shadow, alerts): its pkid.
    pub const OWNER: &str = "owner";
}

/// A record as it was read: the place and version it came from, and its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its primary key.
    pub pkid: String,
    /// Its node.
    pub hierarchy: String,
    /// The version that was read; 0 for one that is not stored yet.
    pub version: u64,
    /// Its content.
    pub body: Body,
}

impl Record {
    /// Reads the record, or says `not-found`.
    pub fn load(storage: &(impl Storage + ?Sized), pkid: &str) -> Result<Self, Failure> {
        let reference = Reference::record(pkid);
        match storage.get(&reference)? {
            Some(document) => Self::from_document(document),
            None => Err(Failure::NotFound(reference)),
        }
    }

    /// Understands a stored document.
    pub fn from_document(document: Document) -> Result<Self, Failure> {
        let mut body: Body = serde_json::from_str(&document.body).map_err(|error| {
            Failure::Internal(format!(
                "the stored record {} cannot be read: {error}",
                document.reference
            ))
        })?;
        // What names no document can be neither shown, moved nor deleted, and must not keep a record alive.
        body.parts.retain(|part| part.reference().is_one());
        complete_organization(&mut body.fields);
        let mut record = Self {
            pkid: document.reference.pkid,
            hierarchy: document.hierarchy,
            version: document.version,
            body,
        };
        record.complete_grants();
        Ok(record)
    }

    /// Gives the record an entry for each of its grants: one that is not connected yet counts.
    pub fn complete_grants(&mut self) {
        for grant in self.grants() {
            self.connection_mut(*grant);
        }
    }

    /// The grants that this connection is made of, the organisation's first.
    pub fn grants(&self) -> &'static [Grant] {
        if self.flag("wholesale_status") {
            &Grant::ALL
        } else {
            &[Grant::Organization]
        }
    }

    /// That `grant` is one of [`grants`](Self::grants).
    ///
    /// # Errors
    /// `invalid`, field `grant`.
    pub fn must_have(&self, grant: Grant) -> Result<(), Failure> {
        if self.grants().contains(&grant) {
            return Ok(());
        }
        let fault = format!(
            "{} has no grant {grant}: only connections of wholesale customers have it",
            self.name()
        );
        Err(Failure::Invalid(vec![FieldError::new("grant", fault)]))
    }

    /// How `grant` stands.
    pub fn connection(&self, grant: Grant) -> &Connection {
        static NOT_CONNECTED: LazyLock<Connection> = LazyLock::new(Connection::default);
        match grant {
            Grant::Organization => &self.body.connection,
            grant => self
                .body
                .further_grants
                .get(&grant)
                .unwrap_or(&NOT_CONNECTED),
        }
    }

    /// The customer's name, with the grant where there can be several.
    pub fn called(&self, grant: Grant) -> String {
        match grant {
            Grant::Organization => self.name().to_owned(),
            grant => format!("{} ({grant})", self.name()),
        }
    }

    /// Notes that an earlier call on this record was cut off: whatever it asked may have been
    /// carried out. Whoever commits the record first after that has to remember it.
    pub fn note_interruption(&mut self, journal: &(impl Journal + ?Sized)) {
        if journal.interrupted().is_none() {
            return;
        }
        for grant in self.grants() {
            let connection = self.connection_mut(*grant);
            connection.uncertain |= connection.refresh.is_some();
        }
    }

    /// Whether any grant holds tokens.
    pub fn has_tokens(&self) -> bool {
        let further = self.body.further_grants.values();
        std::iter::once(&self.body.connection)
            .chain(further)
            .any(|connection| connection.refresh.is_some())
    }

    /// How `grant` stands, to be changed.
    pub fn connection_mut(&mut self, grant: Grant) -> &mut Connection {
        match grant {
            Grant::Organization => &mut self.body.connection,
            grant => self.body.further_grants.entry(grant).or_default(),
        }
    }

    /// The document to store, with the derived fields as they follow from the connection.
    pub fn to_document(&self) -> Result<Document, Failure> {
        let mut body = self.body.clone();
        derived::write(&mut body.fields, &self.body);
        let body = serde_json::to_string(&body)
            .map_err(|error| Failure::Internal(format!("the record cannot be written: {error}")))?;
        let mut keys = vec![Key::new(key::NAME, normalize_name(self.name()))];
        if let Some(organization) = self.organization() {
            keys.push(Key::new(key::ORGANIZATION, organization));
        }
        if let Ok(Value::String(state)) = serde_json::to_value(self.body.connection.state) {
            keys.push(Key::new(key::STATE, state));
        }
        if let Some(idempotency_key) = &self.body.idempotency_key {
            keys.push(Key::new(key::IDEMPOTENCY_KEY, idempotency_key));
        }
        keys.retain(Key::fits);
        Ok(Document {
            reference: self.reference(),
            hierarchy: self.hierarchy.clone(),
            version: self.version,
            body,
            keys,
        })
    }

    /// The document it is stored as.
    pub fn reference(&self) -> Reference {
        Reference::new(RECORD_MODEL, &self.pkid)
    }

    /// The condition that it has not changed since it was read.
    pub fn unchanged(&self) -> Check {
        Check::Version(self.reference(), self.version)
    }

    /// The customer's name.
    pub fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// A text field that is set and not empty.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body
            .fields
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A boolean field; false when it is not set.
    pub fn flag(&self, field: &str) -> bool {
        self.body
            .fields
            .get(field)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The organisation's bare UUID, when the record knows it.
    pub fn organization(&self) -> Option<&str> {
        self.text("account_number_external")
    }

    /// The part that plays `role`.
    pub fn part(&self, role: &str) -> Option<&Part> {
        self.body.parts.iter().find(|part| part.role == role)
    }
}
