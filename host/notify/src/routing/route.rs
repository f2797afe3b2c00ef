//! The routing of one event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use relation_types::Hierarchy;

use super::alert::ends_with_recovery;
use super::event::{
    Event, add, crossed_threshold, crossing, is_ahead, thresholds_within, to_millis,
};
use super::ids::{count_key, delivery_id, recipient_key};
use super::plan::{Delivery, Hold, NotMade, Reason, RoutePlan};
use crate::settings::{
    ChannelKind, DeliverySettings, MailAddress, Recipient, Reminder, Resolved, ResolvedRecipient,
};
use crate::{NoticeKind, Severity};

/// The maximum number of deliveries of one notice.
pub const MAX_DELIVERIES: usize = 200;
/// The time after a recovery in which a failure is held.
const FLAPPING: TimeDelta = TimeDelta::hours(1);
/// The period of a budget.
const BUDGET_PERIOD: TimeDelta = TimeDelta::hours(1);

/// The facts about earlier notices that routing needs, for the record and grant of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The smallest threshold that was reported in this generation of the refresh token.
    pub told_threshold: Option<Duration>,
    /// The latest time at which somebody was told of a problem of the connection: those of [`ends_with_recovery`].
    /// Pending deliveries do not count, since a recovery drops them.
    pub problem_told: Option<DateTime<Utc>>,
    /// The latest time at which it was routed that the connection does not work, whether or not somebody was told.
    /// Reminders count from it.
    pub problem_routed: Option<DateTime<Utc>>,
    /// The latest time at which somebody was told of a recovery.
    pub recovery_told: Option<DateTime<Utc>>,
    /// The time of the latest recovery that somebody was told of. Retries and resends do not change it.
    pub recovered: Option<DateTime<Utc>>,
    /// The number of the latest reminder in this generation of the refresh token.
    pub reminders: u32,
    /// The times of the messages of the last hour, by [`Delivery::recipient_key`]. One digest is one message.
    pub sent: BTreeMap<String, Vec<DateTime<Utc>>>,
}

impl History {
    /// Returns the time from which the next reminder counts.
    pub(super) fn problem_time(&self) -> Option<DateTime<Utc>> {
        self.problem_routed.or(self.problem_told)
    }

    /// Returns the time at which the present failure is held until, because the connection recovered shortly before.
    fn flapping_end(&self, kind: NoticeKind, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_failure = ends_with_recovery(kind) && kind != NoticeKind::Expiring;
        let recovered = self
            .recovered
            .filter(|at| is_failure && !is_ahead(*at, now));
        let end = add(recovered?, FLAPPING);
        (end > now).then_some(end)
    }
}

/// Returns the time at or after `time` at which another message to a recipient is within the budget of an hour. None
/// if it is within the budget at `time`.
#[must_use]
pub fn budget_end(
    sent: &[DateTime<Utc>],
    budget: u32,
    time: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut recent: Vec<DateTime<Utc>> = recent(sent, time).collect();
    recent.sort_unstable_by(|a, b| b.cmp(a));
    let last = usize::try_from(budget)
        .unwrap_or(usize::MAX)
        .checked_sub(1)?;
    recent.get(last).map(|sent| add(*sent, BUDGET_PERIOD))
}

/// Counts the messages that use up the budget at `time`.
pub(super) fn count_recent(sent: &[DateTime<Utc>], time: DateTime<Utc>) -> usize {
    recent(sent, time).count()
}

fn recent(sent: &[DateTime<Utc>], time: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    let sent = sent.iter().copied();
    sent.filter(move |sent| !is_ahead(*sent, time) && add(*sent, BUDGET_PERIOD) > time)
}

/// Routes an event: finds the deliveries, and the reasons why others are not made. The preview and the delivery both
/// use this function.
#[must_use]
pub fn route(
    event: &Event,
    resolved: &Resolved,
    now: DateTime<Utc>,
    history: &History,
) -> RoutePlan {
    let mut event = event.clone();
    let thresholds: Vec<Duration> = resolved
        .fields
        .thresholds
        .values
        .iter()
        .map(|threshold| threshold.value.as_duration())
        .collect();
    let thresholds = thresholds_within(&thresholds, event.lifetime);
    let found = find_threshold(&mut event, &thresholds, now);
    event.notice.id = event.key.to_id().to_string();
    let gate = check_notice(&event, resolved, now, history).or(found.err());
    let mut router = Router {
        plan: RoutePlan {
            notice: event.notice.clone(),
            threshold_ms: event.key.threshold_ms,
            deliveries: Vec::new(),
            not_made: Vec::new(),
        },
        addresses: BTreeSet::new(),
        event: &event,
        thresholds: &thresholds,
        resolved,
        history,
        now,
    };
    match gate {
        Some(reason) => router.skip(reason),
        None => router.find_deliveries(),
    }
    router.plan
}

