//! The documents that deliveries are stored in. They contain no secrets: an endpoint's address is stored without its
//! path.

use chrono::{DateTime, SecondsFormat, Utc};
use relation_host::types::{Document, Hierarchy, Key, Pkid, RECORD_KEY, Reference, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RunError;
use crate::health::EndpointHealth;
use crate::routing::{Delivery, NotMade};
use crate::settings::Recipient;
use crate::{Message, Notice, NoticeKind};

/// The model of deliveries, which are at the node of the level that names the recipient.
pub const DELIVERY_MODEL: &str = "host/NoticeDelivery";
/// The model of the routings, which are at the record's node.
pub const ROUTING_MODEL: &str = "host/NoticeRouting";
/// The model of messages that cover several deliveries.
pub(super) const MESSAGE_MODEL: &str = "host/NoticeMessage";
/// The model of recipients with their budget and health.
pub(super) const RECIPIENT_MODEL: &str = "host/NoticeRecipient";
/// The key of a delivery's state.
pub(super) const STATE_KEY: &str = "state";
/// The key of the day on which a delivery was made, such as `2026-12-07`.
pub(super) const DAY_KEY: &str = "day";
/// The key of the time when a delivery was made, by which deliveries are listed.
pub(super) const CREATED_KEY: &str = "created";
/// The key of the recipient: a hash.
pub(super) const RECIPIENT_KEY: &str = "recipient";
/// The key of a recipient that is disabled.
pub(super) const DISABLED_KEY: &str = "disabled";
/// The key that a run in progress has set.
const ATTEMPTS_KEY: &str = "attempts";
/// The maximum number of attempts in a log.
const MAX_LOG: usize = 20;
/// The maximum number of characters of a reply.
const MAX_REPLY: usize = 500;

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// The delivery is pending.
    Pending,
    /// The message was sent; the channel has no confirmation.
    Sent,
    /// The receiver confirmed the message.
    Confirmed,
    /// The delivery has failed for good: a dead letter.
    Dead,
    /// The delivery became obsolete.
    Dropped,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Sent,
        Self::Confirmed,
        Self::Dead,
        Self::Dropped,
    ];

    /// Returns the name in keys and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }

    /// Returns whether somebody was told.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Sent | Self::Confirmed)
    }
}

/// The attempts at a delivery or a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The number since the delivery was made or sent again.
    pub count: u32,
    /// The number whose result is unknown.
    pub unknown: u32,
    /// The latest ones, the latest last.
    pub log: Vec<LoggedAttempt>,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedAttempt {
    /// The time of its end.
    pub at: DateTime<Utc>,
    /// Whether the message was sent.
    pub sent: bool,
    /// The receiver's reply or the error, without secrets.
    pub reply: String,
}

impl Attempts {
    pub(super) fn add(&mut self, at: DateTime<Utc>, sent: bool, reply: &str) {
        self.count = self.count.saturating_add(1);
        if self.log.len() >= MAX_LOG {
            self.log.remove(0);
        }
        let reply = reply.chars().take(MAX_REPLY).collect();
        self.log.push(LoggedAttempt { at, sent, reply });
    }

    /// Returns the reason for an end that comes too early for another attempt, with the latest error.
    pub(super) fn explain(&self, reason: &str) -> String {
        match self.log.last() {
            Some(last) if !last.sent => format!("{reason}; the last attempt: {}", last.reply),
            _ => reason.to_owned(),
        }
    }
}

