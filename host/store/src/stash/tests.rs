//! Tests of storing, refusing and quarantining entries.

use std::os::unix::fs::PermissionsExt;

use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::seal::{KeyFile, Sealed};
use crate::sqlite::SqliteStore;
use crate::{Change, Check, Store};
use relation_types::{Document, Filter, Key, Pkid, Scope, Timestamp, Wakeup};

const PKID: &str = "0123456789abcdef01234567";
const OTHER: &str = "76543210fedcba9876543210";

struct World {
    directory: TempDir,
    store: SqliteStore,
    stash: Stash,
}

async fn world() -> World {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::in_memory().unwrap();
    let key = KeyFile::new(directory.path().join("key"));
    let sealer = Sealer::open(&store, key, Timestamp(0)).await.unwrap();
    let path = directory.path().join("stash");
    World {
        stash: Stash::new(path, store.id(), Arc::new(sealer)),
        store,
        directory,
    }
}

fn subject(pkid: &str) -> Reference {
    Reference::record(pkid.parse().unwrap())
}

/// Creates a commit with one check and one change of each kind.
fn stashed_commit(stash: &Stash, pkid: &str, epoch: u64) -> StashedCommit {
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
    StashedCommit {
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
    let mut names: Vec<String> = list_files(directory)
        .unwrap()
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn stashed_commit_is_read_back_unchanged() {
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    let commit = stashed_commit(&stash, PKID, 3);
    stash.keep(&commit).unwrap();
    let names = stash.entries_for(&commit.subject).unwrap();
    assert_eq!(names, [EntryName::new(&commit.subject, 3)]);
    let read = stash.read(&names[0]).unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{commit:?}"));

    stash.remove(&names[0]).unwrap();
    stash
        .remove(&names[0])
        .expect("a missing entry is removed without error");
    assert!(stash.read(&names[0]).unwrap().is_none());
    assert!(stash.entries_for(&commit.subject).unwrap().is_empty());
}

/// Entries of an earlier release must be readable.
#[tokio::test]
async fn content_of_an_entry_keeps_its_format() {
    let World { stash, .. } = world().await;
    let mut commit = stashed_commit(&stash, PKID, 3);
    let sealed = Sealed::try_from([vec![1, 0, 0, 0, 2], vec![3; 24 + 16]].concat()).unwrap();
    commit.changes = vec![
        commit.changes[0].clone(),
        Change::PutSecret {
            owner: subject(PKID),
            name: "token".to_owned(),
            sealed,
        },
        commit.changes[2].clone(),
        commit.changes[3].clone(),
        commit.changes[4].clone(),
        Change::Delete(subject(OTHER)),
    ];
    let label = entry::make_label(&commit, "s1");
    let content = entry::encode_content(&commit, &label).unwrap();
    let mine = r#"{"model":"data/SparkCustomer","pkid":"0123456789abcdef01234567"}"#;
    let other = r#"{"model":"data/SparkCustomer","pkid":"76543210fedcba9876543210"}"#;
    let sealed = "AQAAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD";
    let label =
        format!(r#"{{"store":"s1","subject":{mine},"epoch":3,"since":5,"transaction":"t1"}}"#);
    let filter = r#"{"model":"data/Schedule","node":"sys.A","subtree":true,"equals":[{"name":"name","value":"x"}]}"#;
    let checks =
        format!(r#"{{"version":[{mine},7]}},{{"absent":{mine}}},{{"unique":[{filter},{mine}]}}"#);
    let body = r#""{\"note\":\"canary-body\"}""#;
    let changes = [
        format!(r#"{{"put":{{"reference":{mine},"hierarchy":"sys.A","version":7,"body":{body},"keys":[]}}}}"#),
        format!(r#"{{"seal":{{"owner":{mine},"name":"token","sealed":"{sealed}"}}}}"#),
        format!(r#"{{"unseal":[{mine},"old"]}}"#),
        format!(r#"{{"schedule":{{"id":"refresh","subject":{mine},"due":9,"deadline":10,"payload":""}}}}"#),
        format!(r#"{{"cancel":[{mine},"expiry"]}}"#),
        format!(r#"{{"delete":{other}}}"#),
    ]
    .join(",");
    let expected = format!(r#"{{"label":{label},"checks":[{checks}],"changes":[{changes}]}}"#);
    assert_eq!(String::from_utf8(content).unwrap(), expected);
}

#[tokio::test]
async fn entries_are_private_and_encrypted() {
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    stash.keep(&stashed_commit(&stash, PKID, 3)).unwrap();
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
async fn entries_of_a_subject_are_ordered_by_epoch() {
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    for (pkid, epoch) in [(PKID, 10), (OTHER, 1), (PKID, 9)] {
        stash.keep(&stashed_commit(&stash, pkid, epoch)).unwrap();
    }
    let epochs = [9, 10].map(|epoch| EntryName::new(&subject(PKID), epoch));
    assert_eq!(stash.entries_for(&subject(PKID)).unwrap(), epochs);
    assert_eq!(
        stash.subjects().unwrap(),
        [subject(PKID), subject(OTHER)],
        "each once"
    );
}

#[tokio::test]
async fn changed_or_cut_entry_is_unreadable() {
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    stash.keep(&stashed_commit(&stash, PKID, 3)).unwrap();
    let name = EntryName::new(&subject(PKID), 3);
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
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    stash.keep(&stashed_commit(&stash, PKID, 3)).unwrap();
    let path = stash.path(&EntryName::new(&subject(PKID), 3));
    for name in [
        EntryName::new(&subject(PKID), 4),
        EntryName::new(&subject(OTHER), 3),
    ] {
        // First under another name, then with a matching label too.
        fs::copy(&path, stash.path(&name)).unwrap();
        let moved = stash.read(&name);
        assert!(matches!(moved, Err(StashError::Unreadable { .. })));
        let text = fs::read(&path).unwrap();
        let parts = entry::split(&text).unwrap();
        let label = Label {
            subject: if name.belongs_to(&subject(PKID)) {
                subject(PKID)
            } else {
                subject(OTHER)
            },
            epoch: if name.belongs_to(&subject(PKID)) {
                4
            } else {
                3
            },
            ..parts.label
        };
        fs::write(
            stash.path(&name),
            entry::join(&label, &parts.sealed).unwrap(),
        )
        .unwrap();
        let relabeled = stash.read(&name);
        assert!(matches!(relabeled, Err(StashError::Unreadable { .. })));
    }
}

#[tokio::test]
async fn foreign_files_are_moved_to_quarantine() {
    let World {
        directory: _here,
        stash,
        ..
    } = world().await;
    stash.keep(&stashed_commit(&stash, PKID, 3)).unwrap();
    let garbage = format!("{OTHER}.1.answer");
    for name in ["README", garbage.as_str(), ".unfinished-abc"] {
        fs::write(stash.directory().join(name), "hello").unwrap();
    }
    assert_eq!(stash.subjects().unwrap(), [subject(PKID)]);
    let quarantine = stash.directory().join(QUARANTINE);
    assert_eq!(files_in(&quarantine), [&garbage, "README"]);
    // Another process may still be writing the file.
    assert!(stash.directory().join(".unfinished-abc").exists());

    // A second file of the same name does not replace the first.
    fs::write(stash.directory().join("README"), "again").unwrap();
    stash.subjects().unwrap();
    assert_eq!(files_in(&quarantine), [&garbage, "README", "README.1"]);
    let listed = list(stash.directory()).unwrap();
    let aside = listed.iter().filter(|listed| listed.quarantined).count();
    assert_eq!((listed.len(), aside), (5, 3));
}

#[tokio::test]
async fn entry_of_another_store_is_left_alone() {
    let World {
        directory, stash, ..
    } = world().await;
    let other = SqliteStore::in_memory().unwrap();
    let key = KeyFile::new(directory.path().join("other-key"));
    let sealer = Sealer::open(&other, key, Timestamp(0)).await.unwrap();
    let others = Stash::new(stash.directory(), other.id(), Arc::new(sealer));
    others.keep(&stashed_commit(&others, PKID, 3)).unwrap();

    assert!(stash.subjects().unwrap().is_empty());
    assert!(stash.entries_for(&subject(PKID)).unwrap().is_empty());
    assert_eq!(others.entries_for(&subject(PKID)).unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_keeps_its_data_key_in_use() {
    let World {
        directory: _here,
        stash,
        store,
    } = world().await;
    assert_eq!(stash.sealed_with(1).unwrap(), 0);
    stash.keep(&stashed_commit(&stash, PKID, 3)).unwrap();
    assert_eq!(stash.sealed_with(1).unwrap(), 1);
    assert_eq!(stash.sealed_with(2).unwrap(), 0);
    let elsewhere: Arc<dyn DataKeyUser> = Arc::new(stash);
    let refused = crate::seal::retire(&store, &[elsewhere], 1, false).await;
    let refused = refused.expect_err("it is in use").to_string();
    assert!(refused.contains("stash"), "{refused}");
}

#[tokio::test]
async fn uncreatable_stash_names_its_directory() {
    let World {
        directory,
        store,
        stash,
    } = world().await;
    let path = directory.path().join("missing").join("stash");
    let nowhere = Stash::new(&path, store.id(), Arc::clone(&stash.sealer));
    let error = nowhere
        .keep(&stashed_commit(&stash, PKID, 3))
        .unwrap_err()
        .to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}
