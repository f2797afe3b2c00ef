//! Properties of the connections to PostgreSQL, which the suite for stores does not show.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected must fail"
)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use relation_test_postgres::{Cluster, Database};
use relation_types::{Pkid, Reference};
use tokio_postgres::types::Type;

use super::error::WriteError;
use super::{Lane, LeaseClock, PostgresOptions, PostgresStore};

mod groups;
mod opening;
mod outages;
mod outcomes;
mod pooler;
mod proxy;
mod scratch;
mod tls;
mod upkeep;

/// A function that writes one row, with a pause before and after it.
const TRY: &str = "CREATE TABLE public.tried (text text);
CREATE FUNCTION public.try_v1(p_write uuid, p_text text, p_before float8, p_after float8) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_result text;
BEGIN
    PERFORM pg_sleep(p_before);
    INSERT INTO public.tried VALUES (p_text);
    v_result := relation.wrote_v1(p_write, 'done ' || p_text);
    PERFORM pg_sleep(p_after);
    RETURN v_result;
END
$$;";

fn options(url: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(url).unwrap();
    options.clock = LeaseClock::Caller;
    options.patience = Duration::from_secs(30);
    options
}

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(options(url)).await.unwrap()
}

/// Opens a store in a new database that has the function of [`TRY`].
async fn open_new(cluster: &Cluster) -> (Database, PostgresStore) {
    let database = cluster.database().unwrap();
    let store = open(database.url()).await;
    cluster.execute(database.name(), TRY).unwrap();
    (database, store)
}

async fn write_text(store: &PostgresStore, text: &str) -> Result<String, WriteError> {
    write_slowly(store, text, 0.0, 0.0).await
}

async fn write_slowly(
    store: &PostgresStore,
    text: &str,
    before: f64,
    after: f64,
) -> Result<String, WriteError> {
    let parameters: super::Parameters<'_> = &[
        (&text, Type::TEXT),
        (&before, Type::FLOAT8),
        (&after, Type::FLOAT8),
    ];
    store.write("public.try_v1", parameters).await
}

/// Writes a text like [`write_slowly`], in a group with others.
async fn write_in_group(
    store: &PostgresStore,
    text: &str,
    before: f64,
) -> Result<String, WriteError> {
    let parameters: super::Parameters<'_> = &[
        (&text, Type::TEXT),
        (&before, Type::FLOAT8),
        (&0.0, Type::FLOAT8),
    ];
    let subject = subject(text);
    let written = store.write_in_group("public.try_v1", &subject, parameters);
    written.await
}

/// Returns a subject of its own for a text.
fn subject(text: &str) -> Reference {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Reference {
        model: "data/Tried".to_owned(),
        pkid: Pkid::try_from(format!("{:024x}", hasher.finish())).unwrap(),
    }
}

/// Returns how often a text was written.
fn count(cluster: &Cluster, database: &Database, text: &str) -> u32 {
    let statement = format!("SELECT count(*) FROM public.tried WHERE text = '{text}'");
    let count = cluster.execute(database.name(), &statement).unwrap();
    count.parse().unwrap()
}

async fn read_one(store: &PostgresStore) -> Result<i32, crate::StoreError> {
    let rows = store.read(Lane::Read, "SELECT 1", &[]).await?;
    Ok(rows[0].get(0))
}

/// Waits until a query of a superuser returns `t`.
async fn wait_for(cluster: &Cluster, condition: &str) {
    for _ in 0..3000 {
        let found = cluster.execute("postgres", &format!("SELECT {condition}"));
        if found.unwrap() == "t" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {condition}");
}
