//! Commits of many changes, each together with the progress that counts it.

use super::ImportRun;
use super::state::ListProgress;
use crate::platform::{Change, Check, Failure};

/// The maximum number of changes and approximate bytes in a commit: a quarter of what hosts allow.
/// Smaller when a host allows less.
const MAX_BATCH_CHANGES: usize = 250;
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// The counter that a change adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountKind {
    Added,
    Updated,
    Removed,
    SiteAdded,
    SiteRenamed,
    Uncounted,
}

/// A change, the counter that it adds to, and the conditions of its commit.
#[derive(Clone, Debug)]
pub(super) struct CountedChange {
    kind: CountKind,
    change: Change,
    checks: Vec<Check>,
}

impl CountedChange {
    /// Creates a change without conditions.
    pub(super) fn new(kind: CountKind, change: Change) -> Self {
        Self {
            kind,
            change,
            checks: Vec::new(),
        }
    }

    /// Adds conditions.
    pub(super) fn with_checks(mut self, checks: impl IntoIterator<Item = Check>) -> Self {
        self.checks.extend(checks);
        self
    }
}

impl ImportRun<'_> {
    /// Commits `changes` in as many commits as needed; the last one includes the effect of `advance` on
    /// the list.
    pub(super) fn commit_in_batches(
        &mut self,
        index: usize,
        changes: Vec<CountedChange>,
        advance: impl Fn(&mut ListProgress),
    ) -> Result<(), Failure> {
        let mut most = MAX_BATCH_CHANGES;
        let mut rest = changes.as_slice();
        loop {
            let size = batch_size(rest, most);
            let (batch, remaining) = rest.split_at(size);
            let before = self.import.clone();
            let list = self.list(index);
            for each in batch {
                list.count(each.kind);
            }
            if remaining.is_empty() {
                advance(list);
            }
            let checks = batch.iter().flat_map(|each| each.checks.clone()).collect();
            let batch = batch.iter().map(|each| each.change.clone()).collect();
            match self.commit_checked(checks, batch) {
                Ok(()) if remaining.is_empty() => return Ok(()),
                Ok(()) => rest = remaining,
                // This host allows less: try smaller commits.
                Err(Failure::LimitExceeded(_)) if size > 1 => {
                    self.import = before;
                    most = size / 2;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

impl ListProgress {
    fn count(&mut self, kind: CountKind) {
        let count = match kind {
            CountKind::Added => &mut self.added,
            CountKind::Updated => &mut self.updated,
            CountKind::Removed => &mut self.removed,
            CountKind::SiteAdded => &mut self.sites.added,
            CountKind::SiteRenamed => &mut self.sites.renamed,
            CountKind::Uncounted => return,
        };
        *count = count.saturating_add(1);
    }
}

/// Returns how many of `changes` fit in one commit: at most `most`, of about [`MAX_BATCH_BYTES`].
fn batch_size(changes: &[CountedChange], most: usize) -> usize {
    let mut bytes = 0_usize;
    let fitting = changes
        .iter()
        .take(most)
        .take_while(|each| {
            bytes = bytes.saturating_add(match &each.change {
                Change::Put(document) => document.body.len().saturating_add(500),
                _ => 100,
            });
            bytes <= MAX_BATCH_BYTES
        })
        .count();
    fitting.max(1).min(changes.len())
}
