//! Data keys, and the secrets that are sealed with them while they are rotated.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::seal::Sealed;
use crate::{
    Change, Commit, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    Store, StoreError, StoredSecret,
};
use relation_types::Reference;

fn seal_under(key: u32, owner: &Reference, name: &str, filling: u8) -> Change {
    Change::PutSecret {
        owner: owner.clone(),
        name: name.to_owned(),
        sealed: sealed_under(key, filling),
    }
}

async fn second_key(store: &Arc<dyn Store>) {
    store.add_data_key(data_key(2, "kek")).await.unwrap();
}

async fn all(store: &Arc<dyn Store>, scope: SecretScope) -> Vec<StoredSecret> {
    store.secrets(scope, None, 1000).await.unwrap().items
}

async fn one_step(store: &Arc<dyn Store>, secret: &StoredSecret, to: ResealAction) -> bool {
    let secret = secret.clone();
    let done = store.reseal(vec![ResealStep { secret, to }]).await.unwrap();
    assert_eq!(done.len(), 1);
    done[0]
}

fn quarantined(reason: &str) -> ResealAction {
    ResealAction::Quarantined(Quarantine {
        reason: reason.to_owned(),
        since: at(5),
    })
}

fn count(all: u64, quarantined: u64) -> SecretCount {
    SecretCount { all, quarantined }
}

#[track_caller]
fn assert_stale<T: std::fmt::Debug>(result: Result<T, StoreError>, key: u32) {
    assert!(
        matches!(&result, Err(StoreError::StaleKey(stale)) if *stale == key),
        "{result:?}"
    );
}

pub(super) async fn a_data_key_is_added_once(stores: Arc<dyn Stores>) {
    let store = stores.open().await;
    assert_eq!(store.data_keys().await.unwrap(), []);
    let first = data_key(1, "kek");
    let other = data_key(1, "of another host");
    assert_eq!(store.add_data_key(first.clone()).await.unwrap(), first);
    assert_eq!(store.add_data_key(other).await.unwrap(), first);
    let second = data_key(2, "kek");
    assert_eq!(store.add_data_key(second.clone()).await.unwrap(), second);
    assert_eq!(store.data_keys().await.unwrap(), [first, second]);
}

pub(super) async fn all_data_keys_are_wrapped_by_one_key(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_conflict(store.add_data_key(data_key(2, "another kek")).await);
    assert_eq!(store.data_keys().await.unwrap().len(), 1);
}

pub(super) async fn rewrap_is_atomic_and_needs_the_current_keys(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = vec![data_key(1, "kek")];
    let one_rewrapped = vec![data_key(1, "new kek")];
    second_key(&store).await;
    // A key was added after the keys were read.
    assert_conflict(
        store
            .rewrap_data_keys(one.clone(), one_rewrapped.clone())
            .await,
    );

    let both = store.data_keys().await.unwrap();
    let both_rewrapped = vec![data_key(1, "new kek"), data_key(2, "new kek")];
    assert_invalid(store.rewrap_data_keys(both.clone(), one_rewrapped).await);
    let renamed = vec![data_key(1, "new kek"), data_key(3, "new kek")];
    assert_invalid(store.rewrap_data_keys(both.clone(), renamed).await);
    assert_eq!(store.data_keys().await.unwrap(), both);

    let done = store.rewrap_data_keys(both.clone(), both_rewrapped.clone());
    done.await.unwrap();
    assert_eq!(store.data_keys().await.unwrap(), both_rewrapped);
    assert_conflict(store.rewrap_data_keys(both, both_rewrapped).await);
    // A host with the old key-encryption key cannot add a data key that other hosts cannot open.
    assert_conflict(store.add_data_key(data_key(3, "kek")).await);
}

pub(super) async fn commit_with_an_older_data_key_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one), seal(&one, "token", 1)]).await;
    let unknown = vec![seal_under(2, &one, "token", 2)];
    assert_stale(store.commit(changes(unknown)).await, 2);

    second_key(&store).await;
    let stale = vec![put(&one), seal_under(1, &one, "token", 3)];
    assert_stale(store.commit(changes(stale)).await, 1);
    assert_eq!(version(&store, &one).await, Some(1), "nothing was written");
    write(&store, vec![seal_under(2, &one, "token", 4)]).await;
    let kept = store.sealed(&one, "token").await.unwrap();
    assert_eq!(kept, Some(sealed_under(2, 4)));
}

