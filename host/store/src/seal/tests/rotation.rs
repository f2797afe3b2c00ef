//! Tests of key rotation while other sealers of the same store continue.

use std::io;

use super::*;
use crate::{Quarantine, Retirement, SecretCount, SecretScope};
use relation_types::Document;

const LATER: Timestamp = Timestamp(2_000_000);

fn later() -> Timestamp {
    LATER
}

fn silent(_: RotationProgress) {}

/// Creates a record with these secrets, sealed by `sealer`.
async fn record(world: &World, sealer: &Sealer, secrets: &[(&str, &str)]) -> Reference {
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
    world.store.commit(commit).await.unwrap();
    for (name, value) in secrets {
        write(world, sealer, &owner, name, value).await.unwrap();
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
    world: &World,
    sealer: &Sealer,
    owner: &Reference,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let commit = seal(sealer, owner, name, value);
    sealer.commit(&world.store, commit).await
}

async fn reveal(
    world: &World,
    sealer: &Sealer,
    owner: &Reference,
    name: &str,
) -> Result<String, SealError> {
    let value = sealer.reveal(&world.store, owner, name).await?;
    Ok(value.expect("it is there").expose_secret().to_owned())
}

async fn rotate(world: &World, sealer: &Sealer) -> RotationReport {
    let rotation = Rotation::new(&world.store, sealer, &later, 2);
    rotation.rotate(false, silent).await.unwrap()
}

async fn count(world: &World, key: u32) -> u64 {
    let counted = world.store.key_use().await.unwrap();
    counted.by_key.get(&key).map_or(0, |count| count.all)
}

/// Overwrites a stored value, as a disk error would.
async fn damage(world: &World, owner: &Reference, name: &str, change: fn(&mut Vec<u8>)) {
    let stored = world.store.sealed(owner, name).await.unwrap().unwrap();
    let mut bytes = stored.as_bytes().to_vec();
    change(&mut bytes);
    let damaged = rusqlite::params![bytes, owner.pkid.as_str(), name];
    world
        .store
        .execute(
            "UPDATE secrets SET sealed = ?1 WHERE pkid = ?2 AND name = ?3",
            damaged,
        )
        .unwrap();
}

#[tokio::test]
async fn rotation_reseals_all_and_frees_the_old_key() {
    let world = World::new();
    let sealer = world.sealer().await;
    let mut owners = Vec::new();
    for number in 0..7 {
        let value = format!("secret {number}");
        owners.push(record(&world, &sealer, &[("access", &value), ("refresh", "r")]).await);
    }
    let mut reports = Vec::new();
    let rotation = Rotation::new(&world.store, &sealer, &later, 3);
    let rotated = rotation
        .rotate(false, |progress| reports.push(progress))
        .await;
    let expected = RotationReport {
        key: 2,
        added: true,
        resealed: 14,
        unopened: Vec::new(),
        older: vec![1],
    };
    assert_eq!(rotated.unwrap(), expected);
    let total = 14;
    assert_eq!(reports.first(), Some(&RotationProgress { done: 0, total }));
    assert_eq!(reports.last(), Some(&RotationProgress { done: 14, total }));
    assert_eq!((count(&world, 1).await, count(&world, 2).await), (0, 14));

    let again = rotate(&world, &sealer).await;
    assert_eq!((again.key, again.added, again.resealed), (2, false, 0));
    let retired = retire(&world.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
    let fresh = world.sealer().await;
    for (number, owner) in owners.iter().enumerate() {
        let value = reveal(&world, &fresh, owner, "access").await.unwrap();
        assert_eq!(value, format!("secret {number}"));
    }
    assert!(rotate(&world, &fresh).await.added, "a new one begins");
}

#[tokio::test]
async fn interrupted_rotation_is_continued() {
    let world = World::new();
    let sealer = world.sealer().await;
    for _ in 0..3 {
        record(&world, &sealer, &[("token", "t")]).await;
    }
    let rotation = Rotation::new(&world.store, &sealer, &later, 1);
    rotation.add_key(1).await.unwrap();
    let first = world
        .store
        .secrets(SecretScope::All, None, 1)
        .await
        .unwrap();
    let first = &first.items[0];
    write(&world, &sealer, &first.owner, "token", "t")
        .await
        .unwrap();
    assert_eq!(count(&world, 1).await, 2);

    let continued = rotate(&world, &world.sealer().await).await;
    assert_eq!((continued.key, continued.added), (2, false));
    assert_eq!(continued.resealed, 2);
    assert_eq!(count(&world, 1).await, 0);
}

#[tokio::test]
async fn running_sealer_survives_rotation_and_retirement() {
    let world = World::new();
    let (running, rotating) = (world.sealer().await, world.sealer().await);
    let owner = record(&world, &running, &[("token", "one"), ("other", "o")]).await;
    rotate(&world, &rotating).await;
    // It reads a value that is sealed with an unknown key.
    let value = reveal(&world, &running, &owner, "token").await.unwrap();
    assert_eq!(value, "one");

    rotate(&world, &rotating).await;
    let stale = world.sealer().await;
    let begun = seal(&stale, &owner, "token", "two");
    retire(&world.store, &[], 1, false).await.unwrap();
    rotate(&world, &rotating).await;
    retire(&world.store, &[], 2, false).await.unwrap();
    // The value it sealed before is not committed under the retired key, and not lost.
    stale.commit(&world.store, begun).await.unwrap();
    assert_eq!(count(&world, 3).await, 2);
    for sealer in [&running, &rotating, &stale, &world.sealer().await] {
        let value = reveal(&world, sealer, &owner, "token").await.unwrap();
        assert_eq!(value, "two");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_never_overwrites_concurrent_writes() {
    let world = Arc::new(World::new());
    let sealer = world.sealer().await;
    let mut owners = Vec::new();
    for _ in 0..20 {
        owners.push(record(&world, &sealer, &[("token", "0"), ("never", "n")]).await);
    }
    let hosts = owners.iter().cloned().map(|owner| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let sealer = world.sealer().await;
            for number in 1..=20 {
                let before = reveal(&world, &sealer, &owner, "token").await.unwrap();
                assert_eq!(before, (number - 1).to_string());
                let value = number.to_string();
                write(&world, &sealer, &owner, "token", &value)
                    .await
                    .unwrap();
            }
        })
    });
    let hosts: Vec<_> = hosts.collect();
    for _ in 0..3 {
        let rotation = Rotation::new(&world.store, &sealer, &later, 3);
        let rotated = rotation.rotate(true, silent).await.unwrap();
        assert_eq!(count(&world, rotated.key).await, 40);
        for old in rotated.older {
            let retired = retire(&world.store, &[], old, false).await.unwrap();
            assert_eq!(retired, Retirement::Retired);
        }
    }
    for host in hosts {
        host.await.unwrap();
    }
    for owner in &owners {
        assert_eq!(reveal(&world, &sealer, owner, "token").await.unwrap(), "20");
    }
}

#[tokio::test]
async fn concurrent_rotations_end_with_one_new_key() {
    let world = World::new();
    let (one, two) = (world.sealer().await, world.sealer().await);
    for _ in 0..10 {
        record(&world, &one, &[("token", "t")]).await;
    }
    let (left, right) = tokio::join!(rotate(&world, &one), rotate(&world, &two));
    assert_eq!((left.key, right.key), (2, 2));
    assert_eq!(left.resealed + right.resealed, 10);
    assert_eq!(count(&world, 2).await, 10);
}

#[tokio::test]
async fn rotation_keeps_and_reports_values_that_do_not_open() {
    let world = World::new();
    let sealer = world.sealer().await;
    let whole = record(&world, &sealer, &[("token", "t"), ("other", "o")]).await;
    let torn = record(&world, &sealer, &[("token", "t")]).await;
    let mangled = record(&world, &sealer, &[("token", "t")]).await;
    damage(&world, &torn, "token", |bytes| bytes[40] ^= 1).await;
    damage(&world, &mangled, "token", |bytes| bytes.truncate(9)).await;
    let bytes = world.store.sealed(&torn, "token").await.unwrap();

    for _ in 0..2 {
        let rotated = rotate(&world, &sealer).await;
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
    assert_eq!(world.store.sealed(&torn, "token").await.unwrap(), bytes);
    assert_eq!(reveal(&world, &sealer, &whole, "token").await.unwrap(), "t");
    for owner in [&torn, &mangled] {
        let error = reveal(&world, &sealer, owner, "token").await.unwrap_err();
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
    let retired = retire(&world.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, in_use);
    // New values end the quarantine.
    for owner in [&torn, &mangled] {
        write(&world, &sealer, owner, "token", "new").await.unwrap();
    }
    assert_eq!(rotate(&world, &sealer).await.unopened, []);
    let retired = retire(&world.store, &[], 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
}

#[tokio::test]
async fn check_finds_damaged_and_repaired_secrets() {
    let world = World::new();
    let sealer = world.sealer().await;
    let owner = record(&world, &sealer, &[("token", "t"), ("other", "o")]).await;
    let check = async || {
        let rotation = Rotation::new(&world.store, &sealer, &later, 1);
        rotation.check(silent).await.unwrap()
    };
    damage(&world, &owner, "token", |bytes| bytes[40] ^= 1).await;
    let found = check().await;
    assert_eq!(found.sound, 1);
    let quarantine = Quarantine {
        reason: "it does not open: it is damaged, or was sealed for another row or another store"
            .to_owned(),
        since: LATER,
    };
    let expected = UnopenedSecret {
        owner: owner.clone(),
        name: "token".to_owned(),
        key: Some(1),
        quarantine,
    };
    assert_eq!(found.unopened, [expected]);
    // The same bit is flipped back, as restoring the row from a backup would.
    damage(&world, &owner, "token", |bytes| bytes[40] ^= 1).await;
    let found = check().await;
    assert_eq!((found.sound, found.unopened.len()), (2, 0));
}

#[tokio::test]
async fn running_sealer_survives_a_rewrap() {
    let world = World::new();
    let (running, rotating) = (world.sealer().await, world.sealer().await);
    let owner = record(&world, &running, &[("token", "t")]).await;
    let path = world.directory.path().join("new.key");
    let new = || KeyFile::new(&path);
    let kek = || new().create().unwrap();
    let rotation = Rotation::new(&world.store, &rotating, &later, 1);
    assert_eq!(
        rotation.rewrap(kek()).await.unwrap(),
        RewrapOutcome::Done(1)
    );
    assert_eq!(
        rotation.rewrap(kek()).await.unwrap(),
        RewrapOutcome::Already
    );
    let stored = world.store.data_keys().await.unwrap();
    assert_eq!(stored[0].kek_id, kek().fingerprint());
    assert_eq!(stored[0].created, NOW);

    let refused = Sealer::open(&world.store, world.key_file(), NOW).await;
    assert!(matches!(refused, Err(SealError::WrongKey { .. })));
    let restarted = Sealer::open(&world.store, new(), NOW).await.unwrap();
    assert_eq!(
        reveal(&world, &restarted, &owner, "token").await.unwrap(),
        "t"
    );
    write(&world, &running, &owner, "token", "u").await.unwrap();
    assert_eq!(
        reveal(&world, &restarted, &owner, "token").await.unwrap(),
        "u"
    );
}

#[tokio::test]
async fn sealer_without_the_new_key_loses_nothing() {
    let world = World::new();
    let (running, rotating) = (world.sealer().await, world.sealer().await);
    let owner = record(&world, &running, &[("token", "t"), ("other", "o")]).await;
    let path = world.directory.path().join("new.key");
    let kek = KeyFile::new(&path).create().unwrap();
    let wanted = kek.fingerprint();
    let rotation = Rotation::new(&world.store, &rotating, &later, 1);
    rotation.rewrap(kek).await.unwrap();
    rotate(&world, &rotating).await;

    let error = reveal(&world, &running, &owner, "token").await.unwrap_err();
    assert!(matches!(error, SealError::KeyReplaced { .. }), "{error}");
    assert!(error.to_string().contains(&wanted), "{error}");
    // Its value is stored under the key that it has, until the next rotation.
    write(&world, &running, &owner, "token", "new")
        .await
        .unwrap();
    assert_eq!(
        reveal(&world, &rotating, &owner, "token").await.unwrap(),
        "new"
    );
    assert_eq!(rotate(&world, &rotating).await.resealed, 1);

    // The new key replaces the old one: after a while, the sealer loads it without a restart.
    fs::rename(&path, world.path()).unwrap();
    *running.last_refusal.lock() = None;
    assert_eq!(
        reveal(&world, &running, &owner, "token").await.unwrap(),
        "new"
    );
}

struct FixedCount(io::Result<u64>);

#[async_trait::async_trait]
impl DataKeyUser for FixedCount {
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
async fn key_needed_outside_the_store_is_not_retired() {
    let world = World::new();
    rotate(&world, &world.sealer().await).await;
    let refusal = async |shelf: FixedCount| {
        let elsewhere: [Arc<dyn DataKeyUser>; 1] = [Arc::new(shelf)];
        let retired = retire(&world.store, &elsewhere, 1, true).await;
        retired.unwrap_err().to_string()
    };
    let text = refusal(FixedCount(Ok(3))).await;
    assert!(text.contains("the shelf holds 3 that"), "{text}");
    let text = refusal(FixedCount(Err(io::ErrorKind::PermissionDenied.into()))).await;
    assert!(text.contains("cannot tell whether the shelf"), "{text}");
    let empty: [Arc<dyn DataKeyUser>; 1] = [Arc::new(FixedCount(Ok(0)))];
    let retired = retire(&world.store, &empty, 1, false).await.unwrap();
    assert_eq!(retired, Retirement::Retired);
}
