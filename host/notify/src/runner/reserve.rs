//! The budget of a recipient: whether a delivery is a message, a part of one, or waits.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use relation_host::store::{Change, Check, Commit, StoreError};
use relation_host::types::{Filter, Hierarchy, Pkid, Reference};

use super::facts::{find_recipient, load_settings};
use super::model::{
    Attempts, DELIVERY_MODEL, DeliveryState, RECIPIENT_KEY, STATE_KEY, StoredDelivery,
    StoredMessage, hash_recipient, is_claimed, key, read, to_timestamp,
};
use super::recipients::{LoadedRecipient, TRIES, load_messages};
use super::{NoticeRunner, Run, RunError, deliver_id, schedule, spread};
use crate::NoticeKind;
use crate::routing::{Delivery, Due, FoldContext, FoldedMessage, Hold, budget_end, fold};
use crate::settings::{Defaults, Resolved};

/// The maximum number of deliveries that one message covers.
const MAX_FOLDED: usize = 500;
/// The number of deliveries in one page of a search.
const PAGE: u32 = 500;
/// The maximum number of pages of a search.
const MAX_PAGES: usize = 12;

/// The time before a deadline at which a delivery does not wait for the budget any more.
const BEFORE_DEADLINE: TimeDelta = TimeDelta::minutes(10);

/// The place of a delivery that is due.
pub(super) enum Place {
    /// The delivery is a message of its own.
    Alone,
    /// Another document is the message, and covers the delivery.
    Together,
    /// Another delivery replaces this one.
    Replaced,
    /// The delivery waits until other runs have ended.
    Later(DateTime<Utc>),
    /// The delivery waits for the budget.
    Postponed(DateTime<Utc>),
}

