//! Documents, sealed secrets and wakeups in memory, with the contract's checks and limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::MemoryPlatform;
use crate::platform::{
    Change, Check, Document, Failure, FieldError, Filter, MAX_KEYS, OnUnavailable, Page,
    RECORD_MODEL, Reference, Scope, Secret, Storage, UniqueCheck, VersionCheck, Wakeup, is_pkid,
};

#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) documents: BTreeMap<Reference, Document>,
    pub(super) secrets: BTreeMap<(Reference, String), Secret>,
    pub(super) wakeups: BTreeMap<(Reference, String), Wakeup>,
    commit_faults: CommitFaults,
    // The handling of each attempted commit while the store is unavailable.
    pub(super) on_unavailable: Vec<OnUnavailable>,
}

/// A fault injected into a commit.
pub enum CommitFault {
    /// The commit fails and changes nothing.
    Fail(Failure),
    /// The commit succeeds, and its result is lost.
    LoseResult(Failure),
    /// Another client acts first; then the commit proceeds. Commits made inside are neither counted
    /// nor faulted.
    RunFirst(Box<dyn FnOnce(&MemoryPlatform)>),
}

#[derive(Default)]
struct CommitFaults {
    // One entry per coming commit; `None` lets it proceed.
    queue: VecDeque<Option<CommitFault>>,
    suspended: bool,
    commits: u32,
}

impl Clone for CommitFaults {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl MemoryPlatform {
    /// Injects a fault into the `nth` commit from now; 1 is the next one.
    pub fn inject_commit_fault(&self, nth: usize, fault: CommitFault) {
        let queue = &mut self.store.borrow_mut().commit_faults.queue;
        while queue.len() < nth {
            queue.push_back(None);
        }
        if let Some(slot) = nth.checked_sub(1).and_then(|index| queue.get_mut(index)) {
            *slot = Some(fault);
        }
    }

    /// Returns the number of attempted commits, including failed ones.
    pub fn commits(&self) -> u32 {
        self.store.borrow().commit_faults.commits
    }

    /// Returns the choice of the latest commit for an unavailable store.
    pub fn latest_on_unavailable(&self) -> Option<OnUnavailable> {
        self.store.borrow().on_unavailable.last().copied()
    }

    /// Returns all stored documents.
    pub fn documents(&self) -> Vec<Document> {
        self.store.borrow().documents.values().cloned().collect()
    }

    /// Returns all stored documents of one model.
    pub fn documents_of(&self, model: &str) -> Vec<Document> {
        let mut documents = self.documents();
        documents.retain(|document| document.reference.model == model);
        documents
    }

    /// Returns a sealed secret in clear.
    pub fn secret(&self, owner: &Reference, name: &str) -> Option<Secret> {
        let key = (owner.clone(), name.to_owned());
        self.store.borrow().secrets.get(&key).cloned()
    }

    /// Lists owner and name of every sealed secret.
    pub fn secrets(&self) -> Vec<(Reference, String)> {
        self.store.borrow().secrets.keys().cloned().collect()
    }

    /// Lists all wakeups, the earliest first.
    pub fn all_wakeups(&self) -> Vec<Wakeup> {
        let mut all: Vec<Wakeup> = self.store.borrow().wakeups.values().cloned().collect();
        all.sort_by_key(|wakeup| wakeup.due);
        all
    }

    /// Returns the wakeup of `subject` that begins or continues an import.
    pub fn import_wakeup(&self, subject: &Reference) -> Option<Wakeup> {
        let mut all = self.all_wakeups().into_iter();
        all.find(|wakeup| wakeup.subject == *subject && wakeup.id.starts_with("sync."))
    }

    /// Returns the wakeup of this subject and id.
    pub fn wakeup(&self, subject: &Reference, id: &str) -> Option<Wakeup> {
        let key = (subject.clone(), id.to_owned());
        self.store.borrow().wakeups.get(&key).cloned()
    }

    fn next_commit_fault(&self) -> Option<CommitFault> {
        let commit_faults = &mut self.store.borrow_mut().commit_faults;
        if commit_faults.suspended {
            return None;
        }
        commit_faults.commits += 1;
        commit_faults.queue.pop_front().flatten()
    }

    fn suspend_commit_faults(&self, suspended: bool) {
        self.store.borrow_mut().commit_faults.suspended = suspended;
    }
}

impl Storage for MemoryPlatform {
    fn get(&self, reference: &Reference) -> Result<Option<Document>, Failure> {
        Ok(self.store.borrow().documents.get(reference).cloned())
    }

