//! Replays the stash: applies stashed commits in a call of their own, before any other call on the
//! record.

use tracing::Instrument as _;

use super::call::{CallRequest, StartedCall};
use super::outcome::CallSummary;
use super::{CallErrorKind, Host};
use crate::imports::alerts::{self, KnownAlerts};
use crate::spans::StoreSpan;
use crate::store::stash::{APPLY_ACTION, EntryName, StashError, StashedCommit};
use crate::store::{BeginOutcome, Commit, StoreError};
use crate::transactions::Level;
use crate::types::{Failure, Reference, Timestamp};

/// The outcome of replaying the stash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StashSummary {
    /// Responses that are now in the store.
    pub applied: u64,
    /// Responses that a later change had superseded.
    pub superseded: u64,
    /// Files that cannot be applied and were moved aside.
    pub quarantined: u64,
    /// Records with entries that still wait: their lease is held, or the store is unavailable.
    pub waiting: u64,
}

/// The outcome of replaying one record's entries.
pub(super) enum ReplayStatus {
    /// There were no entries.
    Nothing,
    /// All entries were handled.
    Done(StashSummary),
    /// Another call holds the record, at most until this time.
    Busy(Timestamp),
}

/// The outcome of one entry.
enum EntryOutcome {
    Applied,
    Superseded,
    Quarantined,
    /// Another process has handled the entry.
    Gone,
}

impl Host {
    /// Returns the outcome of the replay when this host was built.
    pub fn stash_at_start(&self) -> StashSummary {
        self.parts.stash_at_start.get().copied().unwrap_or_default()
    }

    /// Applies all stashed commits, as far as the store and other calls permit, and logs the
    /// remaining ones. Runs at start and periodically in a running dispatcher.
    pub async fn replay_stash(&self) -> StashSummary {
        let mut total = StashSummary::default();
        let subjects = match self.stash().map(|stash| stash.subjects()) {
            None => return total,
            Some(Ok(subjects)) => subjects,
            Some(Err(error)) => {
                tracing::error!(%error, "the stash cannot be read");
                return total;
            }
        };
        let mut store_is_down = false;
        for subject in subjects {
            if store_is_down {
                total.waiting += 1;
                continue;
            }
            let record_lock = self.parts.record_locks.acquire(&subject).await;
            match self.replay_record(&subject).await {
                Ok(ReplayStatus::Nothing) => {}
                Ok(ReplayStatus::Done(replayed)) => {
                    total.applied += replayed.applied;
                    total.superseded += replayed.superseded;
                    total.quarantined += replayed.quarantined;
                }
                Ok(ReplayStatus::Busy(_)) => total.waiting += 1,
                Err(error) => {
                    tracing::error!(%subject, %error, "a stashed response cannot be applied yet");
                    total.waiting += 1;
                    // The other records would each wait for the same store.
                    store_is_down = true;
                }
            }
            drop(record_lock);
        }
        // While entries wait, the store needs the free space to accept them.
        self.maintain_reserve(total.waiting == 0).await;
        total
    }

    /// Returns whether the stash has an entry of this record.
    pub(super) fn has_stashed_commits(&self, subject: &Reference) -> Result<bool, StoreError> {
        match self.stash() {
            Some(stash) => Ok(!stash.entries_for(subject).map_err(unreadable)?.is_empty()),
            None => Ok(false),
        }
    }

    /// Applies the entries of one record. The caller holds the record's lock.
    pub(super) async fn replay_record(
        &self,
        subject: &Reference,
    ) -> Result<ReplayStatus, StoreError> {
        if !self.has_stashed_commits(subject)? {
            return Ok(ReplayStatus::Nothing);
        }
        let request = CallRequest::new(APPLY_ACTION, subject.clone());
        let span = request.span.clone();
        self.replay_in_span(request).instrument(span).await
    }

    async fn replay_in_span(&self, request: CallRequest) -> Result<ReplayStatus, StoreError> {
        let subject = &request.subject;
        let started = match self.begin(&request, self.clock().now()).await? {
            BeginOutcome::Started(started) => *started,
            BeginOutcome::Busy(until) => return Ok(ReplayStatus::Busy(until)),
            BeginOutcome::Gone => return Ok(ReplayStatus::Nothing),
        };
        let mut summary = StashSummary::default();
        let result = self.apply_all(&started, subject, &mut summary).await;
        let failed = result.as_ref().err().map(ToString::to_string);
        let reported = match failed {
            None => Ok(()),
            Some(text) => Err(CallErrorKind::Refused(Failure::Unavailable(text))),
        };
        self.finish(&started, &reported, |()| summarize(summary), None)
            .await;
        result.map(|()| ReplayStatus::Done(summary))
    }

    async fn apply_all(
        &self,
        started: &StartedCall,
        subject: &Reference,
        summary: &mut StashSummary,
    ) -> Result<(), StoreError> {
        let Some(stash) = self.stash() else {
            return Ok(());
        };
        // Listed again under the lease: the previous holder may have applied them.
        for name in stash.entries_for(subject).map_err(unreadable)? {
            match self.apply(started, subject, &name).await? {
                EntryOutcome::Applied => summary.applied += 1,
                EntryOutcome::Superseded => summary.superseded += 1,
                EntryOutcome::Quarantined => summary.quarantined += 1,
                EntryOutcome::Gone => continue,
            }
            // If a crash prevents the removal, the next replay detects that the entry is applied.
            stash.remove(&name).map_err(unreadable)?;
        }
        if summary.applied > 0 {
            self.parts.services.scheduled.notify_one();
        }
        Ok(())
    }

