//! Due wakeups, compared with a sort of all of them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use relation_store::{KindFilter, WakeupStore};
use relation_test_postgres::{Cluster, Database};
use relation_types::{Hierarchy, Timestamp};

use super::open;

const HOUR: u64 = 3_600_000;
const NOW: u64 = 500_000 * HOUR + 17;
const KINDS: [&str; 5] = ["", "refresh", "refresh.users", "notice.x.y", "ä"];

/// A row of `wakeups`, in the order of due ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    deadline: i64,
    due: u64,
    subject: u8,
    id: String,
}

impl Row {
    fn kind(&self) -> &str {
        self.id.split('.').next().unwrap()
    }

    fn pkid(&self) -> String {
        format!("{:024x}", self.subject)
    }
}

#[derive(Clone, Debug)]
struct Situation {
    rows: Vec<Row>,
    /// When the lease of a subject expires.
    leases: BTreeMap<u8, i64>,
}

fn situation() -> impl Strategy<Value = Situation> {
    let deadline = prop_oneof![Just(i64::MAX), 0..4_i64, Just(i64::MAX - 1)];
    // Times around the boundaries of hours, some of them long ago and some later than now.
    let hours = prop_oneof![0..3_u64, 499_990..500_002_u64];
    let due = (hours, prop_oneof![0..3_u64, 15..20_u64, Just(HOUR - 1)]);
    let id = prop::sample::select(KINDS.as_slice());
    let row = (0..10_u8, id, due, deadline).prop_map(|(subject, id, (hour, rest), deadline)| Row {
        deadline,
        due: hour * HOUR + rest,
        subject,
        id: id.to_owned(),
    });
    let now = i64::try_from(NOW).unwrap();
    let leases = prop::collection::btree_map(0..10_u8, now - 1..=now + 1, 0..6);
    let rows = prop::collection::vec(row, 0..60);
    (rows, leases).prop_map(|(mut rows, leases)| {
        // The cases replace each other's rows unknown to the store, which remembers when the first wakeup is due.
        rows.push(Row {
            deadline: i64::MAX,
            due: 0,
            subject: 10,
            id: "refresh".to_owned(),
        });
        let mut keys = HashSet::new();
        rows.retain(|row| keys.insert((row.subject, row.id.clone())));
        Situation { rows, leases }
    })
}

impl Situation {
    fn store(&self, cluster: &Cluster, database: &Database) {
        let mut statements = "TRUNCATE relation.wakeups, relation.leases;".to_owned();
        for row in &self.rows {
            statements.push_str(&format!(
                "INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts)
                VALUES ('m', '{}', '{}', {}, {}, '', 1, 0);",
                row.pkid(),
                row.id,
                row.due,
                row.deadline
            ));
        }
        for (subject, expires) in &self.leases {
            statements.push_str(&format!(
                "INSERT INTO relation.leases VALUES ('m', '{subject:024x}', 1, 'h', {expires}, 0);"
            ));
        }
        cluster.execute(database.name(), &statements).unwrap();
    }

    /// Returns what is due, the earliest deadline first.
    fn due(&self, limit: usize, kinds: KindFilter<'_>) -> Vec<Row> {
        let now = i64::try_from(NOW).unwrap();
        let is_free = |row: &Row| self.leases.get(&row.subject).is_none_or(|at| *at <= now);
        let mut due = self.rows.clone();
        due.retain(|row| row.due <= NOW && is_free(row) && kinds.admits(row.kind()));
        due.sort();
        let mut subjects = HashSet::new();
        due.retain(|row| subjects.insert(row.subject));
        due.truncate(limit);
        due
    }
}

#[test]
fn due_wakeups_are_those_of_a_sort() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let store = runtime.block_on(open(&database));
    let mut runner = TestRunner::new(Config::with_cases(60));
    let run = |situation: Situation| {
        situation.store(cluster, &database);
        for limit in [1, 2, 3, 7, 100] {
            for kinds in [
                KindFilter::All,
                KindFilter::Only("refresh"),
                KindFilter::Only(""),
                KindFilter::Except(&["refresh", "nothing"]),
                KindFilter::Except(&["", "ä", "notice"]),
            ] {
                let due = runtime.block_on(store.due(Timestamp(NOW), limit, kinds));
                let due = due.unwrap().into_iter().map(|found| Row {
                    deadline: found
                        .wakeup
                        .deadline
                        .map_or(i64::MAX, |at| at.0.try_into().unwrap()),
                    due: found.wakeup.due.0,
                    subject: u8::from_str_radix(found.wakeup.subject.pkid.as_str(), 16).unwrap(),
                    id: found.wakeup.id,
                });
                let expected = situation.due(limit as usize, kinds);
                prop_assert_eq!(due.collect::<Vec<_>>(), expected, "{} {:?}", limit, kinds);
            }
        }
        Ok(())
    };
    runner.run(&situation(), run).unwrap();
}

