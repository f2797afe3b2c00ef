//! Tests of the files of a database: access rights, and files that are refused.

use std::fs;
use std::path::Path;

use super::writer::Batch;
use super::*;
use crate::{KindFilter, SortOrder};
use relation_types::transactions::{SecretAccess, SecretAccessOutcome};
use relation_types::{Key, Scope};

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &SqliteOptions::default())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_by_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let stores = FileStores::new();
    let store = open(&stores.path()).unwrap();
    store.recover(Timestamp(1)).await.unwrap();
    let directory = stores.path().parent().unwrap().to_owned();
    let found = names(&directory);
    assert_eq!(found.len(), 4, "{found:?}");
    for name in found {
        let mode = fs::metadata(directory.join(&name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn closed_store_leaves_only_the_database() {
    let stores = FileStores::new();
    drop(open(&stores.path()).unwrap());
    let directory = stores.path().parent().unwrap().to_owned();
    assert_eq!(names(&directory), ["relation.db"]);
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let stores = FileStores::new();
    let store = open(&stores.path()).unwrap();
    let settings = |connection: &Batch<'_>| {
        let journal: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let synchronous: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        Ok((journal, synchronous))
    };
    let full = 2;
    let found = store.writer.write(settings).await.unwrap();
    assert_eq!(found, ("wal".to_owned(), full));
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = open(&directory.path().join("missing/relation.db")).unwrap_err();
    assert!(matches!(&error, OpenError::NoDirectory { .. }), "{error}");
    assert!(error.to_string().contains("missing does not exist"));
}

#[test]
fn file_that_is_not_a_database_is_left_alone() {
    let stores = FileStores::new();
    for content in ["x", "not a database\n", &"words ".repeat(10_000)] {
        fs::write(stores.path(), content).unwrap();
        let error = open(&stores.path()).unwrap_err();
        assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
        assert_eq!(fs::read_to_string(stores.path()).unwrap(), content);
    }
    let directory = stores.path().parent().unwrap().to_owned();
    assert_eq!(names(&directory), ["relation.db"]);
    let error = open(&directory).unwrap_err();
    assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
}

#[test]
fn database_of_another_program_is_left_alone() {
    let stores = FileStores::new();
    let other = Connection::open(stores.path()).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let before = fs::read(stores.path()).unwrap();
    let error = open(&stores.path()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign(_)), "{error}");
    assert_eq!(fs::read(stores.path()).unwrap(), before);
}

#[test]
fn schema_of_a_later_release_is_left_alone() {
    let stores = FileStores::new();
    drop(open(&stores.path()).unwrap());
    let later = Connection::open(stores.path()).unwrap();
    later.pragma_update(None, "user_version", 12).unwrap();
    drop(later);
    let error = open(&stores.path()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, OpenError::Newer { found: 12, .. }),
        "{text}"
    );
    assert!(
        text.contains("version 12 and this release knows 11"),
        "{text}"
    );
    let still = Connection::open(stores.path()).unwrap();
    let version: i64 = still
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 12);
}

/// The scripts that lead from one version of the schema to the next.
const MIGRATIONS: [&str; 8] = [
    include_str!("../schema.sql"),
    include_str!("../quarantine.sql"),
    include_str!("../deadlines.sql"),
    include_str!("../reveals.sql"),
    include_str!("../scheduled.sql"),
    include_str!("../sorted.sql"),
    include_str!("../urgency.sql"),
    include_str!("../reveals_column.sql"),
];

/// Creates the database of an earlier release, and runs `data` in it.
fn create_version(stores: &FileStores, version: u8, data: &str) {
    let old = Connection::open(stores.path()).unwrap();
    for script in MIGRATIONS.iter().take(version.into()).chain([&data]) {
        old.execute_batch(script).unwrap();
    }
    old.pragma_update(None, "user_version", version).unwrap();
}