    fn get_many(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, Failure> {
        references
            .iter()
            .map(|reference| self.get(reference))
            .collect()
    }

    fn find(&self, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        check_filter(filter)?;
        let limit = usize::try_from(limit.clamp(1, 1000)).unwrap_or(1);
        let store = self.store.borrow();
        let mut found = store
            .matching(filter)
            .filter(|document| cursor.is_none_or(|last| document.reference.pkid.as_str() > last));
        let documents: Vec<Document> = found.by_ref().take(limit).cloned().collect();
        let next = match (found.next(), documents.last()) {
            (Some(_), Some(last)) => Some(last.reference.pkid.clone()),
            _ => None,
        };
        Ok(Page { documents, next })
    }

    fn commit_with(
        &self,
        checks: Vec<Check>,
        changes: Vec<Change>,
        on_unavailable: OnUnavailable,
    ) -> Result<(), Failure> {
        self.store.borrow_mut().on_unavailable.push(on_unavailable);
        if on_unavailable == OnUnavailable::Keep && !checks.iter().any(is_of_record) {
            return Err(malformed("on-unavailable", "no check of the record"));
        }
        let mut lost = None;
        match self.next_commit_fault() {
            None => {}
            Some(CommitFault::Fail(failure)) => return Err(failure),
            Some(CommitFault::LoseResult(failure)) => lost = Some(failure),
            Some(CommitFault::RunFirst(act)) => {
                self.suspend_commit_faults(true);
                act(self);
                self.suspend_commit_faults(false);
            }
        }
        let mut store = self.store.borrow_mut();
        for check in &checks {
            store.check(check)?;
        }
        let before = store.documents.clone();
        let (secrets, wakeups) = (store.secrets.clone(), store.wakeups.clone());
        if let Err(failure) = store.apply(&before, changes) {
            store.documents = before;
            store.secrets = secrets;
            store.wakeups = wakeups;
            return Err(failure);
        }
        lost.map_or(Ok(()), Err)
    }

    fn wakeups(&self, subject: &Reference) -> Result<Vec<Wakeup>, Failure> {
        let mut wakeups = self.all_wakeups();
        wakeups.retain(|wakeup| wakeup.subject == *subject);
        Ok(wakeups)
    }
}

impl Store {
    fn matching<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Document> {
        self.documents
            .values()
            .filter(move |document| matches(document, filter))
    }

    fn check(&self, check: &Check) -> Result<(), Failure> {
        if let Check::Unique(UniqueCheck { filter, .. }) = check {
            check_filter(filter)?;
        }
        let holds = match check {
            Check::Version(VersionCheck { reference, version }) => self
                .documents
                .get(reference)
                .is_some_and(|document| document.version == *version),
            Check::Absent(reference) => !self.documents.contains_key(reference),
            Check::Unique(UniqueCheck { filter, except }) => !self
                .matching(filter)
                .any(|document| Some(&document.reference) != except.as_ref()),
        };
        if holds {
            Ok(())
        } else {
            Err(Failure::Conflict(format!(
                "the check {check:?} did not hold"
            )))
        }
    }

    fn apply(
        &mut self,
        before: &BTreeMap<Reference, Document>,
        changes: Vec<Change>,
    ) -> Result<(), Failure> {
        for change in changes {
            match change {
                Change::Put(mut document) => {
                    check_document(&document)?;
                    document.version = before
                        .get(&document.reference)
                        .map_or(1, |stored| stored.version + 1);
                    self.documents.insert(document.reference.clone(), document);
                }
                Change::Delete(reference) => {
                    self.documents.remove(&reference);
                    self.secrets.retain(|(owner, _), _| *owner != reference);
                    self.wakeups.retain(|(subject, _), _| *subject != reference);
                }
                Change::PutSecret { owner, name, value } => {
                    self.secrets.insert((owner, name), value);
                }
                Change::RemoveSecret(owner, name) => {
                    self.secrets.remove(&(owner, name));
                }
                Change::Schedule(wakeup) => {
                    if wakeup.id.is_empty() || wakeup.id.len() > 64 || wakeup.payload.len() > 4096 {
                        return Err(malformed("wakeup", "its id or payload has a wrong length"));
                    }
                    let key = (wakeup.subject.clone(), wakeup.id.clone());
                    self.wakeups.insert(key, wakeup);
                }
                Change::Cancel(subject, id) => {
                    self.wakeups.remove(&(subject, id));
                }
            }
        }
        match self
            .secrets
            .keys()
            .find(|(owner, _)| !self.documents.contains_key(owner))
        {
            Some((owner, name)) => Err(malformed(
                name,
                &format!("its owner {owner} does not exist after the commit"),
            )),
            None => Ok(()),
        }
    }
}

fn is_of_record(check: &Check) -> bool {
    matches!(check, Check::Version(VersionCheck { reference: of, .. }) | Check::Absent(of) if of.model == RECORD_MODEL)
}

fn matches(document: &Document, filter: &Filter) -> bool {
    let here = document.hierarchy == filter.hierarchy;
    let below = || {
        document
            .hierarchy
            .strip_prefix(&filter.hierarchy)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    document.reference.model == filter.model
        && (here || (filter.scope == Scope::Subtree && below()))
        && filter.equals.iter().all(|key| document.keys.contains(key))
}

fn check_document(document: &Document) -> Result<(), Failure> {
    let Reference { model, pkid } = &document.reference;
    if !is_pkid(pkid) {
        return Err(malformed("pkid", &format!("{pkid:?} is not 24 hex digits")));
    }
    if model.is_empty() || model.len() > 128 {
        return Err(malformed("model", "it has a wrong length"));
    }
    if document.hierarchy.is_empty() {
        return Err(malformed("hierarchy", "it is empty"));
    }
    if !matches!(serde_json::from_str(&document.body), Ok(Value::Object(_))) {
        return Err(malformed("body", "it is not one JSON object"));
    }
    let pairs: BTreeSet<(&str, &str)> = document
        .keys
        .iter()
        .map(|key| (key.name.as_str(), key.value.as_str()))
        .collect();
    let lengths = document
        .keys
        .iter()
        .all(|key| (1..=64).contains(&key.name.len()) && key.fits());
    if pairs.len() != document.keys.len() || pairs.len() > MAX_KEYS || !lengths {
        return Err(malformed("keys", "too many, too long, or a pair twice"));
    }
    Ok(())
}

fn check_filter(filter: &Filter) -> Result<(), Failure> {
    if !filter.can_match() {
        return Err(malformed("keys", "a key's value is too long"));
    }
    Ok(())
}

fn malformed(field: &str, message: &str) -> Failure {
    Failure::Invalid(vec![FieldError::new(field, message)])
}
