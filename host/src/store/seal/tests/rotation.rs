//! Keys are rotated while other sealers of the same store go on, and nothing is lost on the way.

use std::io;

use super::*;
use crate::store::{Quarantine, Retirement, SecretCount, SecretScope};
use crate::types::Document;

const LATER: Timestamp = Timestamp(2_000_000);

fn later() -> Timestamp {
    LATER
}

fn silent(_: Progress) {}

/// A record that exists, with these secrets sealed by `sealer`.
async fn record(given: &Given, sealer: &Sealer, secrets: &[(&str, &str)]) -> Reference {
    let owner = owner();
    let document = Document {
        reference: owner.clone(),
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    };
    let commit = Commit {
        changes: vec![Change::Put(document)],
        ..Commit::default()
    };
    given.store.commit(commit).await.unwrap();
    for (name, value) in secrets {
        write(given, sealer, &owner, name, value).await.unwrap();
    }
    owner
}

fn seal(sealer: &Sealer, owner: &Reference, name: &str, value: &str) -> Commit {
    let sealed = sealer.seal(owner, name, &value.to_owned().into()).unwrap();
    Commit {
        changes: vec![Change::PutSecret {
            owner: owner.clone(),
            name: name.to_owned(),
            sealed,
        }],
        ..Commit::default()
    }
}

async fn write(
    given: &Given,
    sealer: &Sealer,
    owner: &Reference,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let commit = seal(sealer, owner, name, value);
    sealer.commit(&given.store, commit).await
}

async fn reveal(
    given: &Given,
    sealer: &Sealer,
    owner: &Reference,
    name: &str,
) -> Result<String, SealError> {
    let value = sealer.reveal(&given.store, owner, name).await?;
    Ok(value.expect("it is there").expose_secret().to_owned())
}

async fn rotate(given: &Given, sealer: &Sealer) -> Rotated {
    let rotation = Rotation::new(&given.store, sealer, &later, 2);
    rotation.rotate(false, silent).await.unwrap()
}

async fn count(given: &Given, key: u32) -> u64 {
    let counted = given.store.key_use().await.unwrap();
    counted.by_key.get(&key).map_or(0, |count| count.all)
}

