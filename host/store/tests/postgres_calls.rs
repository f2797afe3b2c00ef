//! Calls and commits of several hosts on one PostgreSQL database.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it cannot continue"
)]

use std::sync::Arc;
use std::time::Duration;

use relation_store::postgres::{LeaseClock, PostgresOptions, PostgresStore};
use relation_store::{
    BeginOutcome, CallEnd, CallStart, CallStore, Change, Check, Commit, DocumentStore, DueWakeup,
    Lease, Recovery, StoreError, TransactionStore, WakeupSettlement, WakeupStore,
};
use relation_test_postgres::{Cluster, Database};
use relation_types::transactions::{
    NewTransaction, Status, TransactionOutcome, TransactionUpdate, part_id,
};
use relation_types::{
    Document, Filter, Key, QUEUED_CALL_MODEL, Reference, Scope, Timestamp, Wakeup,
};

const NOW: Timestamp = Timestamp(1_000_000_000_000);
const TEN_MINUTES: u64 = 600_000;

/// A database, and two hosts that use it.
struct Hosts {
    cluster: &'static Cluster,
    database: Database,
    first: Arc<PostgresStore>,
    second: Arc<PostgresStore>,
}

impl Hosts {
    /// Returns nothing where PostgreSQL is not installed.
    async fn start(clock: LeaseClock) -> Option<Self> {
        let cluster = Cluster::shared().unwrap()?;
        let database = cluster.database().unwrap();
        let first = open(&database, clock).await;
        let second = open(&database, clock).await;
        Some(Self {
            cluster,
            database,
            first,
            second,
        })
    }

    fn both(&self) -> [&Arc<PostgresStore>; 2] {
        [&self.first, &self.second]
    }

    /// Returns one of the hosts.
    fn host(&self, number: u64) -> Arc<PostgresStore> {
        Arc::clone(self.both()[(number % 2) as usize])
    }

    fn sql(&self, statements: &str) -> String {
        self.cluster
            .execute(self.database.name(), statements)
            .unwrap()
    }
}

async fn open(database: &Database, clock: LeaseClock) -> Arc<PostgresStore> {
    let mut options = PostgresOptions::new(database.url()).unwrap();
    options.clock = clock;
    Arc::new(PostgresStore::open(options).await.unwrap())
}

fn record(number: u64) -> Reference {
    Reference::record(format!("{number:024x}").parse().unwrap())
}

