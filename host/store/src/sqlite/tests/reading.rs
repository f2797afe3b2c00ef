//! Tests of opening existing and missing databases, and of reading without writing.

use std::fs;

use super::*;
use crate::Change;

fn put(number: u64) -> Commit {
    let document = Document {
        reference: Reference::record(format!("{number:024x}").parse().unwrap()),
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

async fn count(store: &SqliteStore) -> usize {
    let filter = Filter {
        model: relation_types::RECORD_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    store.find(&filter, None, 100).await.unwrap().items.len()
}

fn to_read(stores: &FileStores) -> Result<SqliteStore, OpenError> {
    SqliteStore::open_to_read(stores.path(), &SqliteOptions::default())
}

#[test]
fn a_missing_database_is_not_made() {
    let stores = FileStores::new();
    let existing = SqliteStore::open_existing(stores.path(), &SqliteOptions::default());
    for refused in [existing, to_read(&stores)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, OpenError::Missing(_)), "{refused}");
    }
    assert_eq!(fs::read_dir(stores.0.path()).unwrap().count(), 0);
    // An empty file, as `touch` creates it, cannot be read as a store either.
    fs::write(stores.path(), "").unwrap();
    let refused = to_read(&stores).unwrap_err();
    assert!(matches!(refused, OpenError::Missing(_)), "{refused}");
    assert_eq!(fs::metadata(stores.path()).unwrap().len(), 0);
}

#[tokio::test]
async fn reading_needs_no_write_lock_and_sees_writes() {
    let stores = FileStores::new();
    let writing = SqliteStore::open(stores.path(), &SqliteOptions::default()).unwrap();
    writing.commit(put(1)).await.unwrap();
    let other = Connection::open(stores.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let reading = to_read(&stores).unwrap();
    assert_eq!(reading.id(), writing.id());
    assert_eq!(count(&reading).await, 1);
    other.execute_batch("ROLLBACK").unwrap();
    writing.commit(put(2)).await.unwrap();
    assert_eq!(count(&reading).await, 2);
    let refused = reading.commit(put(3)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    // A reading store holds nothing, so it has no lock file.
    let names = fs::read_dir(stores.0.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let holders = names.filter(|name| name.contains("-holder-")).count();
    assert_eq!(holders, 1);
}

#[tokio::test]
async fn immutable_file_is_read_whatever_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b?c#d%41é.db");
    let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
    store.commit(put(1)).await.unwrap();
    drop(store);
    let connection = open::open_reader(&path, Duration::ZERO, ReadMode::Immutable).unwrap();
    let found: i64 = connection
        .query_row("SELECT COUNT(*) FROM documents", [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, 1);
    let written = connection.execute("DELETE FROM documents", []);
    assert!(written.is_err());
}

#[tokio::test]
async fn older_schema_is_migrated_before_reading() {
    let stores = FileStores::new();
    let old = Connection::open(stores.path()).unwrap();
    old.execute_batch(&format!(
        "{}; PRAGMA user_version = 1;",
        include_str!("../schema.sql")
    ))
    .unwrap();
    drop(old);
    let store = to_read(&stores).unwrap();
    assert_eq!(count(&store).await, 0);
}
