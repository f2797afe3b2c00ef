//! Leases: who may run on a subject, and whose call on it was cut off.

use std::collections::{BTreeMap, BTreeSet};

use relation_host::store::Lease;
use relation_host::types::{Reference, Timestamp};

/// Names a host among those that have opened the data; no number is used twice.
pub(super) type HostNumber = u64;

/// One at most for each subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(BTreeMap<Reference, Claim>);

/// What there is of a lease that was not released.
#[derive(Clone, Debug)]
struct Claim {
    /// When the call began.
    began: Timestamp,
    /// None once its call is known to have been cut off: it holds nobody up, and tells the next call.
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    epoch: u64,
    by: HostNumber,
    expires: Timestamp,
}

impl Leases {
    /// Until when others must wait for the subject.
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
        let held = Some(Held { epoch, by, expires });
        let before = self.0.insert(subject.clone(), Claim { began, held });
        Lease {
            subject: subject.clone(),
            epoch,
            expires,
            // Whoever ended a call has released its lease, so that one was cut off.
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

    /// Whether the lease was still held.
    pub(super) fn release(&mut self, lease: &Lease) -> bool {
        let current = self.is_current(lease);
        if current {
            self.0.remove(&lease.subject);
        }
        current
    }

    /// Whether the lease was still held. The next claim is told that its call was cut off.
    pub(super) fn abandon(&mut self, lease: &Lease) -> bool {
        let current = self.is_current(lease);
        if current && let Some(claim) = self.0.get_mut(&lease.subject) {
            claim.held = None;
        }
        current
    }

    /// Forgets that a call on `subject`, which is deleted, was cut off.
    pub(super) fn forget(&mut self, subject: &Reference) {
        if self
            .0
            .get(subject)
            .is_some_and(|claim| claim.held.is_none())
        {
            self.0.remove(subject);
        }
    }

    /// Lets those that were claimed after `latest` last from `now`; how many they were, and what the
    /// clock showed at most.
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

    /// Releases what has expired and what is held by hosts that do not run; how many leases that were.
    /// Of subjects that do not `exist` nothing stays.
    pub(super) fn recover(
        &mut self,
        now: Timestamp,
        running: &BTreeSet<HostNumber>,
        exists: impl Fn(&Reference) -> bool,
    ) -> u64 {
        let mut released = 0;
        self.0.retain(|subject, claim| {
            let over = |held: &Held| held.expires <= now || !running.contains(&held.by);
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
