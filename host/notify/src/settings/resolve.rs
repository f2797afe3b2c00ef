//! The resolution of settings along the hierarchy: field by field, from the nearest level that decides it.

use chrono::{DateTime, Utc};
use relation_types::Hierarchy;
use serde::{Serialize, Serializer};

use super::{
    ChannelKind, DigestSchedule, KINDS, Language, List, ListMode, NoticeSettings, QuietHours,
    Recipient, Reminder, Setting, Span, Zone,
};
use crate::NoticeKind;

/// The settings of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The node.
    pub node: Hierarchy,
    /// Its settings.
    pub settings: NoticeSettings,
}

/// The level that a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No level decides it.
    Default,
    /// A level above those that the reader may see.
    Inherited,
    /// The level of this node.
    Node(Hierarchy),
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The level that it comes from.
    pub origin: Origin,
}

/// A list whose values may come from several levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedList<T> {
    /// The nearest level that says something about the list.
    pub origin: Origin,
    /// The values.
    pub values: Vec<Sourced<T>>,
}

/// The resolved choice of channels: whether each is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedChannels {
    /// E-mail.
    pub mail: Sourced<bool>,
    /// Webhooks.
    pub webhook: Sourced<bool>,
    /// SNMP traps and informs.
    pub snmp: Sourced<bool>,
}

/// The resolved fields, apart from recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedFields {
    /// Whether notices are sent.
    pub notify: Sourced<bool>,
    /// The times before the expiry at which the expiry is reported, the longest first.
    pub thresholds: ResolvedList<Span>,
    /// Whether each channel is used.
    pub channels: ResolvedChannels,
    /// The kinds that are reported.
    pub kinds: ResolvedList<NoticeKind>,
    /// The duration of failed refreshes after which they are reported.
    pub retrying_after: Sourced<Span>,
    /// Whether an expired connection is reported again.
    pub reminder: Sourced<Reminder>,
    /// Whether e-mails are collected.
    pub digest: Sourced<DigestSchedule>,
    /// The hours in which only critical notices are sent.
    pub quiet_hours: Sourced<QuietHours>,
    /// The language of texts.
    pub language: Sourced<Language>,
    /// The maximum number of messages to one recipient in an hour.
    pub budget: Sourced<u32>,
    /// Whether the account e-mail of the record gets the notices too.
    pub account_email: Sourced<bool>,
}

/// The settings for deliveries to a recipient. It follows the level that names the recipient, so that a customer's
/// level does not change the language or the digest of the provider's mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliverySettings {
    /// The language of texts.
    pub language: Language,
    /// Whether e-mails are collected.
    pub digest: DigestSchedule,
    /// The hours in which only critical notices are sent.
    pub quiet_hours: QuietHours,
    /// The maximum number of messages in an hour.
    pub budget: u32,
}

/// A recipient, and the level that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedRecipient {
    /// The recipient.
    pub recipient: Recipient,
    /// The level.
    pub origin: Hierarchy,
    /// How the recipient is notified.
    pub delivery: DeliverySettings,
}

/// The settings that apply at a node. They contain recipients of all levels, so that
/// [`Resolved::visible_from`] must be used for anything that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The fields apart from recipients.
    pub fields: ResolvedFields,
    /// The nearest level that says something about recipients.
    pub recipients_origin: Origin,
    /// The recipients, those of the nearest level first.
    pub recipients: Vec<ResolvedRecipient>,
}

/// The values of fields that no level decides, as far as the installation may choose them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The times before the expiry: those of the plugin's setting `expiry.thresholds`.
    pub thresholds: Vec<Span>,
    /// The duration of failed refreshes: that of the plugin's setting `refresh.failing-after`.
    pub retrying_after: Span,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            thresholds: [30, 14, 7, 2].map(Span::from_days).into(),
            retrying_after: Span::from_hours(6),
        }
    }
}

/// Resolves the settings of one node from its own level and those above, in any order.
#[must_use]
pub fn resolve(levels: &[Level], defaults: &Defaults) -> Resolved {
    let mut sorted: Vec<&Level> = levels.iter().collect();
    sorted.sort_by_key(|level| level.node.as_str().split('.').count());
    let mut resolved = Resolved::from_defaults(defaults);
    for level in sorted {
        resolved.apply(level);
    }
    resolved
}

impl Resolved {
    /// Applies the next level below.
    fn apply(&mut self, level: &Level) {
        let Level { node, settings } = level;
        let fields = &mut self.fields;
        fields.notify.apply(node, &settings.notify);
        fields.thresholds.apply(node, &settings.thresholds);
        fields
            .thresholds
            .values
            .sort_by_key(|threshold| std::cmp::Reverse(threshold.value));
        fields.channels.mail.apply(node, &settings.channels.mail);
        fields
            .channels
            .webhook
            .apply(node, &settings.channels.webhook);
        fields.channels.snmp.apply(node, &settings.channels.snmp);
        fields.kinds.apply(node, &settings.kinds);
        fields.kinds.values.sort_by_key(|kind| kind.value);
        fields.retrying_after.apply(node, &settings.retrying_after);
        fields.reminder.apply(node, &settings.reminder);
        fields.digest.apply(node, &settings.digest);
        fields.quiet_hours.apply(node, &settings.quiet_hours);
        fields.language.apply(node, &settings.language);
        fields.budget.apply(node, &settings.budget);
        fields.account_email.apply(node, &settings.account_email);
        if let Setting::Value(List { mode, values }) = &settings.recipients {
            self.recipients_origin = Origin::Node(node.clone());
            if *mode == ListMode::Replace {
                self.recipients.clear();
            }
            let delivery = fields.delivery();
            let added = values.iter().map(|recipient| ResolvedRecipient {
                recipient: recipient.clone(),
                origin: node.clone(),
                delivery: delivery.clone(),
            });
            self.recipients.splice(0..0, added);
        }
    }
}

