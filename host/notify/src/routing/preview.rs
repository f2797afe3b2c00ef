//! The coming notices of one connection.

use std::time::Duration;

use chrono::{DateTime, Utc};
use relation_types::reports::State;

use super::event::{ConnectionFacts, Event, add, crossing, thresholds_within};
use super::fold::replaces;
use super::plan::{Delivery, NotMade, Reason, RoutePlan};
use super::route::{History, route};
use crate::NoticeKind;
use crate::settings::{Reminder, Resolved};

/// The number of reminders in a preview.
const MAX_REMINDERS: u32 = 2;

/// A coming notice, if the connection's facts do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedNotice {
    /// The time of the event.
    pub at: DateTime<Utc>,
    /// The event.
    pub event: Event,
    /// The routing at that time.
    pub plan: RoutePlan,
}

/// Lists the coming notices of a connection in the order of time. They are for a crossed threshold that is not
/// reported yet, further thresholds, failed refreshes, the expiry, and the next reminders.
///
/// Each plan is the result of [`route`] for the event at its time, with the history as it is then. If nobody is told,
/// the plan has the reason.
#[must_use]
pub fn preview(
    facts: &ConnectionFacts,
    resolved: &Resolved,
    history: &History,
    now: DateTime<Utc>,
) -> Vec<PlannedNotice> {
    let mut planner = Planner {
        facts: facts.clone(),
        resolved,
        history: history.clone(),
        planned: Vec::new(),
    };
    planner.plan(now);
    planner.planned
}

/// Returns the next time at which the connection must be checked, because somebody is told then if its facts do not
/// change. `None` if only a change can lead to a notice.
#[must_use]
pub fn next_check(
    facts: &ConnectionFacts,
    resolved: &Resolved,
    history: &History,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let planned = preview(facts, resolved, history, now);
    let is_told = |planned: &&PlannedNotice| !planned.plan.deliveries.is_empty();
    planned.iter().find(is_told).map(|planned| planned.at)
}

/// Marks deliveries as not made if a later notice replaces them while they wait, as the runner drops them.
pub(crate) fn drop_replaced(planned: &mut [PlannedNotice]) {
    let all = planned.to_vec();
    for (index, each) in planned.iter_mut().enumerate() {
        let is_replaced = |delivery: &Delivery| {
            let mut later = all.iter().skip(index.saturating_add(1));
            later.any(|later| {
                let mut deliveries = later.plan.deliveries.iter();
                replaces(&later.plan.notice, &each.plan.notice)
                    && deliveries.any(|other| {
                        other.recipient_key == delivery.recipient_key
                            && other.earliest <= delivery.earliest
                    })
            })
        };
        let deliveries = std::mem::take(&mut each.plan.deliveries);
        let (replaced, kept): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.into_iter().partition(is_replaced);
        each.plan.deliveries = kept;
        let replaced = replaced.into_iter().map(|delivery| NotMade {
            channel: Some(delivery.channel),
            recipient: Some(delivery.recipient),
            origin: Some(delivery.origin),
            reason: Reason::Replaced,
        });
        each.plan.not_made.extend(replaced);
    }
}

struct Planner<'p> {
    facts: ConnectionFacts,
    resolved: &'p Resolved,
    history: History,
    planned: Vec<PlannedNotice>,
}

impl Planner<'_> {
    fn plan(&mut self, now: DateTime<Utc>) {
        match self.facts.state {
            State::NotConnected => {}
            State::Expired | State::Reauthorize => {
                let told = self.history.problem_time().unwrap_or(now);
                self.plan_reminders(told, now);
            }
            State::Connected | State::Expiring | State::MissingScope | State::Retrying => {
                self.plan_ahead(now);
            }
        }
    }

    /// Plans the thresholds, the notice of failed refreshes, and the expiry.
    fn plan_ahead(&mut self, now: DateTime<Utc>) {
        let mut events = Vec::new();
        if self.facts.state == State::Retrying
            && let Some(since) = self.facts.failing_since
        {
            let after = self.resolved.fields.retrying_after.value.as_delta();
            let at = add(since, after);
            // An earlier one has been reported, and after the expiry the expiry is reported.
            let is_before_expiry = self.facts.expires.is_none_or(|expires| at < expires);
            if at > now && is_before_expiry {
                events.push((at, Event::retrying(&self.facts, since, at)));
            }
        }
        let Some(expires) = self.facts.expires else {
            self.add_all(events);
            return;
        };
        let thresholds = self.resolved.fields.thresholds.values.iter();
        let thresholds: Vec<Duration> = thresholds.map(|each| each.value.as_duration()).collect();
        let thresholds = thresholds_within(&thresholds, self.facts.lifetime);
        let mut times: Vec<DateTime<Utc>> = thresholds
            .iter()
            .map(|threshold| crossing(expires, *threshold))
            .filter(|at| *at > now)
            .collect();
        let is_crossed = thresholds
            .iter()
            .any(|each| crossing(expires, *each) <= now);
        if is_crossed && now < expires {
            times.push(now);
        }
        events.extend(
            times
                .into_iter()
                .map(|at| (at, Event::expiring(&self.facts, at))),
        );
        self.add_all(events);

        let at = expires.max(now);
        let mut facts = self.facts.clone();
        facts.state = State::Expired;
        let episode = at.timestamp_millis().to_string();
        let event = Event::new(&facts, NoticeKind::Expired, at, facts.source(), episode);
        self.facts = facts;
        self.history.reminders = 0;
        self.add(at, event);
        self.plan_reminders(at, at);
    }

    /// Plans reminders after the notice at `told`.
    fn plan_reminders(&mut self, told: DateTime<Utc>, now: DateTime<Utc>) {
        let Reminder::Every(span) = self.resolved.fields.reminder.value else {
            return;
        };
        let mut told = told;
        for _ in 0..MAX_REMINDERS {
            let at = add(told, span.as_delta()).max(now);
            let number = self.history.reminders.saturating_add(1);
            self.add(at, Event::reminder(&self.facts, number, at));
            self.history.reminders = number;
            told = at;
        }
    }

    fn add_all(&mut self, mut events: Vec<(DateTime<Utc>, Event)>) {
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            self.add(at, event);
        }
    }

    /// Routes the event, and notes in the history that the event is reported.
    fn add(&mut self, at: DateTime<Utc>, event: Event) {
        let plan = route(&event, self.resolved, at, &self.history);
        if matches!(
            plan.notice.kind,
            NoticeKind::Expired | NoticeKind::Reauthorize
        ) && (event.reminder == 0 || !plan.deliveries.is_empty())
        {
            self.history.problem_routed = Some(at);
        }
        if !plan.deliveries.is_empty() {
            self.history.problem_told = Some(at);
            if event.notice.kind == NoticeKind::Expiring {
                let told = Duration::from_millis(plan.threshold_ms);
                self.history.told_threshold = Some(told);
            }
        }
        self.planned.push(PlannedNotice { at, event, plan });
    }
}
