//! Tests of power cuts: the store is opened with the content that its files had when they were last synced.
//!
//! A shim around SQLite's file system copies a file whenever SQLite syncs it. That is the worst case: a real disk may
//! also have some of the later writes.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it cannot continue"
)]

use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use relation_store::sqlite::{SqliteOptions, SqliteStore};
use relation_store::{
    BeginOutcome, CallEnd, CallStart, CallStore, Change, Check, Commit, DocumentStore, DueWakeup,
    Lease, Recovery, TransactionStore, WakeupSettlement, WakeupStore,
};
use relation_types::transactions::{NewTransaction, Status, TransactionOutcome, TransactionUpdate};
use relation_types::{Document, Reference, Timestamp, Wakeup};
use rusqlite::ffi;

const NOW: Timestamp = Timestamp(1_000_000_000_000);
const LATER: Timestamp = Timestamp(1_000_000_600_000);

/// The content of each file when it was last synced.
static DISK: LazyLock<Mutex<HashMap<PathBuf, Vec<u8>>>> = LazyLock::new(Mutex::default);

/// The path and SQLite's own methods of each open file, by the file's address.
static OPEN: LazyLock<Mutex<HashMap<usize, (PathBuf, usize)>>> = LazyLock::new(Mutex::default);

/// The address of SQLite's own file system.
static REAL: LazyLock<usize> = LazyLock::new(|| {
    // SAFETY: the name is null, which selects the default file system, which exists as long as the process.
    unsafe { ffi::sqlite3_initialize() };
    let real = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    assert!(!real.is_null());
    real as usize
});

/// Makes the shim the default file system of this process when it is first accessed.
static SHIM: LazyLock<()> = LazyLock::new(|| {
    let real = *REAL as *mut ffi::sqlite3_vfs;
    // SAFETY: `real` was found above. The copy differs in its name and in one function, and is never freed.
    let code = unsafe {
        let mut shim = *real;
        shim.zName = c"power-cut".as_ptr();
        shim.pNext = std::ptr::null_mut();
        shim.xOpen = Some(open);
        ffi::sqlite3_vfs_register(Box::leak(Box::new(shim)), 1)
    };
    assert_eq!(code, ffi::SQLITE_OK);
});

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let real = *REAL as *mut ffi::sqlite3_vfs;
    // SAFETY: SQLite passes arguments that are valid for its own function, and `file` is open when it succeeds.
    unsafe {
        let Some(real_open) = (*real).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let code = real_open(real, name, file, flags, out);
        if code == ffi::SQLITE_OK && !name.is_null() {
            let own = (*file).pMethods;
            let mut methods = *own;
            methods.xSync = Some(sync);
            (*file).pMethods = Box::leak(Box::new(methods));
            let path = PathBuf::from(CStr::from_ptr(name).to_str().expect("a path of this test"));
            OPEN.lock()
                .unwrap()
                .insert(file as usize, (path, own as usize));
        }
        code
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let found = OPEN.lock().unwrap().get(&(file as usize)).cloned();
    let Some((path, own)) = found else {
        return ffi::SQLITE_IOERR_FSYNC;
    };
    let own = own as *const ffi::sqlite3_io_methods;
    // SAFETY: `own` was taken from this file when it was opened.
    let code = match unsafe { (*own).xSync } {
        Some(own_sync) => unsafe { own_sync(file, flags) },
        None => ffi::SQLITE_IOERR_FSYNC,
    };
    if code == ffi::SQLITE_OK {
        let content = std::fs::read(&path).expect("an open file of this test");
        DISK.lock().unwrap().insert(path, content);
    }
    code
}

/// A store on a disk that can lose its power.
struct Machine {
    directory: tempfile::TempDir,
    cuts: usize,
}

impl Machine {
    fn new() -> Self {
        LazyLock::force(&SHIM);
        Self {
            directory: tempfile::tempdir().unwrap(),
            cuts: 0,
        }
    }

    fn start(&self) -> SqliteStore {
        open_store(
            &self
                .directory
                .path()
                .canonicalize()
                .unwrap()
                .join("store.db"),
        )
    }

    /// Returns the store as it would be after a power cut now. The running store is not affected.
    fn cut_power(&mut self) -> SqliteStore {
        self.cuts += 1;
        let here = self.directory.path().canonicalize().unwrap();
        let after = here.join(format!("after-{}", self.cuts));
        std::fs::create_dir(&after).unwrap();
        for file in ["store.db", "store.db-wal"] {
            if let Some(content) = DISK.lock().unwrap().get(&here.join(file)) {
                std::fs::write(after.join(file), content).unwrap();
            }
        }
        open_store(&after.join("store.db"))
    }
}

fn open_store(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).unwrap()
}

fn subject() -> Reference {
    Reference::record("0123456789abcdef01234567".parse().unwrap())
}

