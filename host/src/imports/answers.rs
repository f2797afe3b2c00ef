//! The commit with `keep`, of what a server has answered: tried again while the lease holds, and kept
//! in the stash when the store does not come back in time.
//!
//! A token that was used cannot be used again for the same answer, so such a commit is worth more
//! than others. The plugin says which commit it is. Reads after an answer are tried again as well:
//! without them there might be no such commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Traces, convert};
use crate::limits::Limits;
use crate::store::stash::{Stash, StashError, StashedCommit};
use crate::store::{Check, Commit, StoreError};
use crate::transactions::Level;
use crate::transactions::journal::Journal;
use crate::types::{Failure, Reference, Timestamp};

/// From the beginning of the first try to that of the second; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// What a call knows of answers from outside, and until when it may wait for the store.
#[derive(Default)]
pub(crate) struct Patience {
    /// Set once a server has answered.
    answered: Arc<AtomicBool>,
    /// The monotonic moment until which the call's lease may be relied on.
    lease_until: Option<Duration>,
    /// When the call is stopped.
    ends: Option<Instant>,
    /// What is left at the end for keeping a commit in the stash.
    reserve: Duration,
    /// Set once a commit was kept: what every later one is told.
    kept: Option<String>,
}

impl Patience {
    /// The patience of a call that begins now.
    pub(crate) fn of(
        answered: Arc<AtomicBool>,
        lease_until: Option<Duration>,
        limits: &Limits,
    ) -> Self {
        Self {
            answered,
            lease_until,
            ends: Instant::now().checked_add(limits.time),
            reserve: LAST_PAUSE.min(limits.time / 16),
            kept: None,
        }
    }

    /// A call whose answer is kept writes nothing more: it would not know on top of what.
    pub(super) fn refuse_more(&self) -> Result<(), Failure> {
        match &self.kept {
            Some(told) => Err(Failure::Unavailable(told.clone())),
            None => Ok(()),
        }
    }

    fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Until when one try of the store may take: within the lease, or, when that is over already, within
    /// the call, since then the store's fence decides.
    fn deadline(&self, monotonic: Duration) -> Option<Instant> {
        let now = Instant::now();
        let lease = self
            .lease_until
            .map(|until| until.saturating_sub(monotonic))
            .filter(|left| *left > self.reserve)
            .and_then(|left| now.checked_add(left));
        let ends = match (self.ends, lease) {
            (Some(ends), Some(lease)) => Some(ends.min(lease)),
            (ends, lease) => ends.or(lease),
        };
        ends.and_then(|ends| ends.checked_sub(self.reserve))
    }

    /// Whether there is time for another try after `pause`, counted from `monotonic`.
    fn has_room(&self, monotonic: Duration, pause: Duration) -> bool {
        let needed = pause.saturating_add(self.reserve);
        self.lease_until
            .is_none_or(|until| until.saturating_sub(monotonic) > needed)
    }
}

/// Why a commit did not reach the store.
pub(super) enum NotCommitted {
    /// The store says so.
    Store(StoreError),
    /// The store could not take it, and it was kept, or not: in words for whoever called.
    Told(String),
}

