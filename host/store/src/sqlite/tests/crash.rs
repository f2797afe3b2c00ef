//! Tests of hosts that end without closing their store.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::Change;
use relation_types::Pkid;
use relation_types::transactions::{NewTransaction, Status};

/// The variable that names the database when the test below runs as the process to kill.
const DATABASE: &str = "RELATION_TEST_CRASH_DATABASE";

const NOW: Timestamp = Timestamp(1_000_000);

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).unwrap()
}

fn subject() -> Reference {
    Reference::record("0123456789abcdef01234567".parse().unwrap())
}

fn begin(id: &str) -> CallStart {
    CallStart {
        transaction: NewTransaction {
            id: id.to_owned(),
            action: "refresh".to_owned(),
            subject: Some(subject()),
            submitted: NOW,
            started: NOW,
            ..NewTransaction::default()
        },
        subject: Some(subject()),
        lease: Duration::from_secs(3600),
        now: NOW,
        wakeup: None,
    }
}

fn pair(number: u64) -> Commit {
    let put = |model: &str| {
        Change::Put(Document {
            reference: Reference::new(model, format!("{number:024x}").parse().unwrap()),
            hierarchy: "sys".parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: Vec::new(),
        })
    };
    Commit {
        changes: vec![put("data/Left"), put("data/Right")],
        ..Commit::default()
    }
}

/// Not a test: the process that is killed. It takes a lease and then writes forever, and prints each
/// number after its commit was acknowledged.
#[tokio::test]
async fn victim() {
    let Ok(path) = std::env::var(DATABASE) else {
        return;
    };
    let store = open(Path::new(&path));
    store.begin(begin("t1")).await.unwrap();
    for number in 1.. {
        store.commit(pair(number)).await.unwrap();
        println!("\nwritten {number}");
    }
}

/// Starts the victim and waits until it has written `pairs`; returns its last printed number. The victim
/// keeps writing while its output is open.
fn start_victim(path: &Path, pairs: u64) -> (Child, BufReader<ChildStdout>, u64) {
    let name = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{name}::victim"), "--exact", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        let said = line.trim_end().strip_prefix("written ");
        let number = said.and_then(|said| said.parse().ok());
        if let Some(number) = number.filter(|number| *number >= pairs) {
            return (child, output, number);
        }
        line.clear();
    }
    let status = child.wait().unwrap();
    panic!("the victim ended by itself: {status}");
}

#[tokio::test]
async fn kill_keeps_acknowledged_writes_and_frees_leases() {
    let stores = FileStores::new();
    let (mut victim, _output, said) = start_victim(&stores.path(), 20);

    let store = open(&stores.path());
    assert_eq!(store.recover(NOW).await.unwrap(), Recovery::default());
    let busy = store.begin(begin("t2")).await.unwrap();
    assert!(matches!(busy, BeginOutcome::Busy(_)), "{busy:?}");

    victim.kill().unwrap();
    victim.wait().unwrap();

    for number in 1..=said + 100 {
        let pkid: Pkid = format!("{number:024x}").parse().unwrap();
        let both = ["data/Left", "data/Right"].map(|model| Reference::new(model, pkid.clone()));
        let found = store.get(&both).await.unwrap();
        assert_eq!(found[0].is_some(), found[1].is_some(), "{number} is torn");
        assert!(found[0].is_some() || number > said, "{number} is lost");
    }
    let recovered = Recovery {
        leases: 1,
        transactions: 1,
    };
    assert_eq!(store.recover(NOW).await.unwrap(), recovered);
    assert_eq!(store.recover(NOW).await.unwrap(), Recovery::default());
    let interrupted = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(interrupted.status, Status::Fail);
    assert!(interrupted.message.starts_with("interrupted"));
    let begun = store.begin(begin("t3")).await.unwrap();
    assert!(matches!(begun, BeginOutcome::Started(Some(_))), "{begun:?}");
}

#[tokio::test]
async fn concurrent_recoveries_close_each_call_once() {
    let stores = FileStores::new();
    let mut dying = open(&stores.path());
    dying.begin(begin("t1")).await.unwrap();
    Arc::get_mut(&mut dying.process_lock)
        .unwrap()
        .simulate_kill();
    drop(dying);

    let hosts: Vec<_> = (0..4).map(|_| Arc::new(open(&stores.path()))).collect();
    let recovering: Vec<_> = hosts
        .iter()
        .cloned()
        .map(|host| tokio::spawn(async move { host.recover(NOW).await.unwrap() }))
        .collect();
    let mut total = Recovery::default();
    for recovery in recovering {
        let recovery = recovery.await.unwrap();
        total.leases += recovery.leases;
        total.transactions += recovery.transactions;
    }
    let once = Recovery {
        leases: 1,
        transactions: 1,
    };
    assert_eq!(total, once);
    drop(hosts);
    let left = std::fs::read_dir(stores.path().parent().unwrap()).unwrap();
    assert_eq!(left.count(), 1, "only the database is left");
}
