//! Tests of group commit, and of two processes that write concurrently.

use std::sync::mpsc;
use std::time::Duration;

use super::error::SqlError;
use super::writer::{Batch, Durability};
use super::*;
use crate::{Change, Check};
use relation_types::Pkid;

fn document() -> Document {
    Document {
        reference: Reference::record(Pkid::random()),
        hierarchy: "sys.Provider.Customer".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    }
}

fn put(document: &Document) -> Commit {
    Commit {
        changes: vec![Change::Put(document.clone())],
        ..Commit::default()
    }
}

fn shared(stores: &FileStores, options: &SqliteOptions) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(stores.path(), options).unwrap())
}

/// Blocks the writer until the sender is dropped, so that later writes queue.
async fn hold(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, busy) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let wait = move |_: &Batch<'_>| {
            let _ = begun.send(());
            let _ = held.recv();
            Ok(())
        };
        store.writer.write(wait).await.unwrap();
    });
    busy.await.unwrap();
    release
}

/// Runs all tasks until they wait for the writer.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Returns whether a later write of the queue saw the first one, and whether a reader saw it then.
async fn first_seen(options: &SqliteOptions) -> (bool, bool) {
    let stores = FileStores::new();
    let store = shared(&stores, options);
    let release = hold(&store).await;
    let first = document();
    let reference = first.reference.clone();
    let writing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(put(&first)).await }
    });
    settle().await;
    let looking = tokio::spawn({
        let (store, readers) = (Arc::clone(&store), Arc::clone(&store.readers));
        async move {
            let look = move |connection: &Batch<'_>| {
                let inside = documents::exists(connection, &reference)?;
                let outside = readers.read(|reader| documents::exists(reader, &reference))?;
                Ok((inside, outside))
            };
            store.writer.write(look).await.unwrap()
        }
    });
    settle().await;
    drop(release);
    writing.await.unwrap().unwrap();
    looking.await.unwrap()
}

#[tokio::test]
async fn queued_writes_share_one_transaction() {
    assert_eq!(first_seen(&SqliteOptions::default()).await, (true, false));
}

#[tokio::test]
async fn without_groups_each_write_has_a_commit_of_its_own() {
    let alone = SqliteOptions {
        group: 1,
        ..SqliteOptions::default()
    };
    assert_eq!(first_seen(&alone).await, (true, true));
}

#[tokio::test]
async fn failed_write_leaves_its_group_alone() {
    let stores = FileStores::new();
    let store = shared(&stores, &SqliteOptions::default());
    let release = hold(&store).await;
    let mut writes = Vec::new();
    for number in 0..50 {
        let document = document();
        let mut commit = put(&document);
        let fails = number % 5 == 2;
        if fails {
            // After the put, so that there is something to undo.
            commit
                .changes
                .push(Change::Cancel(document.reference.clone(), String::new()));
            commit
                .checks
                .push(Check::Version(document.reference.clone(), 9));
        }
        let store = Arc::clone(&store);
        let write = tokio::spawn(async move { store.commit(commit).await });
        writes.push((document.reference, fails, write));
    }
    settle().await;
    drop(release);
    for (reference, fails, write) in writes {
        let result = write.await.unwrap();
        assert_eq!(result.is_err(), fails, "{result:?}");
        let found = store.get(&[reference]).await.unwrap();
        assert_eq!(found[0].is_none(), fails);
    }
}

#[tokio::test]
async fn full_disk_loses_no_acknowledged_write() {
    let stores = FileStores::new();
    let store = shared(&stores, &SqliteOptions::default());
    let before = document();
    store.commit(put(&before)).await.unwrap();
    // SQLite reports a database that may not grow as a full disk.
    let limit = |pages: u32| {
        move |connection: &Batch<'_>| {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        }
    };
    store.writer.write(limit(1)).await.unwrap();

    let release = hold(&store).await;
    let mut writes = Vec::new();
    for number in 0..10 {
        let mut document = document();
        if number == 4 {
            document.body = format!("{{\"filling\":\"{}\"}}", "x".repeat(1 << 20));
        }
        let (store, commit) = (Arc::clone(&store), put(&document));
        let write = tokio::spawn(async move { store.commit(commit).await });
        writes.push((document.reference, write));
    }
    settle().await;
    drop(release);
    let mut failed = 0;
    for (reference, write) in writes {
        let result = write.await.unwrap();
        let found = store.get(&[reference]).await.unwrap();
        assert_eq!(found[0].is_some(), result.is_ok(), "{result:?}");
        if let Err(error) = result {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            failed += 1;
        }
    }
    assert!(failed > 0);
    store.writer.write(limit(1 << 20)).await.unwrap();
    store.commit(put(&before)).await.unwrap();
    let found = store.get(&[before.reference]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().version, 2);
}