impl NoticeRunner {
    /// Finds the place of a delivery, and reserves it in the recipient's document. All runs for one recipient reserve
    /// one after the other, so that no delivery is in two messages, and the budget holds on all hosts.
    pub(super) async fn find_place(
        &self,
        run: &Run<'_>,
        stored: &StoredDelivery,
    ) -> Result<Place, RunError> {
        // A further attempt has its place. Tests do not count.
        if stored.attempts.count > 0 || stored.notice.kind == NoticeKind::Test {
            return Ok(Place::Alone);
        }
        // An interrupted run may have sent the delivery alone, so that it is repeated with the same id.
        let is_again = run.attempt > 1 || stored.resent > 0;
        let delivery = &stored.delivery;
        let pkid = &run.document.reference.pkid;
        for _ in 0..TRIES {
            let now = run.now();
            let mut recipient = LoadedRecipient::load(run.store, &delivery.recipient_key).await?;
            let open = load_messages(run.store, &recipient.body).await?;
            let taken: BTreeSet<&Pkid> = open.iter().flat_map(|each| &each.members).collect();
            if stored.resent == 0 && taken.contains(pkid) {
                return Ok(Place::Together);
            }
            let mut together = None;
            if !is_again {
                let times = recipient.body.times();
                let mut budget = delivery.budget;
                if let Some(end) = budget_end(&times, budget, now) {
                    let end = end.min(find_budget_limit(delivery));
                    if end > now {
                        return Ok(Place::Postponed(end));
                    }
                    // One message beyond the budget covers all that wait.
                    let used = u32::try_from(times.len()).unwrap_or(u32::MAX);
                    budget = used.saturating_add(1);
                }
                let due = self.find_due(run, stored, &taken).await?;
                let due = retain_told(run, &self.options.defaults, due).await?;
                let folded = fold(
                    &due,
                    &FoldContext {
                        node: &delivery.origin,
                        now,
                        budget,
                        sent: &times,
                        link: self.options.link.clone(),
                    },
                );
                if folded.superseded.contains(&delivery.id) {
                    return Ok(Place::Replaced);
                }
                let mut messages = folded.messages.into_iter();
                let Some(message) = messages.find(|each| each.deliveries.contains(&delivery.id))
                else {
                    let soon = now + TimeDelta::minutes(1);
                    return Ok(Place::Later(
                        folded.next.unwrap_or(delivery.earliest).max(soon),
                    ));
                };
                if message.deliveries.len() > 1 {
                    together = Some(to_message(stored, message, &due)?);
                }
            }
            recipient.count(pkid, now);
            let mut checks = vec![recipient.check];
            let mut changes = Vec::new();
            if let Some(message) = &together {
                let reference = message.reference();
                checks.push(Check::Absent(reference.clone()));
                changes.push(Change::Put(message.to_document()?));
                let id = deliver_id(delivery.channel);
                changes.push(schedule(reference.clone(), id, now));
                recipient.body.open.push(reference.pkid);
            }
            changes.push(Change::Put(recipient.body.to_document(delivery)?));
            let commit = Commit {
                checks,
                changes,
                now: to_timestamp(now),
                ..Commit::default()
            };
            match run.store.commit(commit).await {
                Ok(()) if together.is_some() => return Ok(Place::Together),
                Ok(()) => return Ok(Place::Alone),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let later = run.now() + TimeDelta::seconds(5);
        Ok(Place::Later(spread(later, delivery.id.as_str(), 30)))
    }

    /// Finds the deliveries to the recipient that one message can cover, including this one. Those that a run has
    /// claimed or that were attempted are left out, since they may have been sent.
    async fn find_due(
        &self,
        run: &Run<'_>,
        stored: &StoredDelivery,
        taken: &BTreeSet<&Pkid>,
    ) -> Result<Vec<Due>, RunError> {
        let mut due = vec![to_due(stored, run.now())];
        let filter = Filter {
            model: DELIVERY_MODEL.to_owned(),
            hierarchy: None,
            equals: vec![
                key(
                    RECIPIENT_KEY,
                    &hash_recipient(&stored.delivery.recipient_key),
                ),
                key(STATE_KEY, DeliveryState::Pending.as_str()),
            ],
        };
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = run.store.find(&filter, cursor.as_deref(), PAGE).await?;
            for document in &page.items {
                let pkid = &document.reference.pkid;
                let is_other = document.reference != run.document.reference;
                if !is_other || is_claimed(document) || taken.contains(pkid) {
                    continue;
                }
                let other: StoredDelivery = read(document)?;
                let is_free = other.attempts.count == 0 && other.resent == 0;
                let is_due = other.delivery.earliest <= run.now() || waits_for_budget(&other);
                let is_current = other.delivery.deadline >= run.now();
                let is_test = other.notice.kind == NoticeKind::Test;
                if is_free && is_due && is_current && !is_test {
                    due.push(to_due(&other, run.now()));
                }
                if due.len() >= MAX_FOLDED {
                    return Ok(due);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(due)
    }
}

/// Creates the message of folded deliveries.
fn to_message(
    stored: &StoredDelivery,
    folded: FoldedMessage,
    due: &[Due],
) -> Result<StoredMessage, RunError> {
    let mut delivery = stored.delivery.clone();
    let told = due
        .iter()
        .filter(|each| folded.deliveries.contains(&each.delivery.id));
    let deadlines = told.map(|each| each.delivery.deadline);
    delivery.deadline = deadlines.fold(delivery.deadline, DateTime::max);
    let members = folded.deliveries.iter().map(|id| id.to_pkid().parse());
    Ok(StoredMessage {
        delivery,
        account_email: stored.account_email,
        message: folded.message,
        members: members.collect::<Result<_, _>>()?,
        state: DeliveryState::Pending,
        attempts: Attempts::default(),
        reason: None,
        ended: None,
    })
}

/// Leaves out the deliveries that the settings do not include any more; their own runs drop them. The first one is
/// checked.
async fn retain_told(
    run: &Run<'_>,
    defaults: &Defaults,
    due: Vec<Due>,
) -> Result<Vec<Due>, RunError> {
    let mut due = due.into_iter();
    let mut told: Vec<Due> = due.next().into_iter().collect();
    let others: Vec<Due> = due.collect();
    let records: BTreeMap<&str, Reference> = others
        .iter()
        .filter_map(|each| {
            let record = each.notice.record.as_str();
            Some((record, Reference::record(record.parse().ok()?)))
        })
        .collect();
    let references: Vec<Reference> = records.values().cloned().collect();
    let found = match references.is_empty() {
        true => Vec::new(),
        false => run.store.get(&references).await?,
    };
    let nodes: BTreeMap<&str, Option<Hierarchy>> = records
        .keys()
        .copied()
        .zip(found.into_iter().map(|found| Some(found?.hierarchy)))
        .collect();
    let mut settings = BTreeMap::<Hierarchy, Resolved>::new();
    let mut is_told = Vec::new();
    for each in &others {
        let node = match nodes.get(each.notice.record.as_str()) {
            Some(node) => node.clone(),
            None => each.notice.node.parse().ok(),
        };
        let Some(node) = node else {
            is_told.push(false);
            continue;
        };
        if !settings.contains_key(&node) {
            settings.insert(
                node.clone(),
                load_settings(run.store, &node, defaults).await?.resolved,
            );
        }
        let told = settings.get(&node).is_some_and(|resolved| {
            let fields = &resolved.fields;
            fields.notify.value
                && fields.has_kind(each.notice.kind)
                && fields.has_channel(each.delivery.channel)
                && (find_recipient(resolved, &each.delivery.recipient_key).is_some()
                    || fields.account_email.value)
        });
        is_told.push(told);
    }
    let kept = others.into_iter().zip(is_told);
    told.extend(kept.filter(|(_, is_told)| *is_told).map(|(each, _)| each));
    Ok(told)
}

fn to_due(stored: &StoredDelivery, now: DateTime<Utc>) -> Due {
    let mut delivery = stored.delivery.clone();
    // A message that the budget allows covers the deliveries that wait for it.
    delivery.earliest = delivery.earliest.min(now);
    Due {
        delivery,
        notice: stored.notice.clone(),
    }
}

/// Returns whether a delivery waits only for the recipient's budget.
fn waits_for_budget(stored: &StoredDelivery) -> bool {
    stored.delivery.holds.last() == Some(&Hold::Budget)
}

/// Returns the time until which a delivery may wait for the budget: its deadline, less some time for attempts.
pub(super) fn find_budget_limit(delivery: &Delivery) -> DateTime<Utc> {
    let limit = delivery.deadline.checked_sub_signed(BEFORE_DEADLINE);
    limit.unwrap_or(delivery.deadline)
}
