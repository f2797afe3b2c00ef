//! Servers that cannot be reached or cannot be written.

use super::*;
use crate::StoreError;

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_reported_in_time() {
    let Some(cluster) = Cluster::start("").unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let mut options = options(database.url());
    options.patience = Duration::from_millis(300);
    let store = PostgresStore::open(options).await.unwrap();
    cluster.execute(database.name(), TRY).unwrap();
    cluster.crash().unwrap();
    let written = write_text(&store, "x").await;
    assert!(matches!(
        written,
        Err(WriteError::Store(StoreError::Unavailable(_)))
    ));
    let read = read_one(&store).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let began = *store.connections.shared().last_outage().ended.lock();
    cluster.restart().unwrap();
    // The store becomes available again without a restart.
    while write_text(&store, "y").await.is_err() {}
    assert_eq!(count(&cluster, &database, "y"), 1);
    assert_eq!(count(&cluster, &database, "x"), 0);
    // Leases that expired meanwhile are left alone for a while.
    assert!(*store.connections.shared().last_outage().ended.lock() > began);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_survives_connections_that_break_again_and_again() {
    let Some(cluster) = Cluster::shared().unwrap() else {
        return;
    };
    let (database, store) = open_new(cluster).await;
    let terminate = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
        database.name()
    );
    let terminations = tokio::task::spawn_blocking(move || {
        for _ in 0..10 {
            cluster.execute("postgres", &terminate).unwrap();
        }
    });
    while !terminations.is_finished() {
        assert_eq!(read_one(&store).await.unwrap(), 1);
    }
    terminations.await.unwrap();
    assert_eq!(read_one(&store).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_accepts_writes_is_used() {
    let Some(first) = Cluster::start("").unwrap() else {
        return;
    };
    let second = Cluster::start("").unwrap().unwrap();
    for cluster in [&first, &second] {
        let database = cluster.database().unwrap();
        drop(open(database.url()).await);
        cluster.execute(database.name(), TRY).unwrap();
    }
    let directory = |cluster: &Cluster| cluster.directory().display().to_string();
    let hosts = [directory(&first), directory(&second)].map(|path| path.replace('/', "%2F"));
    let url = format!("postgresql://postgres@{}/test_0", hosts.join(","));
    let store = open(&url).await;
    write_text(&store, "one").await.unwrap();
    set_read_only(&first, true);
    // Each session learns of the new setting in its own time.
    let moved = "SELECT count(*) > 0 FROM public.tried";
    while second.execute("test_0", moved).unwrap() != "t" {
        write_text(&store, "two").await.unwrap();
    }

    // Without any server that accepts writes, the store is unavailable and not damaged.
    set_read_only(&second, true);
    let mut options = options(&url);
    options.patience = Duration::from_millis(200);
    let error = PostgresStore::open(options).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("unavailable") && text.contains("not allow writes"),
        "{text}"
    );
    set_read_only(&first, false);
    write_text(&store, "three").await.unwrap();
}

fn set_read_only(cluster: &Cluster, read_only: bool) {
    let value = if read_only { "on" } else { "off" };
    for statement in [
        format!("ALTER SYSTEM SET default_transaction_read_only = {value}"),
        "SELECT pg_reload_conf()".to_owned(),
    ] {
        cluster.execute("postgres", &statement).unwrap();
    }
}
