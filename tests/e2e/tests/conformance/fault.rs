//! A store that breaks one promise, and passes everything else on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relation_host::store::seal::{DataKey, Sealed};
use relation_host::store::{
    Answered, Begin, Begun, Commit, DueWakeup, End, KeyUse, Lease, Recovery, Reseal, Retirement,
    SecretScope, Store, StoreError, StoredSecret,
};
use relation_host::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_host::types::{Document, Filter, Hierarchy, Page, Reference, Scope, Timestamp};

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A commit of several changes loses the last one.
    TearsCommits,
    /// A commit is done whatever it depends on.
    IgnoresChecks,
    /// What is below a node is found at it.
    IgnoresScope,
    /// Several documents come the other way round.
    TurnsAnswersRound,
    /// Every call may run, and write, at once.
    HasNoLeases,
    /// Who has lost a lease may write.
    OpensTheFence,
    /// What is due within an hour is due.
    WakesEarly,
    /// The latest deadline goes first.
    IgnoresDeadlines,
    /// A wakeup is answered by a call that failed.
    ForgetsFailures,
    /// Nobody is told of a call that was cut off.
    SaysNothingOfInterruptions,
}

/// A store with a defect.
pub struct Broken {
    inner: Arc<dyn Store>,
    defect: Defect,
}

impl Broken {
    /// `inner` with a defect.
    pub fn around(inner: Arc<dyn Store>, defect: Defect) -> Self {
        Self { inner, defect }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl Store for Broken {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        let mut found = self.inner.get(references).await?;
        if self.has(Defect::TurnsAnswersRound) {
            found.reverse();
        }
        Ok(found)
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let mut filter = filter.clone();
        if let (true, Some((_, scope))) = (self.has(Defect::IgnoresScope), &mut filter.hierarchy) {
            *scope = Scope::Subtree;
        }
        self.inner.find(&filter, cursor, limit).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        if self.has(Defect::TearsCommits) && commit.changes.len() > 1 {
            commit.changes.pop();
        }
        if self.has(Defect::IgnoresChecks) {
            commit.checks.clear();
        }
        if self.has(Defect::OpensTheFence) || self.has(Defect::HasNoLeases) {
            commit.fence = None;
        }
        self.inner.commit(commit).await
    }

    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.inner.sealed(owner, name).await
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        self.inner.wakeups(subject).await
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        self.inner.upcoming(hierarchy, cursor, limit).await
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        if self.has(Defect::IgnoresDeadlines) {
            // Of each subject the one that should come last.
            let of_each = self.inner.due(now, limit, without).await?;
            let mut due = Vec::new();
            for first in of_each {
                let all = self.inner.wakeups(&first.wakeup.subject).await?;
                let last = all
                    .into_iter()
                    .filter(|other| other.wakeup.due <= now)
                    .max_by_key(|other| other.wakeup.deadline.unwrap_or(Timestamp(u64::MAX)));
                due.extend(last);
            }
            return Ok(due);
        }
        let now = match self.defect {
            Defect::WakesEarly => now.after(Duration::from_secs(3600)),
            _ => now,
        };
        self.inner.due(now, limit, without).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }

    async fn begin(&self, mut begin: Begin) -> Result<Begun, StoreError> {
        if self.has(Defect::HasNoLeases) {
            // Nobody is asked, and nobody is kept out.
            let subject = begin.subject.take();
            let begun = self.inner.begin(begin).await?;
            let lease = subject.map(|subject| Lease {
                subject,
                epoch: 1,
                expires: Timestamp(u64::MAX),
                interrupted: None,
            });
            return Ok(match begun {
                Begun::Started(_) => Begun::Started(lease),
                other => other,
            });
        }
        let mut begun = self.inner.begin(begin).await?;
        if let (true, Begun::Started(Some(lease))) =
            (self.has(Defect::SaysNothingOfInterruptions), &mut begun)
        {
            lease.interrupted = None;
        }
        Ok(begun)
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.inner.report(update).await
    }

    async fn end(&self, mut end: End) -> Result<(), StoreError> {
        if self.has(Defect::HasNoLeases) {
            end.lease = None;
        }
        if let (true, Some(Answered::Retry(wakeup, _))) =
            (self.has(Defect::ForgetsFailures), &end.wakeup)
        {
            end.wakeup = Some(Answered::Done(wakeup.clone()));
        }
        self.inner.end(end).await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        self.inner.recover(now).await
    }

    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        self.inner.transaction(id).await
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        self.inner.transactions(filter, cursor, limit).await
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.inner.data_keys().await
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.inner.add_data_key(key).await
    }

    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.inner.rewrap_data_keys(were, wrapped_anew).await
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.inner.retire_data_key(id, despite_quarantined).await
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.inner.key_use().await
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        self.inner.secrets(scope, cursor, limit).await
    }

    async fn reseal(&self, steps: Vec<Reseal>) -> Result<Vec<bool>, StoreError> {
        self.inner.reseal(steps).await
    }
}
