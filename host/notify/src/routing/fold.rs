//! The messages for one recipient from the deliveries that are due.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use relation_types::Hierarchy;
use url::Url;

use super::alert::ends_with_recovery;
use super::event::is_ahead;
use super::ids::{DerivedId, digest_id};
use super::plan::{Delivery, Hold};
use super::route::{budget_end, count_recent};
use crate::{Digest, Message, Notice, NoticeKind, Severity};

/// The maximum number of notices in a digest. Others are only counted.
pub const MAX_DIGEST_NOTICES: usize = 50;

/// A delivery that is due, and its notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The delivery.
    pub delivery: Delivery,
    /// The notice.
    pub notice: Notice,
}

/// The recipient whose deliveries are folded: all have the same [`Delivery::recipient_key`].
#[derive(Clone, Debug)]
pub struct FoldContext<'c> {
    /// The level that names the recipient.
    pub node: &'c Hierarchy,
    /// The present time.
    pub now: DateTime<Utc>,
    /// The maximum number of messages in an hour.
    pub budget: u32,
    /// The times of the messages of the last hour.
    pub sent: &'c [DateTime<Utc>],
    /// The list of alerts for an administrator.
    pub link: Option<Url>,
}

/// A message, and the deliveries that it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedMessage {
    /// The message. It must be stored before its first attempt, since later deliveries would change a digest.
    pub message: Message,
    /// The deliveries.
    pub deliveries: Vec<DerivedId>,
}

/// The result of folding. Each delivery occurs in it exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The messages to send now, the most urgent first.
    pub messages: Vec<FoldedMessage>,
    /// The deliveries that wait, because they are not due or the budget is used up.
    pub waiting: Vec<DerivedId>,
    /// The time at which those that wait for the budget can be folded.
    pub next: Option<DateTime<Utc>>,
    /// The deliveries whose notice another one replaces.
    pub superseded: Vec<DerivedId>,
    /// The deliveries that are past their deadline.
    pub late: Vec<DerivedId>,
}

/// Folds the deliveries to one recipient that are due:
///
/// - A delivery past its deadline is left out, and so is a notice that a later one replaces.
/// - Deliveries of the day's digest are one message.
/// - Each other delivery is a message, if the budget allows all of them. Otherwise all are one digest.
/// - Without any budget all wait. Tests do not, and do not count.
#[must_use]
pub fn fold(due: &[Due], context: &FoldContext<'_>) -> Folded {
    let mut folded = Folded::default();
    let mut current: Vec<&Due> = Vec::new();
    for each in due {
        let delivery = &each.delivery;
        if delivery.deadline < context.now {
            folded.late.push(delivery.id.clone());
        } else if delivery.earliest > context.now {
            folded.waiting.push(delivery.id.clone());
        } else if each.notice.kind == NoticeKind::Test {
            folded.messages.push(single(each));
        } else {
            current.push(each);
        }
    }
    let mut current = drop_superseded(current, context.now, &mut folded.superseded);
    if current.is_empty() {
        return folded;
    }
    let Some(free) = count_free(context) else {
        folded.next = budget_end(context.sent, context.budget, context.now);
        let ids = current.iter().map(|each| each.delivery.id.clone());
        folded.waiting.extend(ids);
        return folded;
    };
    current.sort_by_cached_key(|each| urgency(each));
    let is_digest = |each: &&Due| each.delivery.holds.contains(&Hold::Digest);
    let (digest, separate): (Vec<&Due>, Vec<&Due>) = current.iter().copied().partition(is_digest);
    let count = separate.len() + usize::from(!digest.is_empty());
    if count <= free {
        folded.messages.extend(separate.into_iter().map(single));
        folded.messages.extend(collect(&digest, context));
    } else {
        folded.messages.extend(collect(&current, context));
    }
    folded
}

/// Returns the number of messages that the budget allows, if there are any.
fn count_free(context: &FoldContext<'_>) -> Option<usize> {
    let budget = usize::try_from(context.budget).unwrap_or(usize::MAX);
    let used = count_recent(context.sent, context.now);
    budget.checked_sub(used).filter(|free| *free > 0)
}

/// Removes notices that a later one about the same connection replaces.
fn drop_superseded<'d>(
    due: Vec<&'d Due>,
    now: DateTime<Utc>,
    superseded: &mut Vec<DerivedId>,
) -> Vec<&'d Due> {
    let mut kept: Vec<&Due> = Vec::new();
    let mut sorted = due;
    sorted.sort_by(|a, b| order(b, now).cmp(&order(a, now)));
    let mut latest = BTreeMap::<(&str, &str), Vec<&Due>>::new();
    for each in sorted {
        let connection = (each.notice.record.as_str(), each.notice.grant.as_str());
        let later = latest.entry(connection).or_default();
        if later
            .iter()
            .any(|later| replaces(&later.notice, &each.notice))
        {
            superseded.push(each.delivery.id.clone());
        } else {
            later.push(each);
            kept.push(each);
        }
    }
    kept
}

/// Returns the key that sorts the earliest first, in the same order on every host.
fn order(due: &Due, now: DateTime<Utc>) -> (impl Ord + use<>, Severity, &DerivedId) {
    let notice = &due.notice;
    (recency(notice, now), notice.severity, &due.delivery.id)
}

/// Returns the key that sorts the earliest notice first. Those from before the clock was set back are the earliest.
pub(crate) fn recency(notice: &Notice, now: DateTime<Utc>) -> impl Ord + use<> {
    (!is_ahead(notice.occurred, now), notice.occurred)
}

/// Returns whether a notice makes an earlier one about the same connection obsolete.
pub(crate) fn replaces(later: &Notice, earlier: &Notice) -> bool {
    use NoticeKind::{Endpoint, Expired, Expiring, Reauthorize, Recovered, Retrying};
    match (later.kind, earlier.kind) {
        (Recovered, Recovered) => true,
        (Recovered, kind) => ends_with_recovery(kind),
        (Expired | Reauthorize, Expiring | Expired | Reauthorize | Retrying | Recovered) => true,
        (Expiring, Expiring) | (Retrying, Retrying | Recovered) | (Endpoint, Endpoint) => true,
        _ => false,
    }
}

/// Returns the key that sorts the most urgent first.
fn urgency(due: &Due) -> impl Ord + use<> {
    let notice = &due.notice;
    (
        Reverse(notice.severity),
        notice.expires.is_none(),
        notice.expires,
        notice.occurred,
        notice.id.clone(),
    )
}

fn single(due: &Due) -> FoldedMessage {
    FoldedMessage {
        message: Message::Single(due.notice.clone()),
        deliveries: vec![due.delivery.id.clone()],
    }
}

/// Makes one message from sorted deliveries.
fn collect(due: &[&Due], context: &FoldContext<'_>) -> Option<FoldedMessage> {
    if let [only] = due {
        return Some(single(only));
    }
    let (first, rest) = due.split_at(due.len().min(MAX_DIGEST_NOTICES));
    let deliveries: Vec<DerivedId> = due.iter().map(|each| each.delivery.id.clone()).collect();
    (!due.is_empty()).then(|| FoldedMessage {
        message: Message::Digest(Digest {
            id: digest_id(&deliveries).to_string(),
            node: context.node.to_string(),
            notices: first.iter().map(|each| each.notice.clone()).collect(),
            more: u64::try_from(rest.len()).unwrap_or(u64::MAX),
            link: context.link.clone(),
        }),
        deliveries,
    })
}
