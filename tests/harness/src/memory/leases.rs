//! Leases, and the calls that were cut off.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use relation_host::store::{
    BeginOutcome, CallEnd, CallStart, CallStore, Lease, Recovery, RedateReport, StoreError,
};
use relation_host::transactions::TransactionUpdate;
use relation_host::types::{Reference, Timestamp};

use super::MemoryStore;

/// The number of a host that has opened the data; numbers are not reused.
pub(super) type HostNumber = u64;

/// The leases by subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(BTreeMap<Reference, Claim>);

/// A lease that was not released.
#[derive(Clone, Debug)]
struct Claim {
    /// The time when the call began.
    began: Timestamp,
    /// `None` once the call is known to be cut off: the lease then blocks no call, and is reported to the next
    /// one.
    held: Option<LeaseHolder>,
}

#[derive(Clone, Debug)]
struct LeaseHolder {
    epoch: u64,
    by: HostNumber,
    expires: Timestamp,
}

impl Leases {
    /// Returns the time until which other calls must wait for the subject.
    pub(super) fn busy(&self, subject: &Reference, now: Timestamp) -> Option<Timestamp> {
        let held = self.0.get(subject)?.held.as_ref()?;
        (held.expires > now).then_some(held.expires)
    }

    /// Claims a subject that is not busy.
    pub(super) fn claim(
        &mut self,
        subject: &Reference,
        by: HostNumber,
        epoch: u64,
        (began, expires): (Timestamp, Timestamp),
    ) -> Lease {
        let held = Some(LeaseHolder { epoch, by, expires });
        let before = self.0.insert(subject.clone(), Claim { began, held });
        Lease {
            subject: subject.clone(),
            epoch,
            expires,
            // A call that ends releases its lease, so the earlier call was cut off.
            interrupted: before.map(|before| before.began),
        }
    }

    pub(super) fn is_current(&self, lease: &Lease) -> bool {
        let held = self
            .0
            .get(&lease.subject)
            .and_then(|claim| claim.held.as_ref());
        held.is_some_and(|held| held.epoch == lease.epoch)
    }

    /// Releases a lease. Returns whether the lease was still held.
    pub(super) fn release(&mut self, lease: &Lease) -> bool {
        let current = self.is_current(lease);
        if current {
            self.0.remove(&lease.subject);
        }
        current
    }

    /// Marks a lease's call as cut off, for the next claim. Returns whether the lease was still held.
    pub(super) fn abandon(&mut self, lease: &Lease) -> bool {
        let current = self.is_current(lease);
        if current && let Some(claim) = self.0.get_mut(&lease.subject) {
            claim.held = None;
        }
        current
    }

    /// Forgets that a call on the deleted `subject` was cut off.
    pub(super) fn forget(&mut self, subject: &Reference) {
        if self
            .0
            .get(subject)
            .is_some_and(|claim| claim.held.is_none())
        {
            self.0.remove(subject);
        }
    }

    /// Moves leases that were claimed after `latest` to `now`. Returns their number and the latest time of a
    /// claim.
    pub(super) fn redate(&mut self, now: Timestamp, latest: Timestamp) -> (u64, Option<Timestamp>) {
        let (mut redated, mut shown) = (0, None);
        for claim in self.0.values_mut().filter(|claim| claim.began > latest) {
            if let Some(held) = &mut claim.held {
                held.expires = now.after(held.expires.since(claim.began));
            }
            shown = shown.max(Some(claim.began));
            claim.began = now;
            redated += 1;
        }
        (redated, shown)
    }

    /// Releases leases that have expired or whose host does not run. Returns their number. Leases of subjects
    /// that do not `exist` are removed.
    pub(super) fn recover(
        &mut self,
        now: Timestamp,
        running: &BTreeSet<HostNumber>,
        exists: impl Fn(&Reference) -> bool,
    ) -> u64 {
        let mut released = 0;
        self.0.retain(|subject, claim| {
            let over = |held: &LeaseHolder| held.expires <= now || !running.contains(&held.by);
            if !claim.held.as_ref().is_some_and(over) {
                return true;
            }
            released += 1;
            claim.held = None;
            exists(subject)
        });
        released
    }
}

#[async_trait]
impl CallStore for MemoryStore {
    async fn begin(&self, begin: CallStart) -> Result<BeginOutcome, StoreError> {
        self.with(|state| state.begin(self.host.number, begin))
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.with(|state| {
            state.transactions.check(&update)?;
            state.transactions.record(update);
            Ok(())
        })
    }

    async fn end(&self, end: CallEnd) -> Result<(), StoreError> {
        self.with(|state| {
            state.end(end);
            Ok(())
        })
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovery, StoreError> {
        self.with(|state| Ok(state.recover(now)))
    }

    async fn redate(&self, now: Timestamp) -> Result<RedateReport, StoreError> {
        self.with(|state| Ok(state.redate(now)))
    }
}
