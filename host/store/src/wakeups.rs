//! Wakeups: stored requests to call the plugin at or after a time.

use async_trait::async_trait;

use crate::StoreError;
use relation_types::{Hierarchy, Page, Reference, Timestamp, Wakeup};

/// A stored wakeup with its revision and attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWakeup {
    /// The wakeup as it was scheduled.
    pub wakeup: Wakeup,
    /// Rises each time the wakeup is scheduled again. Distinguishes a settled wakeup from a rescheduled
    /// one.
    pub revision: u64,
    /// The number of failed calls for this revision.
    pub attempts: u32,
}

/// Counts of wakeups by their deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadlineCounts {
    /// The earliest deadline.
    pub earliest: Option<Timestamp>,
    /// For each time that was asked for, the number of wakeups whose deadline is then or before.
    pub counts: Vec<u64>,
}

/// A choice of wakeups by their kind ([`Wakeup::kind`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KindFilter<'a> {
    /// The wakeups of every kind.
    #[default]
    All,
    /// The wakeups of this kind.
    Only(&'a str),
    /// The wakeups of all kinds except these.
    Except(&'a [&'a str]),
}

impl KindFilter<'_> {
    /// Returns whether wakeups of this kind are chosen.
    pub fn admits(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => *only == kind,
            Self::Except(others) => !others.contains(&kind),
        }
    }
}

/// The share of the wakeups that a dispatcher begins first, where several hosts use one store. Without shares, all hosts
/// would begin the same wakeups, and all except one would be useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostShare {
    /// The number of hosts with a dispatcher. Not 0.
    hosts: u32,
    /// The number of this host among them, from 0.
    rank: u32,
}

impl HostShare {
    /// The share of the only dispatcher.
    pub const WHOLE: Self = Self { hosts: 1, rank: 0 };

    /// Returns the share of the host with the number `rank`, from 0, among `hosts` hosts.
    pub fn new(rank: u32, hosts: u32) -> Self {
        let hosts = hosts.max(1);
        Self {
            hosts,
            rank: rank.min(hosts - 1),
        }
    }

    /// Returns the number of hosts with a dispatcher.
    pub fn hosts(self) -> u32 {
        self.hosts
    }

    /// Returns whether the wakeups of this subject are in the share. Each subject is in the share of one host.
    pub fn owns(self, subject: &Reference) -> bool {
        let hash = subject.pkid.as_str().bytes().fold(0u32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        hash % self.hosts == self.rank
    }
}

/// The scheduled wakeups. Commits schedule and cancel them; the end of a call settles them.
#[async_trait]
pub trait WakeupStore: Send + Sync + 'static {
    /// Returns all wakeups of a subject, the earliest first.
    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError>;

    /// Returns a page of all wakeups by due time, optionally only of subjects at or below a node.
    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError>;

    /// Returns wakeups that are due at `now` and whose subject has no valid lease, at most one per
    /// subject.
    ///
    /// They are ordered by deadline, those without a deadline last, then by due time. Wakeups of
    /// kinds that `kinds` does not admit are left out. The cost follows `limit` and the number of
    /// kinds, not the number of stored or due wakeups.
    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        kinds: KindFilter<'_>,
    ) -> Result<Vec<DueWakeup>, StoreError>;

    /// Counts the wakeups that are due at `now`, up to `at_most`.
    async fn count_due(&self, now: Timestamp, at_most: u64) -> Result<u64, StoreError>;

    /// Returns the share of the wakeups that the dispatcher of this host begins first. The caller counts as a dispatcher
    /// for a while. A store of one host has one share.
    fn share(&self) -> HostShare {
        HostShare::WHOLE
    }

    /// Returns the earliest time at which a wakeup is due, of all times or of those after `after`.
    async fn next_due(&self, after: Option<Timestamp>) -> Result<Option<Timestamp>, StoreError>;

    /// Counts the wakeups of a kind whose deadline is at or before each of the `times`, up to `at_most` each. The cost
    /// follows these counts, and not the number of stored wakeups.
    async fn count_deadlines(
        &self,
        kind: &str,
        times: &[Timestamp],
        at_most: u64,
    ) -> Result<DeadlineCounts, StoreError>;
}
