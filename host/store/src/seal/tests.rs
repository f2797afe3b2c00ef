//! Tests that a sealed value opens only in its own row and with its own key.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::sqlite::SqliteStore;
use crate::{DocumentStore, KeyStore};
use relation_types::Pkid;

mod rotation;

const NOW: Timestamp = Timestamp(1_000_000);
const TOKEN: &str = "a very secret token – ünïcode";

struct World {
    directory: tempfile::TempDir,
    store: SqliteStore,
}

impl World {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            store: SqliteStore::in_memory().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("relation.key")
    }

    fn key_file(&self) -> KeyFile {
        KeyFile::new(self.path())
    }

    async fn sealer(&self) -> Sealer {
        Sealer::open(&self.store, self.key_file(), NOW)
            .await
            .unwrap()
    }
}

fn owner() -> Reference {
    Reference::record(Pkid::random())
}

fn secret() -> SecretString {
    SecretString::from(TOKEN)
}

#[tokio::test]
async fn sealed_value_opens_after_a_restart() {
    let world = World::new();
    let owner = owner();
    let sealed = world
        .sealer()
        .await
        .seal(&owner, "token", &secret())
        .unwrap();
    let stored = Sealed::try_from(sealed.as_bytes().to_vec()).unwrap();
    let opened = world
        .sealer()
        .await
        .unseal(&owner, "token", &stored)
        .unwrap();
    assert_eq!(opened.expose_secret(), TOKEN);
}

#[tokio::test]
async fn an_empty_secret_and_a_long_one_are_secrets_too() {
    let sealer = World::new().sealer().await;
    for value in [String::new(), "x".repeat(1 << 20)] {
        let owner = owner();
        let sealed = sealer.seal(&owner, "token", &value.clone().into()).unwrap();
        let opened = sealer.unseal(&owner, "token", &sealed).unwrap();
        assert!(opened.expose_secret() == value);
    }
}

