//! What a stash keeps, what it refuses, and what it moves aside.

use std::os::unix::fs::PermissionsExt;

use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::store::seal::KeyFile;
use crate::store::sqlite::SqliteStore;
use crate::store::{Change, Check, Store};
use crate::types::{Document, Filter, Key, Pkid, Scope, Timestamp, Wakeup};

const PKID: &str = "0123456789abcdef01234567";
const OTHER: &str = "76543210fedcba9876543210";

struct Given {
    directory: TempDir,
    store: SqliteStore,
    stash: Stash,
}

async fn given() -> Given {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::in_memory().unwrap();
    let key = KeyFile::new(directory.path().join("key"));
    let sealer = Sealer::open(&store, key, Timestamp(0)).await.unwrap();
    let path = directory.path().join("stash");
    Given {
        stash: Stash::new(path, store.id(), Arc::new(sealer)),
        store,
        directory,
    }
}

fn subject(pkid: &str) -> Reference {
    Reference::record(pkid.parse().unwrap())
}

/// A commit with one of each.
fn kept(stash: &Stash, pkid: &str, epoch: u64) -> Kept {
    let subject = subject(pkid);
    let token = SecretString::from("canary-token");
    let filter = Filter {
        model: "data/Schedule".to_owned(),
        hierarchy: Some(("sys.A".parse().unwrap(), Scope::Subtree)),
        equals: vec![Key {
            name: "name".to_owned(),
            value: "x".to_owned(),
        }],
    };
    Kept {
        subject: subject.clone(),
        epoch,
        since: Timestamp(5),
        transaction: "t1".to_owned(),
        checks: vec![
            Check::Version(subject.clone(), 7),
            Check::Absent(subject.clone()),
            Check::Unique(filter, Some(subject.clone())),
        ],
        changes: vec![
            Change::Put(Document {
                reference: subject.clone(),
                hierarchy: "sys.A".parse().unwrap(),
                version: 7,
                body: "{\"note\":\"canary-body\"}".to_owned(),
                keys: Vec::new(),
            }),
            Change::PutSecret {
                owner: subject.clone(),
                name: "token".to_owned(),
                sealed: stash.sealer.seal(&subject, "token", &token).unwrap(),
            },
            Change::RemoveSecret(subject.clone(), "old".to_owned()),
            Change::Schedule(Wakeup {
                id: "refresh".to_owned(),
                subject: subject.clone(),
                due: Timestamp(9),
                deadline: Some(Timestamp(10)),
                payload: String::new(),
            }),
            Change::Cancel(subject.clone(), "expiry".to_owned()),
            Change::Delete(Reference::new("data/Alert", Pkid::random())),
        ],
    }
}

fn files_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = files(directory)
        .unwrap()
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_kept_comes_back_as_it_was() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    let kept = kept(&stash, PKID, 3);
    stash.keep(&kept).unwrap();
    let names = stash.of(&kept.subject).unwrap();
    assert_eq!(names, [Name::of(&kept.subject, 3)]);
    let read = stash.read(&names[0]).unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{kept:?}"));

    stash.remove(&names[0]).unwrap();
    stash.remove(&names[0]).expect("it is gone, as it should");
    assert!(stash.read(&names[0]).unwrap().is_none());
    assert!(stash.of(&kept.subject).unwrap().is_empty());
}

#[tokio::test]
async fn only_its_owner_can_look_and_there_is_nothing_to_see() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    stash.keep(&kept(&stash, PKID, 3)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(stash.directory()), 0o700);
    let file = stash.directory().join(format!("{PKID}.3.answer"));
    assert_eq!(mode(&file), 0o600);
    let bytes = fs::read(file).unwrap();
    for canary in ["canary-token", "canary-body"] {
        let seen = bytes
            .windows(canary.len())
            .any(|window| window == canary.as_bytes());
        assert!(!seen, "{canary}");
    }
}

#[tokio::test]
async fn the_entries_of_a_subject_are_in_the_order_of_their_epochs() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    for (pkid, epoch) in [(PKID, 10), (OTHER, 1), (PKID, 9)] {
        stash.keep(&kept(&stash, pkid, epoch)).unwrap();
    }
    let epochs = [9, 10].map(|epoch| Name::of(&subject(PKID), epoch));
    assert_eq!(stash.of(&subject(PKID)).unwrap(), epochs);
    assert_eq!(
        stash.subjects().unwrap(),
        [subject(PKID), subject(OTHER)],
        "each once"
    );
}

