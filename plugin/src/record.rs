//! The stored record: the content of `data/SparkCustomer` documents, and how they are read and
//! written.
//!
//! The record contains no secrets: tokens and proxy strings are sealed beside the document. Unknown
//! fields of an older or newer release are kept.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::consent::Consents;
pub use crate::contract::State;
use crate::grant::Grant;
use crate::model::{complete_organization, derived};
use crate::names::normalize_name;
use crate::platform::{
    Check, Document, Failure, FieldError, Key, MAX_KEY_BYTES, Millis, RECORD_MODEL, Reference,
    Storage, TransactionLog, UnixMillis, VersionCheck,
};
use crate::timing::MAX_CLOCK_SKEW;

/// Names of the sealed secrets of a record.
pub mod secret {
    /// The access token.
    pub const ACCESS_TOKEN: &str = "token";
    /// The refresh token.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// The complete proxy string for `http:` targets, credentials included.
    pub const HTTP_PROXY: &str = "http_proxy";
    /// The complete proxy string for `https:` targets, credentials included.
    pub const HTTPS_PROXY: &str = "https_proxy";
}

/// The expiry of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The expiry.
    pub at: UnixMillis,
    /// The lifetime from issue to expiry as last reported; the base of periods and
    /// fractions.
    #[serde(rename = "life")]
    pub lifetime: Millis,
    /// Whether the response omitted the lifetime: the expiry is then the last known value, or the
    /// configured assumption.
    #[serde(default)]
    pub assumed: bool,
}

/// The last attempt to refresh, if it failed with a transient error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The number of consecutive failures.
    pub attempts: u32,
    /// The time at which the first of these failures began. Records of older releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// The error text for the administrator; never contains a secret.
    pub reason: String,
    /// Webex's tracking id of the failed request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_id: Option<String>,
    /// Whether Webex has refused the integration itself since the last success. The operator must
    /// act; one alert of the installation reports it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client: bool,
    /// Whether further attempts fail too, until a person changes a setting or the proxy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_change: bool,
    /// Whether the request did not reach Webex: a change of the proxy may be the remedy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_webex: bool,
}

impl Retry {
    /// Returns when the failures began; `None` while Webex refuses the integration, which is not a failure of the grant.
    pub fn own_since(&self) -> Option<UnixMillis> {
        self.since.filter(|_| !self.client)
    }
}

/// The state of one grant: written by the workflows, read-only to callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantState {
    /// The state.
    #[serde(default)]
    pub state: State,
    /// The access token's expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Expiry>,
    /// The refresh token's expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Expiry>,
    /// A counter of refresh tokens: rises with each new refresh token or later expiry. Alerts are
    /// counted per generation.
    #[serde(default)]
    pub generation: u64,
    /// The time at which the last attempt to refresh began, successful or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<UnixMillis>,
    /// The time at which the grant began: when Webex issued its first tokens, by consent or before they
    /// were pasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<UnixMillis>,
    /// The time at which the tokens were last received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed: Option<UnixMillis>,
    /// The time of the next refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh: Option<UnixMillis>,
    /// The failure that is being retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The text of the last refusal, while the state is `reauthorize` or `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Retry>,
    /// Whether a request with the refresh token may have been carried out without a response since
    /// the tokens were received. If Webex rotates refresh tokens, the stored one is then dead. New
    /// tokens reset the flag.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// The granted scopes, if Webex named them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Required scopes that were not granted, if Webex named any; see [`State::MissingScope`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_scopes: Vec<String>,
}

impl GrantState {
    /// Returns whether Webex refused the stored refresh token.
    pub fn is_refused(&self) -> bool {
        match self.state {
            State::Reauthorize => true,
            State::Expired => self.refusal.is_some(),
            _ => false,
        }
    }

    /// Returns whether the record has times after `now`, written by a host whose clock was ahead.
    pub fn has_future_times(&self, now: UnixMillis) -> bool {
        let latest = now + MAX_CLOCK_SKEW;
        [self.refreshed, self.attempted]
            .into_iter()
            .flatten()
            .any(|at| at > latest)
    }
}

