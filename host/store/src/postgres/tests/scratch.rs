//! Databases for tests: only marked data is removed.

use super::*;
use crate::postgres::{OpenError, ScratchDatabase};
use crate::scratch::ScratchStore as _;
use crate::{Change, Commit, DocumentStore as _, Store};
use relation_types::{Document, Reference};

fn put() -> Commit {
    let document = Document {
        reference: Reference::record("0123456789abcdef01234567".parse().unwrap()),
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    };
    Commit {
        changes: vec![Change::Put(document)],
        ..Commit::default()
    }
}

async fn count_documents(store: &dyn Store) -> usize {
    let reference = Reference::record("0123456789abcdef01234567".parse().unwrap());
    let found = store.get(std::slice::from_ref(&reference)).await.unwrap();
    found.into_iter().flatten().count()
}

fn scratch_options(database: &Database) -> PostgresOptions {
    let mut options = options(database.url());
    options.allow_unsafe_server = true;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn scratch_database_is_emptied_and_removed() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    cluster
        .execute(database.name(), "CREATE TABLE public.other (text text)")
        .unwrap();
    let scratch = ScratchDatabase::take(scratch_options(&database))
        .await
        .unwrap();
    let store = scratch.open().await.unwrap();
    store.commit(put()).await.unwrap();
    assert!(scratch.is_open().await.unwrap());
    drop(store);
    assert!(!scratch.is_open().await.unwrap());
    let store = scratch.open().await.unwrap();
    assert_eq!(count_documents(&*store).await, 1);
    drop(store);

    scratch.clear().await.unwrap();
    let rows = "SELECT sum((xpath('/row/n/text()', query_to_xml(
            format('SELECT count(*) AS n FROM relation.%I', relname), false, true, '')))[1]::text::int)
        FROM pg_class WHERE relnamespace = 'relation'::regnamespace AND relkind = 'r' AND relname <> 'meta'";
    assert_eq!(cluster.execute(database.name(), rows).unwrap(), "0");
    let store = scratch.open().await.unwrap();
    assert_eq!(count_documents(&*store).await, 0);
    drop(store);

    scratch.remove().await.unwrap();
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'relation'";
    assert_eq!(cluster.execute(database.name(), left).unwrap(), "0");
    let other = "SELECT count(*) FROM public.other";
    assert_eq!(cluster.execute(database.name(), other).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn database_with_a_store_is_not_taken_for_tests() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let options = scratch_options(&database);
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.commit(put()).await.unwrap();
    let refused = ScratchDatabase::take(options).await.unwrap_err();
    assert!(matches!(refused, OpenError::NotScratch), "{refused}");
    assert_eq!(count_documents(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scratch_database_belongs_to_one_run() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let options = scratch_options(&database);
    let stopped = ScratchDatabase::take(options.clone()).await.unwrap();
    let store = stopped.open().await.unwrap();
    store.commit(put()).await.unwrap();
    drop(store);
    let refused = PostgresStore::open(options.clone()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Scratch), "{refused}");

    // The data of the run that was stopped is gone, and that run can change nothing.
    let next = ScratchDatabase::take(options.clone()).await.unwrap();
    let store = next.open().await.unwrap();
    assert_eq!(count_documents(&*store).await, 0);
    for refused in [
        stopped.clear().await.unwrap_err(),
        stopped.remove().await.unwrap_err(),
        stopped.open().await.map(drop).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("another run"), "{refused}");
    }
    let joined = ScratchDatabase::join(options, next.run().to_owned());
    assert_eq!(count_documents(&*joined.open().await.unwrap()).await, 0);
}
