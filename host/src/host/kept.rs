//! Applies what the stash keeps: as a call of its own, in one commit, before anything else happens to
//! the record.

use super::call::{Ask, Start, Started};
use super::outcome::Ending;
use super::{CallErrorKind, Host};
use crate::store::stash::{EntryName, StashError, StashedCommit};
use crate::store::{Commit, StoreError};
use crate::transactions::Level;
use crate::types::{Failure, Reference, Timestamp};

/// What such a call is called.
const ACTION: &str = "apply-stash";

/// What became of the entries of a stash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StashSummary {
    /// Answers that are in the store now.
    pub applied: u64,
    /// Answers that something else has overtaken.
    pub superseded: u64,
    /// Files that nobody can apply.
    pub set_aside: u64,
    /// Records whose entries wait: their lease is held, or the store is unavailable.
    pub waiting: u64,
}

/// Whether a record has entries left.
pub(super) enum Settled {
    /// None.
    Nothing,
    /// None any more.
    Done(StashSummary),
    /// Another call holds the record.
    Busy(Timestamp),
}

/// What became of one entry.
enum Became {
    Applied,
    Superseded,
    SetAside,
    /// Somebody else has taken care of it.
    Gone,
}

impl Host {
    /// What became of the stash when this host was built.
    pub fn stash_at_start(&self) -> StashSummary {
        self.parts.stash_at_start.get().copied().unwrap_or_default()
    }

    /// Applies everything that the stash keeps, as far as the store and other calls let it; what
    /// waits is logged. Called at start, and from time to time by a running dispatcher.
    pub async fn settle_stash(&self) -> StashSummary {
        let mut all = StashSummary::default();
        let subjects = match self.stash().map(|stash| stash.subjects()) {
            None => return all,
            Some(Ok(subjects)) => subjects,
            Some(Err(error)) => {
                tracing::error!(%error, "the stash cannot be read");
                return all;
            }
        };
        let mut down = false;
        for subject in subjects {
            if down {
                all.waiting += 1;
                continue;
            }
            let turn = self.parts.turns.take(&subject).await;
            match self.settle(&subject).await {
                Ok(Settled::Nothing) => {}
                Ok(Settled::Done(one)) => {
                    all.applied += one.applied;
                    all.superseded += one.superseded;
                    all.set_aside += one.set_aside;
                }
                Ok(Settled::Busy(_)) => all.waiting += 1,
                Err(error) => {
                    tracing::error!(%subject, %error, "an answer in the stash cannot be applied yet");
                    all.waiting += 1;
                    // The others would wait for the same store, one after the other.
                    down = true;
                }
            }
            drop(turn);
        }
        // While entries wait, free space is the store's, which needs it to take them.
        self.keep_reserve(all.waiting == 0).await;
        all
    }

    /// Whether the stash has an entry of this record.
    pub(super) fn is_kept(&self, subject: &Reference) -> Result<bool, StoreError> {
        match self.stash() {
            Some(stash) => Ok(!stash.entries_for(subject).map_err(unreadable)?.is_empty()),
            None => Ok(false),
        }
    }

    /// Applies the entries of one record. The caller has the record's turn.
    pub(super) async fn settle(&self, subject: &Reference) -> Result<Settled, StoreError> {
        if !self.is_kept(subject)? {
            return Ok(Settled::Nothing);
        }
        let ask = Ask::on(ACTION, subject.clone());
        let started = match self.begin(&ask, self.clock().now()).await? {
            Start::Started(started) => *started,
            Start::Busy(until) => return Ok(Settled::Busy(until)),
            Start::Gone => return Ok(Settled::Nothing),
        };
        let mut summary = StashSummary::default();
        let result = self.apply_all(&started, subject, &mut summary).await;
        let failed = result.as_ref().err().map(ToString::to_string);
        let told = match failed {
            None => Ok(()),
            Some(text) => Err(CallErrorKind::Refused(Failure::Unavailable(text))),
        };
        self.finish(&started, &told, |()| ending(summary), None)
            .await;
        result.map(|()| Settled::Done(summary))
    }

