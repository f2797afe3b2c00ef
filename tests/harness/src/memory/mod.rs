//! A store in memory: fast, deterministic and cheap to copy.
//!
//! The store keeps the promises of [`Store`] except for their cost. A search without keys reads all documents of the
//! model; a search for due wakeups reads all due ones. The store is meant for tests with some thousand records.
//!
//! The same operations in the same order give the same results, including epochs and revisions.

use std::sync::Arc;

use parking_lot::Mutex;
use relation_host::store::{Store, StoreError};
use relation_host::types::Document;

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
/// [`CallStore::recover`](relation_host::store::CallStore::recover) of another host releases the leases and transactions that a dead host has left.
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

impl Store for MemoryStore {
    fn id(&self) -> &str {
        &self.id
    }
}
