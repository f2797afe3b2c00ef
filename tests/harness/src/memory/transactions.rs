//! Transactions and their logs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::{PruneReport, PruneRequest, StoreError, TransactionStore};
use relation_host::transactions::{
    NewTransaction, Status, Transaction, TransactionFilter, TransactionOutcome, TransactionPart,
    TransactionUpdate, parent_of, part_id, to_callback,
};
use relation_host::types::{Page, QUEUED_CALL_MODEL, Reference, Timestamp};

use super::leases::HostNumber;
use super::{MemoryStore, take_page};

/// The transactions by id, which sorts by creation time. Copies share their contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    all: BTreeMap<String, Arc<Transaction>>,
    /// The host of each running transaction.
    running: BTreeMap<String, HostNumber>,
}

impl Transactions {
    pub(super) fn get(&self, id: &str) -> Option<&Transaction> {
        self.all.get(id).map(Arc::as_ref)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    /// Records a queued transaction with a new id.
    pub(super) fn queue(&mut self, new: NewTransaction) {
        let queued = Transaction {
            status: Status::Queued,
            ..Transaction::from(new)
        };
        self.all.insert(queued.id.clone(), Arc::new(queued));
    }

    /// Returns whether a queued transaction can begin: in any status under the lease of its call, otherwise only if it
    /// is queued.
    pub(super) fn is_queued(&self, id: &str, is_leased: bool) -> bool {
        self.get(id).is_some_and(|found| {
            found.request.is_some() && (is_leased || found.status == Status::Queued)
        })
    }

    /// Begins a queued transaction.
    pub(super) fn begin_queued(&mut self, by: HostNumber, id: &str, started: Timestamp) {
        if let Some(transaction) = self.all.get_mut(id) {
            let transaction = Arc::make_mut(transaction);
            transaction.status = Status::Processing;
            transaction.message.clear();
            transaction.started = started;
            transaction.completed = None;
            self.running.insert(id.to_owned(), by);
        }
    }

    /// Closes a bulk if all of its calls have ended.
    fn close_bulk(&mut self, id: &str, now: Timestamp) {
        let is_open =
            |found: &Transaction| found.status == Status::Queued && found.request.is_none();
        if !self.get(id).is_some_and(is_open) {
            return;
        }
        let all = self.all.values();
        let calls: Vec<Status> = all
            .filter(|found| parent_of(&found.id) == Some(id))
            .map(|found| found.status)
            .collect();
        if calls.iter().all(|status| status.is_ended())
            && let Some(bulk) = self.all.get_mut(id)
        {
            let succeeded = calls.iter().filter(|status| **status == Status::Success);
            let succeeded = succeeded.count() as u64;
            let outcome = TransactionOutcome::bulk(calls.len() as u64, succeeded, now);
            close(Arc::make_mut(bulk), outcome);
        }
    }

    /// Records a transaction with a new id.
    pub(super) fn begin(&mut self, by: HostNumber, new: NewTransaction) {
        self.running.insert(new.id.clone(), by);
        let begun = Transaction::from(new);
        self.all.insert(begun.id.clone(), Arc::new(begun));
    }

    /// Rejects an update of a transaction that never began.
    pub(super) fn check(&self, update: &TransactionUpdate) -> Result<(), StoreError> {
        match self.contains(&update.id) {
            true => Ok(()),
            false => Err(StoreError::unknown_transaction(&update.id)),
        }
    }

    /// Applies an update to a running transaction. An update after the end is ignored.
    pub(super) fn record(&mut self, update: TransactionUpdate) {
        let Some(transaction) = self.all.get_mut(&update.id) else {
            return;
        };
        if transaction.status != Status::Processing {
            return;
        }
        let transaction = Arc::make_mut(transaction);
        if update.progress.is_some() {
            transaction.progress = update.progress;
        }
        if let Some(name) = update.subject_name {
            transaction.subject_name = name;
        }
        transaction.log.extend(update.lines);
        transaction.secret_accesses.extend(update.secret_accesses);
        transaction.omitted_accesses += update.omitted_accesses;
        let ended = update.outcome.as_ref().map(|outcome| outcome.completed);
        let parts: Vec<Transaction> = update
            .parts
            .into_iter()
            .map(|part| build_part(transaction, part))
            .collect();
        if let Some(outcome) = update.outcome {
            close(transaction, outcome);
        }
        if transaction.status != Status::Processing {
            self.running.remove(&update.id);
        }
        for part in parts {
            self.all.entry(part.id.clone()).or_insert(Arc::new(part));
        }
        if let (Some(bulk), Some(ended)) = (parent_of(&update.id), ended) {
            self.close_bulk(bulk, ended);
        }
    }

    /// Ends the transactions whose hosts do not run. Returns their number.
    pub(super) fn recover(&mut self, now: Timestamp, hosts: &BTreeSet<HostNumber>) -> u64 {
        let mut closed = 0;
        self.running.retain(|id, by| {
            let is_running = hosts.contains(by);
            if !is_running && let Some(transaction) = self.all.get_mut(id) {
                let mut outcome = TransactionOutcome::interrupted(now);
                if transaction.request.is_some() {
                    outcome.status = Status::Queued;
                }
                close(Arc::make_mut(transaction), outcome);
                closed += 1;
            }
            is_running
        });
        closed
    }

    /// Removes the transactions of one batch that are old enough. Returns the documents of their requests and callbacks too.
    pub(super) fn prune(&mut self, prune: &PruneRequest) -> (PruneReport, Vec<Reference>) {
        let after = prune
            .after
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let limit = prune.limit.max(1) as usize;
        let walked = self.all.range::<str, _>((after, Bound::Unbounded));
        let step: Vec<Arc<Transaction>> = walked
            .take(limit)
            .map(|(_, transaction)| Arc::clone(transaction))
            .collect();
        let is_over = step
            .iter()
            .all(|transaction| prune.ends_at(transaction.started));
        let last = step.last().map(|transaction| transaction.id.clone());
        let mut removed = 0;
        let mut requests = Vec::new();
        for transaction in &step {
            if prune.covers(transaction.status, transaction.completed) {
                self.all.remove(&transaction.id);
                let request = transaction.request.clone();
                requests.extend(request.map(|pkid| Reference::new(QUEUED_CALL_MODEL, pkid)));
                requests.extend(to_callback(&transaction.id));
                removed += 1;
            }
        }
        let report = PruneReport {
            removed,
            next: last.filter(|_| step.len() == limit && !is_over),
        };
        (report, requests)
    }

    /// Returns whether a listing that excludes parts has a transaction: it is not a part, or a call of a bulk that the listing
    /// shows.
    fn is_listed(&self, filter: &TransactionFilter, transaction: &Transaction) -> bool {
        let Some(bulk) = parent_of(&transaction.id) else {
            return true;
        };
        let node_of_bulk = || self.get(bulk).and_then(|bulk| bulk.hierarchy.as_ref());
        let is_elsewhere = || {
            let listed = filter.hierarchy.as_ref();
            listed.is_some_and(|(node, scope)| {
                !node_of_bulk().is_some_and(|place| scope.covers(node, place))
            })
        };
        transaction.request.is_some() && (filter.subject.is_some() || is_elsewhere())
    }

    /// Returns the matching transactions without their logs, newest first, after the given id.
    pub(super) fn list(
        &self,
        filter: &TransactionFilter,
        after: Option<&str>,
    ) -> impl Iterator<Item = Transaction> {
        let until = after.map_or(Bound::Unbounded, Bound::Excluded);
        let walked = self.all.range::<str, _>((Bound::Unbounded, until)).rev();
        walked
            .map(|(_, transaction)| transaction.as_ref())
            .filter(|transaction| matches(filter, transaction))
            .filter(|transaction| !filter.excludes_parts() || self.is_listed(filter, transaction))
            .map(without_log)
    }
}

fn build_part(parent: &Transaction, part: TransactionPart) -> Transaction {
    Transaction {
        id: part_id(&parent.id, part.number),
        action: part.action,
        subject: parent.subject.clone(),
        subject_name: parent.subject_name.clone(),
        hierarchy: parent.hierarchy.clone(),
        originator: parent.originator.clone(),
        request: None,
        status: part.outcome.status,
        progress: None,
        message: part.outcome.message,
        submitted: part.started,
        started: part.started,
        completed: Some(part.outcome.completed),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        omitted_accesses: 0,
    }
}

fn close(transaction: &mut Transaction, outcome: TransactionOutcome) {
    transaction.status = outcome.status;
    transaction.message = outcome.message;
    transaction.completed = Some(outcome.completed).filter(|_| outcome.status.is_ended());
}

fn matches(filter: &TransactionFilter, transaction: &Transaction) -> bool {
    let TransactionFilter {
        subject,
        hierarchy,
        status,
        action,
        id_prefix: _,
        parent,
    } = filter;
    (subject.is_none() || *subject == transaction.subject)
        && hierarchy.as_ref().is_none_or(|(node, scope)| {
            let place = transaction.hierarchy.as_ref();
            place.is_some_and(|place| scope.covers(node, place))
        })
        && status.is_none_or(|status| status == transaction.status)
        && action
            .as_ref()
            .is_none_or(|action| *action == transaction.action)
        && transaction.id.starts_with(&filter.prefix())
        && (parent.is_none() || parent_of(&transaction.id) == parent.as_deref())
}

fn without_log(transaction: &Transaction) -> Transaction {
    Transaction {
        id: transaction.id.clone(),
        action: transaction.action.clone(),
        subject: transaction.subject.clone(),
        subject_name: transaction.subject_name.clone(),
        hierarchy: transaction.hierarchy.clone(),
        originator: transaction.originator.clone(),
        request: transaction.request.clone(),
        progress: transaction.progress.clone(),
        message: transaction.message.clone(),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        ..*transaction
    }
}

#[async_trait]
impl TransactionStore for MemoryStore {
    async fn transaction(&self, id: &str) -> Result<Option<Transaction>, StoreError> {
        self.with(|state| Ok(state.transactions.get(id).cloned()))
    }

    async fn transactions(
        &self,
        filter: &TransactionFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Transaction>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_transactions(&self.id, filter);
        let after = match cursor {
            Some(cursor) => {
                let [id] = listing.position(cursor)?;
                Some(id)
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.transactions.list(filter, after.as_deref());
            Ok(take_page(limit, found))
        })?;
        Ok(build_page(found, |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn count_transactions(
        &self,
        filter: &TransactionFilter,
        at_most: u64,
    ) -> Result<u64, StoreError> {
        self.with(|state| {
            let found = state.transactions.list(filter, None).count();
            Ok(u64::try_from(found).unwrap_or(u64::MAX).min(at_most))
        })
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        self.with(|state| {
            let (report, requests) = state.transactions.prune(&prune);
            requests.iter().for_each(|request| state.delete(request));
            Ok(report)
        })
    }
}
