//! A store that breaks one promise, and passes everything else on.

use std::sync::Arc;
use std::time::Duration;

use relation_host::store::watched::{Watch, Watched};
use relation_host::store::{
    Answered, Begin, Begun, Commit, DueWakeup, End, Lease, Store, StoreError,
};
use relation_host::types::{Document, Filter, Page, Reference, Scope, Timestamp};

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

impl Defect {
    /// `inner`, with this defect.
    pub fn of(self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Watched::around(inner, self))
    }
}

impl Watch for Defect {
    async fn get(
        &self,
        inner: &dyn Store,
        references: &[Reference],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let mut found = inner.get(references).await?;
        if *self == Self::TurnsAnswersRound {
            found.reverse();
        }
        Ok(found)
    }

    async fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let mut filter = filter.clone();
        if let (Self::IgnoresScope, Some((_, scope))) = (self, &mut filter.hierarchy) {
            *scope = Scope::Subtree;
        }
        inner.find(&filter, cursor, limit).await
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        match self {
            Self::TearsCommits if commit.changes.len() > 1 => drop(commit.changes.pop()),
            Self::IgnoresChecks => commit.checks.clear(),
            Self::OpensTheFence | Self::HasNoLeases => commit.fence = None,
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
        if *self == Self::WakesEarly {
            let soon = now.after(Duration::from_secs(3600));
            return inner.due(soon, limit, without).await;
        }
        let of_each = inner.due(now, limit, without).await?;
        if *self != Self::IgnoresDeadlines {
            return Ok(of_each);
        }
        // Of each subject the one that should come last.
        let mut due = Vec::new();
        for first in of_each {
            let all = inner.wakeups(&first.wakeup.subject).await?;
            let last = all
                .into_iter()
                .filter(|other| other.wakeup.due <= now)
                .max_by_key(|other| other.wakeup.deadline.unwrap_or(Timestamp(u64::MAX)));
            due.extend(last);
        }
        Ok(due)
    }

    async fn begin(&self, inner: &dyn Store, mut begin: Begin) -> Result<Begun, StoreError> {
        if *self == Self::HasNoLeases {
            // Nobody is asked, and nobody is kept out.
            let subject = begin.subject.take();
            let begun = inner.begin(begin).await?;
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
        let mut begun = inner.begin(begin).await?;
        if let (Self::SaysNothingOfInterruptions, Begun::Started(Some(lease))) = (self, &mut begun)
        {
            lease.interrupted = None;
        }
        Ok(begun)
    }

    async fn end(&self, inner: &dyn Store, mut end: End) -> Result<(), StoreError> {
        if *self == Self::HasNoLeases {
            end.lease = None;
        }
        if let (Self::ForgetsFailures, Some(Answered::Retry(wakeup, _))) = (self, &end.wakeup) {
            end.wakeup = Some(Answered::Done(wakeup.clone()));
        }
        inner.end(end).await
    }
}
