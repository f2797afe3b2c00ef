//! The routing of a notice of the outbox.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use relation_host::store::{Change, Check};
use relation_host::types::{AlertNotice, NoticeChange, Pkid, Reference};
use relation_host::{NextRun, WakeupResult};
use serde::Deserialize as _;

use super::facts::{is_connected, load_settings};
use super::history::{Known, KnownNotices, add_recent};
use super::model::{
    Attempts, DeliveryState, StoredDelivery, StoredRouting, is_claimed, read, redact, to_time,
};
use super::recipients::LoadedRecipient;
use super::remind::{needs_person, schedule_remind};
use super::{NoticeRunner, Run, RunError, deliver_id, schedule};
use crate::routing::{
    AlertFacts, AlertTransition, ConnectionFacts, Event, History, RoutePlan, count_key,
    ends_with_recovery, event_from_alert, route,
};
use crate::settings::{MailAddress, Recipient, Resolved};
use crate::{NoticeKind, Severity};

/// An event that was routed.
pub(super) struct RoutedEvent {
    pub plan: RoutePlan,
    pub resolved: Resolved,
}

impl NoticeRunner {
    pub(super) async fn route(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let told: AlertNotice = read(run.document)?;
        let mut result: WakeupResult = NextRun::DeleteSubject.into();
        let alert = told.body.as_ref();
        let alert = alert.and_then(|body| AlertFacts::deserialize(body).ok());
        let known = match &told.record {
            Some(record) => KnownNotices::load(run.store, &record.pkid).await?,
            None => KnownNotices::default(),
        };
        let grants: BTreeSet<String> = match &alert {
            Some(alert) => [alert.grant.clone()].into(),
            // The cleared alert could not be read: the notices of the record say what it may have been.
            None => known
                .deliveries
                .iter()
                .map(|each| each.stored.notice.grant.clone())
                .collect(),
        };
        if alert.is_none() && told.change != NoticeChange::Cleared {
            let alert = &told.alert;
            tracing::warn!(%alert, "a notice is about an alert that is not in the expected form");
        }
        for grant in grants {
            let Some(facts) = self.find_facts(run, &told, &grant).await? else {
                continue;
            };
            let mut history = known.to_history(&facts);
            let ends_problem = told.change == NoticeChange::Cleared && is_connected(facts.state);
            if ends_problem
                && alert
                    .as_ref()
                    .is_none_or(|alert| ends_with_recovery(alert.kind()))
            {
                let told_now = self
                    .drop_ended(run, &known.deliveries, &facts, &mut result)
                    .await?;
                history.problem_told = history.problem_told.max(told_now);
            }
            let event = match &alert {
                Some(alert) => to_event(alert, &told, &facts),
                None if ends_problem => Some(Event::recovered(&facts, to_time(told.time))),
                None => None,
            };
            if let Some(event) = event {
                self.add_first(run, &event, &facts, history, &mut result)
                    .await?;
            }
        }
        Ok(result)
    }

    async fn find_facts(
        &self,
        run: &Run<'_>,
        told: &AlertNotice,
        grant: &str,
    ) -> Result<Option<ConnectionFacts>, RunError> {
        match &told.record {
            Some(record) => {
                let found = run.facts.find(&record.pkid, grant).await;
                found.map_err(RunError::Facts)
            }
            None => Ok(Some(ConnectionFacts::for_installation(
                run.document.hierarchy.clone(),
                self.options.link.clone(),
            ))),
        }
    }