#[tokio::test]
async fn writer_recovers_after_a_failed_transaction() {
    let store = SqliteStore::in_memory().unwrap();
    let Readers::Memory(connection) = &*store.readers else {
        panic!("a database in memory is read through its one connection");
    };
    // A constraint that is checked only when the transaction is committed.
    let setup = "PRAGMA foreign_keys = ON;
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED);";
    connection.lock().execute_batch(setup).unwrap();
    let orphan = |connection: &Batch<'_>| {
        connection.execute("INSERT INTO children VALUES (1)", [])?;
        Ok(())
    };
    let failed = store.writer.write(orphan).await;
    assert!(failed.is_err());
    let document = document();
    store.commit(put(&document)).await.unwrap();
    let children = |connection: &Connection| {
        let count = "SELECT COUNT(*) FROM children";
        Ok(connection.query_row(count, [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(store.read(children).unwrap(), 0);
}

#[tokio::test]
async fn read_of_several_statements_sees_one_snapshot() {
    let stores = FileStores::new();
    let store = shared(&stores, &SqliteOptions::default());
    let document = document();
    let reference = document.reference.clone();
    store.commit(put(&document)).await.unwrap();
    let other = Connection::open(stores.path()).unwrap();
    let look_twice = move |connection: &Connection| {
        let before = documents::version(connection, &reference)?;
        other.execute_batch("UPDATE documents SET version = 7")?;
        Ok((before, documents::version(connection, &reference)?))
    };
    let seen = store.readers.read_blocking(look_twice).await.unwrap();
    assert_eq!(seen, (Some(1), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_busy_hosts_both_get_to_write() {
    let stores = FileStores::new();
    let hosts = [(); 2].map(|()| shared(&stores, &SqliteOptions::default()));
    let document = document();
    let mut writers = Vec::new();
    for host in &hosts {
        for _ in 0..4 {
            let (host, document) = (Arc::clone(host), document.clone());
            writers.push(tokio::spawn(async move {
                for _ in 0..25 {
                    host.commit(put(&document)).await.unwrap();
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let found = hosts[0].get(&[document.reference]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().version, 200);
}

#[tokio::test]
async fn locked_out_writer_times_out_and_recovers() {
    let stores = FileStores::new();
    let impatient = SqliteOptions {
        busy_timeout: Duration::from_millis(20),
        ..SqliteOptions::default()
    };
    let store = shared(&stores, &impatient);
    let other = Connection::open(stores.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let document = document();
    let refused = store.commit(put(&document)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    // Reading continues meanwhile.
    let found = store.get(std::slice::from_ref(&document.reference)).await;
    assert_eq!(found.unwrap(), [None]);
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(put(&document)).await.unwrap();
}

#[tokio::test]
async fn begins_of_calls_do_not_wait_for_commits() {
    let stores = FileStores::new();
    let store = shared(&stores, &SqliteOptions::default());
    let order = Arc::new(Mutex::new(Vec::new()));
    let release = hold(&store).await;
    let mut writes = Vec::new();
    for durability in [Durability::PowerCut, Durability::Process] {
        let (store, order) = (Arc::clone(&store), Arc::clone(&order));
        writes.push(tokio::spawn(async move {
            let note = move |batch: &Batch<'_>| {
                let synchronous: i64 =
                    batch.pragma_query_value(None, "synchronous", |row| row.get(0))?;
                order.lock().push((durability, synchronous));
                Ok(())
            };
            store.writer.write_as(durability, note).await
        }));
        settle().await;
    }
    drop(release);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let (normal, full) = (1, 2);
    assert_eq!(
        *order.lock(),
        [(Durability::Process, normal), (Durability::PowerCut, full)]
    );
}

#[tokio::test]
async fn numbers_never_repeat() {
    let stores = FileStores::new();
    let store = shared(&stores, &SqliteOptions::default());
    let release = hold(&store).await;
    let mut writes = Vec::new();
    for number in 0..6 {
        let store = Arc::clone(&store);
        writes.push(tokio::spawn(async move {
            let take = move |batch: &Batch<'_>| {
                let taken = batch.next_number()?;
                match number {
                    3 => Err(SqlError(StoreError::Unavailable("a test".to_owned()))),
                    _ => Ok(taken),
                }
            };
            store.writer.write(take).await
        }));
        settle().await;
    }
    drop(release);
    let mut taken = Vec::new();
    for write in writes {
        taken.extend(write.await.unwrap());
    }
    // Another process continues after the last number.
    let other = shared(&stores, &SqliteOptions::default());
    let next = |batch: &Batch<'_>| batch.next_number();
    taken.push(other.writer.write(next).await.unwrap());
    taken.push(store.writer.write(next).await.unwrap());
    assert_eq!(taken.len(), 7);
    assert!(taken.is_sorted_by(|one, next| one < next), "{taken:?}");
}