pub(super) async fn older_keys_option_allows_an_older_data_key(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    second_key(&store).await;
    let one = record(1);
    let saying_so = |key| Commit {
        older_keys: true,
        ..changes(vec![put(&one), seal_under(key, &one, "token", 1)])
    };
    store.commit(saying_so(1)).await.unwrap();
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(1)));
    assert_stale(store.commit(saying_so(3)).await, 3);
}

pub(super) async fn reseal_never_overwrites_a_newer_value(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let (one, two) = (record(1), record(2));
    let both = vec![
        put(&one),
        put(&two),
        seal(&one, "token", 1),
        seal(&two, "token", 2),
    ];
    write(&store, both).await;
    let read = all(&store, SecretScope::All).await;
    let find = |owner: &Reference| read.iter().find(|secret| secret.owner == *owner).unwrap();
    let resealed = |filling| ResealAction::Sealed(sealed_under(2, filling));
    let too_early = vec![ResealStep {
        secret: find(&one).clone(),
        to: resealed(3),
    }];
    assert_stale(store.reseal(too_early).await, 2);

    second_key(&store).await;
    write(&store, vec![seal_under(2, &one, "token", 4)]).await;
    let steps = [&one, &two].map(|owner| ResealStep {
        secret: find(owner).clone(),
        to: resealed(5),
    });
    let done = store.reseal(steps.to_vec()).await.unwrap();
    assert_eq!(done, [false, true]);
    let kept = store.sealed(&one, "token").await.unwrap();
    assert_eq!(kept, Some(sealed_under(2, 4)));
    let kept = store.sealed(&two, "token").await.unwrap();
    assert_eq!(kept, Some(sealed_under(2, 5)));

    // A secret that was deleted meanwhile is not restored.
    let read = all(&store, SecretScope::All).await;
    write(&store, vec![Change::Delete(two.clone())]).await;
    let gone = read.iter().find(|secret| secret.owner == two).unwrap();
    assert!(!one_step(&store, gone, resealed(6)).await);
    assert_eq!(store.sealed(&two, "token").await.unwrap(), None);
    assert_eq!(version(&store, &one).await, Some(1));
}

pub(super) async fn secrets_are_listed_in_pages_by_data_key(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let mut places = Vec::new();
    for number in 0..10 {
        let owner = record(number);
        write(
            &store,
            vec![put(&owner), seal(&owner, "a", 1), seal(&owner, "b", 2)],
        )
        .await;
        places.extend(["a", "b"].map(|name| (owner.clone(), name.to_owned())));
    }
    second_key(&store).await;
    let renewed = seal_under(2, &record(3), "a", 3);
    write(&store, vec![renewed]).await;
    places.sort_by(|(one, a), (two, b)| (&one.pkid, a).cmp(&(&two.pkid, b)));

    for (scope, expected) in [
        (SecretScope::All, places.clone()),
        (SecretScope::NotSealedWith(2), {
            let mut old = places.clone();
            old.retain(|place| *place != (record(3), "a".to_owned()));
            old
        }),
        (
            SecretScope::NotSealedWith(1),
            vec![(record(3), "a".to_owned())],
        ),
        (SecretScope::Quarantined, Vec::new()),
    ] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.secrets(scope, cursor.as_deref(), 3).await.unwrap();
            assert!(page.items.len() <= 3);
            for secret in page.items {
                let sealed = store.sealed(&secret.owner, &secret.name).await.unwrap();
                assert_eq!(sealed.unwrap().as_bytes(), secret.bytes);
                found.push((secret.owner, secret.name));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{scope:?}");
    }
    let page = store.secrets(SecretScope::All, None, 3).await.unwrap();
    let cursor = page.next.as_deref();
    assert_invalid(
        store
            .secrets(SecretScope::NotSealedWith(1), cursor, 3)
            .await,
    );
    assert_invalid(store.secrets(SecretScope::All, None, 0).await);
}

