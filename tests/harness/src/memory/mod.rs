//! A store in memory: fast, deterministic and cheap to copy.
//!
//! The store keeps the promises of [`Store`] except for their cost: a search without keys reads all documents
//! of the model, and a search for due wakeups reads all due ones. The store is meant for tests with some
//! thousand records.
//!
//! The same operations in the same order give the same results, including epochs and revisions.

use parking_lot::Mutex;
use std::sync::Arc;

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
/// | an independent copy of the data | [`fork`](Self::fork) |
/// | a crash of this host | [`kill`](Self::kill), or drop every clone of it |
///
/// [`Store::recover`] of another host releases the leases and transactions that a dead host has left.
#[derive(Clone)]
pub struct MemoryStore {
    id: Arc<str>,
    host: Arc<Host>,
}

/// One host, which is dead once it is dropped.
struct Host {
    number: HostNumber,
    data: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// Creates an empty store. Sealed values are bound to the id ([`Store::id`]).
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

    /// Opens the same data as another host, which starts now.
    #[must_use]
    pub fn another_host(&self) -> Self {
        let data = Arc::clone(&self.host.data);
        let number = data.lock().open();
        Self {
            id: Arc::clone(&self.id),
            host: Arc::new(Host { number, data }),
        }
    }

    /// Copies all data, with the same id.
    ///
    /// This host continues in the copy, with its leases; all others are dead there. To see the data as after a
    /// crash now, use `fork().another_host()`: there this host is dead as well.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut state = self.host.data.lock().clone();
        state.running.retain(|number| *number == self.host.number);
        Self {
            id: Arc::clone(&self.id),
            host: Arc::new(Host {
                number: self.host.number,
                data: Arc::new(Mutex::new(state)),
            }),
        }
    }

    /// Ends this host as a crash would. Its leases and running transactions remain, and later operations
    /// through this host fail as unavailable. Repeated calls have no effect.
    pub fn kill(&self) {
        self.host.data.lock().running.remove(&self.host.number);
    }

    /// Returns all documents, ordered by model and pkid.
    pub fn documents(&self) -> Vec<Document> {
        self.host.data.lock().documents.all().cloned().collect()
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.host.data.lock();
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
        self.data.lock().running.remove(&self.number);
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

/// Returns the first `limit` items, and whether there are more.
fn take_page<T>(limit: usize, found: impl Iterator<Item = T>) -> (Vec<T>, bool) {
    let mut found: Vec<T> = found.take(limit.saturating_add(1)).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    (found, more)
}

/// Parses a part of a cursor, which is only invalid in a forged cursor.
fn parse_cursor_part<T: std::str::FromStr>(part: &str) -> Result<T, StoreError> {
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
        let after: Option<Pkid> = match cursor {
            Some(cursor) => {
                let [last] = listing.position(cursor)?;
                Some(parse_cursor_part(&last)?)
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.documents.find(filter, after.as_ref());
            Ok(take_page(limit, found.cloned()))
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
                let subject = Reference::new(model, parse_cursor_part(&pkid)?);
                Some((Timestamp(parse_cursor_part(&due)?), subject, id))
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
            Ok(take_page(
                limit,
                wakeups.upcoming(after).filter(here).cloned(),
            ))
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
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.with(|state| state.data_keys.rewrap(&were, rewrapped))
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
        let after = match cursor {
            Some(cursor) => {
                let [model, pkid, name] = listing.position(cursor)?;
                Some((Reference::new(model, parse_cursor_part(&pkid)?), name))
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.secrets.list(scope, after.as_ref());
            Ok(take_page(limit, found))
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
