//! The conditions of a commit, alone and under concurrency.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{Change, Check, Commit, Store, StoreError};
use relation_types::{Filter, RECORD_MODEL, Reference, Scope};

async fn checked(store: &Arc<dyn Store>, check: Check, change: Change) -> Result<(), StoreError> {
    let commit = Commit {
        checks: vec![check],
        ..changes(vec![change])
    };
    store.commit(commit).await
}

fn same_name_at(node: &str, scope: Scope, name: &str) -> Filter {
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: Some((hierarchy(node), scope)),
        equals: vec![key("name", name)],
    }
}

pub(super) async fn a_version_check_holds_or_nothing_changes(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let expecting = |version| Check::Version(one.clone(), version);
    assert_conflict(checked(&store, expecting(1), put(&one)).await);
    assert_conflict(checked(&store, expecting(0), put(&one)).await);
    write(&store, vec![put(&one)]).await;
    checked(&store, expecting(1), put(&one)).await.unwrap();
    assert_conflict(checked(&store, expecting(1), put(&one)).await);
    assert_conflict(checked(&store, expecting(u64::MAX), put(&one)).await);
    assert_eq!(version(&store, &one).await, Some(2));
}

pub(super) async fn an_absence_check_holds_or_nothing_changes(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let absent = || Check::Absent(record(1));
    checked(&store, absent(), put(&record(1))).await.unwrap();
    assert_conflict(checked(&store, absent(), put(&record(2))).await);
    assert_eq!(version(&store, &record(2)).await, None);
}

pub(super) async fn uniqueness_ignores_only_the_excepted_document(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    let there = Change::Put(named(&one, "sys.P.C", "Acme"));
    write(&store, vec![there]).await;

    let add = || Change::Put(named(&record(2), "sys.P.C", "other"));
    let unique = |node, scope, name, except: Option<&Reference>| {
        Check::Unique(same_name_at(node, scope, name), except.cloned())
    };
    let taken = unique("sys.P.C", Scope::Node, "Acme", None);
    assert_conflict(checked(&store, taken, add()).await);
    let taken = unique("sys.P.C", Scope::Node, "Acme", Some(&record(2)));
    assert_conflict(checked(&store, taken, add()).await);
    let taken_below = unique("sys", Scope::Subtree, "Acme", None);
    assert_conflict(checked(&store, taken_below, add()).await);
    let same_pkid_elsewhere = Reference::new("data/Other", one.pkid.clone());
    let taken = unique("sys.P.C", Scope::Node, "Acme", Some(&same_pkid_elsewhere));
    assert_conflict(checked(&store, taken, add()).await);
    assert_eq!(version(&store, &record(2)).await, None);

    for free in [
        unique("sys.P.C", Scope::Node, "Acme", Some(&one)),
        unique("sys.P.C", Scope::Node, "acme", None),
        unique("sys.P", Scope::Node, "Acme", None),
        unique("sys.P.C.Site", Scope::Subtree, "Acme", None),
    ] {
        checked(&store, free, add()).await.unwrap();
    }
}

pub(super) async fn concurrent_adds_of_one_name_succeed_once(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let adds = (0..24).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let unique = Check::Unique(same_name_at("sys.P.C", Scope::Node, "Acme"), None);
            let add = Change::Put(named(&record(number), "sys.P.C", "Acme"));
            checked(&store, unique, add).await
        })
    });
    let mut added = 0;
    for add in adds.collect::<Vec<_>>() {
        match add.await.unwrap() {
            Ok(()) => added += 1,
            refused => assert_conflict(refused),
        }
    }
    assert_eq!(added, 1);
    let filter = same_name_at("sys.P.C", Scope::Node, "Acme");
    let found = store.find(&filter, None, 10).await.unwrap();
    assert_eq!(found.items.len(), 1);
}

pub(super) async fn no_update_is_lost_when_versions_are_checked(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, vec![put(&record(1))]).await;
    let writers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut succeeded = 0;
            while succeeded < 5 {
                let seen = version(&store, &record(1)).await.unwrap();
                let check = Check::Version(record(1), seen);
                match checked(&store, check, put(&record(1))).await {
                    Ok(()) => succeeded += 1,
                    refused => assert_conflict(refused),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(version(&store, &record(1)).await, Some(1 + 8 * 5));
}
