//! Wakeups of the host's own documents that a handler of the embedder runs, and not the plugin.
//!
//! A run begins with a commit that claims the document. The commit counts the attempt, raises the document's version
//! and moves the wakeup to the end of the claim. The result is a second commit, which settles the wakeup and checks
//! that version. Two hosts therefore never run one wakeup concurrently, and the wakeup of a run that did not end is due
//! again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Host, WakeupOutcome};
use crate::store::{CLOCK_TOLERANCE, Change, Check, Commit, DueWakeup, StoreError};
use crate::types::{Document, HOST_MODELS, Key, RECORD_KEY, Reference, Timestamp, Wakeup};

/// The name of the key that counts the attempts of a wakeup since its last result.
const ATTEMPTS: &str = "attempts";
/// How long a result is committed again while the store is unavailable. The claim lasts at least as long.
const COMMIT_TIME: Duration = Duration::from_secs(30);
/// The pause after the first failed commit of a result; doubled for each further one.
const FIRST_COMMIT_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two commits of a result.
const MAX_COMMIT_PAUSE: Duration = Duration::from_secs(2);
/// The delay after the first failed run; doubled for each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The delay after a run whose result conflicted with another one, such as two deliveries to one recipient.
const CONFLICT_DELAY: Duration = Duration::from_secs(1);
/// The number of runs after which a conflict counts as a failure.
const MAX_CONFLICTS: u32 = 5;
/// The longest delay between two runs.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// The error of a handler. Its text is logged, and must not contain a secret.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// A runner of one kind of wakeups, whose subjects are documents of the host.
///
/// A wakeup is run at least once, also after a crash. A handler that sends something therefore sends it again with the
/// same id after a crash between the request and the commit of the result.
#[async_trait]
pub trait WakeupHandler: Send + Sync + 'static {
    /// Runs one wakeup. The host commits the result, and retries the wakeup with a growing delay after an error, a
    /// panic, or the end of [`HandlerOptions::time`].
    ///
    /// # Errors
    /// The wakeup has to be run again.
    async fn run(&self, wakeup: &HandledWakeup) -> Result<WakeupResult, HandlerError>;
}

/// The options of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerOptions {
    /// The largest number of concurrent runs in a dispatcher, beside the calls of the plugin; 8 by default.
    pub concurrency: usize,
    /// The longest time of a run, in real time; a minute by default.
    pub time: Duration,
}

impl Default for HandlerOptions {
    fn default() -> Self {
        Self {
            concurrency: 8,
            time: Duration::from_secs(60),
        }
    }
}

/// A wakeup that a handler runs.
#[derive(Clone)]
#[non_exhaustive]
pub struct HandledWakeup {
    /// The host, with its store, its sealer and its clock.
    pub host: Host,
    /// The wakeup.
    pub wakeup: Wakeup,
    /// The wakeup's subject, as it is during the run.
    pub document: Document,
    /// The number of this run, counted from 1, since the wakeup's last result.
    pub attempt: u32,
}

/// The result of a run. The host applies all of it in one commit, if the subject is unchanged since the run began.
#[derive(Clone, Debug)]
pub struct WakeupResult {
    /// The settlement of the wakeup.
    pub next: NextRun,
    /// Further conditions of the commit. If one does not hold, the wakeup is run again.
    pub checks: Vec<Check>,
    /// The changes of documents, secrets and wakeups of the host's own models.
    pub changes: Vec<Change>,
}

/// The settlement of a wakeup that a handler has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRun {
    /// The wakeup is removed, and its subject stays.
    Never,
    /// The wakeup is due again at this moment.
    At(Timestamp),
    /// The subject is deleted with its secrets and wakeups.
    DeleteSubject,
}

impl From<NextRun> for WakeupResult {
    fn from(next: NextRun) -> Self {
        Self {
            next,
            checks: Vec::new(),
            changes: Vec::new(),
        }
    }
}

/// The handler of a kind of wakeups.
pub(super) struct RegisteredHandler {
    pub kind: String,
    pub handler: Arc<dyn WakeupHandler>,
    pub options: HandlerOptions,
}

impl RegisteredHandler {
    /// Returns how long a claim lasts: the run and the commit of its result end before it does, by the clock of any host.
    fn claim_time(&self) -> Duration {
        let work = self.options.time.saturating_add(COMMIT_TIME);
        work.saturating_add(CLOCK_TOLERANCE)
    }

