//! Tests of the files of processes: ownership, and files that cannot be read.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::*;
use relation_types::transactions::{NewTransaction, Status};

const NOW: Timestamp = Timestamp(1_000_000);
const LEASE: Duration = Duration::from_secs(60);

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).unwrap()
}

fn holder_files(stores: &FileStores) -> Vec<PathBuf> {
    let entries = fs::read_dir(stores.0.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().contains("-holder-"))
        .collect()
}

fn begin(id: &str, now: Timestamp) -> CallStart {
    let subject = Reference::record("0123456789abcdef01234567".parse().unwrap());
    CallStart {
        transaction: NewTransaction {
            id: id.to_owned(),
            action: "refresh".to_owned(),
            subject: Some(subject.clone()),
            submitted: now,
            started: now,
            ..NewTransaction::default()
        },
        subject: Some(subject),
        lease: LEASE,
        now,
        wakeup: None,
    }
}

/// Replaces the file of a process that ended during a call by a file that no user can open, not even
/// root.
async fn leave_unreadable(stores: &FileStores) -> PathBuf {
    let mut gone = open(&stores.path());
    gone.begin(begin("t1", NOW)).await.unwrap();
    let [file] = holder_files(stores).try_into().unwrap();
    Arc::get_mut(&mut gone.process_lock)
        .unwrap()
        .simulate_kill();
    drop(gone);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    file
}

#[tokio::test]
async fn unreadable_lock_file_blocks_only_its_own_leases() {
    let stores = FileStores::new();
    let file = leave_unreadable(&stores).await;
    let store = open(&stores.path());
    assert_eq!(store.recover(NOW).await.unwrap(), Default::default());
    let during = store.begin(begin("t2", NOW)).await.unwrap();
    assert_eq!(during, BeginOutcome::Busy(NOW.after(LEASE)));
    let other = CallStart {
        subject: None,
        ..begin("t3", NOW)
    };
    assert!(matches!(
        store.begin(other).await,
        Ok(BeginOutcome::Started(_))
    ));

    // Its lease ends by expiry, and its call with it.
    let later = NOW.after(LEASE);
    let found = store.recover(later).await.unwrap();
    assert_eq!((found.leases, found.transactions), (1, 1));
    let closed = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(closed.status, Status::Fail);
    assert!(matches!(
        store.begin(begin("t4", later)).await,
        Ok(BeginOutcome::Started(_))
    ));
    assert!(file.symlink_metadata().is_ok());
}

#[tokio::test]
async fn files_beside_a_shared_database_are_shared() {
    let stores = FileStores::new();
    drop(open(&stores.path()));
    fs::set_permissions(stores.path(), fs::Permissions::from_mode(0o660)).unwrap();
    let store = open(&stores.path());
    store.recover(NOW).await.unwrap();
    let entries = fs::read_dir(stores.0.path()).unwrap();
    for entry in entries {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o660, "{}", entry.path().display());
    }
}

/// Needs root: other users cannot create files for someone else.
#[tokio::test]
async fn files_created_by_root_belong_to_the_owner() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: it takes root to make files for another user");
        return;
    }
    let stores = FileStores::new();
    std::os::unix::fs::chown(stores.0.path(), Some(65_534), Some(65_534)).unwrap();
    let store = open(&stores.path());
    store.recover(NOW).await.unwrap();
    let entries: Vec<_> = fs::read_dir(stores.0.path()).unwrap().collect();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let entry = entry.unwrap();
        let owner = entry.metadata().unwrap();
        let owner = (owner.uid(), owner.gid());
        assert_eq!(owner, (65_534, 65_534), "{}", entry.path().display());
    }
}
