//! Documents: reading back what was written, and atomic commits.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{Change, Check, Commit};
use relation_types::{Document, Reference};

pub(super) async fn document_is_read_back_unchanged(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let original = Document {
        version: 77,
        body: " {\"name\": \"Ünï – 客户\", \"n\": [1, null, {\"a\": \"\\u0000\"}]}\n".to_owned(),
        hierarchy: hierarchy("sys.Prövider Ltd.A/B"),
        keys: vec![key("z", ""), key("a", "'quoted' \" \\ %"), key("m", "客户")],
        ..document(&record(1))
    };
    write(&store, vec![Change::Put(original.clone())]).await;
    let found = store.get(&[record(1)]).await.unwrap();
    let expected = Document {
        version: 1,
        ..original
    };
    assert_eq!(found, [Some(expected)]);
}

pub(super) async fn several_documents_come_in_the_requested_order(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, vec![put(&record(1)), put(&record(2))]).await;
    let other_model = Reference::new("data/Other", pkid(1));
    let references = [record(2), record(3), record(1), other_model, record(2)];
    let found = store.get(&references).await.unwrap();
    let found: Vec<Option<Reference>> = found
        .into_iter()
        .map(|document| document.map(|document| document.reference))
        .collect();
    let (one, two) = (Some(record(1)), Some(record(2)));
    assert_eq!(found, [two.clone(), None, one, None, two]);
    assert_eq!(store.get(&[]).await.unwrap(), []);
}

pub(super) async fn each_put_raises_the_version(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    for expected in 1..=3 {
        write(&store, vec![put(&record(1))]).await;
        assert_eq!(version(&store, &record(1)).await, Some(expected));
    }
}

pub(super) async fn changes_apply_in_the_order_given(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let deleted = Change::Delete(record(1));
    write(&store, vec![put(&record(1)), put(&record(1))]).await;
    assert_eq!(version(&store, &record(1)).await, Some(2));
    write(&store, vec![deleted.clone(), put(&record(1))]).await;
    assert_eq!(version(&store, &record(1)).await, Some(1));
    write(&store, vec![put(&record(1)), deleted]).await;
    assert_eq!(version(&store, &record(1)).await, None);
}

pub(super) async fn commit_that_fails_late_changes_nothing(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, vec![put(&record(1)), seal(&record(1), "token", 1)]).await;
    let all_and_an_orphan = changes(vec![
        Change::Put(named(&record(1), "sys.Elsewhere", "Renamed")),
        put(&record(2)),
        seal(&record(1), "token", 2),
        schedule(&record(1), "refresh", at(1)),
        seal(&record(3), "token", 3),
    ]);
    assert_invalid(store.commit(all_and_an_orphan).await);
    let failed_check = Commit {
        checks: vec![Check::Version(record(1), 1), Check::Absent(record(1))],
        ..changes(vec![Change::Delete(record(1)), put(&record(2))])
    };
    assert_conflict(store.commit(failed_check).await);

    let found = store.get(&[record(1), record(2)]).await.unwrap();
    let unchanged = Document {
        version: 1,
        ..document(&record(1))
    };
    assert_eq!(found, [Some(unchanged), None]);
    let secret = store.sealed(&record(1), "token").await.unwrap();
    assert_eq!(secret, Some(sealed(1)));
    assert_eq!(store.wakeups(&record(1)).await.unwrap(), []);
    assert_eq!(store.next_due(None).await.unwrap(), None);
}

pub(super) async fn a_body_that_is_not_an_object_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    for body in [
        "", "null", "[]", "\"text\"", "{", "{}{}", "{\"a\":}", "{'a':1}",
    ] {
        let document = Document {
            body: body.to_owned(),
            ..document(&record(1))
        };
        let both = changes(vec![put(&record(2)), Change::Put(document)]);
        assert_invalid(store.commit(both).await);
    }
    assert_eq!(version(&store, &record(2)).await, None);
}

pub(super) async fn a_repeated_key_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let pair = vec![key("tag", "one"), key("other", "x"), key("tag", "one")];
    let sorted = vec![key("name", "one"), key("name", "two")];
    for keys in [pair, sorted] {
        let document = Document {
            keys,
            ..document(&record(1))
        };
        assert_invalid(store.commit(changes(vec![Change::Put(document)])).await);
        assert_eq!(version(&store, &record(1)).await, None);
    }
}

pub(super) async fn deleting_an_absent_item_is_not_an_error(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let nothing = vec![
        Change::Delete(record(1)),
        Change::RemoveSecret(record(1), "token".to_owned()),
        Change::Cancel(record(1), "refresh".to_owned()),
    ];
    write(&store, nothing).await;
}

pub(super) async fn a_large_body_is_kept_whole(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let body = format!("{{\"filling\":\"{}\"}}", "x".repeat(3 << 20));
    let large = Document {
        body: body.clone(),
        ..document(&record(1))
    };
    write(&store, vec![Change::Put(large)]).await;
    let found = store.get(&[record(1)]).await.unwrap();
    assert!(found[0].as_ref().unwrap().body == body);
}

pub(super) async fn reads_see_every_write_that_returned(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let writers = (0..16).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 1..=8 {
                write(&store, vec![put(&record(number))]).await;
                assert_eq!(version(&store, &record(number)).await, Some(round));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
