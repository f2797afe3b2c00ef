//! The settings for notices at one node, and their resolution along the hierarchy.
//!
//! Each field is inherited or has a value. [`resolve`] takes each field from the nearest level that decides it.

mod parse;
mod reader;
mod recheck;
mod recipient;
mod resolve;
mod span;
mod store;
mod visible;
mod zone;

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::parse::{Rules, parse, parse_text};
pub use self::recheck::{NOTICE_RECHECK_MODEL, needs_recheck, recheck_changes, recheck_reference};
pub(crate) use self::recheck::{PendingRecord, RECHECK, StoredRecheck};
pub use self::recipient::{
    ChannelKind, HIDDEN_PATH, MailAddress, Recipient, SnmpAuth, SnmpKind, SnmpTarget, SnmpVersion,
    WebhookEndpoint, is_path_hidden,
};
pub use self::resolve::{
    Defaults, DeliverySettings, Level, Origin, Resolved, ResolvedChannels, ResolvedFields,
    ResolvedList, ResolvedRecipient, Sourced, resolve,
};
pub use self::span::Span;
pub(crate) use self::store::list_levels;
pub use self::store::{load_levels, reference};
pub use self::visible::VisibleSettings;
pub use self::zone::{TimeOfDay, Zone};
use crate::NoticeKind;

/// The model of the documents with settings. A node has at most one: see [`reference()`].
pub const NOTICE_SETTINGS_MODEL: &str = "host/NoticeSettings";
/// The maximum number of thresholds of one level.
pub const MAX_THRESHOLDS: usize = 16;
/// The maximum number of recipients of one level.
pub const MAX_RECIPIENTS: usize = 50;

/// The kinds that settings choose from, and their names. A test is always sent.
pub const KINDS: [(&str, NoticeKind); 8] = [
    ("expiring", NoticeKind::Expiring),
    ("expired", NoticeKind::Expired),
    ("reauthorize", NoticeKind::Reauthorize),
    ("missing-scope", NoticeKind::MissingScope),
    ("retrying", NoticeKind::Retrying),
    ("import-failed", NoticeKind::ImportFailed),
    ("host-trouble", NoticeKind::HostTrouble),
    ("recovered", NoticeKind::Recovered),
];

/// A field of the settings of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// The levels above decide.
    #[default]
    Inherit,
    /// This level decides.
    Value(T),
}

/// A list at one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List<T> {
    /// The relation to the inherited list.
    pub mode: ListMode,
    /// The values.
    pub values: Vec<T>,
}

/// The relation of a list to the inherited one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListMode {
    /// The list is used instead.
    #[default]
    Replace,
    /// The list is used in addition.
    AddToInherited,
}

/// The settings for notices of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeSettings {
    /// Whether notices are sent.
    pub notify: Setting<bool>,
    /// The times before the expiry at which the expiry is reported, the longest first.
    pub thresholds: Setting<List<Span>>,
    /// The recipients.
    pub recipients: Setting<List<Recipient>>,
    /// Whether each channel is used.
    pub channels: ChannelSettings,
    /// The kinds that are reported, in the order of [`KINDS`].
    pub kinds: Setting<List<NoticeKind>>,
    /// The duration of failed refreshes after which they are reported.
    pub retrying_after: Setting<Span>,
    /// Whether an expired connection is reported again.
    pub reminder: Setting<Reminder>,
    /// Whether e-mails are collected.
    pub digest: Setting<DigestSchedule>,
    /// The hours in which only critical notices are sent.
    pub quiet_hours: Setting<QuietHours>,
    /// The language of texts.
    pub language: Setting<Language>,
    /// The maximum number of messages to one recipient in an hour.
    pub budget: Setting<u32>,
    /// Whether the account e-mail of the record gets the notices too.
    pub account_email: Setting<bool>,
}

/// A level's choice of channels: whether each is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelSettings {
    /// E-mail.
    pub mail: Setting<bool>,
    /// Webhooks.
    pub webhook: Setting<bool>,
    /// SNMP traps and informs.
    pub snmp: Setting<bool>,
}