#[tokio::test]
async fn accesses_of_version_7_are_migrated() {
    let stores = FileStores::new();
    create_version(
        &stores,
        7,
        "INSERT INTO transactions (id, action, subject_name, status, message, submitted, started,
            holder, more_reveals) VALUES ('t1', 'refresh', '', 'Success', '', 1, 1, '', 5);
        INSERT INTO transactions (id, action, subject_name, status, message, submitted, started,
            holder) VALUES ('t2', 'refresh', '', 'Success', '', 1, 1, '');
        INSERT INTO transaction_reveals (transaction_id, at, owner_model, owner_pkid, name, outcome)
            VALUES ('t1', 7, 'm', '000000000000000000000001', 'a \"quoted\" name', 'absent'),
                ('t1', 6, NULL, NULL, 'webex.client-secret', 'opened');",
    );
    let store = open(&stores.path()).unwrap();
    let migrated = store.transaction("t1").await.unwrap().unwrap();
    let access = |at, owner, name: &str, outcome| SecretAccess {
        at: Timestamp(at),
        owner,
        name: name.to_owned(),
        outcome,
    };
    let owner = Reference::new("m", "000000000000000000000001".parse().unwrap());
    let expected = [
        access(
            7,
            Some(owner),
            "a \"quoted\" name",
            SecretAccessOutcome::Absent,
        ),
        access(6, None, "webex.client-secret", SecretAccessOutcome::Opened),
    ];
    assert_eq!(migrated.secret_accesses, expected);
    assert_eq!(migrated.omitted_accesses, 5);
    let without = store.transaction("t2").await.unwrap().unwrap();
    assert_eq!(without.secret_accesses, []);
}

#[tokio::test]
async fn transactions_of_version_8_get_their_node() {
    let stores = FileStores::new();
    create_version(
        &stores,
        8,
        "INSERT INTO documents (model, pkid, hierarchy, version, body, keys)
            VALUES ('m', '000000000000000000000001', 'sys.P.C', 1, '{}', '[]');
        INSERT INTO transactions (id, action, subject_model, subject_pkid, subject_name, status,
            message, submitted, started, holder)
            VALUES ('t1', 'sync', 'm', '000000000000000000000001', '', 'Success', '', 1, 1, ''),
                ('t1.0001', 'part', 'm', '000000000000000000000001', '', 'Success', '', 1, 1, ''),
                ('t2', 'refresh', 'm', '000000000000000000000002', '', 'Success', '', 1, 1, ''),
                ('t3', 'refresh', NULL, NULL, '', 'Success', '', 1, 1, '');",
    );
    let store = open(&stores.path()).unwrap();
    let node: Option<relation_types::Hierarchy> = Some("sys.P.C".parse().unwrap());
    for (id, expected) in [
        ("t1", &node),
        ("t1.0001", &node),
        ("t2", &None),
        ("t3", &None),
    ] {
        let migrated = store.transaction(id).await.unwrap().unwrap();
        assert_eq!(migrated.hierarchy, *expected, "{id}");
        assert_eq!(migrated.originator, None);
    }
    for (node, scope, expected) in [
        ("sys", Scope::Subtree, 1),
        ("sys.P.C", Scope::Subtree, 1),
        ("sys.P.C", Scope::Node, 1),
        ("sys.P", Scope::Node, 0),
        ("sys.P.C.D", Scope::Subtree, 0),
    ] {
        let filter = TransactionFilter {
            hierarchy: Some((node.parse().unwrap(), scope)),
            ..TransactionFilter::default()
        };
        let page = store.transactions(&filter, None, 9).await.unwrap();
        assert_eq!(page.items.len(), expected, "{node}");
    }
}