fn key(name: &str, value: &str) -> Key {
    Key {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn put(reference: &Reference, node: &str, keys: &[(&str, &str)]) -> Change {
    Change::Put(Document {
        reference: reference.clone(),
        hierarchy: node.parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: keys.iter().map(|(name, value)| key(name, value)).collect(),
    })
}

fn unique(node: Option<&str>, keys: &[(&str, &str)]) -> Check {
    let filter = Filter {
        hierarchy: node.map(|node| (node.parse().unwrap(), Scope::Subtree)),
        equals: keys.iter().map(|(name, value)| key(name, value)).collect(),
        model: record(0).model,
    };
    Check::Unique(filter, None)
}

fn schedule(subject: &Reference) -> Change {
    Change::Schedule(Wakeup {
        id: "refresh".to_owned(),
        subject: subject.clone(),
        due: NOW,
        deadline: None,
        payload: String::new(),
    })
}

fn commit(checks: Vec<Check>, changes: Vec<Change>) -> Commit {
    Commit {
        checks,
        changes,
        ..Commit::default()
    }
}

fn transaction(id: &str) -> NewTransaction {
    NewTransaction {
        id: id.to_owned(),
        action: "refresh".to_owned(),
        ..NewTransaction::default()
    }
}

fn begin(id: &str, subject: &Reference, now: Timestamp) -> CallStart {
    CallStart {
        transaction: NewTransaction {
            subject: Some(subject.clone()),
            ..transaction(id)
        },
        subject: Some(subject.clone()),
        lease: Duration::from_secs(60),
        now,
        wakeup: None,
    }
}

fn end(id: &str, lease: Option<&Lease>) -> CallEnd {
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
        lease: lease.cloned(),
        wakeup: None,
        interrupted: false,
    }
}

async fn claim(store: &PostgresStore, begin: CallStart) -> Lease {
    match store.begin(begin).await.unwrap() {
        BeginOutcome::Started(Some(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

async fn status(store: &PostgresStore, id: &str) -> Status {
    store.transaction(id).await.unwrap().unwrap().status
}

/// Runs one task for each number at the same time, and returns their results.
async fn race<T: Send + 'static, F>(count: u64, task: impl Fn(u64) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(task(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// Returns the number of commits that succeeded; the others are conflicts.
fn count_ok(results: Vec<Result<(), StoreError>>) -> usize {
    let is_ok = |result: &Result<(), StoreError>| match result {
        Ok(()) => true,
        Err(StoreError::Conflict(_)) => false,
        Err(error) => panic!("{error}"),
    };
    results.iter().filter(|result| is_ok(result)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_concurrent_commits_keeps_each_promise() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    // A name in a subtree, two keys, a model that may have one document, and one reference.
    for round in 0..6 {
        let node = format!("sys.N{round}");
        let name = format!("name {round}");
        let results = race(24, |n| {
            let below = format!("{node}.B{n}");
            let add = put(&record(round * 100 + n + 1), &below, &[("name", &name)]);
            let one = commit(vec![unique(Some(&node), &[("name", &name)])], vec![add]);
            let host = hosts.host(n);
            async move { host.commit(one).await }
        })
        .await;
        assert_eq!(count_ok(results), 1, "round {round}");
        let reference = record(10_000 + round);
        let results = race(24, |n| {
            let add = put(&reference, "sys.A", &[]);
            let absent = commit(vec![Check::Absent(reference.clone())], vec![add]);
            let host = hosts.host(n);
            async move { host.commit(absent).await }
        })
        .await;
        assert_eq!(count_ok(results), 1, "round {round}");
    }
    let results = race(24, |n| {
        let mut reference = record(n);
        reference.model = "data/Single".to_owned();
        let Check::Unique(mut filter, _) = unique(None, &[]) else {
            panic!("another check");
        };
        filter.model.clone_from(&reference.model);
        let one = commit(
            vec![Check::Unique(filter, None)],
            vec![put(&reference, "sys", &[])],
        );
        let host = hosts.host(n);
        async move { host.commit(one).await }
    })
    .await;
    assert_eq!(count_ok(results), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_change_into_one_another_stay_unique() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    // Each gets the pair of keys in another way: by either key, by its place, or as a new document.
    for round in 0..6 {
        let node = format!("sys.N{round}");
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let id = |n: u64| record(1 + round * 100 + n);
        let both: [(&str, &str); 2] = [("a", &a), ("b", &b)];
        let before = (0..18).map(|n| match n % 3 {
            0 => put(&id(n), &node, &[("a", &a)]),
            1 => put(&id(n), &node, &[("b", &b), ("c", "c")]),
            _ => put(&id(n), "sys.Elsewhere", &both),
        });
        let before = commit(vec![], before.collect());
        hosts.first.commit(before).await.unwrap();
        let results = race(24, |n| {
            let change = put(&id(n), &node, &both);
            let one = commit(vec![unique(Some(&node), &both)], vec![change]);
            let host = hosts.host(n);
            async move { host.commit(one).await }
        })
        .await;
        assert_eq!(count_ok(results), 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_commits_neither_deadlock_nor_lose_a_change() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    const DOCUMENTS: u64 = 12;
    let all = race(40, |task| {
        let host = hosts.host(task);
        async move {
            let mut random = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = move |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let mut puts = vec![0_u64; DOCUMENTS as usize];
            for _ in 0..20 {
                let mut changes = Vec::new();
                let mut put_now = Vec::new();
                for _ in 0..=next(5) {
                    let number = next(DOCUMENTS);
                    let name = format!("name {}", next(3));
                    changes.push(put(&record(number), "sys.A", &[("name", &name)]));
                    put_now.push(number as usize);
                }
                let scheduled = changes.len() as u64;
                if let Change::Put(document) = &changes[next(scheduled) as usize] {
                    changes.push(schedule(&document.reference.clone()));
                }
                let mut checks = Vec::new();
                if next(2) == 0 {
                    checks.push(unique(Some("sys.A"), &[("name", "never"), ("b", "c")]));
                }
                if next(2) == 0 {
                    checks.push(Check::Absent(record(1_000 + next(200))));
                }
                host.commit(commit(checks, changes)).await.unwrap();
                for number in put_now {
                    puts[number] += 1;
                }
            }
            puts
        }
    })
    .await;
    let references: Vec<Reference> = (0..DOCUMENTS).map(record).collect();
    let found = hosts.first.get(&references).await.unwrap();
    for (number, found) in found.iter().enumerate() {
        let puts: u64 = all.iter().map(|puts| puts[number]).sum();
        assert_eq!(found.as_ref().unwrap().version, puts, "document {number}");
    }
    let listed = "SELECT count(*) FROM relation.document_keys";
    assert_eq!(hosts.sql(listed), DOCUMENTS.to_string());
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(hosts.sql(deadlocks), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_leave_no_wakeup_without_its_document() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    for round in 0..10 {
        let subject = record(round);
        let add = commit(vec![], vec![put(&subject, "sys.A", &[])]);
        hosts.first.commit(add).await.unwrap();
        let results = race(8, |n| {
            let change = match n % 2 {
                0 => schedule(&subject),
                _ => Change::Delete(subject.clone()),
            };
            let host = hosts.host(n / 2);
            async move { host.commit(commit(vec![], vec![change])).await }
        })
        .await;
        for result in results {
            assert!(
                matches!(result, Ok(()) | Err(StoreError::Invalid(_))),
                "{result:?}"
            );
        }
        assert_eq!(hosts.first.wakeups(&subject).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_hosts_begins_a_wakeup() {
    let Some(hosts) = Hosts::start(LeaseClock::Database).await else {
        return;
    };
    for round in 0..10 {
        let subject = record(round);
        let changes = vec![put(&subject, "sys.A", &[]), schedule(&subject)];
        hosts.first.commit(commit(vec![], changes)).await.unwrap();
        let found = hosts.first.wakeups(&subject).await.unwrap().remove(0);
        let results = race(24, |n| {
            let id = format!("t{round}-{n}");
            let host = hosts.host(n);
            let start = CallStart {
                wakeup: Some(found.clone()),
                // The clocks of the hosts differ.
                ..begin(&id, &subject, Timestamp(NOW.0 + n % 2 * TEN_MINUTES))
            };
            let found = found.clone();
            async move {
                let begun = host.begin(start).await.unwrap();
                if let BeginOutcome::Started(lease) = &begun {
                    let done = CallEnd {
                        wakeup: Some(WakeupSettlement::Done(found)),
                        ..end(&id, lease.as_ref())
                    };
                    host.end(done).await.unwrap();
                }
                begun
            }
        })
        .await;
        let started = results
            .iter()
            .filter(|begun| matches!(begun, BeginOutcome::Started(_)));
        assert_eq!(started.count(), 1, "round {round}");
    }
    assert_eq!(hosts.sql("SELECT count(*) FROM relation.leases"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lasts_by_the_clock_of_the_database() {
    let Some(hosts) = Hosts::start(LeaseClock::Database).await else {
        return;
    };
    let one = record(1);
    let add = commit(vec![], vec![put(&one, "sys.A", &[])]);
    hosts.first.commit(add).await.unwrap();
    let lease = claim(&hosts.first, begin("t1", &one, NOW)).await;
    assert_eq!(lease.expires, Timestamp(NOW.0 + 60_000));
    for now in [NOW.0 + TEN_MINUTES, NOW.0 - TEN_MINUTES] {
        let busy = hosts.second.begin(begin("t2", &one, Timestamp(now))).await;
        let BeginOutcome::Busy(until) = busy.unwrap() else {
            panic!("a second lease");
        };
        // The rest of the lease, by the clock of this host.
        assert!((now..=now + 60_000).contains(&until.0), "{until:?}");
    }
    let ahead = Timestamp(NOW.0 + TEN_MINUTES);
    let recovered = hosts.second.recover(ahead).await.unwrap();
    assert_eq!(recovered, Recovery::default());

    // The first host freezes, and its lease ends meanwhile.
    hosts.sql("UPDATE relation.leases SET expires = 1");
    let next = claim(&hosts.second, begin("t3", &one, ahead)).await;
    assert_eq!(next.interrupted, Some(NOW));
    let late = Commit {
        fence: Some(lease.clone()),
        ..commit(vec![], vec![put(&one, "sys.B", &[])])
    };
    let fenced = hosts.first.commit(late).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    hosts.first.end(end("t1", Some(&lease))).await.unwrap();
    let own = Commit {
        fence: Some(next.clone()),
        ..commit(vec![], vec![put(&one, "sys.B", &[])])
    };
    hosts.second.commit(own).await.unwrap();

    // After a failover, an epoch can repeat. The lease of another host is another lease nevertheless.
    let repeated = Lease {
        epoch: next.epoch,
        ..lease
    };
    hosts.first.end(end("t1", Some(&repeated))).await.unwrap();
    let late = Commit {
        fence: Some(repeated),
        ..Commit::default()
    };
    let fenced = hosts.first.commit(late).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    assert_eq!(hosts.sql("SELECT count(*) FROM relation.leases"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_recovered_when_it_has_ended_and_not_before() {
    let Some(hosts) = Hosts::start(LeaseClock::Database).await else {
        return;
    };
    let one = record(1);
    let add = commit(vec![], vec![put(&one, "sys.A", &[])]);
    hosts.first.commit(add).await.unwrap();
    claim(&hosts.first, begin("t1", &one, NOW)).await;
    let unleased = CallStart {
        subject: None,
        ..begin("t2", &one, NOW)
    };
    hosts.first.begin(unleased).await.unwrap();
    let recover = async || hosts.second.recover(NOW).await.unwrap();
    let recovered = |leases, transactions| Recovery {
        leases,
        transactions,
    };
    let holder = "(SELECT holder FROM relation.transactions WHERE id = 't1')";
    assert_eq!(recover().await, recovered(0, 0));

    // A frozen host keeps its lease, and with it its transaction.
    hosts.sql(&format!(
        "UPDATE relation.holders SET seen = seen - interval '66 seconds' WHERE id = {holder}"
    ));
    hosts.sql("UPDATE relation.transactions SET subject_pkid = NULL WHERE id = 't2'");
    assert_eq!(recover().await, recovered(0, 1));
    assert_eq!(status(&hosts.first, "t1").await, Status::Processing);
    assert_eq!(status(&hosts.first, "t2").await, Status::Fail);
    hosts.sql("UPDATE relation.leases SET expires = 1");
    assert_eq!(recover().await, recovered(1, 1));
    assert_eq!(status(&hosts.first, "t1").await, Status::Fail);

    // A host that has said so has ended.
    let next = claim(&hosts.first, begin("t3", &one, NOW)).await;
    assert_eq!(next.interrupted, Some(NOW));
    hosts.sql(&format!(
        "UPDATE relation.holders SET seen = '-infinity' WHERE id = {holder}"
    ));
    assert_eq!(recover().await, recovered(1, 1));
    let left = format!("SELECT count(*) FROM relation.holders WHERE id = {holder}");
    assert_eq!(hosts.sql(&left), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_ends_when_two_hosts_end_its_last_calls() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    for round in 0..15 {
        let bulk = format!("b{round}");
        let request = |n: u64| Reference {
            model: QUEUED_CALL_MODEL.to_owned(),
            ..record(round * 100 + n)
        };
        let mut submission = Commit {
            queued: vec![transaction(&bulk)],
            ..Commit::default()
        };
        for n in 0..4 {
            let owner = request(n);
            submission.queued.push(NewTransaction {
                request: Some(owner.pkid.clone()),
                ..transaction(&part_id(&bulk, n as u32))
            });
            let both = [put(&owner, "sys.A", &[]), schedule(&owner)];
            submission.changes.extend(both);
        }
        hosts.first.commit(submission).await.unwrap();
        let mut calls: Vec<(Option<Lease>, DueWakeup)> = Vec::new();
        for n in 0..4 {
            let found = hosts.first.wakeups(&request(n)).await.unwrap().remove(0);
            let id = part_id(&bulk, n as u32);
            let start = CallStart {
                wakeup: Some(found.clone()),
                ..begin(&id, &record(n), NOW)
            };
            let lease = claim(&hosts.host(n), start).await;
            calls.push((Some(lease), found));
        }
        race(4, |n| {
            let (lease, found) = calls[n as usize].clone();
            let done = CallEnd {
                wakeup: Some(WakeupSettlement::Delete(found)),
                ..end(&part_id(&bulk, n as u32), lease.as_ref())
            };
            let host = hosts.host(n);
            async move { host.end(done).await.unwrap() }
        })
        .await;
        let ended = hosts.first.transaction(&bulk).await.unwrap().unwrap();
        assert_eq!(ended.status, Status::Success, "round {round}");
        assert_eq!(ended.message, "4 of 4 calls succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_the_database_cannot_store_are_refused_or_replaced() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    let store = &hosts.first;
    for change in [
        put(&record(1), "sys.A", &[("name", "a\0b")]),
        put(&record(1), "sys.A", &[("a\0b", "name")]),
        Change::Cancel(record(1), "\0".to_owned()),
    ] {
        let refused = store.commit(commit(vec![], vec![change])).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    let add = commit(vec![], vec![put(&record(1), "sys.A", &[])]);
    store.commit(add).await.unwrap();
    let lease = claim(store, begin("t1", &record(1), NOW)).await;
    let mut last = end("t1", Some(&lease));
    last.transaction.outcome.as_mut().unwrap().message = "a\0b".to_owned();
    store.end(last).await.unwrap();
    let ended = store.transaction("t1").await.unwrap().unwrap();
    assert_eq!(ended.message, "a\u{fffd}b");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_refuse_wrong_parameters_and_change_nothing() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    let id = "gen_random_uuid()";
    let none = "'{}','{}','{}'";
    let change = |kind: &str, rest: &str| {
        format!(
            "relation.commit_v1({id}, 'h', NULL, NULL, NULL, {none}, NULL, '{{}}', false, '{{{kind}}}', '{{m}}', '{{p}}', \
             {rest}, 1, '{{}}', '{{}}', NULL, NULL, NULL, NULL)"
        )
    };
    let empty = "'{NULL}','{NULL}','{NULL}','{NULL}','{NULL}','{NULL}','{NULL}'";
    for (call, expected) in [
        (change("unknown", empty), "case not found"),
        (change("put", empty), "null value"),
        (change("schedule", empty), "null value"),
        (
            format!("relation.report_v1({id}, '{{\"id\":\"t9\",\"omitted\":0}}', '', '')"),
            "t9",
        ),
        (format!("relation.report_v1({id}, 'no JSON', '', '')"), "json"),
        (
            format!("relation.begin_v1({id}, 'h', false, 1, 1, 'm', 'p', NULL, NULL, NULL, NULL, NULL, false, '{{}}')"),
            "null value",
        ),
    ] {
        let error = hosts
            .cluster
            .execute(hosts.database.name(), &format!("SELECT {call}"))
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    for table in ["documents", "wakeups", "leases", "transactions", "writes"] {
        let count = hosts.sql(&format!("SELECT count(*) FROM relation.{table}"));
        assert_eq!(count, "0", "{table}");
    }
}
