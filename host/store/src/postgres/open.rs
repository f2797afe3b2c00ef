//! Opening the store: its server, its schema, its id.

use std::path::PathBuf;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::connections::Connections;
use super::earliest::EarliestDue;
use super::error::{Class, classify, describe};
use super::migrations::MIGRATIONS;
use super::options::PostgresOptions;
use super::scratch::require_run;
use super::servers::{Live, Servers};
use super::transfer::require_unmarked;
use super::upkeep::{self, Holder};
use super::{Lane, PostgresStore};
use crate::StoreError;
use crate::transfer::TransferMark;

/// The first version of the server that has all that the statements need.
const OLDEST_SERVER: i32 = 150_000;

/// The lock, until the end of the transaction, of the one process that changes the schema.
pub(super) const MIGRATION_LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtext('relation.meta'), 0)";

/// Reads the catalog's tables. `to_regclass` uses a cache, which does not show what another process has committed since
/// this transaction began.
const HAS_SCHEMA: &str = "SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'relation' AND c.relname = 'meta')";

const SET_VERSION: &str = "INSERT INTO relation.meta (name, value) VALUES ('schema', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const ADD_ID: &str =
    "INSERT INTO relation.meta (name, value) VALUES ('store-id', $1) ON CONFLICT DO NOTHING";

const SERVER: &str =
    "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
    current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
    current_setting('default_transaction_isolation'), current_setting('synchronous_commit'),
    (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid())";

/// The error of opening a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be read. It is not repeated here, since it can contain a password.
    #[error(
        "the address of the database cannot be read: write postgresql://USER@HOST/DATABASE, and special characters of the password as %XX"
    )]
    Address,
    /// The file of trusted certificates cannot be used.
    #[error("cannot read the certificate authorities in {}: {reason}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The server is too old.
    #[error("cannot open the store: the server is PostgreSQL {0}, and the store needs 15 or later")]
    OldServer(String),
    /// A crash of the server can lose or damage data.
    #[error(
        "cannot open the store: the server has {0}=off, so that a crash loses or damages data: set it to on"
    )]
    UnsafeServer(&'static str),
    /// A setting of the database's user is not one with which the store works.
    #[error(
        "cannot open the store: {name} is {found:?}: run ALTER ROLE … SET {name} = {needed:?} for its user"
    )]
    Setting {
        /// The name of the setting.
        name: &'static str,
        /// Its value.
        found: String,
        /// The value that the store needs.
        needed: &'static str,
    },
    /// The database is empty, and was opened for reading.
    #[error("there is no store in the database")]
    Missing,
    /// The schema is of an earlier release, and the database was opened for reading.
    #[error(
        "cannot read the store: its schema has version {found} and this release needs {known}: start a host of this release once"
    )]
    Outdated {
        /// The version of its schema.
        found: u64,
        /// The version that this release needs.
        known: u64,
    },
    /// The schema is of a later release.
    #[error(
        "cannot open the store: its schema has version {found} and this release knows {known}: use the release that wrote it, or a later one"
    )]
    Newer {
        /// The version of its schema.
        found: u64,
        /// The latest version that this release knows.
        known: u64,
    },
    /// The store is the source or the target of a transfer.
    #[error("cannot open the store: {0}")]
    Marked(Box<TransferMark>),
    /// The database was taken for tests, whose data is removed.
    #[error("cannot open the store: it was made for tests, which remove its data")]
    Scratch,
    /// The database has a store, and cannot be used for tests.
    #[error("the database has a store that was not made for tests, so nothing in it is removed")]
    NotScratch,
    /// Another run has taken the database for its tests.
    #[error("another run has taken the database for its tests")]
    ScratchTaken,
    /// An operation of the database failed.
    #[error("cannot open the store: {0}")]
    Store(#[from] StoreError),
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(describe(&error))
    }
}

impl PostgresStore {
    /// Opens a database, and brings its schema up to date. From then on this process counts as one of the store's hosts,
    /// until the store is dropped.
    ///
    /// The store belongs to the current tokio runtime: tasks there keep its connections open.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        Self::open_with(options, |_| false).await
    }

    /// Opens a database like [`PostgresStore::open`], also one that is the source or the target of a
    /// [transfer](crate::transfer).
    pub async fn open_to_transfer(options: PostgresOptions) -> Result<Self, OpenError> {
        Self::open_with(options, |_| true).await
    }

    async fn open_with(
        options: PostgresOptions,
        accepted: impl Fn(&TransferMark) -> bool,
    ) -> Result<Self, OpenError> {
        let servers = Servers::new(&options, false)?;
        let mut client = connect_once(&servers).await?;
        check_server(client.client(), &options).await?;
        migrate(client.client_mut()).await?;
        let own = Uuid::new_v4().to_string();
        client
            .client()
            .execute_typed(ADD_ID, &[(&own, Type::TEXT)])
            .await?;
        let id = read_id(client.client()).await?.ok_or(OpenError::Missing)?;
        let connections = Connections::start(servers, &options);
        let holder = Holder {
            id: Uuid::new_v4().to_string(),
            name: options.host_name,
        };
        let beaten = upkeep::beat(connections.shared(), &holder).await;
        beaten.map_err(StoreError::from)?;
        // After the first heartbeat: a transfer marks the store, and then looks for hosts.
        require_unmarked(client.client(), accepted).await?;
        require_run(client.client(), options.scratch_run.as_deref()).await?;
        let beating = holder.clone();
        connections.spawn(|shared| upkeep::keep_beating(shared, beating));
        connections.spawn(upkeep::watch_clock);
        connections.spawn(upkeep::remove_periodically);
        Ok(Self {
            id,
            holder: holder.id,
            clock: options.clock,
            connections,
            earliest: EarliestDue::default(),
        })
    }

    /// Opens an existing database for reading, also on a standby. Writes fail as unavailable.
    ///
    /// # Errors
    /// [`OpenError::Missing`] and [`OpenError::Outdated`] when a host has not made or updated its schema yet.
    pub async fn open_to_read(options: PostgresOptions) -> Result<Self, OpenError> {
        let servers = Servers::new(&options, true)?;
        let client = connect_once(&servers).await?;
        let known = MIGRATIONS.len() as u64;
        match schema_version(client.client()).await? {
            0 => return Err(OpenError::Missing),
            found if found < known => return Err(OpenError::Outdated { found, known }),
            found if found > known => return Err(OpenError::Newer { found, known }),
            _ => {}
        }
        require_unmarked(client.client(), TransferMark::permits_reading).await?;
        let id = read_id(client.client()).await?.ok_or(OpenError::Missing)?;
        Ok(Self {
            id,
            holder: Uuid::new_v4().to_string(),
            clock: options.clock,
            connections: Connections::start(servers, &options),
            earliest: EarliestDue::default(),
        })
    }
}

