//! The store that tests run on, selected by `RELATION_TEST_STORE`.
//!
//! | value | store |
//! |---|---|
//! | unset | that of the test: in memory, or an SQLite file |
//! | `sqlite` | an SQLite file |
//! | `postgres` | a database of a PostgreSQL server that the test's process starts |
//! | `pgbouncer` | the same through PgBouncer in transaction mode |
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where it cannot continue"
)]

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use relation_host::store::Store;
use relation_host::store::postgres::{PostgresOptions, ScratchDatabase};
use relation_host::store::scratch::ScratchStore;
use relation_host::store::sqlite::ScratchFile;
use relation_test_postgres::{Bouncer, Cluster, Database};
use tempfile::TempDir;

/// The variable with the kind of store.
pub const STORE: &str = "RELATION_TEST_STORE";

/// The kind of store that [`STORE`] selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// An SQLite file.
    Sqlite,
    /// A database in PostgreSQL.
    Postgres,
    /// A database in PostgreSQL, through PgBouncer in transaction mode.
    Pgbouncer,
}

impl StoreKind {
    /// Returns the selected kind; `None`: the store of the test.
    ///
    /// # Panics
    /// The kind is unknown.
    pub fn selected() -> Option<Self> {
        match std::env::var(STORE).as_deref() {
            Ok("sqlite") => Some(Self::Sqlite),
            Ok("postgres") => Some(Self::Postgres),
            Ok("pgbouncer") => Some(Self::Pgbouncer),
            Ok(other) => panic!("{STORE} is {other}, not sqlite, postgres or pgbouncer"),
            Err(_) => None,
        }
    }
}

/// A store that one test has at a time. Databases are used again: to make one takes longer than to empty it.
#[derive(Debug)]
pub struct LentStore {
    place: Option<Place>,
}

#[derive(Debug)]
enum Place {
    File {
        store: Arc<ScratchFile>,
        _directory: TempDir,
    },
    Database {
        store: Arc<ScratchDatabase>,
        database: Database,
    },
}

/// The databases that no test has.
static FREE: Mutex<Vec<(Arc<ScratchDatabase>, Database)>> = Mutex::new(Vec::new());

impl LentStore {
    /// Lends an empty store of a kind.
    pub async fn lend(kind: StoreKind) -> Self {
        let place = match kind {
            StoreKind::Sqlite => {
                let directory = TempDir::new().expect("a temporary directory");
                let file = ScratchFile::take(directory.path().join("relation.db"));
                Place::File {
                    store: Arc::new(file.expect("a file")),
                    _directory: directory,
                }
            }
            StoreKind::Postgres | StoreKind::Pgbouncer => {
                let (store, database) = match reuse_database().await {
                    Some(free) => free,
                    None => make_database().await,
                };
                Place::Database { store, database }
            }
        };
        Self { place: Some(place) }
    }

    /// Returns the store.
    pub fn store(&self) -> Arc<dyn ScratchStore> {
        match self.place() {
            Place::File { store, .. } => store.clone(),
            Place::Database { store, .. } => store.clone(),
        }
    }

    /// Returns what another process needs for [`open_in_child`]; `None` for a file.
    pub fn address(&self) -> Option<String> {
        match self.place() {
            Place::File { .. } => None,
            Place::Database { store, database } => {
                let server = Server::shared();
                let prepare = server.bouncer.is_none();
                Some(format!(
                    "{prepare} {} {}",
                    store.run(),
                    server.url(database)
                ))
            }
        }
    }

    /// Makes all killed children count as ended, as the time after which a silent host's leases have expired would.
    pub fn end_children(&self) {
        if let Place::Database { database, .. } = self.place() {
            let ended =
                format!("UPDATE relation.holders SET seen = '-infinity' WHERE name = '{CHILD}'");
            let ended = Server::shared().cluster.execute(database.name(), &ended);
            ended.expect("the server responds");
        }
    }

    fn place(&self) -> &Place {
        self.place.as_ref().expect("a place until the drop")
    }
}

impl Drop for LentStore {
    fn drop(&mut self) {
        if let Some(Place::Database { store, database }) = self.place.take() {
            FREE.lock().push((store, database));
        }
    }
}

/// The name of a host in another process of a test.
const CHILD: &str = "child";

/// Opens a store by its [`LentStore::address`] in another process of the test.
pub async fn open_in_child(address: &str) -> Arc<dyn Store> {
    let mut parts = address.splitn(3, ' ');
    let (Some(prepare), Some(run), Some(url)) = (parts.next(), parts.next(), parts.next()) else {
        panic!("{address:?} is not the address of a lent store");
    };
    let mut options = PostgresOptions::new(url).expect("an address");
    options.prepare = prepare == "true";
    options.host_name = CHILD.to_owned();
    let opened = ScratchDatabase::join(options, run.to_owned()).open().await;
    opened.expect("the store opens")
}

/// The server of all databases of this process.
struct Server {
    cluster: &'static Cluster,
    bouncer: Option<Bouncer>,
}

impl Server {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let cluster = Cluster::shared_without_fsync().expect("the server starts");
            let cluster = cluster.expect("PostgreSQL is installed");
            let through_bouncer = StoreKind::selected() == Some(StoreKind::Pgbouncer);
            let bouncer = through_bouncer.then(|| {
                let bouncer = Bouncer::start(cluster).expect("PgBouncer starts");
                bouncer.expect("PgBouncer is installed")
            });
            Self { cluster, bouncer }
        })
    }

    fn url(&self, database: &Database) -> String {
        match &self.bouncer {
            Some(bouncer) => bouncer.url(database.name()),
            None => database.url().to_owned(),
        }
    }
}

/// Returns an empty database that an earlier test had. One that a host still has open is never used again.
async fn reuse_database() -> Option<(Arc<ScratchDatabase>, Database)> {
    loop {
        let (store, database) = FREE.lock().pop()?;
        if !store.is_open().await.expect("the server responds") {
            store.clear().await.expect("the server responds");
            return Some((store, database));
        }
    }
}

async fn make_database() -> (Arc<ScratchDatabase>, Database) {
    let server = Server::shared();
    let database = server.cluster.database().expect("a database");
    let mut options = PostgresOptions::new(&server.url(&database)).expect("an address");
    options.prepare = server.bouncer.is_none();
    let store = ScratchDatabase::take(options).await;
    (Arc::new(store.expect("the database is new")), database)
}