/// The body of a record's document.
///
/// `fields` are the model's own fields (see [`crate::model`]), as the administrator gave them, without secrets. A proxy
/// string is stored here without its password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordBody {
    /// The model's fields by name, including `name` and `notes`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    /// The state of the organization's grant.
    #[serde(default)]
    pub connection: GrantState,
    /// The states of the connection's other grants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub further_grants: BTreeMap<Grant, GrantState>,
    /// The consents that have been begun.
    #[serde(default, skip_serializing_if = "Consents::is_empty")]
    pub consents: Consents,
    /// The documents that `add` created and `delete` removes: syncs, schedules, shadow.
    #[serde(default, rename = "parts")]
    pub owned_documents: Vec<OwnedDocument>,
    /// The caller's idempotency key of the add that created this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// A document that belongs to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedDocument {
    /// The document's model.
    pub model: String,
    /// The document's primary key.
    pub pkid: String,
    /// The document's name, as a person sees it.
    pub name: String,
    /// The document's role for the record, such as `refresh-schedule`.
    pub role: String,
}

impl OwnedDocument {
    /// Returns the reference to the document.
    pub fn reference(&self) -> Reference {
        Reference::new(&self.model, &self.pkid)
    }
}

/// Names of the keys by which a record can be found.
pub mod key {
    /// The customer's name, in the form in which names are compared.
    pub const NAME: &str = "name";
    /// The organization's bare UUID in lower case.
    pub const ORGANIZATION: &str = "organization";
    /// The beginning of one key for each state that a grant of the record has, such as
    /// `state.expired`. The value is [`YES`].
    pub const STATE_PREFIX: &str = "state.";
    /// The value of a key that only says that something is so.
    pub const YES: &str = "yes";
    /// The order of records by urgency: the digit of the most urgent state of all grants, a space,
    /// and the name.
    pub const URGENCY: &str = "urgency";
    /// The idempotency key of the add.
    pub const IDEMPOTENCY_KEY: &str = "idempotency_key";
    /// The order of alerts by severity: its digit, a space, and its name.
    pub const SEVERITY: &str = "severity";
    /// The pkid of the owning record, on every document that a record owns: syncs, schedules,
    /// shadow, alerts.
    pub const OWNER: &str = "owner";
}

/// A record with the node and version at which it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The primary key.
    pub pkid: String,
    /// The record's node.
    pub hierarchy: String,
    /// The version that was read; 0 for a record that is not stored yet.
    pub version: u64,
    /// The content.
    pub body: RecordBody,
}

impl Record {
    /// Loads the record.
    ///
    /// # Errors
    /// `not-found`; storage errors.
    pub fn load(storage: &dyn Storage, pkid: &str) -> Result<Self, Failure> {
        let reference = Reference::record(pkid);
        match storage.get(&reference)? {
            Some(document) => Self::from_document(document),
            None => Err(Failure::NotFound(reference)),
        }
    }

    /// Parses a stored document.
    pub fn from_document(document: Document) -> Result<Self, Failure> {
        let mut body: RecordBody = serde_json::from_str(&document.body).map_err(|error| {
            Failure::Internal(format!(
                "the stored record {} cannot be read: {error}",
                document.reference
            ))
        })?;
        // A malformed reference can be neither shown, moved nor deleted, and must not prevent the
        // record's deletion.
        body.owned_documents
            .retain(|owned| owned.reference().is_valid());
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

    /// Adds an entry for each of the record's grants, including those that are not connected yet.
    pub fn complete_grants(&mut self) {
        for grant in self.grants() {
            self.grant_state_mut(*grant);
        }
    }

    /// Returns the grants of this connection, the organization's first.
    pub fn grants(&self) -> &'static [Grant] {
        if self.flag("wholesale_status") {
            &Grant::ALL
        } else {
            &[Grant::Organization]
        }
    }

    /// Checks that `grant` is one of [`grants`](Self::grants).
    ///
    /// # Errors
    /// `invalid`, field `grant`.
    pub fn require_grant(&self, grant: Grant) -> Result<(), Failure> {
        if self.grants().contains(&grant) {
            return Ok(());
        }
        let error = format!(
            "{} has no grant {grant}: only connections of wholesale customers have it",
            self.name()
        );
        Err(Failure::Invalid(vec![FieldError::new("grant", error)]))
    }

