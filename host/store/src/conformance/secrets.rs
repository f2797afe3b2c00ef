//! Sealed secrets: storing, replacing and removing them with their documents.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::Change;

pub(super) async fn sealed_value_is_stored_replaced_and_removed(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    write(&store, vec![put(&one), put(&two), seal(&one, "token", 1)]).await;
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(1)));
    assert_eq!(store.sealed(&one, "other").await.unwrap(), None);
    assert_eq!(store.sealed(&two, "token").await.unwrap(), None);

    write(&store, vec![seal(&one, "token", 2), seal(&two, "token", 3)]).await;
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(2)));

    write(
        &store,
        vec![Change::RemoveSecret(one.clone(), "token".to_owned())],
    )
    .await;
    assert_eq!(store.sealed(&one, "token").await.unwrap(), None);
    assert_eq!(store.sealed(&two, "token").await.unwrap(), Some(sealed(3)));
}

pub(super) async fn a_secret_needs_its_owner(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    assert_invalid(store.commit(changes(vec![seal(&one, "token", 1)])).await);
    assert_eq!(store.sealed(&one, "token").await.unwrap(), None);

    // The state after the commit counts.
    write(&store, vec![seal(&one, "token", 1), put(&one)]).await;
    let gone_at_the_end = vec![Change::Delete(one.clone()), seal(&one, "token", 2)];
    assert_invalid(store.commit(changes(gone_at_the_end)).await);
    let gone_with_it = vec![
        put(&two),
        seal(&two, "token", 2),
        Change::Delete(two.clone()),
    ];
    write(&store, gone_with_it).await;
    assert_eq!(store.sealed(&two, "token").await.unwrap(), None);
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(1)));
}

pub(super) async fn delete_removes_the_secrets(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    let both = vec![
        put(&one),
        put(&two),
        seal(&one, "token", 1),
        seal(&two, "token", 2),
    ];
    write(&store, both).await;
    write(&store, vec![Change::Delete(one.clone())]).await;
    assert_eq!(store.sealed(&one, "token").await.unwrap(), None);
    assert_eq!(store.sealed(&two, "token").await.unwrap(), Some(sealed(2)));

    // A new document with the same pkid does not restore the secrets.
    write(&store, vec![put(&one)]).await;
    assert_eq!(store.sealed(&one, "token").await.unwrap(), None);
}