/// The repetition of notices about a connection that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reminder {
    /// Only once.
    Off,
    /// Again after this duration, 7 days or more.
    Every(Span),
}

/// The collection of e-mails in digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestSchedule {
    /// One e-mail for each event.
    PerEvent,
    /// One e-mail a day.
    Daily {
        /// The full hour, from 0 to 23.
        hour: u8,
        /// The time zone of the hour.
        zone: Zone,
    },
}

/// The hours in which only critical notices are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuietHours {
    /// There are no quiet hours.
    Off,
    /// A part of each day, which may contain midnight.
    Daily {
        /// The first minute.
        from: TimeOfDay,
        /// The minute after the last one.
        to: TimeOfDay,
        /// The time zone of both.
        zone: Zone,
    },
}

/// The language of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
}

impl ListMode {
    pub(crate) const WORDS: [(&'static str, Self); 2] = [
        ("replace", Self::Replace),
        ("add-to-inherited", Self::AddToInherited),
    ];
}

impl<T> Setting<T> {
    /// Returns the value, if this level decides.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Inherit => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl DigestSchedule {
    /// Returns the time of the digest that reports an event at `time`. `None` without digests.
    #[must_use]
    pub fn next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::PerEvent => None,
            Self::Daily { hour, zone } => zone.next(time, TimeOfDay::from_hour(*hour)?),
        }
    }
}

impl QuietHours {
    /// Returns the end of the quiet hours that contain `time`. `None` outside of them.
    #[must_use]
    pub fn end(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let Self::Daily { from, to, zone } = self else {
            return None;
        };
        let local = zone.time_of_day(time)?;
        let is_quiet = match from < to {
            true => (*from..*to).contains(&local),
            false => local >= *from || local < *to,
        };
        is_quiet.then(|| zone.next(time, *to)).flatten()
    }
}

impl<T: Serialize> Serialize for Setting<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inherit => serializer.serialize_str(reader::INHERIT),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Reminder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Every(span) => span.serialize(serializer),
        }
    }
}

impl Serialize for DigestSchedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerEvent => serializer.serialize_str("per-event"),
            Self::Daily { hour, zone } => {
                let mut object = serializer.serialize_struct("DigestSchedule", 2)?;
                object.serialize_field("hour", hour)?;
                object.serialize_field("zone", zone)?;
                object.end()
            }
        }
    }
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Daily { from, to, zone } => {
                let mut object = serializer.serialize_struct("QuietHours", 3)?;
                object.serialize_field("from", from)?;
                object.serialize_field("to", to)?;
                object.serialize_field("zone", zone)?;
                object.end()
            }
        }
    }
}

impl Serialize for NoticeSettings {
    /// Writes all fields, with `"inherit"` for those that this level does not decide.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("NoticeSettings", parse::FIELDS.len())?;
        object.serialize_field("notify", &self.notify)?;
        object.serialize_field("thresholds", &self.thresholds)?;
        object.serialize_field("recipients", &self.recipients)?;
        object.serialize_field("channels", &self.channels)?;
        object.serialize_field("kinds", &self.kinds)?;
        object.serialize_field("retrying_after", &self.retrying_after)?;
        object.serialize_field("reminder", &self.reminder)?;
        object.serialize_field("digest", &self.digest)?;
        object.serialize_field("quiet_hours", &self.quiet_hours)?;
        object.serialize_field("language", &self.language)?;
        object.serialize_field("budget", &self.budget)?;
        object.serialize_field("account_email", &self.account_email)?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for NoticeSettings {
    /// Reads settings that were stored. [`parse`] names all errors of a caller's settings.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        parse(&value, Rules { allow_http: true }).map_err(|errors| {
            let texts = errors
                .iter()
                .map(|error| format!("{} {}", error.field, error.message));
            D::Error::custom(texts.collect::<Vec<_>>().join("; "))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