    /// Returns the state of `grant`.
    pub fn grant_state(&self, grant: Grant) -> &GrantState {
        static NOT_CONNECTED: LazyLock<GrantState> = LazyLock::new(GrantState::default);
        match grant {
            Grant::Organization => &self.body.connection,
            grant => self
                .body
                .further_grants
                .get(&grant)
                .unwrap_or(&NOT_CONNECTED),
        }
    }

    /// Returns the customer's name, followed by the grant unless it is the organization's.
    pub fn display_name(&self, grant: Grant) -> String {
        match grant {
            Grant::Organization => self.name().to_owned(),
            grant => format!("{} ({grant})", self.name()),
        }
    }

    /// Marks the grants as uncertain if an earlier call on this record was interrupted, because its
    /// requests may have been carried out. The first commit of the record after an interruption
    /// must store this.
    pub fn note_interruption(&mut self, journal: &dyn TransactionLog) {
        if journal.interrupted().is_none() {
            return;
        }
        for grant in self.grants() {
            let connection = self.grant_state_mut(*grant);
            connection.uncertain |= connection.refresh.is_some();
        }
    }

    /// Returns whether any grant has tokens.
    pub fn has_tokens(&self) -> bool {
        let further = self.body.further_grants.values();
        std::iter::once(&self.body.connection)
            .chain(further)
            .any(|connection| connection.refresh.is_some())
    }

    /// Returns the state of `grant` for modification.
    pub fn grant_state_mut(&mut self, grant: Grant) -> &mut GrantState {
        match grant {
            Grant::Organization => &mut self.body.connection,
            grant => self.body.further_grants.entry(grant).or_default(),
        }
    }

    /// Builds the document to store, with the derived fields.
    pub fn to_document(&self) -> Result<Document, Failure> {
        let mut body = self.body.clone();
        derived::write(&mut body.fields, &self.body);
        let body = serde_json::to_string(&body)
            .map_err(|error| Failure::Internal(format!("the record cannot be written: {error}")))?;
        let mut keys = vec![Key::new(key::NAME, normalize_name(self.name()))];
        if let Some(organization) = self.organization() {
            keys.push(Key::new(key::ORGANIZATION, organization));
        }
        keys.extend(self.state_keys());
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

    /// Builds one key for each state that a grant has, and the key by which records are sorted.
    fn state_keys(&self) -> Vec<Key> {
        let states: BTreeMap<u8, State> = self
            .grants()
            .iter()
            .map(|grant| self.grant_state(*grant).state)
            .map(|state| (urgency(state), state))
            .collect();
        let mut keys: Vec<Key> = states
            .values()
            .filter_map(|state| serde_json::to_value(state).ok())
            .filter_map(|state| Some(format!("{}{}", key::STATE_PREFIX, state.as_str()?)))
            .map(|name| Key::new(name, key::YES))
            .collect();
        if let Some((urgency, _)) = states.first_key_value() {
            let mut value = format!("{urgency} {}", normalize_name(self.name()).to_lowercase());
            value.truncate(value.floor_char_boundary(MAX_KEY_BYTES));
            keys.push(Key::new(key::URGENCY, value));
        }
        keys
    }

    /// Returns the reference to the record's document.
    pub fn reference(&self) -> Reference {
        Reference::new(RECORD_MODEL, &self.pkid)
    }

    /// Returns the check that the record has not changed since it was read.
    pub fn version_check(&self) -> Check {
        Check::Version(VersionCheck {
            reference: self.reference(),
            version: self.version,
        })
    }

    /// Returns the customer's name.
    pub fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// Returns a text field that is set and not empty.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body
            .fields
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Returns a boolean field; false when it is not set.
    pub fn flag(&self, field: &str) -> bool {
        self.body
            .fields
            .get(field)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Returns the organization's bare UUID, if it is known.
    pub fn organization(&self) -> Option<&str> {
        self.text("account_number_external")
    }

    /// Returns the owned document with `role`.
    pub fn owned_document(&self, role: &str) -> Option<&OwnedDocument> {
        self.body
            .owned_documents
            .iter()
            .find(|owned| owned.role == role)
    }
}

/// Returns the place of a state among all states, the most urgent first. Stored in keys: one digit.
const fn urgency(state: State) -> u8 {
    match state {
        State::Expired => 0,
        State::Reauthorize => 1,
        State::Expiring => 2,
        State::MissingScope => 3,
        State::NotConnected => 4,
        State::Retrying => 5,
        State::Connected => 6,
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