    async fn apply_all(
        &self,
        started: &Started,
        subject: &Reference,
        summary: &mut StashSummary,
    ) -> Result<(), StoreError> {
        let Some(stash) = self.stash() else {
            return Ok(());
        };
        // Looked at again under the lease: who held it before may have applied them.
        for name in stash.entries_for(subject).map_err(unreadable)? {
            match self.apply(started, subject, &name).await? {
                Became::Applied => summary.applied += 1,
                Became::Superseded => summary.superseded += 1,
                Became::SetAside => summary.set_aside += 1,
                Became::Gone => continue,
            }
            // Whoever applies it again after a crash before this finds that it is applied.
            stash.remove(&name).map_err(unreadable)?;
        }
        if summary.applied > 0 {
            self.parts.services.scheduled.notify_one();
        }
        Ok(())
    }

    async fn apply(
        &self,
        started: &Started,
        subject: &Reference,
        name: &EntryName,
    ) -> Result<Became, StoreError> {
        let Some(stash) = self.stash() else {
            return Ok(Became::Gone);
        };
        let note = |level, text: String| started.journal.log(self.clock().now(), level, text);
        let mut kept = stash.read(name);
        if let Err(StashError::Seal(_)) = kept {
            // Another process may have made the data key that this one does not know.
            let sealer = &self.parts.services.sealer;
            if let Err(error) = sealer.reload(self.store().as_ref()).await {
                tracing::warn!(%error, "the data keys cannot be read again");
            }
            kept = stash.read(name);
        }
        let kept = match kept {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(Became::Gone),
            Err(StashError::Unreadable { path, why }) => {
                stash.quarantine(name, &why).map_err(unreadable)?;
                note(
                    Level::Error,
                    format!("{} was moved aside: {why}", path.display()),
                );
                return Ok(Became::SetAside);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let of = format!(
            "the answer that the transaction {} kept at {}",
            kept.transaction, kept.since
        );
        match self.write(started, &kept).await {
            Ok(()) => {
                tracing::warn!(%subject, epoch = kept.epoch, transaction = kept.transaction, "an answer from the stash is applied");
                note(Level::Info, format!("{of} is applied"));
                Ok(Became::Applied)
            }
            Err(StoreError::Conflict(_)) if self.is_applied(&kept).await? => {
                note(Level::Info, format!("{of} had been applied already"));
                Ok(Became::Applied)
            }
            Err(StoreError::Conflict(why)) => {
                tracing::warn!(%subject, epoch = kept.epoch, transaction = kept.transaction, why, "an answer in the stash is superseded and was dropped");
                note(
                    Level::Warning,
                    format!("{of} is superseded and was dropped: {why}"),
                );
                Ok(Became::Superseded)
            }
            Err(StoreError::Invalid(why)) => {
                stash.quarantine(name, &why).map_err(unreadable)?;
                note(Level::Error, format!("{of} was moved aside: {why}"));
                Ok(Became::SetAside)
            }
            Err(error) => Err(error),
        }
    }

    /// One commit, fenced by the lease of this call: nobody else works on the record meanwhile.
    async fn write(&self, started: &Started, kept: &StashedCommit) -> Result<(), StoreError> {
        let record = kept.record();
        let name = record.and_then(|record| record.keys.iter().find(|key| key.name == "name"));
        if let Some(name) = name {
            started.journal.set_subject_name(name.value.clone());
        }
        let news = started.journal.take_update();
        let commit = Commit {
            fence: started.lease.clone(),
            checks: kept.checks.clone(),
            changes: kept.changes.clone(),
            transaction: Some(news.clone()),
            now: kept.since,
            ..Commit::default()
        };
        let services = &self.parts.services;
        let done = services.sealer.commit(self.store().as_ref(), commit).await;
        if done.is_err() {
            started.journal.restore(news);
        }
        done
    }

    /// Whether the record is as the commit would leave it: then it was made, and a crash or a lost
    /// word came between it and the removal of its entry.
    async fn is_applied(&self, kept: &StashedCommit) -> Result<bool, StoreError> {
        let Some(wanted) = kept.record() else {
            return Ok(false);
        };
        let mut found = self
            .store()
            .get(std::slice::from_ref(&kept.subject))
            .await?;
        let found = found.pop().flatten();
        Ok(found.is_some_and(|found| found.body == wanted.body))
    }
}

fn ending(summary: StashSummary) -> Ending {
    let StashSummary {
        applied,
        superseded,
        set_aside,
        ..
    } = summary;
    let text = format!(
        "answers from the stash: {applied} applied, {superseded} superseded, {set_aside} set aside"
    );
    match set_aside {
        0 => Ending::success(text),
        _ => Ending::fail(text),
    }
}

/// A stash that cannot be read keeps calls from beginning, as a store does that is unavailable.
fn unreadable(error: StashError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