/// A delivery with its state: the body of a [`DELIVERY_MODEL`] document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDelivery {
    /// The delivery. The address of a webhook has no path, which may be confidential.
    pub delivery: Delivery,
    /// The notice.
    pub notice: Notice,
    /// The generation of the refresh token.
    pub generation: u64,
    /// The threshold in milliseconds that the notice reports; 0 without one.
    pub threshold_ms: u64,
    /// The number of the reminder; 0 for other notices.
    #[serde(default)]
    pub reminder: u32,
    /// Whether the recipient is the account e-mail of the record.
    pub account_email: bool,
    /// The state.
    pub state: DeliveryState,
    /// The time when it was made.
    pub created: DateTime<Utc>,
    /// The attempts. Those at a digest are stored with it until it has ended.
    pub attempts: Attempts,
    /// The reason for the end, unless somebody was told.
    pub reason: Option<String>,
    /// The time of the end.
    pub ended: Option<DateTime<Utc>>,
    /// The id of the digest that contained the delivery.
    pub digest: Option<String>,
    /// The number of times that an administrator had it sent again.
    pub resent: u32,
}

/// A message with several deliveries. Its document belongs to no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredMessage {
    /// One of the deliveries, for its recipient. Its deadline is the latest of all.
    pub delivery: Delivery,
    pub account_email: bool,
    pub message: Message,
    /// The pkids of the deliveries.
    pub members: Vec<Pkid>,
    pub state: DeliveryState,
    pub attempts: Attempts,
    pub reason: Option<String>,
    pub ended: Option<DateTime<Utc>>,
}

/// A recipient, as one level names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRecipient {
    /// The recipient as it may be stored, with its level.
    #[serde(default)]
    pub recipient: Option<Recipient>,
    /// The messages that count for the budget.
    pub sent: Vec<CountedMessage>,
    /// The messages with several deliveries that have not ended.
    pub open: Vec<Pkid>,
    pub health: EndpointHealth,
}

/// A message that counts for the budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CountedMessage {
    pub at: DateTime<Utc>,
    /// The delivery that began the message.
    pub by: Pkid,
}

/// The routing of one notice: the body of a [`ROUTING_MODEL`] document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRouting {
    /// The notice.
    pub notice: Notice,
    /// The time of the routing.
    pub at: DateTime<Utc>,
    /// The number of the reminder; 0 for other notices.
    #[serde(default)]
    pub reminder: u32,
    /// The number of deliveries to recipients of the record's node.
    pub made: usize,
    /// Whether a level above is told.
    pub told_above: bool,
    /// The deliveries that are not made, with the reason. Those of higher levels have no recipient.
    pub not_made: Vec<NotMade>,
}

impl StoredDelivery {
    pub(super) fn reference(&self) -> Result<Reference, RunError> {
        Ok(Reference::new(
            DELIVERY_MODEL,
            self.delivery.id.to_pkid().parse()?,
        ))
    }

    /// Returns the record's pkid; `None` for a notice about the installation.
    pub(super) fn record(&self) -> Option<Pkid> {
        self.notice.record.parse().ok()
    }

    /// Returns whether the delivery reports a threshold that is not crossed at `now`, since the clock was ahead. The
    /// delivery must not stay, so that the threshold is reported in its time.
    pub(super) fn is_early(&self, now: DateTime<Utc>) -> bool {
        let threshold = i64::try_from(self.threshold_ms).unwrap_or(i64::MAX);
        let is_before = |expires: DateTime<Utc>| (expires - now).num_milliseconds() > threshold;
        self.notice.kind == NoticeKind::Expiring && self.notice.expires.is_some_and(is_before)
    }

    pub(super) fn end(&mut self, state: DeliveryState, reason: Option<&str>, at: DateTime<Utc>) {
        self.state = state;
        self.reason = reason.map(str::to_owned);
        self.ended = Some(at);
    }

    pub(super) fn to_document(&self) -> Result<Document, RunError> {
        let mut keys = vec![
            key(STATE_KEY, self.state.as_str()),
            key(DAY_KEY, &self.created.format("%Y-%m-%d").to_string()),
            key(CREATED_KEY, &format_created(self.created)),
            key(RECIPIENT_KEY, &hash_recipient(&self.delivery.recipient_key)),
        ];
        keys.extend(self.record().map(|record| key(RECORD_KEY, record.as_str())));
        write(self.reference()?, &self.delivery.origin, self, keys)
    }
}

