//! Stores whose wakeups do not come, or not as they should.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use relation_host::store::layer::StoreLayer;
use relation_host::store::{
    Begin, BeginOutcome, Change, Commit, DueWakeup, End, Store, StoreError, WakeupSettlement,
};
use relation_host::types::{RECORD_MODEL, Reference, Timestamp};

use super::store;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// What is wrong with wakeups.
enum Wakeups {
    /// They are listed the other way round.
    ListedBackwards,
    /// One that exists cannot be scheduled anew.
    NotMoved,
    /// They cannot be cancelled.
    NotCancelled,
    /// They outlive the document that they are for: these did.
    NotDeleted(Mutex<Vec<DueWakeup>>),
    /// What is due within an hour is due.
    Early,
    /// Of those within two minutes, which are two of the suite's moments, the last one goes first.
    LastFirst,
    /// The latest deadline goes first.
    LatestDeadlineFirst,
    /// They come without their deadlines.
    WithoutDeadlines,
    /// Those of records come.
    OfRecordsAlone,
    /// They come twice: these have come once.
    Twice(Mutex<BTreeSet<(Reference, String)>>),
    /// A call that failed has answered them.
    Forgotten,
}

fn reference_of(wakeup: &DueWakeup) -> (Reference, String) {
    (wakeup.wakeup.subject.clone(), wakeup.wakeup.id.clone())
}

/// Of each subject that has something due, the wakeup before `now` that `choose` finds the largest.
async fn largest<K: Ord>(
    inner: &dyn Store,
    of_each: Vec<DueWakeup>,
    now: Timestamp,
    choose: impl Fn(&DueWakeup) -> K,
) -> Result<Vec<DueWakeup>, StoreError> {
    let mut due = Vec::new();
    for first in of_each {
        let all = inner.wakeups(&first.wakeup.subject).await?.into_iter();
        due.extend(
            all.filter(|other| other.wakeup.due <= now)
                .max_by_key(&choose),
        );
    }
    Ok(due)
}

impl StoreLayer for Wakeups {
    async fn wakeups(
        &self,
        inner: &dyn Store,
        subject: &Reference,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let mut wakeups = inner.wakeups(subject).await?;
        if let Self::ListedBackwards = self {
            wakeups.reverse();
        }
        Ok(wakeups)
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        match self {
            Self::NotMoved => {
                let mut changes = Vec::new();
                for change in commit.changes {
                    if let Change::Schedule(wakeup) = &change {
                        let known = inner.wakeups(&wakeup.subject).await?;
                        if known.iter().any(|known| known.wakeup.id == wakeup.id) {
                            continue;
                        }
                    }
                    changes.push(change);
                }
                commit.changes = changes;
            }
            Self::NotCancelled => commit
                .changes
                .retain(|change| !matches!(change, Change::Cancel(..))),
            Self::NotDeleted(left) => {
                for change in &commit.changes {
                    if let Change::Delete(reference) = change {
                        let theirs = inner.wakeups(reference).await?;
                        left.lock().unwrap().extend(theirs);
                    }
                }
            }
            _ => {}
        }
        inner.commit(commit).await
    }

    async fn due(
        &self,
        inner: &dyn Store,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let soon = match self {
            Self::Early => now.after(HOUR),
            Self::LastFirst => now.after(2 * MINUTE),
            _ => now,
        };
        let mut due = inner.due(soon, limit, without).await?;
        match self {
            Self::LastFirst => largest(inner, due, soon, |other| other.wakeup.due).await,
            Self::LatestDeadlineFirst => {
                let never = Timestamp(u64::MAX);
                largest(inner, due, now, |other| {
                    other.wakeup.deadline.unwrap_or(never)
                })
                .await
            }
            Self::WithoutDeadlines => {
                due.iter_mut().for_each(|due| due.wakeup.deadline = None);
                Ok(due)
            }
            Self::OfRecordsAlone => {
                due.retain(|due| due.wakeup.subject.model == RECORD_MODEL);
                Ok(due)
            }
            Self::NotDeleted(left) => {
                let mut left = left.lock().unwrap();
                due.extend(left.extract_if(.., |left| left.wakeup.due <= now));
                Ok(due)
            }
            _ => Ok(due),
        }
    }

    async fn begin(&self, inner: &dyn Store, mut begin: Begin) -> Result<BeginOutcome, StoreError> {
        if let (Self::NotDeleted(_), Some(due)) = (self, &begin.wakeup) {
            let known = inner.wakeups(&due.wakeup.subject).await?;
            if !known.contains(due) {
                begin.wakeup = None;
            }
        }
        inner.begin(begin).await
    }

    async fn end(&self, inner: &dyn Store, mut end: End) -> Result<(), StoreError> {
        let ended = end
            .transaction
            .outcome
            .as_ref()
            .map(|outcome| outcome.completed);
        match (self, &end.wakeup, ended) {
            (Self::Forgotten, Some(WakeupSettlement::Retry(due, _)), _) => {
                end.wakeup = Some(WakeupSettlement::Done(due.clone()));
            }
            (Self::Twice(once), Some(WakeupSettlement::Done(due)), Some(ended))
                if once.lock().unwrap().insert(reference_of(due)) =>
            {
                end.wakeup = Some(WakeupSettlement::Retry(due.clone(), ended.after(MINUTE)));
            }
            _ => {}
        }
        inner.end(end).await
    }
}

fn not_deleted() -> Wakeups {
    Wakeups::NotDeleted(Mutex::default())
}

fn twice() -> Wakeups {
    Wakeups::Twice(Mutex::default())
}

broken_hosts! {
    wakeups_that_are_listed_backwards: store(Wakeups::ListedBackwards) => ["scheduling.list"];
    wakeups_that_cannot_be_moved: store(Wakeups::NotMoved) => [
        "scheduling.move",
        "delivery.moved",
        "delivery.rescheduled",
    ];
    wakeups_that_cannot_be_cancelled: store(Wakeups::NotCancelled) => [
        "scheduling.cancel",
        "delivery.cancelled",
    ];
    wakeups_that_outlive_their_document: store(not_deleted()) => ["delivery.deleted"];
    wakeups_that_come_too_early: store(Wakeups::Early) => ["delivery.not-before"];
    wakeups_in_another_order: store(Wakeups::LastFirst) => ["delivery.order"];
    deadlines_that_are_not_looked_at: store(Wakeups::LatestDeadlineFirst) => ["delivery.deadline"];
    wakeups_without_their_deadlines: store(Wakeups::WithoutDeadlines) => ["delivery.content"];
    wakeups_of_records_alone: store(Wakeups::OfRecordsAlone) => ["delivery.subject"];
    wakeups_that_come_twice: store(twice()) => ["delivery.once"];
    wakeups_that_a_failed_call_answers: store(Wakeups::Forgotten) => [
        "delivery.retried",
        "delivery.retried-after-trap",
    ];
}