#[tokio::test]
async fn the_same_secret_never_looks_the_same_twice() {
    let sealer = World::new().sealer().await;
    let owner = owner();
    let seal = || sealer.seal(&owner, "token", &secret()).unwrap();
    let (one, two) = (seal(), seal());
    assert_ne!(one, two);
    let part = &TOKEN.as_bytes()[..8];
    assert!(!one.as_bytes().windows(8).any(|bytes| bytes == part));
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_row_is_refused() {
    let world = World::new();
    let sealer = world.sealer().await;
    let owner = owner();
    let sealed = sealer.seal(&owner, "token", &secret()).unwrap();
    let other_record = Reference::record(Pkid::random());
    let other_model = Reference::new("data/Other", owner.pkid.clone());
    for (who, name) in [
        (&other_record, "token"),
        (&other_model, "token"),
        (&owner, "refresh_token"),
    ] {
        let error = sealer.unseal(who, name, &sealed).unwrap_err();
        assert!(
            matches!(&error, SealError::DecryptionFailed { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(name) && error.to_string().contains(&who.to_string()));
    }
}

#[tokio::test]
async fn value_of_another_store_does_not_open() {
    let world = World::new();
    let owner = owner();
    let sealed = world
        .sealer()
        .await
        .seal(&owner, "token", &secret())
        .unwrap();
    let other_store = SqliteStore::in_memory().unwrap();
    let other = Sealer::open(&other_store, world.key_file(), NOW)
        .await
        .unwrap();
    assert!(other.unseal(&owner, "token", &sealed).is_err());
}

#[tokio::test]
async fn value_is_bound_to_its_store_with_the_same_data_key() {
    let world = World::new();
    let sealer = world.sealer().await;
    let owner = owner();
    let sealed = sealer.seal(&owner, "token", &secret()).unwrap();
    let elsewhere = Sealer {
        store: "another".to_owned(),
        ..sealer
    };
    assert!(elsewhere.unseal(&owner, "token", &sealed).is_err());
}

#[tokio::test]
async fn data_key_of_another_store_does_not_open() {
    let world = World::new();
    world.sealer().await;
    let copied = world.store.data_keys().await.unwrap().remove(0);
    let other_store = SqliteStore::in_memory().unwrap();
    other_store.add_data_key(copied).await.unwrap();
    let error = Sealer::open(&other_store, world.key_file(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, SealError::DamagedDataKey(1)), "{error}");
}

#[tokio::test]
async fn value_with_a_changed_bit_does_not_open() {
    let sealer = World::new().sealer().await;
    let owner = owner();
    let sealed = sealer.seal(&owner, "token", &secret()).unwrap();
    for at in 0..sealed.as_bytes().len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[at] ^= 1;
        if let Ok(changed) = Sealed::try_from(bytes) {
            assert!(sealer.unseal(&owner, "token", &changed).is_err(), "{at}");
        }
    }
    let shorter = sealed.as_bytes()[..sealed.as_bytes().len() - 1].to_vec();
    let shorter = Sealed::try_from(shorter).unwrap();
    assert!(sealer.unseal(&owner, "token", &shorter).is_err());
}

#[test]
fn malformed_sealed_value_is_refused() {
    for bytes in [vec![], vec![1; 44], vec![2; 100], vec![0; 100]] {
        assert_eq!(Sealed::try_from(bytes), Err(MalformedSeal));
    }
}

#[tokio::test]
async fn a_value_that_names_an_unknown_data_key_says_so() {
    let sealer = World::new().sealer().await;
    let owner = owner();
    let sealed = sealer.seal(&owner, "token", &secret()).unwrap();
    let mut bytes = sealed.as_bytes().to_vec();
    bytes[4] = 9;
    let unknown = Sealed::try_from(bytes).unwrap();
    let error = sealer.unseal(&owner, "token", &unknown).unwrap_err();
    assert!(error.to_string().contains("data key 9"), "{error}");
}

#[tokio::test]
async fn wrong_key_error_names_both_keys() {
    let world = World::new();
    world.sealer().await;
    let wanted = world.key_file().load().unwrap().unwrap().fingerprint();
    let wrong = KeyFile::new(world.directory.path().join("wrong.key"));
    let given_key = wrong.create().unwrap().fingerprint();
    let error = Sealer::open(&world.store, wrong, NOW).await.unwrap_err();
    let expected = format!(
        "the secrets of this store were sealed under key {wanted}, but the key file {} holds key \
         {given_key}: name the right one",
        world.directory.path().join("wrong.key").display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_store_with_secrets_never_gets_a_new_key() {
    let world = World::new();
    world.sealer().await;
    fs::remove_file(world.path()).unwrap();
    let error = Sealer::open(&world.store, world.key_file(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(&error, SealError::NoKey { .. }), "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(!world.path().exists());
}

#[tokio::test]
async fn two_hosts_starting_concurrently_share_one_key() {
    let world = World::new();
    let (one, two) = tokio::join!(world.sealer(), world.sealer());
    let owner = owner();
    let sealed = one.seal(&owner, "token", &secret()).unwrap();
    let opened = two.unseal(&owner, "token", &sealed).unwrap();
    assert_eq!(opened.expose_secret(), TOKEN);
    assert_eq!(world.store.data_keys().await.unwrap().len(), 1);
}

#[test]
fn concurrent_key_file_creations_get_one_key() {
    let world = World::new();
    let file = world.key_file();
    let prints: Vec<String> = std::thread::scope(|scope| {
        let makers = [(); 8].map(|()| scope.spawn(|| file.create().unwrap()));
        let keys = makers.map(|maker| maker.join().unwrap());
        keys.iter().map(KeyEncryptionKey::fingerprint).collect()
    });
    assert!(prints.iter().all(|print| *print == prints[0]), "{prints:?}");
    let files = fs::read_dir(world.directory.path()).unwrap();
    assert_eq!(files.count(), 1, "nothing is left of the others");
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    world.sealer().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path()), 0o600);
    for exposed in [0o640, 0o604, 0o620, 0o660] {
        fs::set_permissions(world.path(), PermissionsExt::from_mode(exposed)).unwrap();
        let error = world.key_file().load().unwrap_err();
        assert!(matches!(&error, KeyError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(world.path(), PermissionsExt::from_mode(0o400)).unwrap();
    assert!(world.key_file().load().unwrap().is_some());
}

#[test]
fn a_key_file_says_what_it_is_and_is_read_back() {
    let world = World::new();
    assert!(world.key_file().load().unwrap().is_none());
    let made = world.key_file().create().unwrap();
    let read = world.key_file().load().unwrap().unwrap();
    assert_eq!(made.bytes(), read.bytes());
    let text = fs::read_to_string(world.path()).unwrap();
    assert!(text.starts_with("# The key of the secrets"), "{text}");
}

#[test]
fn malformed_key_file_error_shows_no_content() {
    let world = World::new();
    world.key_file().create().unwrap();
    let digits = "0123456789abcdef".repeat(4);
    for content in [
        String::new(),
        "# only a comment\n".to_owned(),
        digits.clone(),
        format!("relation-key-1 {}\n", &digits[1..]),
        format!("relation-key-1 {}g\n", &digits[1..]),
        format!("relation-key-1 {}é\n", &digits[2..]),
        format!("relation-key-2 {digits}\n"),
        format!("relation-key-1 {digits}\nrelation-key-1 {digits}\n"),
    ] {
        fs::write(world.path(), &content).unwrap();
        let error = world.key_file().load().unwrap_err();
        assert!(
            matches!(&error, KeyError::Malformed { .. }),
            "{content}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains(&digits[1..40]));
    }
    let text = format!("relation-key-1 {digits}\n");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, found) in [
        (b"relation-key-1 \x00\xff".as_slice(), "it is not text"),
        (&utf16, "it is UTF-16: save it as UTF-8"),
        (b"# M\xfcller\n", "Latin-1"),
    ] {
        fs::write(world.path(), bytes).unwrap();
        let error = world.key_file().load().unwrap_err();
        assert!(error.to_string().contains(found), "{error}");
    }
    fs::write(world.path(), format!("\u{feff}{text}")).unwrap();
    assert!(world.key_file().load().unwrap().is_some());
}

#[test]
fn key_file_in_a_missing_directory_is_not_created() {
    let world = World::new();
    let file = KeyFile::new(world.directory.path().join("missing/relation.key"));
    let error = file.create().unwrap_err();
    assert!(matches!(&error, KeyError::NoDirectory { .. }), "{error}");
    assert!(
        error.to_string().contains("missing does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn debug_output_shows_no_key_or_secret() {
    let world = World::new();
    let sealer = world.sealer().await;
    let kek = world.key_file().load().unwrap().unwrap();
    let data_key = world.store.data_keys().await.unwrap().remove(0);
    let sealed = sealer.seal(&owner(), "token", &secret()).unwrap();
    let clear: Vec<String> = kek.bytes().iter().map(u8::to_string).collect();
    let printed = format!("{sealer:?} {kek:?} {data_key:?} {sealed:?}");
    let in_hex = hex::encode(kek.bytes());
    assert!(!printed.contains(&in_hex) && !printed.contains(&clear.join(", ")));
    assert!(!printed.contains(TOKEN) && !printed.contains("wrapped"));
}
