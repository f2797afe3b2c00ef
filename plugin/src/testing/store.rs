//! Documents, sealed secrets and wakeups in memory, with the contract's checks and limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::MemoryPlatform;
use crate::platform::{
    Change, Check, Document, Failure, FieldError, Filter, OnUnavailable, Page, RECORD_MODEL,
    Reference, Scope, Secret, Storage, Wakeup, is_pkid,
};

#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) documents: BTreeMap<Reference, Document>,
    pub(super) secrets: BTreeMap<(Reference, String), Secret>,
    pub(super) wakeups: BTreeMap<(Reference, String), Wakeup>,
    interruptions: Interruptions,
    // Of each commit that was tried.
    pub(super) kept: Vec<OnUnavailable>,
}

/// What happens instead of, or around, a commit.
pub enum Interruption {
    /// The commit fails and changes nothing.
    Fail(Failure),
    /// The commit is made, and its answer is lost.
    LoseAnswer(Failure),
    /// Somebody else acts first; then the commit is made as usual. Commits made inside are not
    /// counted and not interrupted.
    Meanwhile(Box<dyn FnOnce(&MemoryPlatform)>),
}

#[derive(Default)]
struct Interruptions {
    // One entry per coming commit; `None` lets it through.
    queue: VecDeque<Option<Interruption>>,
    suspended: bool,
    commits: u32,
}

impl Clone for Interruptions {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl MemoryPlatform {
    /// Interrupts the `nth` commit from now; 1 is the next one.
    pub fn interrupt_commit(&self, nth: usize, interruption: Interruption) {
        let queue = &mut self.store.borrow_mut().interruptions.queue;
        while queue.len() < nth {
            queue.push_back(None);
        }
        if let Some(place) = nth.checked_sub(1).and_then(|index| queue.get_mut(index)) {
            *place = Some(interruption);
        }
    }

    /// How many commits were tried, failed ones included.
    pub fn commits(&self) -> u32 {
        self.store.borrow().interruptions.commits
    }

    /// What the latest commit asked for while the store is unavailable.
    pub fn latest_on_unavailable(&self) -> Option<OnUnavailable> {
        self.store.borrow().kept.last().copied()
    }

    /// Every document stored.
    pub fn documents(&self) -> Vec<Document> {
        self.store.borrow().documents.values().cloned().collect()
    }

    /// Every document stored of one model.
    pub fn documents_of(&self, model: &str) -> Vec<Document> {
        let mut documents = self.documents();
        documents.retain(|document| document.reference.model == model);
        documents
    }

    /// A sealed secret in clear.
    pub fn secret(&self, owner: &Reference, name: &str) -> Option<Secret> {
        let place = (owner.clone(), name.to_owned());
        self.store.borrow().secrets.get(&place).cloned()
    }

    /// Owner and name of every sealed secret.
    pub fn secrets(&self) -> Vec<(Reference, String)> {
        self.store.borrow().secrets.keys().cloned().collect()
    }

    /// Every wakeup, the earliest first.
    pub fn all_wakeups(&self) -> Vec<Wakeup> {
        let mut all: Vec<Wakeup> = self.store.borrow().wakeups.values().cloned().collect();
        all.sort_by_key(|wakeup| wakeup.due);
        all
    }

    /// The wakeup of this subject and id.
    pub fn wakeup(&self, subject: &Reference, id: &str) -> Option<Wakeup> {
        let place = (subject.clone(), id.to_owned());
        self.store.borrow().wakeups.get(&place).cloned()
    }

    fn interruption(&self) -> Option<Interruption> {
        let interruptions = &mut self.store.borrow_mut().interruptions;
        if interruptions.suspended {
            return None;
        }
        interruptions.commits += 1;
        interruptions.queue.pop_front().flatten()
    }

    fn suspend_interruptions(&self, suspended: bool) {
        self.store.borrow_mut().interruptions.suspended = suspended;
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
        well_formed_filter(filter)?;
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
        self.store.borrow_mut().kept.push(on_unavailable);
        if on_unavailable == OnUnavailable::Keep && !checks.iter().any(is_of_record) {
            return Err(malformed("on-unavailable", "no check of the record"));
        }
        let mut lost = None;
        match self.interruption() {
            None => {}
            Some(Interruption::Fail(failure)) => return Err(failure),
            Some(Interruption::LoseAnswer(failure)) => lost = Some(failure),
            Some(Interruption::Meanwhile(act)) => {
                self.suspend_interruptions(true);
                act(self);
                self.suspend_interruptions(false);
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
        if let Check::Unique(filter, _) = check {
            well_formed_filter(filter)?;
        }
        let holds = match check {
            Check::Version(reference, version) => self
                .documents
                .get(reference)
                .is_some_and(|document| document.version == *version),
            Check::Absent(reference) => !self.documents.contains_key(reference),
            Check::Unique(filter, except) => !self
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
                    well_formed(&document)?;
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
                    let place = (wakeup.subject.clone(), wakeup.id.clone());
                    self.wakeups.insert(place, wakeup);
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
    matches!(check, Check::Version(of, _) | Check::Absent(of) if of.model == RECORD_MODEL)
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

fn well_formed(document: &Document) -> Result<(), Failure> {
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
    let names: BTreeSet<&str> = document.keys.iter().map(|key| key.name.as_str()).collect();
    let lengths = document
        .keys
        .iter()
        .all(|key| (1..=64).contains(&key.name.len()) && key.fits());
    if names.len() != document.keys.len() || names.len() > 16 || !lengths {
        return Err(malformed("keys", "too many, too long, or a name twice"));
    }
    Ok(())
}

fn well_formed_filter(filter: &Filter) -> Result<(), Failure> {
    if !filter.can_match() {
        return Err(malformed("keys", "a key's value is too long"));
    }
    Ok(())
}

fn malformed(field: &str, message: &str) -> Failure {
    Failure::Invalid(vec![FieldError::new(field, message)])
}