/// Overwrites what is stored, as a fault of the disk does.
async fn damage(given: &Given, owner: &Reference, name: &str, change: fn(&mut Vec<u8>)) {
    let stored = given.store.sealed(owner, name).await.unwrap().unwrap();
    let mut bytes = stored.as_bytes().to_vec();
    change(&mut bytes);
    let damaged = rusqlite::params![bytes, owner.pkid.as_str(), name];
    given
        .store
        .execute(
            "UPDATE secrets SET sealed = ?1 WHERE pkid = ?2 AND name = ?3",
            damaged,
        )
        .unwrap();
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_the_old_key_can_go() {
    let given = Given::new();
    let sealer = given.sealer().await;
    let mut owners = Vec::new();
    for number in 0..7 {
        let value = format!("secret {number}");
        owners.push(record(&given, &sealer, &[("access", &value), ("refresh", "r")]).await);
    }
    let mut told = Vec::new();
    let rotation = Rotation::new(&given.store, &sealer, &later, 3);
    let rotated = rotation.rotate(false, |progress| told.push(progress)).await;
    let expected = Rotated {
        key: 2,
        added: true,
        resealed: 14,
        unopened: Vec::new(),
        older: vec![1],
    };
    assert_eq!(rotated.unwrap(), expected);
    let total = 14;
    assert_eq!(told.first(), Some(&Progress { done: 0, total }));
    assert_eq!(told.last(), Some(&Progress { done: 14, total }));
    assert_eq!((count(&given, 1).await, count(&given, 2).await), (0, 14));

    let again = rotate(&given, &sealer).await;
    assert_eq!((again.key, again.added, again.resealed), (2, false, 0));
    let retired = retire(&given.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
    let fresh = given.sealer().await;
    for (number, owner) in owners.iter().enumerate() {
        let value = reveal(&given, &fresh, owner, "access").await.unwrap();
        assert_eq!(value, format!("secret {number}"));
    }
    assert!(rotate(&given, &fresh).await.added, "a new one begins");
}

#[tokio::test]
async fn an_interrupted_rotation_is_continued_and_not_begun_again() {
    let given = Given::new();
    let sealer = given.sealer().await;
    for _ in 0..3 {
        record(&given, &sealer, &[("token", "t")]).await;
    }
    let rotation = Rotation::new(&given.store, &sealer, &later, 1);
    rotation.add_key(1).await.unwrap();
    let first = given
        .store
        .secrets(SecretScope::All, None, 1)
        .await
        .unwrap();
    let first = &first.items[0];
    write(&given, &sealer, &first.owner, "token", "t")
        .await
        .unwrap();
    assert_eq!(count(&given, 1).await, 2);

    let continued = rotate(&given, &given.sealer().await).await;
    assert_eq!((continued.key, continued.added), (2, false));
    assert_eq!(continued.resealed, 2);
    assert_eq!(count(&given, 1).await, 0);
}

#[tokio::test]
async fn a_running_sealer_goes_on_through_rotation_and_retirement() {
    let given = Given::new();
    let (running, rotating) = (given.sealer().await, given.sealer().await);
    let owner = record(&given, &running, &[("token", "one"), ("other", "o")]).await;
    rotate(&given, &rotating).await;
    // It meets a value under a key that it does not know.
    let value = reveal(&given, &running, &owner, "token").await.unwrap();
    assert_eq!(value, "one");

    rotate(&given, &rotating).await;
    let stale = given.sealer().await;
    let begun = seal(&stale, &owner, "token", "two");
    retire(&given.store, &[], 1, false).await.unwrap();
    rotate(&given, &rotating).await;
    retire(&given.store, &[], 2, false).await.unwrap();
    // What it sealed before is not committed under a key that is gone, and not lost.
    stale.commit(&given.store, begun).await.unwrap();
    assert_eq!(count(&given, 3).await, 2);
    for sealer in [&running, &rotating, &stale, &given.sealer().await] {
        let value = reveal(&given, sealer, &owner, "token").await.unwrap();
        assert_eq!(value, "two");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_write_during_a_rotation_is_never_overwritten() {
    let given = Arc::new(Given::new());
    let sealer = given.sealer().await;
    let mut owners = Vec::new();
    for _ in 0..20 {
        owners.push(record(&given, &sealer, &[("token", "0"), ("never", "n")]).await);
    }
    let hosts = owners.iter().cloned().map(|owner| {
        let given = Arc::clone(&given);
        tokio::spawn(async move {
            let sealer = given.sealer().await;
            for number in 1..=20 {
                let before = reveal(&given, &sealer, &owner, "token").await.unwrap();
                assert_eq!(before, (number - 1).to_string());
                let value = number.to_string();
                write(&given, &sealer, &owner, "token", &value)
                    .await
                    .unwrap();
            }
        })
    });
    let hosts: Vec<_> = hosts.collect();
    for _ in 0..3 {
        let rotation = Rotation::new(&given.store, &sealer, &later, 3);
        let rotated = rotation.rotate(true, silent).await.unwrap();
        assert_eq!(count(&given, rotated.key).await, 40);
        for old in rotated.older {
            let retired = retire(&given.store, &[], old, false).await.unwrap();
            assert_eq!(retired, Retirement::Retired);
        }
    }
    for host in hosts {
        host.await.unwrap();
    }
    for owner in &owners {
        assert_eq!(reveal(&given, &sealer, owner, "token").await.unwrap(), "20");
    }
}

#[tokio::test]
async fn of_two_rotations_at_once_both_end_with_one_new_key() {
    let given = Given::new();
    let (one, two) = (given.sealer().await, given.sealer().await);
    for _ in 0..10 {
        record(&given, &one, &[("token", "t")]).await;
    }
    let (left, right) = tokio::join!(rotate(&given, &one), rotate(&given, &two));
    assert_eq!((left.key, right.key), (2, 2));
    assert_eq!(left.resealed + right.resealed, 10);
    assert_eq!(count(&given, 2).await, 10);
}

#[tokio::test]
async fn a_value_that_does_not_open_stays_and_is_told_and_the_others_are_rotated() {
    let given = Given::new();
    let sealer = given.sealer().await;
    let whole = record(&given, &sealer, &[("token", "t"), ("other", "o")]).await;
    let torn = record(&given, &sealer, &[("token", "t")]).await;
    let mangled = record(&given, &sealer, &[("token", "t")]).await;
    damage(&given, &torn, "token", |bytes| bytes[40] ^= 1).await;
    damage(&given, &mangled, "token", |bytes| bytes.truncate(9)).await;
    let bytes = given.store.sealed(&torn, "token").await.unwrap();

    for _ in 0..2 {
        let rotated = rotate(&given, &sealer).await;
        let mut found = rotated.unopened;
        found.sort_by_key(|unopened| unopened.key);
        let what: Vec<_> = found.iter().map(|one| (&one.owner, one.key)).collect();
        assert_eq!(what, [(&mangled, None), (&torn, Some(1))]);
        assert!(
            found[1].quarantine.reason.contains("does not open"),
            "{found:?}"
        );
        assert!(
            found[0].quarantine.reason.contains("known format"),
            "{found:?}"
        );
        assert_eq!(found[0].quarantine.since, LATER);
    }
    assert_eq!(given.store.sealed(&torn, "token").await.unwrap(), bytes);
    assert_eq!(reveal(&given, &sealer, &whole, "token").await.unwrap(), "t");
    for owner in [&torn, &mangled] {
        let error = reveal(&given, &sealer, owner, "token").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&owner.to_string()), "{text}");
        assert!(text.contains("relation-host keys check"), "{text}");
    }

    let in_use = Retirement::InUse {
        sealed: SecretCount {
            all: 1,
            quarantined: 1,
        },
        unknown: 1,
    };
    let retired = retire(&given.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, in_use);
    // New values end it.
    for owner in [&torn, &mangled] {
        write(&given, &sealer, owner, "token", "new").await.unwrap();
    }
    assert_eq!(rotate(&given, &sealer).await.unopened, []);
    let retired = retire(&given.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
}

#[tokio::test]
async fn a_check_finds_what_does_not_open_and_what_opens_again() {
    let given = Given::new();
    let sealer = given.sealer().await;
    let owner = record(&given, &sealer, &[("token", "t"), ("other", "o")]).await;
    let check = async || {
        let rotation = Rotation::new(&given.store, &sealer, &later, 1);
        rotation.check(silent).await.unwrap()
    };
    damage(&given, &owner, "token", |bytes| bytes[40] ^= 1).await;
    let found = check().await;
    assert_eq!(found.sound, 1);
    let quarantine = Quarantine {
        reason: "it does not open: it is damaged, or was sealed for another row or another store"
            .to_owned(),
        since: LATER,
    };
    let expected = Unopened {
        owner: owner.clone(),
        name: "token".to_owned(),
        key: Some(1),
        quarantine,
    };
    assert_eq!(found.unopened, [expected]);
    // The same bit again, as a backup of the row would.
    damage(&given, &owner, "token", |bytes| bytes[40] ^= 1).await;
    let found = check().await;
    assert_eq!((found.sound, found.unopened.len()), (2, 0));
}

#[tokio::test]
async fn data_keys_are_wrapped_by_a_new_key_and_a_running_sealer_goes_on() {
    let given = Given::new();
    let (running, rotating) = (given.sealer().await, given.sealer().await);
    let owner = record(&given, &running, &[("token", "t")]).await;
    let path = given.directory.path().join("new.key");
    let new = || KeyFile::new(&path);
    let kek = || new().create().unwrap();
    let rotation = Rotation::new(&given.store, &rotating, &later, 1);
    assert_eq!(rotation.rewrap(kek()).await.unwrap(), Rewrapped::Done(1));
    assert_eq!(rotation.rewrap(kek()).await.unwrap(), Rewrapped::Already);
    let stored = given.store.data_keys().await.unwrap();
    assert_eq!(stored[0].kek_id, kek().fingerprint());
    assert_eq!(stored[0].created, NOW);

    let refused = Sealer::open(&given.store, given.key_file(), NOW).await;
    assert!(matches!(refused, Err(SealError::WrongKey { .. })));
    let restarted = Sealer::open(&given.store, new(), NOW).await.unwrap();
    assert_eq!(
        reveal(&given, &restarted, &owner, "token").await.unwrap(),
        "t"
    );
    write(&given, &running, &owner, "token", "u").await.unwrap();
    assert_eq!(
        reveal(&given, &restarted, &owner, "token").await.unwrap(),
        "u"
    );
}

#[tokio::test]
async fn a_sealer_that_lacks_the_new_key_loses_nothing_and_says_what_it_wants() {
    let given = Given::new();
    let (running, rotating) = (given.sealer().await, given.sealer().await);
    let owner = record(&given, &running, &[("token", "t"), ("other", "o")]).await;
    let path = given.directory.path().join("new.key");
    let kek = KeyFile::new(&path).create().unwrap();
    let wanted = kek.fingerprint();
    let rotation = Rotation::new(&given.store, &rotating, &later, 1);
    rotation.rewrap(kek).await.unwrap();
    rotate(&given, &rotating).await;

    let error = reveal(&given, &running, &owner, "token").await.unwrap_err();
    assert!(matches!(error, SealError::Rewrapped { .. }), "{error}");
    assert!(error.to_string().contains(&wanted), "{error}");
    // What it has to keep is kept, under the key that it has, for the next rotation.
    write(&given, &running, &owner, "token", "new")
        .await
        .unwrap();
    assert_eq!(
        reveal(&given, &rotating, &owner, "token").await.unwrap(),
        "new"
    );
    assert_eq!(rotate(&given, &rotating).await.resealed, 1);

    // The new key takes the place of the old one: it is found without a restart, after a while.
    fs::rename(&path, given.path()).unwrap();
    *lock(&running.refused) = None;
    assert_eq!(
        reveal(&given, &running, &owner, "token").await.unwrap(),
        "new"
    );
}

struct Shelf(io::Result<u64>);

#[async_trait::async_trait]
impl SealedElsewhere for Shelf {
    fn describe(&self) -> String {
        "the shelf".to_owned()
    }

    async fn sealed_with(&self, key: u32) -> io::Result<u64> {
        match (&self.0, key) {
            (Ok(values), 1) => Ok(*values),
            (Ok(_), _) => Ok(0),
            (Err(error), _) => Err(io::Error::from(error.kind())),
        }
    }
}

#[tokio::test]
async fn a_key_that_is_needed_outside_of_the_store_is_not_retired() {
    let given = Given::new();
    rotate(&given, &given.sealer().await).await;
    let refusal = async |shelf: Shelf| {
        let elsewhere: [Arc<dyn SealedElsewhere>; 1] = [Arc::new(shelf)];
        let retired = retire(&given.store, &elsewhere, 1, true).await;
        retired.unwrap_err().to_string()
    };
    let text = refusal(Shelf(Ok(3))).await;
    assert!(text.contains("the shelf holds 3 that"), "{text}");
    let text = refusal(Shelf(Err(io::ErrorKind::PermissionDenied.into()))).await;
    assert!(text.contains("cannot tell whether the shelf"), "{text}");
    let empty: [Arc<dyn SealedElsewhere>; 1] = [Arc::new(Shelf(Ok(0)))];
    let retired = retire(&given.store, &empty, 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
}
