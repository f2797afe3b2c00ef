//! The result of routing.

use chrono::{DateTime, Utc};
use relation_types::Hierarchy;
use serde::{Deserialize, Serialize};

use super::ids::DerivedId;
use crate::Notice;
use crate::settings::{ChannelKind, Language, Recipient, Zone};

/// The deliveries of one notice, and those that are not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePlan {
    /// The notice with its id.
    pub notice: Notice,
    /// The threshold in milliseconds that the notice reports; 0 without one.
    pub threshold_ms: u64,
    /// The deliveries, those of the nearest level first.
    pub deliveries: Vec<Delivery>,
    /// The deliveries that are not made, with the reason.
    pub not_made: Vec<NotMade>,
}

/// A delivery to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The id, derived from the notice, the channel and the recipient.
    pub id: DerivedId,
    /// The notice's id.
    pub notice: String,
    /// The channel.
    pub channel: ChannelKind,
    /// The recipient.
    pub recipient: Recipient,
    /// The key by which deliveries to this recipient are counted and folded. It contains the level, so that one
    /// tenant's messages do not use another's budget.
    pub recipient_key: String,
    /// The level that names the recipient; the record's node for its account e-mail.
    pub origin: Hierarchy,
    /// The language of texts.
    pub language: Language,
    /// The time zone of texts; `None`: UTC.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// The maximum number of messages to the recipient in an hour.
    pub budget: u32,
    /// The time before which the delivery is not made.
    pub earliest: DateTime<Utc>,
    /// The reasons for an earliest time after the event.
    pub holds: Vec<Hold>,
    /// The time after which the notice is obsolete.
    pub deadline: DateTime<Utc>,
}

/// A reason for a delivery after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// The connection failed within an hour after a notice that it works; the failure is reported if the connection
    /// still fails.
    Flapping,
    /// The delivery is folded into the digest of the day.
    Digest,
    /// The recipient's budget is used up; the delivery is folded into the next message.
    Budget,
    /// The delivery waits for the end of the quiet hours.
    QuietHours,
}

/// A delivery that is not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMade {
    /// The channel, if the reason is about one.
    pub channel: Option<ChannelKind>,
    /// The recipient, if the reason is about one.
    pub recipient: Option<Recipient>,
    /// The level that names the recipient.
    pub origin: Option<Hierarchy>,
    /// The reason.
    pub reason: Reason,
}

/// The reason why a delivery is not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The setting `notify` is off.
    NotifyOff,
    /// The kind is not among those that are reported.
    KindOff,
    /// The channel is off.
    ChannelOff,
    /// No level has a recipient.
    NoRecipients,
    /// Another delivery of the level goes to the same address.
    DuplicateAddress,
    /// The account e-mail of the record is not an address.
    InvalidAddress,
    /// A notice has more deliveries than allowed.
    TooManyRecipients,
    /// The settings require a later time.
    NotYet {
        /// The time.
        at: DateTime<Utc>,
    },
    /// This threshold or a tighter one was reported.
    AlreadyTold,
    /// No threshold applies.
    NoThreshold,
    /// No problem was reported since the last recovery, so that a recovery means nothing.
    NothingToRecover,
    /// Reminders are off.
    ReminderOff,
    /// A later notice replaces the delivery while the delivery waits, such as for a digest.
    Replaced,
}

/// The part of a plan that a reader of one node may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VisiblePlan {
    /// The notice.
    pub notice: Notice,
    /// The threshold in milliseconds that the notice reports; 0 without one.
    pub threshold_ms: u64,
    /// The deliveries to recipients of the reader's level and below.
    pub deliveries: Vec<Delivery>,
    /// The deliveries that are not made, as far as they are about such recipients or about none.
    pub not_made: Vec<NotMade>,
    /// Whether a level above is told too.
    pub told_above: bool,
}

impl RoutePlan {
    /// Returns what a reader with rights at and below `node` may see.
    #[must_use]
    pub fn visible_from(&self, node: &Hierarchy) -> VisiblePlan {
        let (visible, above): (Vec<Delivery>, Vec<Delivery>) = self
            .deliveries
            .iter()
            .cloned()
            .partition(|delivery| node.contains(&delivery.origin));
        let is_visible = |not_made: &&NotMade| {
            let mut origin = not_made.origin.iter();
            origin.all(|origin| node.contains(origin))
        };
        VisiblePlan {
            notice: self.notice.clone(),
            threshold_ms: self.threshold_ms,
            deliveries: visible,
            not_made: self.not_made.iter().filter(is_visible).cloned().collect(),
            told_above: !above.is_empty(),
        }
    }
}
