//! Commits with `keep`, which store responses: retried while the lease holds, and stashed if the store
//! does not recover in time.
//!
//! A used token cannot be exchanged for the same response again, so such a commit must not be lost.
//! The plugin marks it. Reads after a response are retried too, because without them there might be
//! no such commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, UnreportedEffects, convert};
use crate::imports::journal::Journal;
use crate::limits::Limits;
use crate::spans;
use crate::store::stash::{Stash, StashError, StashedCommit};
use crate::store::{Check, Commit, StoreError};
use crate::transactions::Level;
use crate::types::{Failure, Reference, Timestamp};

/// The time from the start of the first attempt to the second; doubled for each further attempt.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The maximum delay between two attempts.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// The retry state of a call: whether a response was received, and how long to wait for the store.
#[derive(Default)]
pub(crate) struct RetryPolicy {
    /// Set when a server has responded.
    response_received: Arc<AtomicBool>,
    /// The monotonic time until which the call may rely on its lease.
    lease_until: Option<Duration>,
    /// The time at which the call is stopped.
    ends: Option<Instant>,
    /// The time kept in reserve for writing to the stash.
    reserve: Duration,
    /// Set after a commit was stashed: the error text for all later commits.
    stashed: Option<String>,
}

impl RetryPolicy {
    /// Creates the policy of a call that begins now.
    pub(crate) fn new(
        response_received: Arc<AtomicBool>,
        lease_until: Option<Duration>,
        limits: &Limits,
    ) -> Self {
        Self {
            response_received,
            lease_until,
            ends: Instant::now().checked_add(limits.time),
            reserve: MAX_DELAY.min(limits.time / 16),
            stashed: None,
        }
    }

    /// Rejects writes after a commit was stashed: the call does not know which state they would
    /// build on.
    pub(super) fn check_not_stashed(&self) -> Result<(), Failure> {
        match &self.stashed {
            Some(message) => Err(Failure::Unavailable(message.clone())),
            None => Ok(()),
        }
    }

    fn has_response(&self) -> bool {
        self.response_received.load(Ordering::Acquire)
    }

    /// Returns the end of one attempt: within the lease or, after the lease has expired, within the call.
    /// The store's fence decides after the lease has expired.
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

    /// Returns whether there is time for another attempt after `delay`, counted from `monotonic`.
    fn has_time(&self, monotonic: Duration, delay: Duration) -> bool {
        let needed = delay.saturating_add(self.reserve);
        self.lease_until
            .is_none_or(|until| until.saturating_sub(monotonic) > needed)
    }
}

/// The reason why a commit did not reach the store.
pub(super) enum CommitError {
    /// The store rejected the commit.
    Store(StoreError),
    /// The store was unavailable. The text says whether the commit was stashed.
    Unavailable(String),
}

