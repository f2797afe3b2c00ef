//! The store in a PostgreSQL database (15 or later), for several hosts.
//!
//! Each write is a call of a function in the database, in one round trip. The writes of calls that wait at the same time
//! share a statement (see `groups`). The first parameter of the function is the id of the write, which it stores with its
//! result in `writes`. A host whose connection breaks before the answer finds the outcome there (see `connections`).

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use self::connections::Connections;
use self::earliest::EarliestDue;
use self::error::{Result, WriteError};
use super::{LostAnswers, Store, StoreError, StoreStatistics};
use relation_types::Reference;

mod calls;
mod commit;
mod connections;
mod data_keys;
mod documents;
mod due;
mod earliest;
mod error;
mod groups;
mod inspect;
mod migrations;
mod open;
mod options;
mod recovery;
mod scratch;
mod search;
mod secrets;
mod servers;
mod takeover;
mod transaction_listing;
mod transactions;
mod transfer;
mod upcoming;
mod updates;
mod upkeep;
mod wakeups;
mod writes;

pub use inspect::{HostSeen, Inspection, TableRows};
pub use open::OpenError;
pub use options::PostgresOptions;
pub use scratch::ScratchDatabase;

/// The clock by which leases expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseClock {
    /// The clock of the database server, so that the clocks of hosts may differ.
    #[default]
    Database,
    /// The times that callers give, such as the clock of a test.
    Caller,
}

/// The connection on which a statement runs, so that slow ones do not delay fast ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Short reads: what a workflow reads, and what is due.
    Read,
    /// Reads whose cost follows the stored data: listings, counts, the use of keys.
    Slow,
    /// Calls of the functions that write.
    Write,
}

impl Lane {
    /// Returns the time after which the server stops a statement.
    fn statement_timeout(self) -> Duration {
        match self {
            Self::Read | Self::Write => Duration::from_secs(10),
            Self::Slow => Duration::from_secs(60),
        }
    }

    /// Returns the time after which a connection without an answer counts as broken.
    fn answer_limit(self) -> Duration {
        self.statement_timeout() + Duration::from_secs(5)
    }
}

/// The values of a statement's parameters, with their types.
type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    id: String,
    /// The id of this host in `leases` and `transactions`.
    holder: String,
    clock: LeaseClock,
    connections: Connections,
    earliest: EarliestDue,
}

impl PostgresStore {
    /// Runs one statement that reads, and returns its rows. Repeats it on another connection when the connection breaks.
    async fn read(
        &self,
        lane: Lane,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        self.connections.read(lane, statement, parameters).await
    }

    /// Calls a function that writes, such as `relation.commit_v1`. Its parameters are a new id of this write
    /// (`uuid`), then the given ones; its result is a text, which it has stored in `writes` under that id.
    ///
    /// An unknown outcome is resolved: after an error, the write is not there and never will be, except for
    /// [`StoreError::Unavailable`].
    async fn write(
        &self,
        function: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<String, WriteError> {
        self.connections.write(function, None, parameters).await
    }

    /// Writes like [`PostgresStore::write`], in a group with other writes by the same function. They lock nothing but
    /// what belongs to their subject.
    async fn write_in_group(
        &self,
        function: &'static str,
        subject: &Reference,
        parameters: Parameters<'_>,
    ) -> Result<String, WriteError> {
        let written = self.connections.write(function, Some(subject), parameters);
        written.await
    }

    /// Returns the database's clock minus this machine's, in milliseconds, as it was measured in the last minute.
    pub fn clock_skew_millis(&self) -> i64 {
        self.connections.shared().skew()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("id", &self.id)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    /// Says that this host has ended, so that another one need not wait for the end of its leases.
    fn drop(&mut self) {
        upkeep::say_goodbye(&self.connections, &self.holder);
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn id(&self) -> &str {
        &self.id
    }

    async fn statistics(&self) -> Result<StoreStatistics, StoreError> {
        let shared = self.connections.shared();
        let events = shared.events();
        let (grouped_writes, groups) = shared.groups().counts();
        let server = inspect::read_figures(shared).await?;
        Ok(StoreStatistics {
            clock_skew_millis: shared.skew(),
            hosts: Some(shared.hosts()),
            queued_writes: shared.running_writes(),
            grouped_writes,
            groups,
            reconnects: events.reconnects.load(Ordering::Relaxed),
            lost_answers: LostAnswers {
                made: events.made.load(Ordering::Relaxed),
                prevented: events.prevented.load(Ordering::Relaxed),
                unknown: events.unknown.load(Ordering::Relaxed),
            },
            dead_rows: Some(server.dead_rows),
            oldest_transaction: Some(server.oldest_transaction),
            ..StoreStatistics::default()
        })
    }
}

#[cfg(test)]
mod tests;
