//! Opening: the schema, the server, and errors without secrets.

use super::*;
use crate::postgres::OpenError;
use crate::{Store as _, StoreError};

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_make_the_schema_once() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let url = database.url();
    let stores = tokio::join!(open(url), open(url), open(url), open(url));
    assert_eq!(stores.0.id(), stores.1.id());
    assert_eq!(stores.2.id(), stores.3.id());
    assert_eq!(stores.0.id(), stores.2.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_left_alone() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let missing = PostgresStore::open_to_read(options(database.url())).await;
    assert!(matches!(missing, Err(OpenError::Missing)), "{missing:?}");
    drop(open(database.url()).await);
    let reader = PostgresStore::open_to_read(options(database.url()))
        .await
        .unwrap();
    read_one(&reader).await.unwrap();
    let refused = write_text(&reader, "x").await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Store(StoreError::Unavailable(_))
    ));
    let later = "UPDATE relation.meta SET value = '99' WHERE name = 'schema'";
    cluster.execute(database.name(), later).unwrap();
    for error in [
        PostgresStore::open(options(database.url()))
            .await
            .unwrap_err(),
        PostgresStore::open_to_read(options(database.url()))
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, OpenError::Newer { found: 99, .. }),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_data_is_refused() {
    let Some(cluster) = Cluster::start("fsync = off").unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let mut options = options(database.url());
    let error = PostgresStore::open(options.clone()).await.unwrap_err();
    assert!(matches!(error, OpenError::UnsafeServer("fsync")), "{error}");
    let inspection = PostgresStore::inspect(&options).await.unwrap();
    assert!(!inspection.fsync && inspection.full_page_writes);
    assert_eq!(inspection.schema_version, 0);
    options.allow_unsafe_server = true;
    PostgresStore::open(options).await.unwrap();
}

#[tokio::test]
async fn no_error_of_a_connection_contains_the_password() {
    let refused = "postgresql://me:canary@127.0.0.1:1/db?sslmode=disable";
    let no_socket = "postgresql://me:canary@%2Fnowhere/db";
    for url in [refused, no_socket] {
        let mut options = PostgresOptions::new(url).unwrap();
        options.set_password("canary");
        let error = PostgresStore::open(options.clone()).await.unwrap_err();
        let text = format!("{error} {error:?} {options:?}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_unavailable_and_not_told() {
    let Some(cluster) = Cluster::start("").unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let role = "CREATE ROLE me LOGIN PASSWORD 'other'";
    cluster.execute("postgres", role).unwrap();
    let rules = cluster.directory().join("data/pg_hba.conf");
    std::fs::write(rules, "local all me scram-sha-256\nlocal all all trust\n").unwrap();
    cluster
        .execute("postgres", "SELECT pg_reload_conf()")
        .unwrap();
    wait_for(&cluster, "count(*) = 2 FROM pg_hba_file_rules").await;
    let url = database.url().replace("postgres@", "me:canary@");
    let error = PostgresStore::open(options(&url)).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("unavailable") && text.contains("28P01"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}