impl CommitError {
    /// Returns the name of the error in traces.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Call {
    /// Runs a store operation. After a response, retries while the store is unavailable and the
    /// lease holds.
    pub(super) async fn retry_while_unavailable<T, F>(
        &self,
        operation: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut delay = FIRST_DELAY;
        loop {
            let began = self.services.clock.now();
            match operation().await {
                Err(error @ StoreError::Unavailable(_)) => {
                    if !self.retry_policy.has_response() || !self.wait(began, &mut delay).await {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    /// Returns the record for which a commit with these checks can be stashed.
    ///
    /// # Errors
    /// `invalid` without a lease, or without a check of the record: only such a check shows later
    /// whether the commit still applies.
    pub(super) fn record_to_keep_for(&self, checks: &[Check]) -> Result<Reference, Failure> {
        let subject = self.lease.as_ref().map(|lease| &lease.subject);
        // A record that the call creates has no version yet.
        let depends = |check: &Check| matches!(check, Check::Version(of, _) | Check::Absent(of) if Some(of) == subject);
        match subject {
            Some(subject) if checks.iter().any(depends) => Ok(subject.clone()),
            _ => Err(convert::malformed(
                "on-unavailable",
                "`keep` needs a check of the version or the absence of the record whose lease the call holds",
            )),
        }
    }

    /// Commits a response, or stashes the commit.
    pub(super) async fn commit_response(
        &mut self,
        commit: Commit,
        subject: Reference,
    ) -> Result<(), CommitError> {
        let services = Arc::clone(&self.services);
        let mut stash_guard = StashOnDrop::new(self, &commit, &subject);
        let mut delay = FIRST_DELAY;
        let mut in_doubt = false;
        let reason = loop {
            let began = services.clock.now();
            let deadline = self.retry_policy.deadline(services.clock.monotonic());
            let attempt = services
                .sealer
                .commit(services.store.as_ref(), commit.clone());
            match with_deadline(deadline, attempt).await {
                Ok(()) => {
                    stash_guard.disarm();
                    return Ok(());
                }
                Err(error @ StoreError::Unavailable(_)) => {
                    if !in_doubt {
                        self.note(
                            Level::Warning,
                            format!("a response could not be stored yet: {error}"),
                        );
                    }
                    in_doubt = true;
                    if !self.wait(began, &mut delay).await {
                        break error;
                    }
                }
                // The store may have committed an earlier attempt without being able to report it.
                Err(StoreError::Conflict(_)) if in_doubt && self.is_stored(&stash_guard).await => {
                    stash_guard.disarm();
                    return Ok(());
                }
                // A retry would not help, but a person may repair the store.
                Err(error @ StoreError::Corrupt(_)) => break error,
                // The new holder of the lease may leave the record unchanged, so the commit may
                // still apply.
                Err(error @ StoreError::Fenced { .. }) => {
                    stash_guard.stash(&error).await;
                    return Err(CommitError::Store(error));
                }
                Err(error) => {
                    stash_guard.disarm();
                    return Err(CommitError::Store(error));
                }
            }
        };
        let message = stash_guard.stash(&reason).await;
        self.retry_policy.stashed = Some(message.clone());
        Err(CommitError::Unavailable(message))
    }

    /// Converts the error to the contract's failure, and logs a lost lease.
    pub(super) fn commit_failure(&self, error: CommitError) -> Failure {
        match error {
            CommitError::Unavailable(text) => Failure::Unavailable(text),
            CommitError::Store(error) => {
                if matches!(error, StoreError::Fenced { .. }) {
                    tracing::warn!(%error, "a call lost its lease and wrote nothing");
                }
                convert::store_failure(&error)
            }
        }
    }

    /// Waits for the next attempt, counted from the start of the last one. Returns false if no time
    /// is left.
    async fn wait(&self, began: Timestamp, delay: &mut Duration) -> bool {
        let clock = &self.services.clock;
        let next = began.after(*delay);
        let left = next.since(clock.now());
        if !self.retry_policy.has_time(clock.monotonic(), left) {
            return false;
        }
        spans::note_store_retry(left);
        *delay = MAX_DELAY.min(delay.saturating_mul(2));
        let sleep = clock.sleep_until(next);
        match self.retry_policy.deadline(clock.monotonic()) {
            Some(deadline) => tokio::time::timeout_at(deadline, sleep).await.is_ok(),
            None => {
                sleep.await;
                true
            }
        }
    }

    /// Returns whether the record already has the commit's result.
    async fn is_stored(&self, stash_guard: &StashOnDrop) -> bool {
        let Some(wanted) = stash_guard.commit.as_ref().and_then(StashedCommit::record) else {
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
        let customer = self.journal.subject_name();
        tracing::warn!(?customer, transaction = self.journal.id(), "{message}");
        self.journal.log(self.services.clock.now(), level, message);
    }
}

async fn with_deadline(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(StoreError::Unavailable("it does not respond".to_owned())),
    }
}

/// A guard that stashes a commit unless disarmed, even if the call is dropped midway by a timeout or by its
/// caller.
struct StashOnDrop {
    commit: Option<StashedCommit>,
    stash: Option<Arc<Stash>>,
    journal: Journal,
    effects: Arc<UnreportedEffects>,
}

impl StashOnDrop {
    fn new(call: &Call, commit: &Commit, subject: &Reference) -> Self {
        let stashed = StashedCommit {
            subject: subject.clone(),
            epoch: commit.fence.as_ref().map_or(0, |lease| lease.epoch),
            since: call.services.clock.now(),
            transaction: call.journal.id().to_owned(),
            checks: commit.checks.clone(),
            changes: commit.changes.clone(),
        };
        Self {
            commit: Some(stashed),
            stash: call.services.stash.clone(),
            journal: call.journal.clone(),
            effects: Arc::clone(&call.effects),
        }
    }

    fn disarm(&mut self) {
        self.commit = None;
    }

    /// Stashes the commit on a blocking thread. Returns the error text for the caller.
    async fn stash(mut self, reason: &StoreError) -> String {
        let Some(stashed) = self.commit.take() else {
            return reason.to_string();
        };
        let (stash, journal) = (self.stash.clone(), self.journal.clone());
        let since = stashed.since;
        // The blocking task completes even if it is no longer awaited.
        let done =
            tokio::task::spawn_blocking(move || stash_commit(stash.as_deref(), &journal, &stashed))
                .await;
        if !matches!(done, Ok(Ok(()))) {
            self.effects.note_lost();
        }
        match done {
            Ok(Ok(())) => format!(
                "{reason}; the response is in the stash since {since} and is applied as soon as the store can be written"
            ),
            Ok(Err(error)) => format!("{reason}; the response is lost: {error}"),
            Err(error) => format!("{reason}; the response is lost: {error}"),
        }
    }
}

impl Drop for StashOnDrop {
    fn drop(&mut self) {
        if let Some(stashed) = self.commit.take() {
            // The outcome is logged; there is no caller left to report to.
            if stash_commit(self.stash.as_deref(), &self.journal, &stashed).is_err() {
                self.effects.note_lost();
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StashingError {
    #[error("this host has no stash")]
    NoStash,
    #[error("it could not be stashed either: {0}")]
    Stash(#[from] StashError),
}

/// Stashes a commit and logs the outcome. Blocks.
fn stash_commit(
    stash: Option<&Stash>,
    journal: &Journal,
    stashed: &StashedCommit,
) -> Result<(), StashingError> {
    let done = match stash {
        Some(stash) => stash.keep(stashed).map_err(StashingError::from),
        None => Err(StashingError::NoStash),
    };
    let (transaction, subject, epoch) = (journal.id(), &stashed.subject, stashed.epoch);
    let customer = journal.subject_name();
    spans::note_stash(journal.span(), done.is_ok());
    match &done {
        Ok(()) => {
            tracing::error!(?customer, transaction, %subject, epoch, "the store could not take a response: it is in the stash");
            let text = "the response is in the stash until the store can be written";
            journal.log(stashed.since, Level::Error, text.to_owned());
        }
        Err(error) => {
            tracing::error!(?customer, transaction, %subject, epoch, %error, "the store could not take a response, and it is lost");
            journal.log(
                stashed.since,
                Level::Error,
                format!("the response is lost: {error}"),
            );
        }
    }
    done
}
