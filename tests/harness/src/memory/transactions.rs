//! Transactions and their logs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use relation_host::store::{PruneReport, PruneRequest, StoreError};
use relation_host::transactions::{
    NewTransaction, Status, Transaction, TransactionFilter, TransactionOutcome, TransactionUpdate,
};
use relation_host::types::Timestamp;

use super::leases::HostNumber;

/// By id, which sorts by the time of making. A copy shares what each of them holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    all: BTreeMap<String, Arc<Transaction>>,
    /// Who runs those that run.
    running: BTreeMap<String, HostNumber>,
}

impl Transactions {
    pub(super) fn get(&self, id: &str) -> Option<&Transaction> {
        self.all.get(id).map(Arc::as_ref)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    /// Records one whose id is free.
    pub(super) fn begin(&mut self, by: HostNumber, new: NewTransaction) {
        self.running.insert(new.id.clone(), by);
        let begun = Transaction {
            id: new.id.clone(),
            action: new.action,
            subject: new.subject,
            subject_name: new.subject_name,
            status: Status::Processing,
            progress: None,
            message: String::new(),
            submitted: new.submitted,
            started: new.started,
            completed: None,
            log: Vec::new(),
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        };
        self.all.insert(new.id, Arc::new(begun));
    }

    /// Refuses news of one that never began.
    pub(super) fn check(&self, news: &TransactionUpdate) -> Result<(), StoreError> {
        match self.contains(&news.id) {
            true => Ok(()),
            false => Err(StoreError::unknown_transaction(&news.id)),
        }
    }

    /// Records news of one that runs; of one that has ended they come too late and are dropped.
    pub(super) fn record(&mut self, news: TransactionUpdate) {
        let Some(transaction) = self.all.get_mut(&news.id) else {
            return;
        };
        if transaction.status != Status::Processing {
            return;
        }
        let transaction = Arc::make_mut(transaction);
        if news.progress.is_some() {
            transaction.progress = news.progress;
        }
        if let Some(name) = news.subject_name {
            transaction.subject_name = name;
        }
        transaction.log.extend(news.lines);
        transaction.secret_accesses.extend(news.secret_accesses);
        transaction.omitted_accesses += news.omitted_accesses;
        if let Some(outcome) = news.outcome {
            close(transaction, outcome);
        }
        if transaction.status != Status::Processing {
            self.running.remove(&news.id);
        }
    }

    /// Ends those whose hosts do not run; how many they were.
    pub(super) fn recover(&mut self, now: Timestamp, hosts: &BTreeSet<HostNumber>) -> u64 {
        let mut closed = 0;
        self.running.retain(|id, by| {
            let lives = hosts.contains(by);
            if !lives && let Some(transaction) = self.all.get_mut(id) {
                close(
                    Arc::make_mut(transaction),
                    TransactionOutcome::interrupted(now),
                );
                closed += 1;
            }
            lives
        });
        closed
    }

    /// Removes those of one step of a walk that are covered.
    pub(super) fn prune(&mut self, prune: &PruneRequest) -> PruneReport {
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
        for transaction in &step {
            if prune.covers(transaction.status, transaction.completed) {
                self.all.remove(&transaction.id);
                removed += 1;
            }
        }
        PruneReport {
            removed,
            next: last.filter(|_| step.len() == limit && !is_over),
        }
    }

    /// Those that match, without their logs, the newest first, behind the id given.
    pub(super) fn list(
        &self,
        filter: &TransactionFilter,
        behind: Option<&str>,
    ) -> impl Iterator<Item = Transaction> {
        let until = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let walked = self.all.range::<str, _>((Bound::Unbounded, until)).rev();
        walked
            .map(|(_, transaction)| transaction.as_ref())
            .filter(|transaction| matches(filter, transaction))
            .map(without_log)
    }
}

fn close(transaction: &mut Transaction, outcome: TransactionOutcome) {
    transaction.status = outcome.status;
    transaction.message = outcome.message;
    transaction.completed = Some(outcome.completed);
}

fn matches(filter: &TransactionFilter, transaction: &Transaction) -> bool {
    let TransactionFilter {
        subject,
        status,
        action,
    } = filter;
    (subject.is_none() || *subject == transaction.subject)
        && status.is_none_or(|status| status == transaction.status)
        && action
            .as_ref()
            .is_none_or(|action| *action == transaction.action)
}

fn without_log(transaction: &Transaction) -> Transaction {
    Transaction {
        id: transaction.id.clone(),
        action: transaction.action.clone(),
        subject: transaction.subject.clone(),
        subject_name: transaction.subject_name.clone(),
        progress: transaction.progress.clone(),
        message: transaction.message.clone(),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        ..*transaction
    }
}
