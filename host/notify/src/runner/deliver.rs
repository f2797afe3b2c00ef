//! A run of one delivery.

use chrono::{DateTime, TimeDelta, Utc};
use relation_host::store::Change;
use relation_host::types::{Filter, Hierarchy, RECORD_KEY};
use relation_host::{NextRun, WakeupResult};

use super::attempt::{Letter, Outcome};
use super::facts::{find_recipient, find_record, load_settings};
use super::model::{
    DELIVERY_MODEL, DeliveryState, RECIPIENT_KEY, StoredDelivery, StoredMessage, hash_recipient,
    key, read, to_timestamp,
};
use super::recipients::LoadedRecipient;
use super::reserve::{Place, find_budget_limit};
use super::{NoticeRunner, Run, RunError, spread};
use crate::routing::{Delivery, Hold, recency, replaces};
use crate::settings::Recipient;
use crate::{Message, NoticeKind};

/// The reason for a delivery past its deadline.
pub(super) const LATE: &str = "it would have come too late to be useful";
/// The reason for a delivery whose record does not exist.
pub(super) const RECORD_GONE: &str = "the record was deleted";
/// The reason for a recipient that the settings do not name any more.
pub(super) const NOT_TOLD: &str =
    "the settings do not name the recipient any more, or do not tell it";
/// The reason for a notice with a later one.
const REPLACED: &str = "a later notice about the connection replaces it";
/// The pause of a delivery that a message in progress covers.
const FOLLOW_MINUTES: i64 = 5;
/// The maximum number of a record's deliveries to one recipient that are compared.
const MAX_COMPARED: u32 = 200;

impl NoticeRunner {
    pub(super) async fn deliver(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let stored: StoredDelivery = read(run.document)?;
        if stored.state != DeliveryState::Pending {
            return Ok(NextRun::Never.into());
        }
        let key = &stored.delivery.recipient_key;
        let loaded = LoadedRecipient::load(run.store, key).await?;
        let pkid = &run.document.reference.pkid;
        if stored.resent == 0
            && let Some(message) = loaded.find_message(run.store, pkid).await?
        {
            return self.follow(run, stored, &message);
        }
        let recipient = match self.check_point(run, &stored).await? {
            Ok(recipient) => recipient,
            Err(reason) => {
                let reason = match reason {
                    LATE => stored.attempts.explain(reason),
                    _ => reason.to_owned(),
                };
                return self.end(run, stored, DeliveryState::Dropped, Some(&reason));
            }
        };
        if let Some(reason) = self.check_health(&loaded.body.health, &stored.delivery)
            && stored.notice.kind != NoticeKind::Test
            && stored.resent == 0
        {
            return self.end(run, stored, DeliveryState::Dead, Some(&reason));
        }
        match self.find_place(run, &stored).await? {
            Place::Alone => self.deliver_alone(run, stored, &recipient).await,
            Place::Together => Ok(wait(run, TimeDelta::minutes(FOLLOW_MINUTES))),
            Place::Replaced => self.end(run, stored, DeliveryState::Dropped, Some(REPLACED)),
            Place::Postponed(at) => postpone(stored, at),
            Place::Later(at) => {
                let at = spread(at, stored.delivery.id.as_str(), 300);
                Ok(NextRun::At(to_timestamp(at)).into())
            }
        }
    }

    async fn deliver_alone(
        &self,
        run: &Run<'_>,
        mut stored: StoredDelivery,
        recipient: &Recipient,
    ) -> Result<WakeupResult, RunError> {
        let message = Message::Single(stored.notice.clone());
        let letter = Letter {
            delivery: &stored.delivery,
            recipient,
            message: &message,
            id: stored.delivery.id.as_str(),
        };
        match self.attempt(run, &letter, &mut stored.attempts).await {
            Outcome::Ended(state, reason) => self.end(run, stored, state, reason.as_deref()),
            Outcome::Retry(at) => Ok(WakeupResult {
                changes: vec![Change::Put(stored.to_document()?)],
                ..NextRun::At(to_timestamp(at)).into()
            }),
        }
    }

    /// Waits for a message that covers the delivery, or copies its result.
    fn follow(
        &self,
        run: &Run<'_>,
        mut stored: StoredDelivery,
        message: &StoredMessage,
    ) -> Result<WakeupResult, RunError> {
        if message.state == DeliveryState::Pending {
            return Ok(wait(run, TimeDelta::minutes(FOLLOW_MINUTES)));
        }
        message.settle(&mut stored, run.now());
        self.keep(run, &stored)
    }

    /// Ends the delivery, which is kept for some time.
    fn end(
        &self,
        run: &Run<'_>,
        mut stored: StoredDelivery,
        state: DeliveryState,
        reason: Option<&str>,
    ) -> Result<WakeupResult, RunError> {
        stored.end(state, reason, run.now());
        self.keep(run, &stored)
    }

