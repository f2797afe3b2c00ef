//! Stores whose wakeups do not come, or come wrongly.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::store::layer::StoreLayer;
use relation_host::store::{
    BeginOutcome, CallEnd, CallStart, Change, Commit, DueWakeup, KindFilter, Store, StoreError,
    WakeupSettlement,
};
use relation_host::types::{RECORD_MODEL, Reference, Timestamp};

use super::store;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A defect of wakeups.
enum WakeupDefect {
    /// Lists wakeups in reverse order.
    ListedBackwards,
    /// Does not reschedule an existing wakeup.
    NotMoved,
    /// Does not cancel wakeups.
    NotCanceled,
    /// Keeps wakeups of deleted documents: these.
    NotDeleted(Mutex<Vec<DueWakeup>>),
    /// Treats wakeups of the next hour as due.
    Early,
    /// Runs the last one of the wakeups within two minutes first. Two minutes are two of the suite's moments.
    LastFirst,
    /// Runs the latest deadline first.
    LatestDeadlineFirst,
    /// Drops deadlines.
    WithoutDeadlines,
    /// Delivers only wakeups of records.
    RecordsOnly,
    /// Delivers every wakeup twice: these once so far.
    Twice(Mutex<BTreeSet<(Reference, String)>>),
    /// Lets a failed call complete its wakeups.
    Forgotten,
}

fn reference_of(wakeup: &DueWakeup) -> (Reference, String) {
    (wakeup.wakeup.subject.clone(), wakeup.wakeup.id.clone())
}

/// Returns the wakeup before `now` with the largest key from `choose`, for each subject with due wakeups.
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

impl StoreLayer for WakeupDefect {
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
            Self::NotCanceled => commit
                .changes
                .retain(|change| !matches!(change, Change::Cancel(..))),
            Self::NotDeleted(left) => {
                for change in &commit.changes {
                    if let Change::Delete(reference) = change {
                        let theirs = inner.wakeups(reference).await?;
                        left.lock().extend(theirs);
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
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        let soon = match self {
            Self::Early => now.after(HOUR),
            Self::LastFirst => now.after(2 * MINUTE),
            _ => now,
        };
        let mut due = inner.due(soon, limit, kinds).await?;
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
            Self::RecordsOnly => {
                due.retain(|due| due.wakeup.subject.model == RECORD_MODEL);
                Ok(due)
            }
            Self::NotDeleted(left) => {
                let mut left = left.lock();
                due.extend(left.extract_if(.., |left| left.wakeup.due <= now));
                Ok(due)
            }
            _ => Ok(due),
        }
    }

    async fn begin(
        &self,
        inner: &dyn Store,
        mut begin: CallStart,
    ) -> Result<BeginOutcome, StoreError> {
        if let (Self::NotDeleted(_), Some(due)) = (self, &begin.wakeup) {
            let known = inner.wakeups(&due.wakeup.subject).await?;
            if !known.contains(due) {
                begin.wakeup = None;
            }
        }
        inner.begin(begin).await
    }

    async fn end(&self, inner: &dyn Store, mut end: CallEnd) -> Result<(), StoreError> {
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
                if once.lock().insert(reference_of(due)) =>
            {
                end.wakeup = Some(WakeupSettlement::Retry(due.clone(), ended.after(MINUTE)));
            }
            _ => {}
        }
        inner.end(end).await
    }
}

fn not_deleted() -> WakeupDefect {
    WakeupDefect::NotDeleted(Mutex::default())
}

fn twice() -> WakeupDefect {
    WakeupDefect::Twice(Mutex::default())
}

broken_hosts! {
    wakeups_are_listed_backwards: store(WakeupDefect::ListedBackwards) => ["scheduling.list"];
    wakeups_cannot_be_moved: store(WakeupDefect::NotMoved) => [
        "scheduling.move",
        "delivery.moved",
        "delivery.rescheduled",
    ];
    wakeups_cannot_be_canceled: store(WakeupDefect::NotCanceled) => [
        "scheduling.cancel",
        "delivery.cancelled",
    ];
    wakeups_outlive_their_document: store(not_deleted()) => ["delivery.deleted"];
    wakeups_are_early: store(WakeupDefect::Early) => ["delivery.not-before"];
    wakeups_are_in_another_order: store(WakeupDefect::LastFirst) => ["delivery.order"];
    deadlines_are_ignored: store(WakeupDefect::LatestDeadlineFirst) => ["delivery.deadline"];
    wakeups_lack_their_deadlines: store(WakeupDefect::WithoutDeadlines) => ["delivery.content"];
    wakeups_of_records_only: store(WakeupDefect::RecordsOnly) => ["delivery.subject"];
    wakeups_are_delivered_twice: store(twice()) => ["delivery.once"];
    failed_call_settles_its_wakeup: store(WakeupDefect::Forgotten) => [
        "delivery.retried",
        "delivery.retried-after-trap",
    ];
}
