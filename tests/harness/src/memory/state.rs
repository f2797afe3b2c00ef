//! The content of the store, and the operations that write it atomically: commits, and the begin and end of
//! calls.
//!
//! All checks come before the first change, so changes are never rolled back.

use std::collections::{BTreeMap, BTreeSet};

use relation_host::store::{
    BeginOutcome, CLOCK_TOLERANCE, CallEnd, CallStart, Change, Check, Commit, Recovery,
    RedateReport, StoreError, WakeupSettlement,
};
use relation_host::transactions::NewTransaction;
use relation_host::types::{QUEUED_CALL_MODEL, Reference, Timestamp};

use super::data_keys::DataKeys;
use super::documents::Documents;
use super::leases::{HostNumber, Leases};
use super::secrets::Secrets;
use super::transactions::Transactions;
use super::wakeups::Wakeups;

/// The content of a store. A copy is an independent store.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) documents: Documents,
    pub(super) secrets: Secrets,
    pub(super) wakeups: Wakeups,
    pub(super) leases: Leases,
    pub(super) transactions: Transactions,
    pub(super) data_keys: DataKeys,
    /// The last number used for an epoch or a revision.
    sequence: u64,
    /// The number of hosts that have opened the data, and the running ones.
    hosts: HostNumber,
    pub(super) running: BTreeSet<HostNumber>,
}

impl State {
    /// Registers a host that starts to run, and returns its number.
    pub(super) fn open(&mut self) -> HostNumber {
        self.hosts += 1;
        self.running.insert(self.hosts);
        self.hosts
    }

