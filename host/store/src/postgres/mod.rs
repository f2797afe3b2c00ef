//! The store in a PostgreSQL database (15 or later), for several hosts.
//!
//! Each write is one statement: a call of a function in the database, in one round trip. Its first parameter is the id
//! of the write, which the function stores with its result in `writes`. A host whose connection breaks before the answer
//! finds the outcome there (see `connections`).

use std::fmt;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use self::connections::Connections;
use self::error::{Result, WriteError};
use super::Store;

mod calls;
mod commit;
mod connections;
mod data_keys;
mod documents;
mod due;
mod error;
mod inspect;
mod migrations;
mod open;
mod recovery;
mod search;
mod secrets;
mod transaction_listing;
mod transactions;
mod upcoming;
mod updates;
mod wakeups;

pub use inspect::{HostSeen, Inspection, TableRows};
pub use open::{OpenError, PostgresOptions};

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
    /// [`crate::StoreError::Unavailable`].
    async fn write(
        &self,
        function: &str,
        parameters: Parameters<'_>,
    ) -> Result<String, WriteError> {
        self.connections.write(function, parameters).await
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

impl Store for PostgresStore {
    fn id(&self) -> &str {
        &self.id
    }
}