    fn keep(&self, run: &Run<'_>, stored: &StoredDelivery) -> Result<WakeupResult, RunError> {
        Ok(WakeupResult {
            changes: vec![
                Change::Put(stored.to_document()?),
                self.forget(run.document.reference.clone(), run.now()),
            ],
            ..NextRun::Never.into()
        })
    }

    /// Returns the recipient, with its present address, or the reason why the delivery is obsolete.
    async fn check_point(
        &self,
        run: &Run<'_>,
        stored: &StoredDelivery,
    ) -> Result<Result<Recipient, &'static str>, RunError> {
        if stored.delivery.deadline < run.now() {
            return Ok(Err(LATE));
        }
        let node = match stored.record() {
            Some(record) => match find_record(run.store, &record).await? {
                Some(document) => Some(document.hierarchy),
                None => return Ok(Err(RECORD_GONE)),
            },
            None => Hierarchy::try_from(stored.notice.node.clone()).ok(),
        };
        let node = node.as_ref().unwrap_or(&stored.delivery.origin);
        let is_test = stored.notice.kind == NoticeKind::Test;
        let found = self
            .find_present_recipient(
                run,
                node,
                &stored.delivery,
                stored.account_email,
                |fields| is_test || (fields.notify.value && fields.has_kind(stored.notice.kind)),
            )
            .await?;
        let Some(recipient) = found else {
            return Ok(Err(NOT_TOLD));
        };
        if stored.resent == 0 && self.is_replaced(run, stored).await? {
            return Ok(Err(REPLACED));
        }
        Ok(Ok(recipient))
    }

    /// Returns the recipient with its present address, if the settings of a node still include the recipient.
    pub(super) async fn find_present_recipient(
        &self,
        run: &Run<'_>,
        node: &Hierarchy,
        delivery: &Delivery,
        account_email: bool,
        is_told: impl FnOnce(&crate::settings::ResolvedFields) -> bool,
    ) -> Result<Option<Recipient>, RunError> {
        let settings = load_settings(run.store, node, &self.options.defaults).await?;
        if settings.unreadable.contains(&delivery.origin) {
            // Its recipients are told once the settings are saved again, or not at all after the deadline.
            return Err(RunError::UnreadableLevel(delivery.origin.clone()));
        }
        let resolved = settings.resolved;
        if !is_told(&resolved.fields) || !resolved.fields.has_channel(delivery.channel) {
            return Ok(None);
        }
        let found = find_recipient(&resolved, &delivery.recipient_key);
        let is_account = account_email && resolved.fields.account_email.value;
        let account = Some(&delivery.recipient).filter(|_| is_account);
        Ok(found.or(account).cloned())
    }

    /// Returns whether another delivery to the recipient, which was made later, makes this one obsolete.
    async fn is_replaced(&self, run: &Run<'_>, stored: &StoredDelivery) -> Result<bool, RunError> {
        let Some(record) = stored.record() else {
            return Ok(false);
        };
        let filter = Filter {
            model: DELIVERY_MODEL.to_owned(),
            hierarchy: None,
            equals: vec![
                key(RECORD_KEY, record.as_str()),
                key(
                    RECIPIENT_KEY,
                    &hash_recipient(&stored.delivery.recipient_key),
                ),
            ],
        };
        let page = run.store.find(&filter, None, MAX_COMPARED).await?;
        for document in &page.items {
            let other: StoredDelivery = read(document)?;
            // At the same time, after the clock was set back: the one that was delivered is the earlier one.
            let order = |each: &StoredDelivery| {
                let recency = recency(&each.notice, run.now());
                (recency, !each.state.is_told(), each.notice.id.clone())
            };
            let is_effective = other.state.is_told() || other.state == DeliveryState::Pending;
            let is_due = other.state.is_told() || other.delivery.earliest <= run.now();
            if document.reference != run.document.reference
                && is_effective
                && is_due
                && other.notice.grant == stored.notice.grant
                && order(&other) > order(stored)
                && replaces(&other.notice, &stored.notice)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Notes that the delivery waits for the recipient's budget. At the time before its deadline it is in no spread.
fn postpone(mut stored: StoredDelivery, at: DateTime<Utc>) -> Result<WakeupResult, RunError> {
    let delivery = &mut stored.delivery;
    let spread = spread(at, delivery.id.as_str(), 300);
    delivery.earliest = match spread < find_budget_limit(delivery) {
        true => spread,
        false => at,
    };
    delivery.holds.retain(|hold| *hold != Hold::Budget);
    delivery.holds.push(Hold::Budget);
    let next = to_timestamp(delivery.earliest);
    Ok(WakeupResult {
        changes: vec![Change::Put(stored.to_document()?)],
        ..NextRun::At(next).into()
    })
}

/// Leaves the document unchanged for some time.
pub(super) fn wait(run: &Run<'_>, time: TimeDelta) -> WakeupResult {
    let at = spread(run.now() + time, run.document.reference.pkid.as_str(), 60);
    NextRun::At(to_timestamp(at)).into()
}