#[tokio::test]
async fn wakeup_that_another_host_dates_back_is_found() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let store = open(&database).await;
    let insert = |subject: u8, due: u64| {
        let statement = format!(
            "INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts)
            VALUES ('m', '{subject:024x}', 'refresh', {due}, {}, '', 1, 0)",
            i64::MAX
        );
        cluster.execute(database.name(), &statement).unwrap();
    };
    let count = async || {
        let due = store.due(Timestamp(NOW), 10, KindFilter::All).await;
        due.unwrap().len()
    };
    insert(1, NOW);
    assert_eq!(count().await, 1);
    // By a host whose clock is behind.
    insert(2, NOW - 9_000);
    assert_eq!(count().await, 2);
    // By a host that moves a wakeup to the past.
    insert(3, NOW - HOUR);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(count().await, 3);
}

/// 100 000 wakeups of five kinds that are due in the last hundred hours, as many later ones, and 100 leases.
pub(super) const BACKLOG: &str = "
    INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts)
    SELECT 'm', substr(md5(i::text), 1, 24), (ARRAY['refresh', 'sync.a', 'notice', 'expiry', 'report'])[1 + i % 5],
        1800000000017 - abs(hashint4(i)::bigint) % 360000000,
        CASE i % 3 WHEN 0 THEN 9223372036854775807
            ELSE 1800000000000 + abs(hashint4(i + 1000000)::bigint) % 1000000000 END,
        convert_to(repeat('x', 100), 'UTF8'), i, 0
    FROM generate_series(1, 100000) i;
    INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts)
    SELECT 'm', substr(md5(i::text), 1, 24), 'later', 1800000000018 + i, 1, '', i, 0
    FROM generate_series(1, 100000) i;
    INSERT INTO relation.leases SELECT w.model, w.pkid, 1, 'h', 1800000000017 + w.revision % 2, 0
    FROM relation.wakeups w WHERE w.id <> 'later' ORDER BY w.deadline LIMIT 100;
    INSERT INTO relation.documents (model, pkid, hierarchy, version, body, keys)
    SELECT 'm', substr(md5(i::text), 1, 24),
        CASE WHEN i <= 10 THEN 'sys.A' WHEN i <= 1000 THEN 'sys.B.' || i WHEN i <= 10000 THEN 'sys.C' ELSE 'sys.AB' END,
        1, '{}', '[]' FROM generate_series(1, 20000) i;
    ANALYZE relation.wakeups, relation.leases, relation.documents;";

#[tokio::test(flavor = "multi_thread")]
async fn backlog_is_ordered_and_listed_like_a_sort() {
    let Some(cluster) = Cluster::shared_without_fsync().unwrap() else {
        return;
    };
    let database = cluster.database().unwrap();
    let store = open(&database).await;
    let query = |statement: &str| cluster.execute(database.name(), statement).unwrap();
    query(BACKLOG);
    let now = Timestamp(1_800_000_000_017);
    let (all, others) = (
        "true",
        "split_part(id, '.', 1) NOT IN ('refresh', 'notice')",
    );
    for (limit, kinds, condition) in [
        (64, KindFilter::All, all),
        (1, KindFilter::All, all),
        (3_000, KindFilter::All, all),
        (64, KindFilter::Only("sync"), "id = 'sync.a'"),
        (64, KindFilter::Except(&["refresh", "notice"]), others),
    ] {
        let expected = query(&format!(
            "SELECT pkid, id FROM relation.wakeups w WHERE due <= {} AND {condition}
                AND NOT EXISTS (SELECT FROM relation.leases l WHERE l.pkid = w.pkid AND expires > {})
            ORDER BY deadline, due, model, pkid, id LIMIT {limit}",
            now.0, now.0
        ));
        let due = store.due(now, limit, kinds).await.unwrap();
        assert_eq!(list(due.iter().map(|found| &found.wakeup)), expected);
    }

    for (node, count) in [
        ("sys.A", 10),
        ("sys.B", 990),
        ("sys.C", 9_000),
        ("sys", 20_000),
    ] {
        let hierarchy: Hierarchy = node.parse().unwrap();
        let expected = query(&format!(
            "SELECT w.pkid, w.id FROM relation.wakeups w JOIN relation.documents d USING (model, pkid)
            WHERE d.hierarchy = '{node}' OR d.hierarchy LIKE '{node}.%' ORDER BY w.due, w.model, w.pkid, w.id"
        ));
        assert_eq!(expected.lines().count(), 2 * count);
        let (mut found, mut cursor) = (Vec::new(), None);
        for _ in 0..3 {
            let page = store
                .upcoming(Some(&hierarchy), cursor.as_deref(), 15)
                .await;
            let page = page.unwrap();
            found.extend(page.items.into_iter().map(|found| found.wakeup));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<&str> = expected.lines().take(45).collect();
        assert_eq!(list(found.iter()), expected.join("\n"), "{node}");
    }
}

fn list<'a>(wakeups: impl Iterator<Item = &'a relation_types::Wakeup>) -> String {
    let lines = wakeups.map(|wakeup| format!("{}|{}", wakeup.subject.pkid.as_str(), wakeup.id));
    lines.collect::<Vec<_>>().join("\n")
}