fn put(version: u64) -> Commit {
    let document = Document {
        reference: subject(),
        hierarchy: "sys.Customer".parse().unwrap(),
        version: 0,
        body: format!(r#"{{"version":{version}}}"#),
        keys: Vec::new(),
    };
    let check = match version {
        0 => Check::Absent(subject()),
        before => Check::Version(subject(), before),
    };
    Commit {
        checks: vec![check],
        changes: vec![Change::Put(document)],
        ..Commit::default()
    }
}

fn schedule(due: Timestamp) -> Change {
    Change::Schedule(Wakeup {
        id: "refresh".to_owned(),
        subject: subject(),
        due,
        deadline: None,
        payload: String::new(),
    })
}

async fn begin(store: &SqliteStore, id: &str, wakeup: Option<DueWakeup>) -> Lease {
    let begin = CallStart {
        transaction: NewTransaction {
            id: id.to_owned(),
            action: "refresh".to_owned(),
            subject: Some(subject()),
            submitted: NOW,
            started: NOW,
            ..NewTransaction::default()
        },
        subject: Some(subject()),
        lease: Duration::from_secs(60),
        now: NOW,
        wakeup,
    };
    match store.begin(begin).await.unwrap() {
        BeginOutcome::Started(Some(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn end(id: &str, lease: &Lease, wakeup: Option<WakeupSettlement>) -> CallEnd {
    CallEnd {
        transaction: TransactionUpdate {
            id: id.to_owned(),
            outcome: Some(TransactionOutcome {
                status: Status::Success,
                message: String::new(),
                completed: NOW,
            }),
            ..TransactionUpdate::default()
        },
        lease: Some(lease.clone()),
        wakeup,
        interrupted: false,
    }
}

async fn version(store: &SqliteStore) -> Option<u64> {
    let found = store.get(&[subject()]).await.unwrap().pop().flatten();
    found.map(|document| document.version)
}

async fn status(store: &SqliteStore, id: &str) -> Option<Status> {
    let found = store.transaction(id).await.unwrap();
    found.map(|transaction| transaction.status)
}

#[tokio::test]
async fn begin_and_end_of_a_call_do_not_wait_for_the_disk() {
    let mut machine = Machine::new();
    let store = machine.start();
    store.commit(put(0)).await.unwrap();

    let lease = begin(&store, "t1", None).await;
    let found = machine.cut_power();
    assert_eq!(status(&found, "t1").await, None, "the shim loses nothing");
    assert_eq!(version(&found).await, Some(1));
    // No trace of the call is left, so the next call can run immediately.
    assert_eq!(found.recover(LATER).await.unwrap(), Recovery::default());
    begin(&found, "t1", None).await;

    store.end(end("t1", &lease, None)).await.unwrap();
    assert_eq!(status(&machine.cut_power(), "t1").await, None);
    // Another connection sees both: the operating system has them, as after the end of the process.
    assert_eq!(status(&machine.start(), "t1").await, Some(Status::Success));
}

#[tokio::test]
async fn commit_survives_with_all_that_came_before_it() {
    let mut machine = Machine::new();
    let store = machine.start();
    let mut first = put(0);
    first.changes.push(schedule(NOW));
    store.commit(first).await.unwrap();
    let due = store.wakeups(&subject()).await.unwrap().remove(0);
    let lease = begin(&store, "t1", Some(due.clone())).await;

    let mut tokens = put(1);
    tokens.fence = Some(lease.clone());
    tokens.changes.push(schedule(LATER));
    store.commit(tokens).await.unwrap();
    store
        .end(end("t1", &lease, Some(WakeupSettlement::Done(due))))
        .await
        .unwrap();

    let found = machine.cut_power();
    assert_eq!(version(&found).await, Some(2), "the response is lost");
    assert_eq!(status(&found, "t1").await, Some(Status::Processing));
    let left = found.wakeups(&subject()).await.unwrap();
    let due: Vec<_> = left.iter().map(|wakeup| wakeup.wakeup.due).collect();
    assert_eq!(due, [LATER], "the wakeup would run a second time");
    // The end is repeated by the recovery: the lease is released, and the transaction is closed.
    let recovered = Recovery {
        leases: 1,
        transactions: 1,
    };
    assert_eq!(found.recover(NOW).await.unwrap(), recovered);
    assert_eq!(status(&found, "t1").await, Some(Status::Fail));
    let next = begin(&found, "t2", None).await;
    assert!(next.epoch > lease.epoch);
}

/// Checks after each write of 40 calls that a power cut loses no acknowledged commit, and that the store can be
/// used afterwards.
#[tokio::test]
async fn no_power_cut_loses_an_acknowledged_commit() {
    let mut machine = Machine::new();
    let store = machine.start();
    let mut committed = 0;
    for call in 0..40_u64 {
        let id = format!("t{call:03}");
        let lease = begin(&store, &id, None).await;
        assert_eq!(version(&machine.cut_power()).await.unwrap_or(0), committed);
        for _ in 0..call % 3 {
            let mut commit = put(committed);
            commit.fence = Some(lease.clone());
            store.commit(commit).await.unwrap();
            committed += 1;
            let found = machine.cut_power();
            assert_eq!(version(&found).await, Some(committed));
            assert_eq!(status(&found, &id).await, Some(Status::Processing));
        }
        store.end(end(&id, &lease, None)).await.unwrap();
        let found = machine.cut_power();
        assert_eq!(version(&found).await.unwrap_or(0), committed);
        found.recover(LATER).await.unwrap();
        begin(&found, "after", None).await;
        found.commit(put(committed)).await.unwrap();
    }
    assert!(committed > 30);
}