impl Call {
    /// Asks the store; after an answer from outside, again while it is unavailable and the lease
    /// holds.
    pub(super) async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = self.services.clock.now();
            match ask().await {
                Err(error @ StoreError::Unavailable(_)) => {
                    if !self.patience.was_answered() || !self.wait(began, &mut pause).await {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    /// Finds the record that a commit with these checks can be kept for.
    ///
    /// # Errors
    /// `invalid` without a lease, or without a check of the record: only such a check tells later
    /// whether the commit is still due.
    pub(super) fn record_to_keep_for(&self, checks: &[Check]) -> Result<Reference, Failure> {
        let subject = self.lease.as_ref().map(|lease| &lease.subject);
        // A record that the call makes has no version yet.
        let depends = |check: &Check| matches!(check, Check::Version(of, _) | Check::Absent(of) if Some(of) == subject);
        match subject {
            Some(subject) if checks.iter().any(depends) => Ok(subject.clone()),
            _ => Err(convert::malformed(
                "on-unavailable",
                "`keep` needs a check of the version or the absence of the record whose lease the call holds",
            )),
        }
    }

    /// Commits an answer, or keeps it.
    pub(super) async fn commit_answer(
        &mut self,
        commit: Commit,
        subject: Reference,
    ) -> Result<(), NotCommitted> {
        let services = Arc::clone(&self.services);
        let mut keeper = Keeper::of(self, &commit, &subject);
        let mut pause = FIRST_PAUSE;
        let mut in_doubt = false;
        let why = loop {
            let began = services.clock.now();
            let deadline = self.patience.deadline(services.clock.monotonic());
            let attempt = services
                .sealer
                .commit(services.store.as_ref(), commit.clone());
            match within(deadline, attempt).await {
                Ok(()) => {
                    keeper.let_go();
                    return Ok(());
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    if !in_doubt {
                        self.note(
                            Level::Warning,
                            format!("an answer could not be stored yet: {error}"),
                        );
                    }
                    in_doubt = true;
                    if !self.wait(began, &mut pause).await {
                        break error;
                    }
                }
                // The store may have done what it could not say that it did.
                Err(StoreError::Conflict(_)) if in_doubt && self.is_stored(&keeper).await => {
                    keeper.let_go();
                    return Ok(());
                }
                // To try again would not help, but a person may repair it.
                Err(error @ StoreError::Corrupt(_)) => break error,
                // Whoever holds the record now may leave it as it is.
                Err(error @ StoreError::Fenced { .. }) => {
                    keeper.keep(&error).await;
                    return Err(NotCommitted::Store(error));
                }
                Err(error) => {
                    keeper.let_go();
                    return Err(NotCommitted::Store(error));
                }
            }
        };
        let told = keeper.keep(&why).await;
        self.patience.kept = Some(told.clone());
        Err(NotCommitted::Told(told))
    }

    /// In the contract's words, and logged when it matters.
    pub(super) fn not_committed(&self, error: NotCommitted) -> Failure {
        match error {
            NotCommitted::Told(text) => Failure::Unavailable(text),
            NotCommitted::Store(error) => {
                if matches!(error, StoreError::Fenced { .. }) {
                    tracing::warn!(%error, "a call lost its lease and wrote nothing");
                }
                convert::store_failure(&error)
            }
        }
    }

    /// Waits until it is time for the next try, counted from the beginning of the last one; false
    /// when there is no time left for it.
    async fn wait(&self, began: Timestamp, pause: &mut Duration) -> bool {
        let clock = &self.services.clock;
        let next = began.after(*pause);
        let left = next.since(clock.now());
        if !self.patience.has_room(clock.monotonic(), left) {
            return false;
        }
        *pause = LAST_PAUSE.min(pause.saturating_mul(2));
        let sleep = clock.sleep_until(next);
        match self.patience.deadline(clock.monotonic()) {
            Some(deadline) => tokio::time::timeout_at(deadline, sleep).await.is_ok(),
            None => {
                sleep.await;
                true
            }
        }
    }

    /// Whether the record is as the commit leaves it.
    async fn is_stored(&self, keeper: &Keeper) -> bool {
        let Some(wanted) = keeper.commit.as_ref().and_then(StashedCommit::record) else {
            return false;
        };
        let found = self
            .services
            .store
            .get(std::slice::from_ref(&wanted.reference));
        let found = found.await.ok().and_then(|mut found| found.pop().flatten());
        found.is_some_and(|found| found.body == wanted.body)
    }

    fn note(&self, level: Level, message: String) {
        tracing::warn!(transaction = self.journal.id(), "{message}");
        self.journal.log(self.services.clock.now(), level, message);
    }
}

async fn within(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable("it does not answer".to_owned())),
    }
}

/// Keeps a commit in the stash unless it is let go of before: also when the call ends in the middle,
/// because its time is over or because whoever made it has gone.
struct Keeper {
    commit: Option<StashedCommit>,
    stash: Option<Arc<Stash>>,
    journal: Journal,
    traces: Arc<Traces>,
}

impl Keeper {
    fn of(call: &Call, commit: &Commit, subject: &Reference) -> Self {
        let kept = StashedCommit {
            subject: subject.clone(),
            epoch: commit.fence.as_ref().map_or(0, |lease| lease.epoch),
            since: call.services.clock.now(),
            transaction: call.journal.id().to_owned(),
            checks: commit.checks.clone(),
            changes: commit.changes.clone(),
        };
        Self {
            commit: Some(kept),
            stash: call.services.stash.clone(),
            journal: call.journal.clone(),
            traces: Arc::clone(&call.traces),
        }
    }

    fn let_go(&mut self) {
        self.commit = None;
    }

    /// Keeps it now, aside from what else this thread does; what the caller is told.
    async fn keep(mut self, why: &StoreError) -> String {
        let Some(kept) = self.commit.take() else {
            return why.to_string();
        };
        let (stash, journal) = (self.stash.clone(), self.journal.clone());
        let since = kept.since;
        // It goes on when nobody waits for it any more.
        let done =
            tokio::task::spawn_blocking(move || keep(stash.as_deref(), &journal, &kept)).await;
        if !matches!(done, Ok(Ok(()))) {
            self.traces.note_lost();
        }
        match done {
            Ok(Ok(())) => format!(
                "{why}; the answer is kept in the stash since {since} and is applied as soon as the store can be written"
            ),
            Ok(Err(error)) => format!("{why}; the answer is lost: {error}"),
            Err(error) => format!("{why}; the answer is lost: {error}"),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(kept) = self.commit.take() {
            // What came of it is logged; nobody is left to be told.
            if keep(self.stash.as_deref(), &self.journal, &kept).is_err() {
                self.traces.note_lost();
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("this host has no stash")]
    NoStash,
    #[error("it could not be kept in the stash either: {0}")]
    Stash(#[from] StashError),
}

/// Keeps a commit and says so. Blocks.
fn keep(stash: Option<&Stash>, journal: &Journal, kept: &StashedCommit) -> Result<(), NotKept> {
    let done = match stash {
        Some(stash) => stash.keep(kept).map_err(NotKept::from),
        None => Err(NotKept::NoStash),
    };
    let (transaction, subject, epoch) = (journal.id(), &kept.subject, kept.epoch);
    match &done {
        Ok(()) => {
            tracing::error!(transaction, %subject, epoch, "the store could not take an answer: it is kept in the stash");
            let text = "the answer is kept in the stash until the store can be written";
            journal.log(kept.since, Level::Error, text.to_owned());
        }
        Err(error) => {
            tracing::error!(transaction, %subject, epoch, %error, "the store could not take an answer, and it is lost");
            journal.log(
                kept.since,
                Level::Error,
                format!("the answer is lost: {error}"),
            );
        }
    }
    done
}
