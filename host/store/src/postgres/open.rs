//! Opening the store: its options, its schema, its id.

use std::fmt;
use std::time::Duration;

use tokio_postgres::{Client, Config};
use uuid::Uuid;

use super::connections::{Connections, connect};
use super::error::{Class, Result, classify, describe};
use super::migrations::MIGRATIONS;
use super::{LeaseClock, PostgresStore};
use super::transfer::require_unmarked;
use crate::StoreError;
use crate::transfer::TransferMark;

/// The transaction lock that one migrating process holds.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('relation.meta'), 0)";

/// Reads the catalog's tables. `to_regclass` uses a cache, which does not show what another process has committed since
/// this transaction began.
const HAS_SCHEMA: &str = "SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'relation' AND c.relname = 'meta')";

/// Options of a PostgreSQL store.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    /// The clock by which leases expire.
    pub clock: LeaseClock,
    /// Whether statements are prepared by name. Switch it off for PgBouncer in transaction mode.
    pub prepare: bool,
    /// Whether a server is accepted that loses or damages data when it crashes (`fsync` or `full_page_writes` off).
    pub allow_unsafe_server: bool,
    /// How long an operation may wait for the server before the store counts as unavailable.
    pub patience: Duration,
    /// The name of this host in the table of hosts.
    pub host_name: String,
}

impl PostgresOptions {
    /// Reads a database's address: `postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE?OPTION=VALUE`.
    pub fn new(url: &str) -> Result<Self, OpenError> {
        let config = url.parse().map_err(|_| OpenError::Address)?;
        Ok(Self {
            config,
            clock: LeaseClock::default(),
            prepare: true,
            allow_unsafe_server: false,
            patience: Duration::from_secs(10),
            host_name: String::new(),
        })
    }

    /// Sets the password, instead of one in the address.
    pub fn set_password(&mut self, password: &str) {
        self.config.password(password);
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("clock", &self.clock)
            .field("prepare", &self.prepare)
            .finish_non_exhaustive()
    }
}

/// The error of opening a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be read. It is not repeated here, since it can contain a password.
    #[error(
        "the address of the database cannot be read: write postgresql://USER@HOST/DATABASE, and special characters of the password as %XX"
    )]
    Address,
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
    /// An operation of the database failed.
    #[error("cannot open the store: {0}")]
    Store(#[from] StoreError),
}

impl PostgresStore {
    /// Opens a database, and brings its schema up to date.
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
        let mut client = connect(&options.config)
            .await
            .map_err(|error| describe(&error))?;
        migrate(&mut client).await?;
        let id = store_id(&client).await.map_err(|error| describe(&error))?;
        require_unmarked(&client, accepted).await?;
        Ok(Self {
            id,
            holder: Uuid::new_v4().to_string(),
            clock: options.clock,
            connections: Connections::new(options.config),
        })
    }
}

async fn store_id(client: &Client) -> Result<String, tokio_postgres::Error> {
    let id = Uuid::new_v4().to_string();
    client
        .execute(
            "INSERT INTO relation.meta (name, value) VALUES ('store-id', $1) ON CONFLICT DO NOTHING",
            &[&id],
        )
        .await?;
    let row = client
        .query_one(
            "SELECT value FROM relation.meta WHERE name = 'store-id'",
            &[],
        )
        .await?;
    row.try_get(0)
}

/// Applies the missing migrations, each in one transaction. Of several processes, one applies each.
async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as u64;
    loop {
        let found = match migrate_once(client).await {
            Ok(found) => found,
            Err(error) if classify(&error) == Class::Again => continue,
            Err(error) => return Err(describe(&error).into()),
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
    // Most opens find the schema up to date, and take no lock.
    let known = MIGRATIONS.len() as u64;
    let found = schema_version(client).await?;
    if found >= known {
        return Ok(found);
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(MIGRATION_LOCK).await?;
    let found = schema_version(transaction.client()).await?;
    let next = usize::try_from(found)
        .ok()
        .and_then(|found| MIGRATIONS.get(found));
    if let Some(parts) = next {
        for part in *parts {
            transaction.batch_execute(part).await?;
        }
        transaction
            .execute(
                "INSERT INTO relation.meta (name, value) VALUES ('schema', $1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                &[&(found + 1).to_string()],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(found)
}

/// Reads the version of the schema; 0: there is none.
pub(super) async fn schema_version(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let row = client.query_one(HAS_SCHEMA, &[]).await?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client
        .query_opt("SELECT value FROM relation.meta WHERE name = 'schema'", &[])
        .await?;
    let text: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}