pub(super) async fn quarantine_ends_when_replaced_or_found_sound(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one), seal(&one, "token", 1)]).await;
    let listed = async || all(&store, SecretScope::Quarantined).await;
    let read = async || all(&store, SecretScope::All).await.remove(0);

    assert!(one_step(&store, &read().await, quarantined("it does not open")).await);
    let found = listed().await;
    assert_eq!(found.len(), 1);
    let note = found[0].quarantined.clone().unwrap();
    assert_eq!(
        (note.reason.as_str(), note.since),
        ("it does not open", at(5))
    );
    assert_eq!(store.sealed(&one, "token").await.unwrap(), Some(sealed(1)));

    assert!(one_step(&store, &found[0], ResealAction::Sound).await);
    assert_eq!(listed().await, []);
    assert!(one_step(&store, &read().await, quarantined("again")).await);
    write(&store, vec![seal(&one, "token", 2)]).await;
    assert_eq!(listed().await, []);
    assert!(one_step(&store, &read().await, quarantined("again")).await);
    let resealed = ResealAction::Sealed(sealed(3));
    assert!(one_step(&store, &read().await, resealed).await);
    assert_eq!(listed().await, []);
    // A secret that was replaced meanwhile is not quarantined.
    let before = read().await;
    write(&store, vec![seal(&one, "token", 4)]).await;
    assert!(!one_step(&store, &before, quarantined("too late")).await);
    assert_eq!(listed().await, []);
}

pub(super) async fn the_use_of_keys_is_counted(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_eq!(store.key_use().await.unwrap(), Default::default());
    let one = record(1);
    let three = ["a", "b", "c"].map(|name| seal(&one, name, 1));
    write(&store, vec![put(&one)]).await;
    write(&store, three.to_vec()).await;
    second_key(&store).await;
    write(&store, vec![seal_under(2, &one, "a", 2)]).await;
    let old = all(&store, SecretScope::NotSealedWith(2)).await;
    assert!(one_step(&store, &old[0], quarantined("why")).await);
    let found = store.key_use().await.unwrap();
    assert_eq!(found.by_key, [(1, count(2, 1)), (2, count(1, 0))].into());
    assert_eq!(found.malformed, count(0, 0));
}

pub(super) async fn a_key_is_retired_when_nothing_needs_it(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one), seal(&one, "token", 1)]).await;
    let retire = async |id| store.retire_data_key(id, true).await.unwrap();
    assert_eq!(retire(1).await, Retirement::Newest);
    assert_eq!(retire(7).await, Retirement::Absent);
    second_key(&store).await;
    let in_use = Retirement::InUse {
        sealed: count(1, 0),
        unknown: 0,
    };
    assert_eq!(retire(1).await, in_use);
    assert_eq!(store.data_keys().await.unwrap().len(), 2);

    write(&store, vec![seal_under(2, &one, "token", 2)]).await;
    assert_eq!(retire(1).await, Retirement::Retired);
    assert_eq!(store.data_keys().await.unwrap(), [data_key(2, "kek")]);
    assert_eq!(retire(1).await, Retirement::Absent);
    assert_eq!(retire(2).await, Retirement::Newest);
}

pub(super) async fn key_of_quarantined_secrets_is_retired_on_demand(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let one = record(1);
    write(&store, vec![put(&one), seal(&one, "token", 1)]).await;
    second_key(&store).await;
    let damaged = all(&store, SecretScope::All).await.remove(0);
    assert!(one_step(&store, &damaged, quarantined("why")).await);
    let in_use = Retirement::InUse {
        sealed: count(1, 1),
        unknown: 0,
    };
    assert_eq!(store.retire_data_key(1, false).await.unwrap(), in_use);
    let retired = store.retire_data_key(1, true).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
    let kept = all(&store, SecretScope::Quarantined).await;
    assert_eq!(kept[0].bytes, damaged.bytes, "the value stays as it is");
}

pub(super) async fn a_retired_key_seals_nothing_any_more(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    second_key(&store).await;
    let retired = store.retire_data_key(1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
    let one = record(1);
    for older_keys in [false, true] {
        let late = Commit {
            older_keys,
            ..changes(vec![put(&one), seal(&one, "token", 1)])
        };
        assert_stale(store.commit(late).await, 1);
    }
    assert_eq!(version(&store, &one).await, None);
    assert_eq!(Sealed::key_from_prefix(sealed(1).as_bytes()), Some(1));
}
