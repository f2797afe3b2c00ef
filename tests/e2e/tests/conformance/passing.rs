//! Our host passes on every available store.

use std::sync::Arc;

use relation_harness::MemoryStore;
use relation_host::store::StoreError;
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};

use crate::support::{failures, on, skipped};

#[tokio::test(flavor = "multi_thread")]
async fn our_host_passes_every_check_on_a_sqlite_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relation.db");
    let open = move || SqliteStore::open(&file, &SqliteOptions::default());
    let run = on(Arc::new(open().unwrap())).await;
    let again = move || {
        std::future::ready(match open() {
            Ok(store) => Ok(Arc::new(store) as _),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        })
    };
    let report = run.reopen_with(again).run().await.unwrap();
    assert_eq!(failures(&report), "");
    assert_eq!(skipped(&report), "", "a file gives the means for all");
    assert!(report.is_conformant());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_host_passes_every_check_on_sqlite_in_memory() {
    let store = SqliteStore::in_memory().unwrap();
    let report = on(Arc::new(store)).await.run().await.unwrap();
    assert_eq!(failures(&report), "");
    assert_eq!(
        skipped(&report),
        "storage.commit.durable: the driver did not restart the host (`restarted`)\n"
    );
    assert!(report.is_conformant());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_host_passes_every_check_on_the_harness_store() {
    let store = MemoryStore::new("conformance");
    let (first, again) = (store.clone(), store);
    let run = on(Arc::new(first)).await;
    let again = move || std::future::ready(Ok(Arc::new(again.another_host()) as _));
    let report = run.reopen_with(again).run().await.unwrap();
    assert_eq!(failures(&report), "");
    assert_eq!(skipped(&report), "", "the store gives the means for all");
    assert!(report.is_conformant());
}