impl StoredMessage {
    pub(super) fn reference(&self) -> Reference {
        Reference::new(MESSAGE_MODEL, derive_pkid("message", self.message.id()))
    }

    pub(super) fn to_document(&self) -> Result<Document, RunError> {
        write(self.reference(), &self.delivery.origin, self, Vec::new())
    }
}

impl StoredRecipient {
    pub(super) fn reference(recipient_key: &str) -> Reference {
        Reference::new(RECIPIENT_MODEL, derive_pkid("recipient", recipient_key))
    }

    /// Returns the document of the recipient of a delivery.
    pub(super) fn to_document(&self, delivery: &Delivery) -> Result<Document, RunError> {
        let named = Self {
            recipient: Some(redact(&delivery.recipient)),
            ..self.clone()
        };
        named.to_document_at(&delivery.recipient_key, &delivery.origin)
    }

    /// Returns the document of the recipient with this key.
    pub(super) fn to_document_at(
        &self,
        recipient_key: &str,
        origin: &Hierarchy,
    ) -> Result<Document, RunError> {
        let disabled = self.health.disabled().map(|_| key(DISABLED_KEY, "true"));
        let keys = disabled.into_iter().collect();
        write(Self::reference(recipient_key), origin, self, keys)
    }

    pub(super) fn times(&self) -> Vec<DateTime<Utc>> {
        self.sent.iter().map(|message| message.at).collect()
    }
}

impl StoredRouting {
    pub(super) fn reference(notice: &str) -> Reference {
        Reference::new(ROUTING_MODEL, derive_pkid("routing", notice))
    }

    pub(super) fn to_document(&self, node: &Hierarchy) -> Result<Document, RunError> {
        let reference = Self::reference(&self.notice.id);
        let record: Option<Pkid> = self.notice.record.parse().ok();
        let keys = record.map(|record| key(RECORD_KEY, record.as_str()));
        write(reference, node, self, keys.into_iter().collect())
    }
}

/// Reads the body of a document.
pub(super) fn read<T: DeserializeOwned>(document: &Document) -> Result<T, RunError> {
    serde_json::from_str(&document.body).map_err(|error| RunError::Unreadable {
        document: document.reference.clone(),
        // The error of the library may quote the content.
        line: error.line(),
    })
}

fn write<T: Serialize>(
    reference: Reference,
    node: &Hierarchy,
    body: &T,
    keys: Vec<Key>,
) -> Result<Document, RunError> {
    let body = serde_json::to_string(body).map_err(|_| RunError::Unwritable(reference.clone()))?;
    Ok(Document {
        reference,
        hierarchy: node.clone(),
        version: 0,
        body,
        keys,
    })
}

/// Returns whether a run of the document's wakeup is in progress, or ended without a result.
pub(super) fn is_claimed(document: &Document) -> bool {
    document.keys.iter().any(|key| key.name == ATTEMPTS_KEY)
}

pub(super) fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// Returns the value of the key [`CREATED_KEY`], which sorts as the time does.
fn format_created(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns the value of the key [`RECIPIENT_KEY`].
pub(super) fn hash_recipient(recipient_key: &str) -> String {
    derive_pkid("recipient", recipient_key).into()
}

fn derive_pkid(purpose: &str, text: &str) -> Pkid {
    Pkid::derive(&format!("{purpose}\0{text}"))
}

/// Returns the recipient as it may be stored. The whole address of a webhook is a sealed secret of the settings.
pub(super) fn redact(recipient: &Recipient) -> Recipient {
    let mut recipient = recipient.clone();
    if let Recipient::Webhook(endpoint) = &mut recipient {
        endpoint.url.set_path("/");
        endpoint.url.set_query(None);
        endpoint.url.set_fragment(None);
    }
    recipient
}

pub(super) fn to_time(timestamp: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(timestamp.0).ok();
    millis
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

pub(super) fn to_timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}