impl Resolved {
    /// Returns the settings without any level.
    fn from_defaults(defaults: &Defaults) -> Self {
        let thresholds = defaults.thresholds.iter();
        Self {
            fields: ResolvedFields {
                notify: Sourced::default(true),
                thresholds: ResolvedList {
                    origin: Origin::Default,
                    values: thresholds.map(|each| Sourced::default(*each)).collect(),
                },
                channels: ResolvedChannels {
                    mail: Sourced::default(true),
                    webhook: Sourced::default(true),
                    snmp: Sourced::default(true),
                },
                kinds: ResolvedList {
                    origin: Origin::Default,
                    values: KINDS.map(|(_, kind)| Sourced::default(kind)).into(),
                },
                retrying_after: Sourced::default(defaults.retrying_after),
                reminder: Sourced::default(Reminder::Off),
                digest: Sourced::default(DigestSchedule::PerEvent),
                quiet_hours: Sourced::default(QuietHours::Off),
                language: Sourced::default(Language::En),
                budget: Sourced::default(10),
                account_email: Sourced::default(false),
            },
            recipients_origin: Origin::Default,
            recipients: Vec::new(),
        }
    }
}

impl ResolvedFields {
    /// Returns how recipients of the resolved node are told.
    #[must_use]
    pub fn delivery(&self) -> DeliverySettings {
        DeliverySettings {
            language: self.language.value,
            digest: self.digest.value.clone(),
            quiet_hours: self.quiet_hours.value.clone(),
            budget: self.budget.value,
        }
    }

    /// Returns the thresholds as the plugin's setting `expiry.thresholds` has them, such as `30d,2d`.
    #[must_use]
    pub fn format_thresholds(&self) -> String {
        let thresholds = self.thresholds.values.iter();
        let texts: Vec<String> = thresholds.map(|each| each.value.to_string()).collect();
        texts.join(",")
    }

    /// Returns whether notices of this kind are sent. A test and the state of an endpoint always are.
    #[must_use]
    pub fn has_kind(&self, kind: NoticeKind) -> bool {
        let mut kinds = self.kinds.values.iter();
        let is_always = matches!(kind, NoticeKind::Test | NoticeKind::Endpoint);
        is_always || kinds.any(|each| each.value == kind)
    }

    /// Returns whether the channel is used.
    #[must_use]
    pub fn has_channel(&self, channel: ChannelKind) -> bool {
        match channel {
            ChannelKind::Mail => self.channels.mail.value,
            ChannelKind::Webhook => self.channels.webhook.value,
            ChannelKind::Snmp => self.channels.snmp.value,
        }
    }
}

impl DeliverySettings {
    /// Returns the time zone of texts: that of the digest, or else of the quiet hours. `None`: UTC.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        match (&self.digest, &self.quiet_hours) {
            (DigestSchedule::Daily { zone, .. }, _) | (_, QuietHours::Daily { zone, .. }) => {
                Some(zone)
            }
            (DigestSchedule::PerEvent, QuietHours::Off) => None,
        }
    }

    /// Returns the time at which a notice at `time` may be sent on the channel. Digests are for e-mail; quiet hours
    /// do not hold SNMP notifications.
    pub(crate) fn quiet_end(
        &self,
        channel: ChannelKind,
        time: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match channel {
            ChannelKind::Mail | ChannelKind::Webhook => self.quiet_hours.end(time),
            ChannelKind::Snmp => None,
        }
    }

    /// Returns the time of the digest that has a notice at `time` on the channel.
    pub(crate) fn digest_time(
        &self,
        channel: ChannelKind,
        time: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match channel {
            ChannelKind::Mail => self.digest.next(time),
            ChannelKind::Webhook | ChannelKind::Snmp => None,
        }
    }
}

impl<T> Sourced<T> {
    fn default(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }
}

impl<T: Clone> Sourced<T> {
    fn apply(&mut self, node: &Hierarchy, setting: &Setting<T>) {
        if let Setting::Value(value) = setting {
            self.value = value.clone();
            self.origin = Origin::Node(node.clone());
        }
    }
}

impl<T: Clone + PartialEq> ResolvedList<T> {
    /// Applies a list. A value that several levels name comes from the nearest one.
    fn apply(&mut self, node: &Hierarchy, setting: &Setting<List<T>>) {
        let Setting::Value(List { mode, values }) = setting else {
            return;
        };
        self.origin = Origin::Node(node.clone());
        match mode {
            ListMode::Replace => self.values.clear(),
            ListMode::AddToInherited => self.values.retain(|old| !values.contains(&old.value)),
        }
        self.values.extend(values.iter().map(|value| Sourced {
            value: value.clone(),
            origin: Origin::Node(node.clone()),
        }));
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::Inherited => serializer.serialize_str("inherited"),
            Self::Node(node) => serializer.serialize_str(node.as_str()),
        }
    }
}