/// Finds the threshold that an expiry notice reports, and the notice's severity. As in the plugin, the smallest
/// threshold is major and the second smallest minor.
fn find_threshold(
    event: &mut Event,
    thresholds: &[Duration],
    now: DateTime<Utc>,
) -> Result<(), Reason> {
    let (NoticeKind::Expiring, Some(expires)) = (event.notice.kind, event.notice.expires) else {
        return Ok(());
    };
    event.key.threshold_ms = 0;
    let Some(crossed) = crossed_threshold(thresholds, expires, now) else {
        let next = thresholds.first().map(|first| crossing(expires, *first));
        return Err(next.map_or(Reason::NoThreshold, |at| Reason::NotYet { at }));
    };
    event.key.threshold_ms = to_millis(crossed);
    event.notice.severity = match thresholds.iter().filter(|each| **each < crossed).count() {
        0 => Severity::Major,
        1 => Severity::Minor,
        _ => Severity::Info,
    };
    Ok(())
}

/// Returns the reason why nobody is told of the event.
fn check_notice(
    event: &Event,
    resolved: &Resolved,
    now: DateTime<Utc>,
    history: &History,
) -> Option<Reason> {
    let fields = &resolved.fields;
    let kind = event.notice.kind;
    if kind == NoticeKind::Test {
        return None;
    }
    if !fields.notify.value {
        return Some(Reason::NotifyOff);
    }
    if !fields.has_kind(kind) {
        return Some(Reason::KindOff);
    }
    let wait = |since: DateTime<Utc>, span: TimeDelta| {
        let at = add(since, span);
        (at > now).then_some(Reason::NotYet { at })
    };
    match kind {
        NoticeKind::Expiring => {
            let told = history.told_threshold.map(to_millis);
            let crossed = event.key.threshold_ms;
            let is_told = crossed > 0 && told.is_some_and(|told| told <= crossed);
            is_told.then_some(Reason::AlreadyTold)
        }
        NoticeKind::Retrying => {
            let after = fields.retrying_after.value.as_delta();
            wait(event.failing_since?, after)
        }
        NoticeKind::Recovered => {
            let recovery_told = history.recovery_told.filter(|told| !is_ahead(*told, now));
            let is_told = match (history.problem_told, recovery_told) {
                (Some(problem), Some(recovery)) => recovery < problem,
                (problem, _) => problem.is_some(),
            };
            (!is_told).then_some(Reason::NothingToRecover)
        }
        NoticeKind::Expired | NoticeKind::Reauthorize if event.reminder > 0 => {
            match fields.reminder.value {
                Reminder::Off => Some(Reason::ReminderOff),
                Reminder::Every(span) => wait(history.problem_time()?, span.as_delta()),
            }
        }
        _ => None,
    }
}

/// The state of routing one event.
struct Router<'r> {
    plan: RoutePlan,
    /// The keys of the recipients so far, with their levels. A level must not change how another notifies an address.
    addresses: BTreeSet<(ChannelKind, String)>,
    event: &'r Event,
    thresholds: &'r [Duration],
    resolved: &'r Resolved,
    history: &'r History,
    now: DateTime<Utc>,
}