    /// Runs the handler. An error says why there is no result.
    async fn run(&self, wakeup: HandledWakeup) -> Result<WakeupResult, String> {
        let handler = Arc::clone(&self.handler);
        // A task of its own contains a panic. It is aborted with the set.
        let mut task = JoinSet::new();
        task.spawn(async move { handler.run(&wakeup).await });
        match tokio::time::timeout(self.options.time, task.join_next()).await {
            Ok(Some(Ok(Ok(result)))) => match find_foreign(&result.changes) {
                None => Ok(result),
                Some(foreign) => Err(format!(
                    "it changes {foreign}, and a handler may only change models that begin with {HOST_MODELS}"
                )),
            },
            Ok(Some(Ok(Err(error)))) => Err(error.to_string()),
            Ok(Some(Err(error))) if error.is_panic() => Err("it panicked".to_owned()),
            Ok(_) => Err("it was stopped".to_owned()),
            Err(_) => Err(format!(
                "it did not end within {} seconds",
                self.options.time.as_secs()
            )),
        }
    }
}

/// Returns a document that is not the host's, if the changes have one.
fn find_foreign(changes: &[Change]) -> Option<&Reference> {
    let mut changed = changes.iter().map(|change| match change {
        Change::Put(document) => &document.reference,
        Change::PutSecret { owner, .. } => owner,
        Change::Schedule(wakeup) => &wakeup.subject,
        Change::Delete(reference)
        | Change::RemoveSecret(reference, _)
        | Change::Cancel(reference, _) => reference,
    });
    changed.find(|reference| !reference.model.starts_with(HOST_MODELS))
}

/// Returns the delay after a failed run, counted from 1.
fn retry_delay(attempt: u32) -> Duration {
    let factor = 1 << attempt.saturating_sub(1).min(16);
    FIRST_RETRY_DELAY
        .saturating_mul(factor)
        .min(MAX_RETRY_DELAY)
}

/// A claimed wakeup.
struct Claim {
    wakeup: Wakeup,
    /// The subject without the count of attempts. Its version is the one after the claim.
    document: Document,
    attempt: u32,
}

impl Claim {
    /// Claims `document`, as it was read, for a wakeup.
    fn new(wakeup: &Wakeup, mut document: Document) -> Self {
        let counted = document.keys.iter().find(|key| key.name == ATTEMPTS);
        let attempts: u32 = counted.and_then(|key| key.value.parse().ok()).unwrap_or(0);
        document.keys.retain(|key| key.name != ATTEMPTS);
        document.version = document.version.saturating_add(1);
        Self {
            wakeup: wakeup.clone(),
            document,
            attempt: attempts.saturating_add(1),
        }
    }

    fn subject(&self) -> &Reference {
        &self.wakeup.subject
    }

    fn schedule(&self, due: Timestamp) -> Change {
        Change::Schedule(Wakeup {
            due,
            ..self.wakeup.clone()
        })
    }

    /// Returns the commit that begins the claim.
    fn begin(&self, until: Timestamp, now: Timestamp) -> Commit {
        let mut document = self.document.clone();
        document.keys.push(Key {
            name: ATTEMPTS.to_owned(),
            value: self.attempt.to_string(),
        });
        let version = self.document.version.saturating_sub(1);
        Commit {
            checks: vec![Check::Version(self.subject().clone(), version)],
            changes: vec![Change::Put(document), self.schedule(until)],
            now,
            ..Commit::default()
        }
    }

    fn check(&self) -> Check {
        Check::Version(self.subject().clone(), self.document.version)
    }

    /// Returns the commit of a result.
    fn end(&self, result: WakeupResult, now: Timestamp) -> Commit {
        let subject = self.subject();
        let own = result.changes.iter().rev().find_map(|change| match change {
            Change::Put(document) if document.reference == *subject => Some(true),
            Change::Delete(deleted) if deleted == subject => Some(false),
            _ => None,
        });
        let mut checks = vec![self.check()];
        checks.extend(result.checks);
        let mut changes = result.changes;
        if own.is_none() {
            // The next run is the first one again.
            changes.insert(0, Change::Put(self.document.clone()));
        }
        match result.next {
            _ if own == Some(false) => {}
            NextRun::Never => {
                changes.push(Change::Cancel(subject.clone(), self.wakeup.id.clone()));
            }
            NextRun::At(due) => changes.push(self.schedule(due)),
            NextRun::DeleteSubject => changes.push(Change::Delete(subject.clone())),
        }
        Commit {
            checks,
            changes,
            now,
            ..Commit::default()
        }
    }