/// Connects for one use.
pub(super) async fn connect_once(servers: &Servers) -> Result<Live, OpenError> {
    let connected = servers.connect(Lane::Slow).await?;
    std::sync::Arc::into_inner(connected.live)
        .ok_or_else(|| StoreError::Unavailable("the connection is in use".to_owned()).into())
}

/// Refuses a server that would break the store's promises.
async fn check_server(client: &Client, options: &PostgresOptions) -> Result<(), OpenError> {
    let row = client.query_typed_one(SERVER, &[]).await?;
    if row.try_get::<_, i32>(0)? < OLDEST_SERVER {
        return Err(OpenError::OldServer(row.try_get(1)?));
    }
    for (column, name) in [(2, "fsync"), (3, "full_page_writes")] {
        if !row.try_get::<_, bool>(column)? {
            if !options.allow_unsafe_server {
                return Err(OpenError::UnsafeServer(name));
            }
            tracing::warn!("the database server has {name}=off: a crash loses or damages data");
        }
    }
    let isolation: String = row.try_get(4)?;
    if isolation != "read committed" {
        return Err(OpenError::Setting {
            name: "default_transaction_isolation",
            found: isolation,
            needed: "read committed",
        });
    }
    let synchronous_commit: String = row.try_get(5)?;
    if synchronous_commit == "off" {
        return Err(OpenError::Setting {
            name: "synchronous_commit",
            found: synchronous_commit,
            needed: "on",
        });
    }
    if options.is_remote() && row.try_get::<_, Option<bool>>(6)? != Some(true) {
        tracing::warn!(
            "the connection to the database is not encrypted: add sslmode=require to its address"
        );
    }
    Ok(())
}

async fn read_id(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    read_meta(client, "store-id").await
}

pub(super) async fn read_meta(
    client: &Client,
    name: &str,
) -> Result<Option<String>, tokio_postgres::Error> {
    let read = "SELECT value FROM relation.meta WHERE name = $1";
    let row = client.query_typed_opt(read, &[(&name, Type::TEXT)]).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Applies the missing migrations, each in one transaction. Of several processes, one applies each.
async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as u64;
    loop {
        let found = match migrate_once(client).await {
            Ok(found) => found,
            Err(error) if classify(&error) == Class::Again => continue,
            Err(error) => return Err(error.into()),
        };
        if found > known {
            return Err(OpenError::Newer { found, known });
        }
        if found == known {
            return Ok(());
        }
    }
}

/// Applies the next migration, if there is one, and returns the version of the schema before it.
async fn migrate_once(client: &mut Client) -> Result<u64, tokio_postgres::Error> {
    // Usually the schema is up to date, and no lock is needed.
    let found = schema_version(client).await?;
    if found >= MIGRATIONS.len() as u64 {
        return Ok(found);
    }
    let transaction = client.transaction().await?;
    // A migration may take longer than a statement of the store.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await?;
    transaction.batch_execute(MIGRATION_LOCK).await?;
    let found = schema_version(transaction.client()).await?;
    let next = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found));
    if let Some(parts) = next {
        apply_migration(&transaction, parts, found + 1).await?;
    }
    transaction.commit().await?;
    Ok(found)
}

/// Brings the schema to a version.
pub(super) async fn apply_migration(
    transaction: &Transaction<'_>,
    parts: &[&str],
    version: u64,
) -> Result<(), tokio_postgres::Error> {
    for part in parts {
        transaction.batch_execute(part).await?;
    }
    let version = version.to_string();
    let values = [(&version as _, Type::TEXT)];
    transaction.execute_typed(SET_VERSION, &values).await?;
    Ok(())
}

/// Reads the version of the schema; 0: there is none.
pub(super) async fn schema_version(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let row = client.query_typed_one(HAS_SCHEMA, &[]).await?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let text = read_meta(client, "schema").await?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}