impl Router<'_> {
    /// Notes that nobody is told.
    fn skip(&mut self, reason: Reason) {
        self.plan.not_made.push(NotMade {
            channel: None,
            recipient: None,
            origin: None,
            reason,
        });
    }

    /// Adds a delivery, or the reason against it, for each recipient. The account e-mail, which belongs to the
    /// record's own level, and nearer levels come first.
    fn find_deliveries(&mut self) {
        if let Some(text) = self.find_account_email() {
            match MailAddress::parse(&text) {
                Ok(address) => {
                    let recipient = Recipient::Mail(address);
                    let delivery = self.resolved.fields.delivery();
                    self.add(&recipient, &self.event.node, &delivery);
                }
                Err(_) => self.plan.not_made.push(NotMade {
                    channel: Some(ChannelKind::Mail),
                    recipient: None,
                    origin: Some(self.event.node.clone()),
                    reason: Reason::InvalidAddress,
                }),
            }
        }
        for each in &self.resolved.recipients {
            let ResolvedRecipient {
                recipient,
                origin,
                delivery,
            } = each;
            self.add(recipient, origin, delivery);
        }
        if self.plan.deliveries.is_empty() && self.plan.not_made.is_empty() {
            self.skip(Reason::NoRecipients);
        }
    }

    fn find_account_email(&self) -> Option<String> {
        let is_told = self.resolved.fields.account_email.value;
        let text = self.event.account_email.as_deref().map(str::trim);
        let text = text.filter(|text| is_told && !text.is_empty())?;
        Some(text.to_owned())
    }

    fn add(&mut self, recipient: &Recipient, origin: &Hierarchy, settings: &DeliverySettings) {
        let channel = recipient.channel();
        let key = recipient_key(recipient, origin.as_str());
        let reason = if !self.resolved.fields.has_channel(channel) {
            Some(Reason::ChannelOff)
        } else if self.addresses.contains(&(channel, key.clone())) {
            Some(Reason::DuplicateAddress)
        } else if self.plan.deliveries.len() >= MAX_DELIVERIES {
            Some(Reason::TooManyRecipients)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.plan.not_made.push(NotMade {
                channel: Some(channel),
                recipient: Some(recipient.clone()),
                origin: Some(origin.clone()),
                reason,
            });
            return;
        }
        let count_key = count_key(recipient, origin);
        let (earliest, holds) = self.find_time(channel, &count_key, settings);
        let notice = &self.plan.notice.id;
        self.plan.deliveries.push(Delivery {
            id: delivery_id(notice, channel, &key),
            notice: notice.clone(),
            channel,
            recipient: recipient.clone(),
            recipient_key: count_key,
            origin: origin.clone(),
            language: settings.language,
            zone: settings.zone().cloned(),
            budget: settings.budget,
            earliest,
            holds,
            deadline: self.find_deadline(earliest),
        });
        self.addresses.insert((channel, key));
    }

    /// Finds the time of a delivery, and what it waits for. A test waits for nothing; a notice before an expiry does
    /// not wait beyond the expiry.
    fn find_time(
        &self,
        channel: ChannelKind,
        key: &str,
        settings: &DeliverySettings,
    ) -> (DateTime<Utc>, Vec<Hold>) {
        let notice = &self.event.notice;
        let mut time = self.now;
        let mut holds = Vec::new();
        if notice.kind == NoticeKind::Test {
            return (time, holds);
        }
        let mut wait = |time: &mut DateTime<Utc>, end: Option<DateTime<Utc>>, hold: Hold| {
            if let Some(end) = end {
                *time = end;
                holds.push(hold);
            }
        };
        wait(
            &mut time,
            self.history.flapping_end(notice.kind, self.now),
            Hold::Flapping,
        );
        let digest = settings.digest_time(channel, time);
        wait(&mut time, digest, Hold::Digest);
        let sent = self.history.sent.get(key).map(Vec::as_slice);
        let budget = budget_end(sent.unwrap_or_default(), settings.budget, time);
        wait(&mut time, budget, Hold::Budget);
        if notice.severity != Severity::Critical {
            let quiet = settings.quiet_end(channel, time);
            wait(&mut time, quiet, Hold::QuietHours);
        }
        match notice.expires {
            Some(expires)
                if notice.kind == NoticeKind::Expiring && self.now < expires && expires <= time =>
            {
                (self.now, Vec::new())
            }
            _ => (time, holds),
        }
    }

    /// Finds the time after which a delivery that is due at `earliest` is obsolete. A notice before an expiry has none
    /// once the next threshold is crossed, since a tighter notice is sent then.
    fn find_deadline(&self, earliest: DateTime<Utc>) -> DateTime<Utc> {
        let notice = &self.event.notice;
        let lifetime = match notice.kind {
            NoticeKind::Expiring => {
                let expires = notice.expires.filter(|expires| *expires > earliest);
                let Some(expires) = expires else {
                    return add(earliest, TimeDelta::days(1));
                };
                let crossings = self.thresholds.iter().map(|each| crossing(expires, *each));
                let next = crossings
                    .filter(|at| *at > self.now && *at > earliest)
                    .min();
                return next.unwrap_or(expires);
            }
            NoticeKind::Test => TimeDelta::hours(1),
            NoticeKind::Retrying | NoticeKind::Recovered => TimeDelta::days(1),
            NoticeKind::Expired
            | NoticeKind::Reauthorize
            | NoticeKind::MissingScope
            | NoticeKind::ImportFailed
            | NoticeKind::HostTrouble
            | NoticeKind::Endpoint => TimeDelta::days(7),
        };
        add(earliest, lifetime)
    }
}