    /// Drops the deliveries that are obsolete since the connection works. Returns the present time if one of them
    /// notifies or may have notified somebody.
    async fn drop_ended(
        &self,
        run: &Run<'_>,
        known: &[Known<StoredDelivery>],
        facts: &ConnectionFacts,
        result: &mut WakeupResult,
    ) -> Result<Option<DateTime<Utc>>, RunError> {
        let now = run.now();
        let mut told = None;
        for Known { document, stored } in known {
            let is_ended = stored.state == DeliveryState::Pending
                && stored.notice.grant == facts.grant
                && ends_with_recovery(stored.notice.kind);
            if !is_ended {
                continue;
            }
            let key = &stored.delivery.recipient_key;
            let recipient = LoadedRecipient::load(run.store, key).await?;
            let message = recipient
                .find_message(run.store, &document.reference.pkid)
                .await?;
            if message.is_some() || is_claimed(document) || stored.attempts.unknown > 0 {
                told = Some(now);
                continue;
            }
            let reference = document.reference.clone();
            result
                .checks
                .push(Check::Version(reference.clone(), document.version));
            if stored.is_early(now) {
                result.changes.push(Change::Delete(reference));
                continue;
            }
            let mut dropped = stored.clone();
            let reason = "the connection works again";
            dropped.end(DeliveryState::Dropped, Some(reason), now);
            result.changes.extend([
                Change::Put(dropped.to_document()?),
                Change::Cancel(reference.clone(), deliver_id(stored.delivery.channel)),
                self.forget(reference, now),
            ]);
        }
        Ok(told)
    }

    /// Routes an event of an alert. If the connection does not work, its reminders begin, also when nobody is told now.
    async fn add_first(
        &self,
        run: &Run<'_>,
        event: &Event,
        facts: &ConnectionFacts,
        mut history: History,
        result: &mut WakeupResult,
    ) -> Result<(), RunError> {
        let routed = self
            .add_event(run, event, facts, history.clone(), result)
            .await?;
        let now = run.now();
        let notice = &routed.plan.notice;
        // The routing shows why nobody is told. A repetition does not; the first routing says more.
        let reference = StoredRouting::reference(&notice.id);
        let earlier = run.store.get(std::slice::from_ref(&reference)).await?;
        if routed.plan.deliveries.is_empty() && earlier.iter().all(Option::is_none) {
            self.put_routing(&routed.plan, event, facts, now, result)?;
        }
        let is_problem = matches!(notice.kind, NoticeKind::Expired | NoticeKind::Reauthorize);
        if is_problem && needs_person(facts.state) && notice.record.parse::<Pkid>().is_ok() {
            history.problem_routed = Some(now);
            let subject = StoredRouting::reference(&notice.id);
            result.changes.push(schedule_remind(
                subject,
                facts,
                &routed.resolved,
                &history,
                now,
            ));
        }
        Ok(())
    }

    /// Routes an event, and adds its deliveries that do not exist yet. If nobody is told, it leaves nothing.
    pub(super) async fn add_event(
        &self,
        run: &Run<'_>,
        event: &Event,
        facts: &ConnectionFacts,
        mut history: History,
        result: &mut WakeupResult,
    ) -> Result<RoutedEvent, RunError> {
        let now = run.now();
        let settings = load_settings(run.store, &facts.node, &self.options.defaults).await?;
        let resolved = settings.resolved;
        let account = find_account_key(event, &resolved);
        add_recent(run.store, &resolved, event, &mut history).await?;
        let plan = route(event, &resolved, now, &history);
        let (checks, changes) = self
            .make_deliveries(run, event, &plan, account.as_deref(), now)
            .await?;
        result.checks.extend(checks);
        result.changes.extend(changes);
        if !plan.deliveries.is_empty() {
            self.put_routing(&plan, event, facts, now, result)?;
        }
        Ok(RoutedEvent { plan, resolved })
    }

    fn put_routing(
        &self,
        plan: &RoutePlan,
        event: &Event,
        facts: &ConnectionFacts,
        now: DateTime<Utc>,
        result: &mut WakeupResult,
    ) -> Result<(), RunError> {
        let routing = StoredRouting {
            reminder: event.reminder,
            ..to_routing(plan, facts, now)
        };
        let document = routing.to_document(&facts.node)?;
        let reference = document.reference.clone();
        result.changes.push(Change::Put(document));
        result.changes.push(self.forget(reference, now));
        Ok(())
    }