#[tokio::test]
async fn first_release_database_is_migrated_with_its_data() {
    let stores = FileStores::new();
    create_version(
        &stores,
        1,
        "INSERT INTO documents (model, pkid, hierarchy, version, body, keys)
         VALUES ('m', '000000000000000000000001', 'sys', 1, '{}', '[]');
         INSERT INTO documents (model, pkid, hierarchy, version, body, keys)
         VALUES ('data/SparkCustomer', '000000000000000000000002', 'sys.P.C', 1, '{}',
             '[[\"name\",\"Acme\"],[\"state\",\"expired\"]]');
         INSERT INTO document_keys
         VALUES ('data/SparkCustomer', 'name', 'Acme', '000000000000000000000002'),
             ('data/SparkCustomer', 'state', 'expired', '000000000000000000000002');
         INSERT INTO wakeups VALUES ('m', '000000000000000000000001', 'refresh', 70000, '', 1, 0);
         INSERT INTO leases VALUES ('m', '000000000000000000000001', 2, 'gone', 69000);",
    );
    let store = open(&stores.path()).unwrap();
    let now = Timestamp(70_000);
    let due = store.due(now, 10, KindFilter::All).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].wakeup.deadline, None);
    let expired = Filter {
        model: relation_types::RECORD_MODEL.to_owned(),
        hierarchy: Some(("sys.P".parse().unwrap(), Scope::Subtree)),
        equals: vec![Key {
            name: "state.expired".to_owned(),
            value: "yes".to_owned(),
        }],
    };
    let by_urgency = SortOrder {
        key: Some("urgency".to_owned()),
        descending: false,
    };
    let everywhere = Filter {
        equals: Vec::new(),
        ..expired.clone()
    };
    for filter in [expired, everywhere] {
        let found = store.list(&filter, &by_urgency, None, 9).await.unwrap();
        let keys = &found.items[0].keys;
        let keys: Vec<_> = keys.iter().map(|key| (&*key.name, &*key.value)).collect();
        let expected = [
            ("name", "Acme"),
            ("state.expired", "yes"),
            ("urgency", "0 acme"),
        ];
        assert_eq!(keys, expected);
    }
    store.recover(now).await.unwrap();
    let subject = due[0].wakeup.subject.clone();
    let begin = CallStart {
        transaction: relation_types::transactions::NewTransaction {
            id: "t1".to_owned(),
            action: "refresh".to_owned(),
            subject: Some(subject.clone()),
            submitted: now,
            started: now,
            ..relation_types::transactions::NewTransaction::default()
        },
        subject: Some(subject),
        lease: Duration::from_secs(65),
        now,
        wakeup: Some(due[0].clone()),
    };
    let BeginOutcome::Started(Some(lease)) = store.begin(begin).await.unwrap() else {
        panic!("no lease");
    };
    assert_eq!(lease.interrupted, Some(Timestamp(4_000)));

    let by_name = SortOrder {
        key: Some("name".to_owned()),
        descending: false,
    };
    let lists = async |node: &str, scope| {
        let filter = Filter {
            model: relation_types::RECORD_MODEL.to_owned(),
            hierarchy: Some((node.parse().unwrap(), scope)),
            equals: Vec::new(),
        };
        let page = store.list(&filter, &by_name, None, 10).await.unwrap();
        page.items.len()
    };
    for (node, in_subtree, at_node) in [("sys", 1, 0), ("sys.P", 1, 0), ("sys.P.C", 1, 1)] {
        assert_eq!(lists(node, Scope::Subtree).await, in_subtree, "{node}");
        assert_eq!(lists(node, Scope::Node).await, at_node, "{node}");
    }
}

#[test]
fn concurrent_first_opens_agree_on_the_store_id() {
    let stores = FileStores::new();
    let path = stores.path();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let openers = [(); 6].map(|()| scope.spawn(|| open(&path).unwrap()));
        let stores = openers.map(|opener| opener.join().unwrap());
        stores.iter().map(|store| store.id().to_owned()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_damaged_row_is_reported_and_not_hidden() {
    let stores = FileStores::new();
    let store = open(&stores.path()).unwrap();
    let other = Connection::open(stores.path()).unwrap();
    other
        .execute_batch(
            "INSERT INTO documents (model, pkid, hierarchy, version, body, keys)
             VALUES ('m', '000000000000000000000001', 'sys', 1, '{}', 'no json')",
        )
        .unwrap();
    let reference = Reference::new("m", "000000000000000000000001".parse().unwrap());
    let error = store.get(&[reference]).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn two_paths_to_one_database_know_of_each_other() {
    let stores = FileStores::new();
    let first = open(&stores.path()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(stores.path(), &link).unwrap();
    let second = open(&link).unwrap();
    assert_eq!(first.id(), second.id());
    assert_eq!(names(elsewhere.path()), ["link.db"]);
    let directory = stores.path().parent().unwrap().to_owned();
    let holders = names(&directory);
    let holders = holders.iter().filter(|name| name.contains("-holder-"));
    assert_eq!(holders.count(), 2);
}
