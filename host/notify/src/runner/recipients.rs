//! Recipients in the store: the messages of the last hour, the messages that are in progress, and the health.

use chrono::{DateTime, TimeDelta, Utc};
use relation_host::store::{Check, Commit, Store, StoreError};
use relation_host::types::{Pkid, Reference};

use super::model::{
    CountedMessage, DELIVERY_MODEL, MESSAGE_MODEL, StoredMessage, StoredRecipient, read,
    to_timestamp,
};
use super::{Run, RunError};
use crate::routing::{Delivery, History};

/// The number of times that a change is tried again because of another run.
pub(super) const TRIES: usize = 10;
/// The time for which a message counts for the budget.
const COUNTED: TimeDelta = TimeDelta::hours(1);
/// The maximum number of counted messages.
const MAX_COUNTED: usize = 1000;

/// A recipient as it was read, and the condition that it has not changed since.
pub(super) struct LoadedRecipient {
    pub body: StoredRecipient,
    pub check: Check,
}

impl LoadedRecipient {
    pub(super) async fn load(store: &dyn Store, recipient_key: &str) -> Result<Self, RunError> {
        let reference = StoredRecipient::reference(recipient_key);
        let found = store.get(std::slice::from_ref(&reference)).await?;
        Ok(match found.into_iter().flatten().next() {
            Some(document) => Self {
                body: read(&document)?,
                check: Check::Version(reference, document.version),
            },
            None => Self {
                body: StoredRecipient::default(),
                check: Check::Absent(reference),
            },
        })
    }

    /// Counts a message that `by` begins, unless it is counted already.
    pub(super) fn count(&mut self, by: &Pkid, now: DateTime<Utc>) {
        let sent = &mut self.body.sent;
        sent.retain(|message| now - message.at < COUNTED);
        if sent.iter().all(|message| message.by != *by) {
            sent.push(CountedMessage {
                at: now,
                by: by.clone(),
            });
        }
        let excess = sent.len().saturating_sub(MAX_COUNTED);
        sent.drain(..excess);
    }

    /// Finds the message in progress that covers a delivery.
    pub(super) async fn find_message(
        &self,
        store: &dyn Store,
        member: &Pkid,
    ) -> Result<Option<StoredMessage>, RunError> {
        for message in load_messages(store, &self.body).await? {
            if message.members.contains(member) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Reads the messages of a recipient that are in progress.
pub(super) async fn load_messages(
    store: &dyn Store,
    recipient: &StoredRecipient,
) -> Result<Vec<StoredMessage>, RunError> {
    if recipient.open.is_empty() {
        return Ok(Vec::new());
    }
    let references = recipient.open.iter().cloned();
    let references: Vec<Reference> = references
        .map(|pkid| Reference::new(MESSAGE_MODEL, pkid))
        .collect();
    let found = store.get(&references).await?;
    found.iter().flatten().map(read).collect()
}

/// Changes a recipient in a commit of its own, which is repeated after a concurrent change.
pub(super) async fn update<T>(
    run: &Run<'_>,
    delivery: &Delivery,
    mut change: impl FnMut(&mut StoredRecipient) -> T,
) -> Result<T, RunError> {
    for _ in 0..TRIES {
        let mut loaded = LoadedRecipient::load(run.store, &delivery.recipient_key).await?;
        let changed = change(&mut loaded.body);
        let commit = Commit {
            checks: vec![loaded.check],
            changes: vec![relation_host::store::Change::Put(
                loaded.body.to_document(delivery)?,
            )],
            now: to_timestamp(run.now()),
            ..Commit::default()
        };
        match run.store.commit(commit).await {
            Ok(()) => return Ok(changed),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(RunError::Contended)
}

/// Adds the messages of the last hour to a history, for recipients with these keys.
pub(super) async fn add_sent(
    store: &dyn Store,
    keys: impl Iterator<Item = String>,
    history: &mut History,
) -> Result<(), RunError> {
    let keys: Vec<String> = keys.collect();
    let references: Vec<Reference> = keys
        .iter()
        .map(|key| StoredRecipient::reference(key))
        .collect();
    if references.is_empty() {
        return Ok(());
    }
    let found = store.get(&references).await?;
    for (key, document) in keys.into_iter().zip(found) {
        if let Some(document) = document {
            let recipient: StoredRecipient = read(&document)?;
            history.sent.insert(key, recipient.times());
        }
    }
    Ok(())
}

/// Returns the reference to a delivery.
pub(super) fn delivery_reference(pkid: &Pkid) -> Reference {
    Reference::new(DELIVERY_MODEL, pkid.clone())
}