    pub(super) fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        commit.validate()?;
        if let Some(lease) = &commit.fence
            && !self.leases.is_current(lease)
        {
            return Err(StoreError::fenced(lease));
        }
        for check in &commit.checks {
            self.verify(check)?;
        }
        self.check_keys(&commit)?;
        self.check_owners(&commit.changes)?;
        if let Some(update) = &commit.transaction {
            self.transactions.check(update)?;
        }
        for new in &commit.queued {
            if self.transactions.contains(&new.id) {
                return Err(StoreError::duplicate_transaction(&new.id));
            }
        }
        for change in commit.changes {
            self.apply(change, commit.now);
        }
        for new in commit.queued {
            let new = self.with_node(new);
            self.transactions.queue(new);
        }
        if let Some(update) = commit.transaction {
            self.transactions.record(update);
        }
        Ok(())
    }

    pub(super) fn begin(
        &mut self,
        by: HostNumber,
        begin: CallStart,
    ) -> Result<BeginOutcome, StoreError> {
        if let Some(wakeup) = &begin.wakeup
            && !self.wakeups.is_waiting(wakeup)
        {
            return Ok(BeginOutcome::Gone);
        }
        if let Some(subject) = &begin.subject
            && let Some(until) = self.leases.busy(subject, begin.now)
        {
            return Ok(BeginOutcome::Busy(until));
        }
        let wakeup = begin.wakeup.as_ref();
        let is_queued = wakeup.is_some_and(|due| due.wakeup.subject.model == QUEUED_CALL_MODEL);
        let id = &begin.transaction.id;
        if is_queued && !self.transactions.is_queued(id, begin.subject.is_some()) {
            return Err(StoreError::not_queued(id));
        }
        if !is_queued && self.transactions.contains(id) {
            return Err(StoreError::duplicate_transaction(id));
        }
        let lease = begin.subject.map(|subject| {
            let epoch = self.next();
            let times = (begin.now, begin.now.after(begin.lease));
            self.leases.claim(&subject, by, epoch, times)
        });
        let new = self.with_node(begin.transaction);
        match is_queued {
            true => self.transactions.begin_queued(by, &new.id, new.started),
            false => self.transactions.begin(by, new),
        }
        Ok(BeginOutcome::Started(lease))
    }

    /// Adds the node of the transaction's subject.
    fn with_node(&self, mut new: NewTransaction) -> NewTransaction {
        let subject = new.subject.as_ref();
        if let Some(document) = subject.and_then(|subject| self.documents.get(subject)) {
            new.hierarchy = Some(document.hierarchy.clone());
        }
        new
    }

    pub(super) fn end(&mut self, end: CallEnd) {
        let ended = end.transaction.outcome.as_ref();
        let now = ended.map(|outcome| outcome.completed).unwrap_or_default();
        let is_queued = end.is_of_queued_call();
        let held = end.lease.is_none_or(|lease| {
            if end.interrupted && self.documents.get(&lease.subject).is_some() {
                self.leases.abandon(&lease)
            } else {
                self.leases.release(&lease)
            }
        });
        if held || !is_queued {
            self.transactions.record(end.transaction);
        }
        match end.wakeup {
            Some(WakeupSettlement::Done(wakeup)) if held => self.wakeups.done(&wakeup),
            Some(WakeupSettlement::Delete(wakeup)) if held => {
                self.delete(&wakeup.wakeup.subject);
            }
            Some(WakeupSettlement::Retry(wakeup, at)) if held => {
                self.wakeups.retry(&wakeup, at, now)
            }
            _ => (),
        }
    }

    pub(super) fn recover(&mut self, now: Timestamp) -> Recovery {
        let exists = |subject: &Reference| self.documents.get(subject).is_some();
        Recovery {
            leases: self.leases.recover(now, &self.running, exists),
            transactions: self.transactions.recover(now, &self.running),
        }
    }

    pub(super) fn redate(&mut self, now: Timestamp) -> RedateReport {
        let latest = now.after(CLOCK_TOLERANCE);
        let (wakeups, scheduled) = self.wakeups.redate(now, latest);
        let (leases, claimed) = self.leases.redate(now, latest);
        RedateReport {
            wakeups,
            leases,
            latest: scheduled.max(claimed),
        }
    }

    /// Returns a number greater than all before.
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn verify(&self, check: &Check) -> Result<(), StoreError> {
        let refused = match check {
            Check::Version(which, expected) => {
                let found = self.documents.get(which).map(|document| document.version);
                if found == Some(*expected) {
                    return Ok(());
                }
                StoreError::version_conflict(which, *expected, found)
            }
            Check::Absent(which) => {
                if self.documents.get(which).is_none() {
                    return Ok(());
                }
                StoreError::already_exists(which)
            }
            Check::Unique(filter, except) => {
                let mut found = self.documents.find(filter, None);
                let Some(other) = found.find(|found| Some(&found.reference) != except.as_ref())
                else {
                    return Ok(());
                };
                StoreError::not_unique(filter, other.reference.pkid.as_str())
            }
        };
        Err(refused)
    }

    /// Rejects secrets sealed with an older data key, so that a rotation can finish.
    fn check_keys(&self, commit: &Commit) -> Result<(), StoreError> {
        let newest = self.data_keys.newest();
        for change in &commit.changes {
            if let Change::PutSecret { sealed, .. } = change {
                let key = sealed.key();
                let older = commit.older_keys && self.data_keys.contains(key);
                if newest != Some(key) && !older {
                    return Err(StoreError::StaleKey(key));
                }
            }
        }
        Ok(())
    }

    /// Rejects changes that leave a secret or a wakeup without its document.
    fn check_owners(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut owners = BTreeSet::new();
        // Whether each changed document exists after the changes.
        let mut left = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(document) => {
                    left.insert(&document.reference, true);
                }
                Change::Delete(which) => {
                    left.insert(which, false);
                    owners.remove(which);
                }
                Change::PutSecret { owner, .. } => {
                    owners.insert(owner);
                }
                Change::Schedule(wakeup) => {
                    owners.insert(&wakeup.subject);
                }
                Change::RemoveSecret(..) | Change::Cancel(..) => (),
            }
        }
        for owner in owners {
            let exists = match left.get(owner) {
                Some(exists) => *exists,
                None => self.documents.get(owner).is_some(),
            };
            if !exists {
                return Err(StoreError::missing_owner(owner));
            }
        }
        Ok(())
    }

    /// Deletes a document with everything that belongs to it.
    pub(super) fn delete(&mut self, which: &Reference) {
        self.documents.delete(which);
        self.secrets.delete(which);
        self.leases.forget(which);
        self.wakeups.cancel_all(which);
    }

    fn apply(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Put(document) => self.documents.put(document),
            Change::Delete(which) => self.delete(&which),
            Change::PutSecret {
                owner,
                name,
                sealed,
            } => self.secrets.seal(owner, name, sealed),
            Change::RemoveSecret(owner, name) => self.secrets.remove(&owner, &name),
            Change::Schedule(wakeup) => {
                let revision = self.next();
                self.wakeups.schedule(wakeup, revision, now);
            }
            Change::Cancel(subject, id) => self.wakeups.cancel(&subject, &id),
        }
    }
}