    /// Creates the deliveries of a plan that do not exist yet. `account` is the key of the account e-mail.
    pub(super) async fn make_deliveries(
        &self,
        run: &Run<'_>,
        event: &Event,
        plan: &RoutePlan,
        account: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Check>, Vec<Change>), RunError> {
        let (mut checks, mut changes) = (Vec::new(), Vec::new());
        let mut made = Vec::new();
        for delivery in &plan.deliveries {
            let mut delivery = delivery.clone();
            delivery.recipient = redact(&delivery.recipient);
            made.push(StoredDelivery {
                account_email: account == Some(delivery.recipient_key.as_str()),
                delivery,
                notice: plan.notice.clone(),
                generation: event.key.generation,
                threshold_ms: plan.threshold_ms,
                reminder: event.reminder,
                state: DeliveryState::Pending,
                created: now,
                attempts: Attempts::default(),
                reason: None,
                ended: None,
                digest: None,
                resent: 0,
            });
        }
        let references: Vec<Reference> = made
            .iter()
            .map(StoredDelivery::reference)
            .collect::<Result<_, _>>()?;
        let existing = match references.is_empty() {
            true => Vec::new(),
            false => run.store.get(&references).await?,
        };
        for ((stored, reference), existing) in made.iter().zip(references).zip(existing) {
            if existing.is_none() {
                let (channel, due) = (stored.delivery.channel, stored.delivery.earliest);
                checks.push(Check::Absent(reference.clone()));
                changes.push(Change::Put(stored.to_document()?));
                changes.push(schedule(reference, deliver_id(channel), due));
            }
        }
        Ok((checks, changes))
    }
}

/// Returns the key of the account e-mail, if it gets the notice and no level names the address for this node.
pub(super) fn find_account_key(event: &Event, resolved: &Resolved) -> Option<String> {
    let text = event.account_email.as_deref()?;
    let address = MailAddress::parse(text).ok()?;
    let account = count_key(&Recipient::Mail(address), &event.node);
    let mut recipients = resolved.recipients.iter();
    let is_named = recipients.any(|each| count_key(&each.recipient, &each.origin) == account);
    (resolved.fields.account_email.value && !is_named).then_some(account)
}

fn to_event(alert: &AlertFacts, told: &AlertNotice, facts: &ConnectionFacts) -> Option<Event> {
    let earlier = told.earlier_severity.as_deref();
    let transition = match told.change {
        NoticeChange::Raised => AlertTransition::Raised,
        NoticeChange::SeverityRose => AlertTransition::Repeated {
            earlier: earlier.map_or(Severity::Info, parse_severity),
        },
        NoticeChange::Cleared => AlertTransition::Cleared {
            is_connected: is_connected(facts.state),
        },
    };
    event_from_alert(alert, facts, transition, to_time(told.time))
}

fn parse_severity(text: &str) -> Severity {
    let value = serde_json::Value::String(text.to_owned());
    Severity::deserialize(value).unwrap_or(Severity::Info)
}

/// Returns the outcome for administrators. It has no recipient of levels above the record's, which a reader of the
/// record's node may not see.
fn to_routing(plan: &RoutePlan, facts: &ConnectionFacts, now: DateTime<Utc>) -> StoredRouting {
    let visible = plan.visible_from(&facts.node);
    let mut not_made = plan.not_made.clone();
    for each in &mut not_made {
        let is_visible = each
            .origin
            .as_ref()
            .is_none_or(|origin| facts.node.contains(origin));
        each.recipient = match is_visible {
            true => each.recipient.as_ref().map(redact),
            false => None,
        };
    }
    StoredRouting {
        notice: plan.notice.clone(),
        at: now,
        reminder: 0,
        made: visible.deliveries.len(),
        told_above: visible.told_above,
        not_made,
    }
}