    async fn apply(
        &self,
        started: &StartedCall,
        subject: &Reference,
        name: &EntryName,
    ) -> Result<EntryOutcome, StoreError> {
        let Some(stash) = self.stash() else {
            return Ok(EntryOutcome::Gone);
        };
        let note = |level, text: String| started.journal.log(self.clock().now(), level, text);
        let mut stashed = stash.read(name);
        if let Err(StashError::Seal(_)) = stashed {
            // Another process may have created a data key that this process has not loaded yet.
            let sealer = &self.parts.services.sealer;
            if let Err(error) = sealer.reload(self.store().as_ref()).await {
                tracing::warn!(%error, "the data keys cannot be read again");
            }
            stashed = stash.read(name);
        }
        let stashed = match stashed {
            Ok(Some(stashed)) => stashed,
            Ok(None) => return Ok(EntryOutcome::Gone),
            Err(StashError::Unreadable { path, reason }) => {
                stash.quarantine(name, &reason).map_err(unreadable)?;
                note(
                    Level::Error,
                    format!("{} was moved aside: {reason}", path.display()),
                );
                return Ok(EntryOutcome::Quarantined);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let label = format!(
            "the response that the transaction {} stashed at {}",
            stashed.transaction, stashed.since
        );
        let written = self.write(started, &stashed).await;
        let customer = started.journal.subject_name();
        match written {
            Ok(()) => {
                tracing::warn!(?customer, %subject, epoch = stashed.epoch, transaction = stashed.transaction, "a stashed response is applied");
                note(Level::Info, format!("{label} is applied"));
                self.report_alerts(started, &stashed);
                Ok(EntryOutcome::Applied)
            }
            Err(StoreError::Conflict(_)) if self.is_applied(&stashed).await? => {
                note(Level::Info, format!("{label} had been applied already"));
                self.report_alerts(started, &stashed);
                Ok(EntryOutcome::Applied)
            }
            Err(StoreError::Conflict(reason)) => {
                tracing::warn!(?customer, %subject, epoch = stashed.epoch, transaction = stashed.transaction, reason, "a stashed response is superseded and was dropped");
                note(
                    Level::Warning,
                    format!("{label} is superseded and was dropped: {reason}"),
                );
                Ok(EntryOutcome::Superseded)
            }
            Err(StoreError::Invalid(reason)) => {
                stash.quarantine(name, &reason).map_err(unreadable)?;
                note(Level::Error, format!("{label} was moved aside: {reason}"));
                Ok(EntryOutcome::Quarantined)
            }
            Err(error) => Err(error),
        }
    }

    /// Reports the alerts of a stashed commit that the store has. The call that stashed the commit
    /// could not report them.
    fn report_alerts(&self, started: &StartedCall, stashed: &StashedCommit) {
        let observers = &self.parts.services.observers;
        let changed = KnownAlerts::default().find_changed(&stashed.changes);
        alerts::notify(observers, &changed, &stashed.subject, started.transaction());
    }

    /// Writes one commit, fenced by this call's lease.
    async fn write(
        &self,
        started: &StartedCall,
        stashed: &StashedCommit,
    ) -> Result<(), StoreError> {
        let record = stashed.record();
        let name = record.and_then(|record| record.keys.iter().find(|key| key.name == "name"));
        if let Some(name) = name {
            started.journal.set_subject_name(&name.value);
        }
        let update = started.journal.take_update();
        let commit = Commit {
            fence: started.lease.clone(),
            checks: stashed.checks.clone(),
            changes: stashed.changes.clone(),
            transaction: Some(update.clone()),
            now: stashed.since,
            ..Commit::default()
        };
        let services = &self.parts.services;
        let committing = services.sealer.commit(self.store().as_ref(), commit);
        let done = StoreSpan::Commit.run_operation(committing).await;
        if done.is_err() {
            started.journal.restore(update);
        }
        done
    }

    /// Returns whether the record already has the commit's result: a crash or a lost reply came between the
    /// commit and the removal of its entry.
    async fn is_applied(&self, stashed: &StashedCommit) -> Result<bool, StoreError> {
        let Some(wanted) = stashed.record() else {
            return Ok(false);
        };
        let mut found = self
            .store()
            .get(std::slice::from_ref(&stashed.subject))
            .await?;
        let found = found.pop().flatten();
        Ok(found.is_some_and(|found| found.body == wanted.body))
    }
}

fn summarize(summary: StashSummary) -> CallSummary {
    let StashSummary {
        applied,
        superseded,
        quarantined,
        ..
    } = summary;
    let text = format!(
        "stashed responses: {applied} applied, {superseded} superseded, {quarantined} quarantined"
    );
    match quarantined {
        0 => CallSummary::success(text),
        _ => CallSummary::fail(text),
    }
}

/// Treats an unreadable stash like an unavailable store: no call on the record can begin.
fn unreadable(error: StashError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
