//! A database for tests. A mark in `meta` says so: only marked data is removed, and no host opens it otherwise.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::migrations::MIGRATIONS;
use super::open::{
    MIGRATION_LOCK, OpenError, apply_migration, connect_once, read_meta, schema_version,
};
use super::options::PostgresOptions;
use super::servers::{Live, Servers};
use super::{LeaseClock, PostgresStore};
use crate::scratch::ScratchStore;
use crate::{Store, StoreError};

/// The name of the mark. Its value is the id of the run that has taken the database.
const MARK: &str = "scratch";

const SET_MARK: &str = "INSERT INTO relation.meta (name, value) VALUES ('scratch', $1)";

/// The owner of the mark, locked against another run that takes the database.
const LOCK_MARK: &str = "SELECT value FROM relation.meta WHERE name = 'scratch' FOR UPDATE";

/// Removes all rows but the version of the schema and the mark. To truncate so many small tables takes longer.
const CLEAR: &str = "DELETE FROM relation.secrets;
    DELETE FROM relation.wakeups;
    DELETE FROM relation.sorted_keys;
    DELETE FROM relation.document_keys;
    DELETE FROM relation.documents;
    DELETE FROM relation.leases;
    DELETE FROM relation.transaction_news;
    DELETE FROM relation.transaction_nodes;
    DELETE FROM relation.transactions;
    DELETE FROM relation.writes;
    DELETE FROM relation.holders;
    DELETE FROM relation.data_keys;
    DELETE FROM relation.meta WHERE name NOT IN ('schema', 'scratch')";

const IS_OPEN: &str = "SELECT EXISTS (SELECT FROM relation.holders WHERE isfinite(seen))";

const DROP: &str = "DROP SCHEMA IF EXISTS relation CASCADE";

/// A database for tests.
///
/// The database may hold anything but a store with data: the schema `relation` is made, emptied and removed here.
#[derive(Debug)]
pub struct ScratchDatabase {
    options: PostgresOptions,
    run: String,
}

impl ScratchDatabase {
    /// Takes a database for tests, and makes the schema. The data of an earlier run, which was stopped, is removed; if
    /// that run goes on, it fails.
    ///
    /// # Errors
    /// [`OpenError::NotScratch`] when the database has a store that was not made for tests.
    pub async fn take(options: PostgresOptions) -> Result<Self, OpenError> {
        let scratch = Self::join(options, Uuid::new_v4().to_string());
        let mut live = connect(&scratch.options).await?;
        let transaction = begin(&mut live).await?;
        if schema_version(transaction.client()).await? > 0 {
            if read_meta(transaction.client(), MARK).await?.is_none() {
                return Err(OpenError::NotScratch);
            }
            transaction.batch_execute(DROP).await?;
        }
        for (version, parts) in (1..).zip(MIGRATIONS) {
            apply_migration(&transaction, parts, version).await?;
        }
        transaction
            .execute_typed(SET_MARK, &[(&scratch.run, Type::TEXT)])
            .await?;
        transaction.commit().await?;
        Ok(scratch)
    }

    /// Returns the database that another process has taken, for a host in this process.
    pub fn join(options: PostgresOptions, run: String) -> Self {
        Self {
            options: PostgresOptions {
                clock: LeaseClock::Caller,
                // Nothing in it has to survive a crash.
                allow_unsafe_server: true,
                scratch_run: Some(run.clone()),
                ..options
            },
            run,
        }
    }

    /// Returns the id of the run that has taken the database.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns whether a host has the store open, as far as hosts say when they end.
    pub async fn is_open(&self) -> Result<bool, OpenError> {
        let live = connect(&self.options).await?;
        let row = live.client().query_typed_one(IS_OPEN, &[]).await?;
        Ok(row.try_get(0)?)
    }

    /// Runs statements that remove data, if the database still belongs to this run.
    async fn run_alone(&self, statements: &str) -> Result<(), OpenError> {
        let mut live = connect(&self.options).await?;
        let transaction = begin(&mut live).await?;
        let row = transaction.query_typed_opt(LOCK_MARK, &[]).await?;
        let found: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        if found.as_ref() != Some(&self.run) {
            return Err(OpenError::ScratchTaken);
        }
        transaction.batch_execute(statements).await?;
        Ok(transaction.commit().await?)
    }
}

#[async_trait]
impl ScratchStore for ScratchDatabase {
    async fn clear(&self) -> Result<(), StoreError> {
        self.run_alone(CLEAR).await.map_err(to_store_error)
    }

    async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        let opened = PostgresStore::open(self.options.clone()).await;
        Ok(Arc::new(opened.map_err(to_store_error)?))
    }

    async fn remove(&self) -> Result<(), StoreError> {
        self.run_alone(DROP).await.map_err(to_store_error)
    }
}

/// Refuses a database for tests, unless this run has taken it.
pub(super) async fn require_run(client: &Client, run: Option<&str>) -> Result<(), OpenError> {
    let found = read_meta(client, MARK).await?;
    match (found.as_deref(), run) {
        (found, run) if found == run => Ok(()),
        (_, Some(_)) => Err(OpenError::ScratchTaken),
        (_, None) => Err(OpenError::Scratch),
    }
}

async fn connect(options: &PostgresOptions) -> Result<Live, OpenError> {
    connect_once(&Servers::new(options, false)?).await
}

/// Begins a transaction that may take its time, alone with the schema.
async fn begin(live: &mut Live) -> Result<Transaction<'_>, OpenError> {
    let transaction = live.client_mut().transaction().await?;
    let limits = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'";
    transaction.batch_execute(limits).await?;
    transaction.batch_execute(MIGRATION_LOCK).await?;
    Ok(transaction)
}

fn to_store_error(error: OpenError) -> StoreError {
    match error {
        OpenError::Store(error) => error,
        other => StoreError::Invalid(other.to_string()),
    }
}
