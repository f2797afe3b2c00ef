//! Reminders of connections that do not work. Each chain of runs belongs to the routing of the first notice about it.

use chrono::{DateTime, TimeDelta, Utc};
use relation_host::store::Change;
use relation_host::types::{Pkid, Reference};
use relation_host::{NextRun, WakeupResult};
use relation_types::reports::State;

use super::history::{KnownNotices, is_problem};
use super::model::{StoredRouting, read, to_timestamp};
use super::{NoticeRunner, Run, RunError, schedule};
use crate::routing::{ConnectionFacts, Event, History, next_check};
use crate::settings::Resolved;

/// The id of the wakeup that looks at a connection that does not work.
pub(super) const REMIND: &str = "notice.remind";
/// The longest time between two looks, so that changed settings are noticed.
const LOOK_AGAIN: TimeDelta = TimeDelta::days(1);
/// The shortest time between two looks.
const MIN_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Returns whether the connection does not work, so that people are reminded.
pub(super) const fn needs_person(state: State) -> bool {
    matches!(state, State::Expired | State::Reauthorize)
}

/// Returns the wakeup of the next look.
pub(super) fn schedule_remind(
    subject: Reference,
    facts: &ConnectionFacts,
    resolved: &Resolved,
    history: &History,
    now: DateTime<Utc>,
) -> Change {
    let next = find_next(facts, resolved, history, now);
    schedule(subject, REMIND.to_owned(), next)
}

fn find_next(
    facts: &ConnectionFacts,
    resolved: &Resolved,
    history: &History,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let latest = now + LOOK_AGAIN;
    let next = next_check(facts, resolved, history, now).unwrap_or(latest);
    next.clamp(now + MIN_PAUSE, latest)
}

impl NoticeRunner {
    /// Looks at a connection that did not work: sends a reminder if it is due, and looks again later. Ends when the
    /// connection works, and when a later notice has a chain of its own.
    pub(super) async fn remind(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let own: StoredRouting = read(run.document)?;
        let Ok(record) = own.notice.record.parse::<Pkid>() else {
            return Ok(NextRun::Never.into());
        };
        let found = run.facts.find(&record, &own.notice.grant).await;
        let found = found.map_err(RunError::Facts)?;
        let Some(facts) = found.filter(|facts| needs_person(facts.state)) else {
            return Ok(NextRun::Never.into());
        };
        let known = KnownNotices::load(run.store, &record).await?;
        let order = |routing: &StoredRouting| (routing.at, routing.notice.id.clone());
        let mut routings = known.routings.iter().map(|each| &each.stored);
        if routings.any(|other| {
            other.reminder == 0
                && is_problem(other, &own.notice.grant)
                && order(other) > order(&own)
        }) {
            return Ok(NextRun::Never.into());
        }
        let now = run.now();
        let mut history = known.to_history(&facts);
        let number = history.reminders.saturating_add(1);
        let event = Event::reminder(&facts, number, now);
        let mut result: WakeupResult = NextRun::Never.into();
        let routed = self
            .add_event(run, &event, &facts, history.clone(), &mut result)
            .await?;
        if !routed.plan.deliveries.is_empty() {
            history.reminders = number;
            history.problem_routed = Some(now);
        }
        // The chain needs its document.
        let own = self.forget(run.document.reference.clone(), now);
        result.changes.push(own);
        let next = find_next(&facts, &routed.resolved, &history, now);
        result.next = NextRun::At(to_timestamp(next));
        Ok(result)
    }
}
