//! A store wholly in memory: fast, without threads, timers and randomness, and quick to copy.
//!
//! It keeps the promises of [`Store`] except one of cost: a search without keys looks at every document
//! of its model, and a look for due wakeups at everything that is due. It is made for trials with up to
//! some thousand records.
//!
//! The same operations in the same order give the same answers, epochs and revisions among them.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::seal::{DataKey, Sealed};
use relation_host::store::{
    Begin, BeginOutcome, Commit, DueWakeup, End, KeyUse, PruneReport, PruneRequest, Recovery,
    RedateReport, ResealStep, Retirement, SecretScope, Store, StoreError, StoredSecret,
};
use relation_host::transactions::{Transaction, TransactionFilter, TransactionUpdate};
use relation_host::types::{Document, Filter, Hierarchy, Page, Pkid, Reference, Timestamp};

use self::leases::HostNumber;
use self::state::State;

mod data_keys;
mod documents;
mod leases;
mod secrets;
mod state;
#[cfg(test)]
mod tests;
mod transactions;
mod wakeups;

/// A store in memory, as one host sees it. Clones are the same host on the same data.
///
/// | to get | call |
/// |---|---|
/// | another host on the same data, such as a process that starts after a crash | [`another_host`](Self::another_host) |
/// | data of its own that begin as these are | [`fork`](Self::fork) |
/// | a crash of this host | [`kill`](Self::kill), or drop every clone of it |
///
/// What a host that is gone has left, its leases and running transactions, is released by
/// [`Store::recover`] of another one.
#[derive(Clone)]
pub struct MemoryStore {
    id: Arc<str>,
    host: Arc<Host>,
}

/// One host; it is gone when nobody holds it any more.
struct Host {
    number: HostNumber,
    data: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store. The id is the one that sealed values are bound to ([`Store::id`]).
    pub fn new(id: impl Into<String>) -> Self {
        let mut state = State::default();
        let number = state.open();
        Self {
            id: id.into().into(),
            host: Arc::new(Host {
                number,
                data: Arc::new(Mutex::new(state)),
            }),
        }
    }

    /// The same data as another host sees them, one that starts now.
    #[must_use]
    pub fn another_host(&self) -> Self {
        let data = Arc::clone(&self.host.data);
        let number = lock(&data).open();
        Self {
            id: Arc::clone(&self.id),
            host: Arc::new(Host { number, data }),
        }
    }

    /// A copy of all data, with the same id, that goes its own way from here on.
    ///
    /// This host goes on in the copy, with its leases; all others are gone there. To see what is found
    /// after a crash at this moment, take `fork().another_host()`: there this one is gone as well.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut state = lock(&self.host.data).clone();
        state.running.retain(|number| *number == self.host.number);
        Self {
            id: Arc::clone(&self.id),
            host: Arc::new(Host {
                number: self.host.number,
                data: Arc::new(Mutex::new(state)),
            }),
        }
    }

    /// Ends this host as the loss of its process would: its leases and running transactions stay as they
    /// are, and whatever is asked through this host from now on fails as unavailable and changes
    /// nothing. Again: nothing happens.
    pub fn kill(&self) {
        lock(&self.host.data).running.remove(&self.host.number);
    }

    /// Every document of every model, ordered by model and pkid.
    pub fn documents(&self) -> Vec<Document> {
        lock(&self.host.data).documents.all().cloned().collect()
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = lock(&self.host.data);
        if !state.running.contains(&self.host.number) {
            return Err(StoreError::Unavailable(
                "this host was killed; open the data as another host".to_owned(),
            ));
        }
        work(&mut state)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        lock(&self.data).running.remove(&self.number);
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("id", &self.id)
            .field("host", &self.host.number)
            .finish_non_exhaustive()
    }
}

