//! A run of a message that covers several deliveries.

use chrono::{DateTime, TimeDelta, Utc};
use relation_host::store::{Change, Check, Commit, StoreError};
use relation_host::types::Reference;
use relation_host::{NextRun, WakeupResult};

use super::attempt::{Letter, Outcome};
use super::deliver::{LATE, NOT_TOLD, RECORD_GONE};
use super::model::{DeliveryState, StoredDelivery, StoredMessage, is_claimed, read, to_timestamp};
use super::recipients::{LoadedRecipient, delivery_reference, update};
use super::{NoticeRunner, Run, RunError, deliver_id};
use crate::Message;
use crate::settings::Recipient;

/// The number of deliveries in one commit.
const BATCH: usize = 100;
/// The pause before deliveries with a run in progress are looked at again.
const SETTLE_PAUSE: TimeDelta = TimeDelta::seconds(30);

impl StoredMessage {
    /// Copies the result of the message to a delivery that the message covers.
    pub(super) fn settle(&self, stored: &mut StoredDelivery, now: DateTime<Utc>) {
        stored.end(
            self.state,
            self.reason.as_deref(),
            self.ended.unwrap_or(now),
        );
        stored.attempts = self.attempts.clone();
        stored.digest = Some(self.message.id().to_owned());
    }
}

impl NoticeRunner {
    pub(super) async fn deliver_message(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let mut stored: StoredMessage = read(run.document)?;
        if stored.state != DeliveryState::Pending {
            return self.settle(run, &stored).await;
        }
        let next = match self.check_message(run, &mut stored).await? {
            Ok(recipient) => {
                let letter = Letter {
                    delivery: &stored.delivery,
                    recipient: &recipient,
                    message: &stored.message,
                    id: stored.message.id(),
                };
                self.attempt(run, &letter, &mut stored.attempts).await
            }
            Err((state, reason)) => Outcome::Ended(state, Some(reason)),
        };
        let now = run.now();
        let next = match next {
            Outcome::Ended(state, reason) => {
                (stored.state, stored.reason, stored.ended) = (state, reason, Some(now));
                now
            }
            Outcome::Retry(at) => at,
        };
        Ok(WakeupResult {
            changes: vec![Change::Put(stored.to_document()?)],
            ..NextRun::At(to_timestamp(next)).into()
        })
    }

    /// Returns the recipient, or the end of the message if it is obsolete. Leaves out notices about deleted records.
    async fn check_message(
        &self,
        run: &Run<'_>,
        stored: &mut StoredMessage,
    ) -> Result<Result<Recipient, (DeliveryState, String)>, RunError> {
        let drop = |reason: &str| Ok(Err((DeliveryState::Dropped, reason.to_owned())));
        if stored.delivery.deadline < run.now() {
            return drop(&stored.attempts.explain(LATE));
        }
        if !remove_deleted(run, &mut stored.message).await? {
            return drop(RECORD_GONE);
        }
        let StoredMessage {
            delivery,
            account_email,
            ..
        } = &*stored;
        let (origin, account) = (&delivery.origin, *account_email);
        let found = self
            .find_present_recipient(run, origin, delivery, account, |fields| fields.notify.value)
            .await?;
        let Some(recipient) = found else {
            return drop(NOT_TOLD);
        };
        let loaded = LoadedRecipient::load(run.store, &delivery.recipient_key).await?;
        if let Some(reason) = self.check_health(&loaded.body.health, delivery) {
            return Ok(Err((DeliveryState::Dead, reason)));
        }
        Ok(Ok(recipient))
    }

    /// Ends the deliveries that the message has covered, and deletes the message after the last of them.
    async fn settle(
        &self,
        run: &Run<'_>,
        message: &StoredMessage,
    ) -> Result<WakeupResult, RunError> {
        let mut is_complete = true;
        for members in message.members.chunks(BATCH) {
            let references: Vec<Reference> = members.iter().map(delivery_reference).collect();
            let found = run.store.get(&references).await?;
            let now = run.now();
            let mut commit = Commit {
                now: to_timestamp(now),
                ..Commit::default()
            };
            for document in found.into_iter().flatten() {
                let mut stored: StoredDelivery = read(&document)?;
                if stored.state != DeliveryState::Pending || stored.resent > 0 {
                    continue;
                }
                if is_claimed(&document) {
                    is_complete = false;
                    continue;
                }
                message.settle(&mut stored, now);
                let reference = document.reference;
                let check = Check::Version(reference.clone(), document.version);
                commit.checks.push(check);
                commit.changes.extend([
                    Change::Put(stored.to_document()?),
                    Change::Cancel(reference.clone(), deliver_id(stored.delivery.channel)),
                    self.forget(reference, now),
                ]);
            }
            if commit.changes.is_empty() {
                continue;
            }
            match run.store.commit(commit).await {
                Ok(()) => {}
                Err(StoreError::Conflict(_)) => is_complete = false,
                Err(error) => return Err(error.into()),
            }
        }
        if !is_complete {
            return Ok(NextRun::At(to_timestamp(run.now() + SETTLE_PAUSE)).into());
        }
        let pkid = &run.document.reference.pkid;
        update(run, &message.delivery, |recipient| {
            recipient.open.retain(|open| open != pkid);
        })
        .await?;
        Ok(NextRun::DeleteSubject.into())
    }
}

/// Removes the notices about records that do not exist any more. Returns whether some are left.
async fn remove_deleted(run: &Run<'_>, message: &mut Message) -> Result<bool, RunError> {
    let Message::Digest(digest) = message else {
        return Ok(true);
    };
    let mut kept = Vec::new();
    for notice in std::mem::take(&mut digest.notices) {
        let exists = match notice.record.parse() {
            Ok(record) => {
                let found = run.store.get(&[Reference::record(record)]).await?;
                found.iter().all(Option::is_some)
            }
            Err(_) => true,
        };
        if exists {
            kept.push(notice);
        }
    }
    digest.notices = kept;
    Ok(!digest.notices.is_empty() || digest.more > 0)
}