#[tokio::test]
async fn a_byte_that_changed_is_found_wherever_it_is() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    stash.keep(&kept(&stash, PKID, 3)).unwrap();
    let name = Name::of(&subject(PKID), 3);
    let path = stash.path(&name);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(stash.read(&name).is_err(), "byte {at}");
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(stash.read(&name).is_err(), "cut off at {length}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(stash.read(&name).unwrap().is_some());
}

#[tokio::test]
async fn an_entry_opens_only_for_its_own_subject_and_epoch() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    stash.keep(&kept(&stash, PKID, 3)).unwrap();
    let path = stash.path(&Name::of(&subject(PKID), 3));
    for name in [Name::of(&subject(PKID), 4), Name::of(&subject(OTHER), 3)] {
        // Under another name, and with a label that says so too.
        fs::copy(&path, stash.path(&name)).unwrap();
        let moved = stash.read(&name);
        assert!(matches!(moved, Err(StashError::Unreadable { .. })));
        let text = fs::read(&path).unwrap();
        let parts = entry::split(&text).unwrap();
        let label = Label {
            subject: if name.is_of(&subject(PKID)) {
                subject(PKID)
            } else {
                subject(OTHER)
            },
            epoch: if name.is_of(&subject(PKID)) { 4 } else { 3 },
            ..parts.label
        };
        fs::write(
            stash.path(&name),
            entry::join(&label, &parts.sealed).unwrap(),
        )
        .unwrap();
        let relabelled = stash.read(&name);
        assert!(matches!(relabelled, Err(StashError::Unreadable { .. })));
    }
}

#[tokio::test]
async fn what_is_no_entry_is_moved_aside_and_never_dropped() {
    let Given {
        directory: _here,
        stash,
        ..
    } = given().await;
    stash.keep(&kept(&stash, PKID, 3)).unwrap();
    let garbage = format!("{OTHER}.1.answer");
    for name in ["README", garbage.as_str(), ".unfinished-abc"] {
        fs::write(stash.directory().join(name), "hello").unwrap();
    }
    assert_eq!(stash.subjects().unwrap(), [subject(PKID)]);
    let quarantine = stash.directory().join(QUARANTINE);
    assert_eq!(files_in(&quarantine), [&garbage, "README"]);
    // Somebody may still be writing it.
    assert!(stash.directory().join(".unfinished-abc").exists());

    // A second one of the same name does not replace the first.
    fs::write(stash.directory().join("README"), "again").unwrap();
    stash.subjects().unwrap();
    assert_eq!(files_in(&quarantine), [&garbage, "README", "README.1"]);
    let listed = list(stash.directory()).unwrap();
    let aside = listed.iter().filter(|listed| listed.quarantined).count();
    assert_eq!((listed.len(), aside), (5, 3));
}

#[tokio::test]
async fn the_entry_of_another_store_is_left_to_it() {
    let Given {
        directory, stash, ..
    } = given().await;
    let other = SqliteStore::in_memory().unwrap();
    let key = KeyFile::new(directory.path().join("other-key"));
    let sealer = Sealer::open(&other, key, Timestamp(0)).await.unwrap();
    let others = Stash::new(stash.directory(), other.id(), Arc::new(sealer));
    others.keep(&kept(&others, PKID, 3)).unwrap();

    assert!(stash.subjects().unwrap().is_empty());
    assert!(stash.of(&subject(PKID)).unwrap().is_empty());
    assert_eq!(others.of(&subject(PKID)).unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_keeps_its_data_key_in_use() {
    let Given {
        directory: _here,
        stash,
        store,
    } = given().await;
    assert_eq!(stash.sealed_with(1).unwrap(), 0);
    stash.keep(&kept(&stash, PKID, 3)).unwrap();
    assert_eq!(stash.sealed_with(1).unwrap(), 1);
    assert_eq!(stash.sealed_with(2).unwrap(), 0);
    let elsewhere: Arc<dyn SealedElsewhere> = Arc::new(stash);
    let refused = crate::store::seal::retire(&store, &[elsewhere], 1, false).await;
    let refused = refused.expect_err("it is in use").to_string();
    assert!(refused.contains("stash"), "{refused}");
}

#[tokio::test]
async fn a_stash_that_cannot_be_made_says_which_directory() {
    let Given {
        directory,
        store,
        stash,
    } = given().await;
    let path = directory.path().join("missing").join("stash");
    let nowhere = Stash::new(&path, store.id(), Arc::clone(&stash.sealer));
    let error = nowhere
        .keep(&kept(&stash, PKID, 3))
        .unwrap_err()
        .to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}