/// Locks, also after a holder has panicked: no write stops half-way.
fn lock(data: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first `limit`, and whether there are more.
fn first<T>(limit: usize, found: impl Iterator<Item = T>) -> (Vec<T>, bool) {
    let mut found: Vec<T> = found.take(limit.saturating_add(1)).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    (found, more)
}

/// A part of a cursor, which only somebody who forges cursors can have made unreadable.
fn parse<T: std::str::FromStr>(part: &str) -> Result<T, StoreError> {
    part.parse().map_err(|_| StoreError::foreign_cursor())
}

#[async_trait]
impl Store for MemoryStore {
    fn id(&self) -> &str {
        &self.id
    }

    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        self.with(|state| {
            let found = references.iter().map(|one| state.documents.get(one));
            Ok(found.map(|found| found.cloned()).collect())
        })
    }

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_documents(&self.id, filter);
        let behind: Option<Pkid> = match cursor {
            Some(cursor) => {
                let [last] = listing.position(cursor)?;
                Some(parse(&last)?)
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.documents.find(filter, behind.as_ref());
            Ok(first(limit, found.cloned()))
        })?;
        Ok(build_page(found, |last: &Document| {
            listing.cursor(&[last.reference.pkid.as_str()])
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.with(|state| state.commit(commit))
    }

    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.with(|state| Ok(state.secrets.get(owner, name).cloned()))
    }

    async fn wakeups(&self, subject: &Reference) -> Result<Vec<DueWakeup>, StoreError> {
        self.with(|state| Ok(state.wakeups.of_subject(subject)))
    }

    async fn upcoming(
        &self,
        hierarchy: Option<&Hierarchy>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DueWakeup>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_wakeups(&self.id, hierarchy);
        let after = match cursor {
            Some(cursor) => {
                let [due, model, pkid, id] = listing.position(cursor)?;
                let subject = Reference::new(model, parse(&pkid)?);
                Some((Timestamp(parse(&due)?), subject, id))
            }
            None => None,
        };
        let found = self.with(|state| {
            let State {
                wakeups, documents, ..
            } = state;
            let here = |found: &&DueWakeup| match hierarchy {
                None => true,
                Some(node) => documents
                    .get(&found.wakeup.subject)
                    .is_some_and(|subject| node.contains(&subject.hierarchy)),
            };
            Ok(first(limit, wakeups.upcoming(after).filter(here).cloned()))
        })?;
        Ok(build_page(found, |last| {
            let (due, Reference { model, pkid }, id) = wakeups::position(last);
            listing.cursor(&[&due.0.to_string(), &model, pkid.as_str(), &id])
        }))
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: u32,
        without: Option<&str>,
    ) -> Result<Vec<DueWakeup>, StoreError> {
        self.with(|state| {
            let held = |subject: &Reference| state.leases.busy(subject, now).is_some();
            Ok(state.wakeups.due(now, limit as usize, without, held))
        })
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(|state| Ok(state.wakeups.next_due()))
    }

    async fn begin(&self, begin: Begin) -> Result<BeginOutcome, StoreError> {
        self.with(|state| state.begin(self.host.number, begin))
    }

    async fn report(&self, update: TransactionUpdate) -> Result<(), StoreError> {
        self.with(|state| {
            state.transactions.check(&update)?;
            state.transactions.record(update);
            Ok(())
        })
    }

    async fn end(&self, end: End) -> Result<(), StoreError> {
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
        let behind = match cursor {
            Some(cursor) => {
                let [id] = listing.position(cursor)?;
                Some(id)
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.transactions.list(filter, behind.as_deref());
            Ok(first(limit, found))
        })?;
        Ok(build_page(found, |last: &Transaction| {
            listing.cursor(&[&last.id])
        }))
    }

    async fn prune_transactions(&self, prune: PruneRequest) -> Result<PruneReport, StoreError> {
        self.with(|state| Ok(state.transactions.prune(&prune)))
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.with(|state| Ok(state.data_keys.all()))
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.with(|state| state.data_keys.add(key))
    }

    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        wrapped_anew: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.with(|state| state.data_keys.rewrap(&were, wrapped_anew))
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.with(|state| {
            let State {
                data_keys, secrets, ..
            } = state;
            Ok(data_keys.retire(id, despite_quarantined, secrets))
        })
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.with(|state| Ok(state.secrets.key_use()))
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_secrets(&self.id, scope);
        let behind = match cursor {
            Some(cursor) => {
                let [model, pkid, name] = listing.position(cursor)?;
                Some((Reference::new(model, parse(&pkid)?), name))
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.secrets.list(scope, behind.as_ref());
            Ok(first(limit, found))
        })?;
        Ok(build_page(found, |last: &StoredSecret| {
            let StoredSecret { owner, name, .. } = last;
            listing.cursor(&[&owner.model, owner.pkid.as_str(), name])
        }))
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        self.with(|state| {
            let newest = state.data_keys.newest();
            state.secrets.reseal(steps, newest)
        })
    }
}