    /// Logs that the run failed, and returns the delay until the next one.
    fn report(&self, reason: &str) -> Duration {
        let (subject, kind, attempt) = (self.subject(), &self.wakeup.id, self.attempt);
        tracing::error!(%subject, kind, attempt, reason, "the handler of a wakeup failed; the wakeup is run again later");
        retry_delay(attempt)
    }

    /// Returns the commit after a run without a result. The document keeps its count of attempts.
    fn retry(&self, now: Timestamp, delay: Duration) -> Commit {
        Commit {
            checks: vec![self.check()],
            changes: vec![self.schedule(now.after(delay))],
            now,
            ..Commit::default()
        }
    }
}

impl Host {
    /// Returns the handler of a wakeup. The subject of such a wakeup is a document of the host.
    pub(super) fn find_handler(&self, wakeup: &Wakeup) -> Option<&RegisteredHandler> {
        let mut handlers = self.parts.handlers.iter();
        handlers.find(|registered| registered.kind == wakeup.kind())
    }

    /// Runs a wakeup by its handler, and settles it.
    ///
    /// # Errors
    /// The store could not be reached before the run: the wakeup is still due.
    pub(super) async fn run_handler(
        &self,
        registered: &RegisteredHandler,
        due: &DueWakeup,
    ) -> Result<WakeupOutcome, StoreError> {
        let Some(claim) = self.claim_wakeup(registered, due).await? else {
            return Ok(WakeupOutcome::Gone);
        };
        let (subject, kind) = (claim.subject(), &claim.wakeup.id);
        let wakeup = HandledWakeup {
            host: self.clone(),
            wakeup: claim.wakeup.clone(),
            document: claim.document.clone(),
            attempt: claim.attempt,
        };
        let attempt = claim.attempt;
        let delay = match registered.run(wakeup).await {
            Ok(result) => {
                let commit = claim.end(result, self.clock().now());
                match self.commit_result(commit).await {
                    Ok(()) => None,
                    Err(StoreError::Conflict(conflict)) if attempt < MAX_CONFLICTS => {
                        tracing::debug!(%subject, kind, attempt, %conflict, "another run was first; the wakeup is run again");
                        Some(CONFLICT_DELAY)
                    }
                    Err(error) => {
                        let reason = format!("its result could not be stored: {error}");
                        Some(claim.report(&reason))
                    }
                }
            }
            Err(reason) => Some(claim.report(&reason)),
        };
        if let Some(delay) = delay {
            let commit = claim.retry(self.clock().now(), delay);
            match self.commit_result(commit).await {
                Ok(()) => {}
                // The subject was changed or deleted meanwhile. An unchanged wakeup is due after the claim.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => {
                    tracing::warn!(%subject, kind, %error, "the retry of a wakeup will be late");
                }
            }
        }
        Ok(WakeupOutcome::Handled)
    }

    /// Claims the subject of a wakeup. Returns `None` if there is nothing to run: another host has claimed the wakeup,
    /// or the subject's record is deleted, and the subject with it.
    async fn claim_wakeup(
        &self,
        registered: &RegisteredHandler,
        due: &DueWakeup,
    ) -> Result<Option<Claim>, StoreError> {
        let subject = &due.wakeup.subject;
        // The document is read first: a claim between the reads changes the revision, a later one the version.
        let Some(document) = self.read_document(subject).await? else {
            return Ok(None);
        };
        let wakeups = self.store().wakeups(subject).await?;
        if !wakeups.contains(due) {
            return Ok(None);
        }
        let now = self.clock().now();
        let record = document.keys.iter().find(|key| key.name == RECORD_KEY);
        let record = record.and_then(|key| key.value.parse().ok());
        let is_orphan = match record {
            Some(pkid) => self
                .read_document(&Reference::record(pkid))
                .await?
                .is_none(),
            None => false,
        };
        let version = document.version;
        let claim = Claim::new(&due.wakeup, document);
        let commit = match is_orphan {
            true => Commit {
                checks: vec![Check::Version(subject.clone(), version)],
                changes: vec![Change::Delete(subject.clone())],
                now,
                ..Commit::default()
            },
            false => claim.begin(now.after(registered.claim_time()), now),
        };
        match self.store().commit(commit).await {
            Ok(()) => Ok(Some(claim).filter(|_| !is_orphan)),
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_document(&self, reference: &Reference) -> Result<Option<Document>, StoreError> {
        let found = self.store().get(std::slice::from_ref(reference)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Commits what a run has done, also after the store was unavailable for a moment.
    async fn commit_result(&self, commit: Commit) -> Result<(), StoreError> {
        let schedules = commit
            .changes
            .iter()
            .any(|change| matches!(change, Change::Schedule(_)));
        let services = &self.parts.services;
        let end = Instant::now() + COMMIT_TIME;
        let mut pause = FIRST_COMMIT_PAUSE;
        loop {
            let committed = services
                .sealer
                .commit(services.store.as_ref(), commit.clone());
            match committed.await {
                Err(StoreError::Unavailable(_)) if Instant::now() + pause < end => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(MAX_COMMIT_PAUSE);
                }
                done => {
                    if schedules && done.is_ok() {
                        services.scheduled.notify_one();
                    }
                    return done;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{NOTICE_MODEL, Pkid};
    use crate::wakeup_kinds;

    fn claim(attempts: Option<&str>) -> Claim {
        let reference = Reference::new(NOTICE_MODEL, Pkid::random());
        let key = |value: &str| Key {
            name: ATTEMPTS.to_owned(),
            value: value.to_owned(),
        };
        let document = Document {
            reference: reference.clone(),
            hierarchy: "sys".parse().unwrap(),
            version: 4,
            body: "{}".to_owned(),
            keys: attempts.map(key).into_iter().collect(),
        };
        let wakeup = Wakeup {
            id: wakeup_kinds::NOTICE_ROUTE.to_owned(),
            subject: reference,
            due: Timestamp(1),
            deadline: None,
            payload: "kept".to_owned(),
        };
        Claim::new(&wakeup, document)
    }

    #[test]
    fn delays_double_up_to_an_hour() {
        let minutes = [1, 2, 6, 7, u32::MAX].map(|attempt| retry_delay(attempt).as_secs() / 60);
        assert_eq!(minutes, [1, 2, 32, 60, 60]);
    }

    #[test]
    fn claim_counts_attempts_and_result_forgets_them() {
        let claim = claim(Some("2"));
        assert_eq!(claim.attempt, 3);
        let begun = claim.begin(Timestamp(9), Timestamp(5));
        assert_eq!(begun.checks, [Check::Version(claim.subject().clone(), 4)]);
        let [Change::Put(document), Change::Schedule(wakeup)] = &begun.changes[..] else {
            panic!("{begun:?}");
        };
        assert_eq!(document.keys[0].value, "3");
        assert_eq!((wakeup.due, &*wakeup.payload), (Timestamp(9), "kept"));
        let ended = claim.end(NextRun::Never.into(), Timestamp(6));
        assert_eq!(ended.checks, [Check::Version(claim.subject().clone(), 5)]);
        let [Change::Put(document), Change::Cancel(..)] = &ended.changes[..] else {
            panic!("{ended:?}");
        };
        assert!(document.keys.is_empty());
    }

    #[test]
    fn result_settles_the_wakeup_last() {
        let claim = claim(None);
        let own = Change::Put(claim.document.clone());
        for (next, changes) in [(NextRun::Never, 2), (NextRun::At(Timestamp(8)), 2)] {
            let result = WakeupResult {
                changes: vec![own.clone()],
                ..next.into()
            };
            assert_eq!(claim.end(result, Timestamp(6)).changes.len(), changes);
        }
        let deleted = claim.end(NextRun::DeleteSubject.into(), Timestamp(6));
        assert!(matches!(deleted.changes.last(), Some(Change::Delete(_))));
        // A result that deletes the subject by itself leaves no wakeup.
        let result = WakeupResult {
            changes: vec![Change::Delete(claim.subject().clone())],
            ..NextRun::At(Timestamp(8)).into()
        };
        assert_eq!(claim.end(result, Timestamp(6)).changes.len(), 1);
    }

    #[test]
    fn handler_changes_models_of_the_host_only() {
        let record = Reference::record(Pkid::random());
        let own = Change::Delete(Reference::new(NOTICE_MODEL, Pkid::random()));
        assert_eq!(find_foreign(std::slice::from_ref(&own)), None);
        let foreign = [own, Change::Cancel(record.clone(), "refresh".to_owned())];
        assert_eq!(find_foreign(&foreign), Some(&record));
    }
}
