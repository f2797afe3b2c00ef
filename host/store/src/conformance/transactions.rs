//! Transactions: the record of every call.

use std::sync::Arc;

use super::Stores;
use super::builders::*;
use crate::{CallStart, Change, Check, Commit, PruneRequest, Store};
use relation_types::transactions::{
    Level, LogLine, NewTransaction, Originator, Progress, SecretAccess, SecretAccessOutcome,
    Status, Transaction, TransactionFilter, TransactionOutcome, TransactionPart, TransactionUpdate,
    part_id,
};
use relation_types::{Reference, Scope};

fn line(second: u64, level: Level, message: &str) -> LogLine {
    LogLine {
        at: at(second),
        level,
        message: message.to_owned(),
    }
}

fn access(second: u64, owner: Option<Reference>, outcome: SecretAccessOutcome) -> SecretAccess {
    SecretAccess {
        at: at(second),
        owner,
        name: "token".to_owned(),
        outcome,
    }
}

fn progress(done: u32, message: &str) -> Progress {
    Progress {
        done,
        total: 9,
        message: message.to_owned(),
    }
}

fn update_of(id: &str) -> TransactionUpdate {
    TransactionUpdate {
        id: id.to_owned(),
        ..TransactionUpdate::default()
    }
}

async fn read(store: &Arc<dyn Store>, id: &str) -> Transaction {
    store.transaction(id).await.unwrap().expect("a transaction")
}

pub(super) async fn transaction_is_recorded_from_begin_to_end(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_eq!(store.transaction("t1").await.unwrap(), None);
    let mut beginning = begin("t1", &record(1), at(1));
    beginning.transaction.submitted = at(0);
    beginning.transaction.subject_name = "Acme".to_owned();
    beginning.transaction.hierarchy = Some(hierarchy("sys.A"));
    let originator = Originator {
        user: "Jo".to_owned(),
        external_id: Some("4711".to_owned()),
        external_reference: None,
    };
    beginning.transaction.originator = Some(originator.clone());
    let lease = claim(&store, beginning).await;
    let mut expected = Transaction {
        id: "t1".to_owned(),
        action: "refresh".to_owned(),
        subject: Some(record(1)),
        subject_name: "Acme".to_owned(),
        hierarchy: Some(hierarchy("sys.A")),
        originator: Some(originator.clone()),
        request: None,
        status: Status::Processing,
        progress: None,
        message: String::new(),
        submitted: at(0),
        started: at(1),
        completed: None,
        log: Vec::new(),
        secret_accesses: Vec::new(),
        omitted_accesses: 0,
    };
    assert_eq!(read(&store, "t1").await, expected);

    let first = TransactionUpdate {
        progress: Some(progress(1, "asking")),
        lines: vec![line(2, Level::Debug, "one"), line(2, Level::Warning, "two")],
        secret_accesses: vec![access(2, None, SecretAccessOutcome::Opened)],
        omitted_accesses: 2,
        ..update_of("t1")
    };
    store.report(first).await.unwrap();
    expected.progress = Some(progress(1, "asking"));
    expected.log = vec![line(2, Level::Debug, "one"), line(2, Level::Warning, "two")];
    expected.secret_accesses = vec![access(2, None, SecretAccessOutcome::Opened)];
    expected.omitted_accesses = 2;
    assert_eq!(read(&store, "t1").await, expected);

    let second = TransactionUpdate {
        subject_name: Some("Bolt".to_owned()),
        lines: vec![line(1, Level::Error, "three"), line(3, Level::Info, "ä\n")],
        secret_accesses: vec![
            access(3, Some(record(1)), SecretAccessOutcome::Failed),
            access(3, Some(record(2)), SecretAccessOutcome::Absent),
        ],
        omitted_accesses: 1,
        ..update_of("t1")
    };
    let commit = Commit {
        transaction: Some(second),
        fence: Some(lease.clone()),
        ..changes(vec![put(&record(1))])
    };
    store.commit(commit).await.unwrap();
    expected.subject_name = "Bolt".to_owned();
    expected.log.push(line(1, Level::Error, "three"));
    expected.log.push(line(3, Level::Info, "ä\n"));
    expected.secret_accesses.extend([
        access(3, Some(record(1)), SecretAccessOutcome::Failed),
        access(3, Some(record(2)), SecretAccessOutcome::Absent),
    ]);
    expected.omitted_accesses = 3;
    assert_eq!(read(&store, "t1").await, expected);

    let mut last = end("t1", Some(&lease), at(4));
    last.transaction = TransactionUpdate {
        progress: Some(progress(9, "done")),
        ..ended("t1", Status::Fail, at(4))
    };
    store.end(last).await.unwrap();
    expected.progress = Some(progress(9, "done"));
    expected.status = Status::Fail;
    expected.message = "so it ended".to_owned();
    expected.completed = Some(at(4));
    assert_eq!(read(&store, "t1").await, expected);
}

pub(super) async fn update_is_written_with_its_commit(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    claim(&store, begin("t1", &record(1), at(0))).await;
    let commit = Commit {
        checks: vec![Check::Version(record(1), 1)],
        transaction: Some(TransactionUpdate {
            lines: vec![line(1, Level::Info, "written")],
            ..update_of("t1")
        }),
        ..Commit::default()
    };
    assert_conflict(store.commit(commit.clone()).await);
    assert_eq!(read(&store, "t1").await.log, []);
    write(&store, vec![put(&record(1))]).await;
    store.commit(commit).await.unwrap();
    assert_eq!(read(&store, "t1").await.log.len(), 1);
}

pub(super) async fn update_after_the_end_is_dropped(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let lease = claim(&store, begin("t1", &record(1), at(0))).await;
    store.end(end("t1", Some(&lease), at(1))).await.unwrap();
    let before = read(&store, "t1").await;
    let late = TransactionUpdate {
        progress: Some(progress(2, "late")),
        lines: vec![line(2, Level::Info, "late")],
        ..ended("t1", Status::Fail, at(2))
    };
    store.report(late).await.unwrap();
    assert_eq!(read(&store, "t1").await, before);
}

pub(super) async fn update_of_an_unknown_transaction_is_refused(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    assert_invalid(store.report(update_of("t1")).await);
    let commit = Commit {
        transaction: Some(update_of("t1")),
        ..changes(vec![put(&record(1))])
    };
    assert_invalid(store.commit(commit).await);
    assert_eq!(version(&store, &record(1)).await, None);
    // An unknown transaction does not prevent the end of a call.
    store.end(end("t1", None, at(0))).await.unwrap();
}

pub(super) async fn an_id_is_used_once(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    claim(&store, begin("t1", &record(1), at(0))).await;
    assert_conflict(store.begin(begin("t1", &record(2), at(0))).await);
    // The second call did not get a lease.
    claim(&store, begin("t2", &record(2), at(0))).await;
}

pub(super) async fn listings_are_newest_first_filtered_and_complete(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let subjects = [None, Some(record(1)), Some(record(2))];
    let actions = ["add", "refresh", "delete"];
    let mut all = Vec::new();
    for (number, index) in (0..60_u64).zip(0_usize..) {
        let id = format!("0192f0c1-{number:04x}-7000-8000-000000000000");
        let subject: Option<Reference> = subjects[index % 3].clone();
        let action = actions[index / 3 % 3];
        let beginning = CallStart {
            transaction: NewTransaction {
                subject: subject.clone(),
                action: action.to_owned(),
                ..transaction(&id, at(number))
            },
            subject: None,
            lease: LEASE,
            now: at(number),
            wakeup: None,
        };
        store.begin(beginning).await.unwrap();
        let status = match number % 7 {
            0 => Status::Processing,
            1 => Status::Fail,
            2 => Status::SuccessWithAsyncFailures,
            _ => Status::Success,
        };
        if status != Status::Processing {
            let update = TransactionUpdate {
                lines: vec![line(number, Level::Info, "a line")],
                ..ended(&id, status, at(number + 1))
            };
            store.report(update).await.unwrap();
        }
        all.push((id, subject, action, status));
    }
    all.reverse();

    for status in Status::ALL.map(Some).into_iter().chain([None]) {
        for action in [None, Some("add"), Some("refresh"), Some("nothing")] {
            for subject in [None, Some(record(1)), Some(record(3))] {
                let filter = TransactionFilter {
                    subject,
                    status,
                    action: action.map(str::to_owned),
                    ..TransactionFilter::default()
                };
                let expected: Vec<&str> = all
                    .iter()
                    .filter(|(_, about, ..)| filter.subject.is_none() || filter.subject == *about)
                    .filter(|(_, _, does, _)| action.is_none_or(|action| action == *does))
                    .filter(|(.., stored)| status.is_none_or(|status| status == *stored))
                    .map(|(id, ..)| id.as_str())
                    .collect();
                for limit in [1, 4, 100] {
                    let found = list(&store, &filter, limit).await;
                    assert_eq!(found, expected, "{filter:?} in pages of {limit}");
                }
            }
        }
    }
}

pub(super) async fn listings_select_ids_by_prefix(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let ids = ["0192f0c1-a", "0192f0c1-b", "0192f0c2-a", "0192f0c2"];
    for (number, id) in (0..).zip(ids) {
        let beginning = CallStart {
            transaction: transaction(id, at(number)),
            subject: None,
            lease: LEASE,
            now: at(number),
            wakeup: None,
        };
        store.begin(beginning).await.unwrap();
    }
    for (prefix, expected) in [
        (
            "",
            vec!["0192f0c2-a", "0192f0c2", "0192f0c1-b", "0192f0c1-a"],
        ),
        ("0192f0c1", vec!["0192f0c1-b", "0192f0c1-a"]),
        ("0192f0c2", vec!["0192f0c2-a", "0192f0c2"]),
        ("0192f0c1-b", vec!["0192f0c1-b"]),
        ("0192f0c1-b0", vec![]),
        ("1", vec![]),
        ("%", vec![]),
    ] {
        for action in [None, Some("refresh".to_owned())] {
            let filter = TransactionFilter {
                action,
                id_prefix: Some(prefix.to_owned()),
                ..TransactionFilter::default()
            };
            for limit in [1, 100] {
                let found = list(&store, &filter, limit).await;
                assert_eq!(found, expected, "{prefix:?} in pages of {limit}");
            }
        }
    }
}

pub(super) async fn parts_are_listed_with_their_transaction_only(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    write(&store, vec![put(&record(1))]).await;
    let lease = claim(&store, begin("t1", &record(1), at(0))).await;
    claim(&store, begin("t10", &record(2), at(0))).await;
    let part = |number: u32, status| TransactionPart {
        number,
        action: format!("part {number}"),
        started: at(u64::from(number)),
        outcome: TransactionOutcome {
            status,
            message: "ended".to_owned(),
            completed: at(20),
        },
    };
    let update = TransactionUpdate {
        subject_name: Some("Acme".to_owned()),
        parts: vec![part(1, Status::Success)],
        ..update_of("t1")
    };
    // A repeated update adds no part twice.
    store.report(update.clone()).await.unwrap();
    store.report(update).await.unwrap();
    let mut last = end("t1", Some(&lease), at(21));
    last.transaction.parts = vec![part(2, Status::Fail), part(11, Status::Success)];
    store.end(last).await.unwrap();

    let all = list(&store, &TransactionFilter::default(), 10).await;
    assert_eq!(all, ["t10", "t1"]);
    let ids = [part_id("t1", 11), part_id("t1", 2), part_id("t1", 1)];
    let of = |parent: &str| TransactionFilter {
        parent: Some(parent.to_owned()),
        ..TransactionFilter::default()
    };
    for limit in [1, 2, 100] {
        assert_eq!(list(&store, &of("t1"), limit).await, ids);
    }
    assert_eq!(list(&store, &of("t10"), 10).await, [""; 0]);
    let failed = TransactionFilter {
        status: Some(Status::Fail),
        ..of("t1")
    };
    assert_eq!(list(&store, &failed, 10).await, [part_id("t1", 2)]);
    let stored = read(&store, &part_id("t1", 2)).await;
    assert_eq!(stored.subject, Some(record(1)));
    assert_eq!(stored.subject_name, "Acme");
    assert_eq!(stored.hierarchy, Some(hierarchy("sys.Provider.Customer")));
    assert_eq!((stored.started, stored.completed), (at(2), Some(at(20))));
    assert_eq!(stored.message, "ended");
}

pub(super) async fn listings_select_transactions_by_node(stores: Arc<dyn Stores>) {
    let store = empty(&stores).await;
    let nodes = ["sys", "sys.A", "sys.A.B", "sys.AB", "sys.A!"];
    let mut all = Vec::new();
    for number in 0..20_u64 {
        let node = nodes[usize::try_from(number).unwrap() % nodes.len()];
        let id = format!("t{number:02}");
        let mut beginning = begin(&id, &record(number), at(number));
        if number % 2 == 0 {
            // The node of a record goes before one that the caller names.
            write(
                &store,
                vec![Change::Put(named(&record(number), node, "Acme"))],
            )
            .await;
            beginning.transaction.hierarchy = Some(hierarchy("sys.other"));
        } else {
            beginning.transaction.hierarchy = Some(hierarchy(node));
        }
        let lease = claim(&store, beginning).await;
        let mut last = end(&id, Some(&lease), at(number));
        last.transaction.parts = vec![TransactionPart {
            number: 1,
            action: "part".to_owned(),
            started: at(number),
            outcome: last.transaction.outcome.clone().unwrap(),
        }];
        if number % 3 > 0 {
            store.end(last).await.unwrap();
        }
        // A transaction keeps its node when its record is deleted.
        write(&store, vec![Change::Delete(record(number))]).await;
        all.push((id, hierarchy(node), number));
    }
    // A transaction at an unknown node.
    store
        .begin(CallStart {
            subject: None,
            ..begin("t99", &record(99), at(99))
        })
        .await
        .unwrap();
    all.reverse();

    for scope in [Scope::Node, Scope::Subtree] {
        for node in nodes.into_iter().chain(["sys.A.B.C", "sy"]) {
            let node = hierarchy(node);
            for status in [None, Some(Status::Processing), Some(Status::Success)] {
                let filter = TransactionFilter {
                    hierarchy: Some((node.clone(), scope)),
                    status,
                    ..TransactionFilter::default()
                };
                let matching = all.iter().filter(|(_, place, number)| {
                    let is_running = number % 3 == 0;
                    scope.covers(&node, place)
                        && status.is_none_or(|status| is_running == (status == Status::Processing))
                });
                let expected: Vec<&str> = matching.map(|(id, ..)| id.as_str()).collect();
                for limit in [1, 4, 100] {
                    let found = list(&store, &filter, limit).await;
                    assert_eq!(found, expected, "{filter:?} in pages of {limit}");
                }
            }
        }
    }
    for (node, parts) in [("sys", vec!["t01.0001"]), ("sys.AB", vec![])] {
        let filter = TransactionFilter {
            hierarchy: Some((hierarchy(node), Scope::Subtree)),
            parent: Some("t01".to_owned()),
            ..TransactionFilter::default()
        };
        assert_eq!(list(&store, &filter, 10).await, parts, "{node}");
    }
    let filter = TransactionFilter {
        hierarchy: Some((hierarchy("sys"), Scope::Subtree)),
        subject: Some(record(2)),
        ..TransactionFilter::default()
    };
    assert_eq!(list(&store, &filter, 10).await, ["t02"]);
    // A removed transaction is not listed.
    let prune = PruneRequest {
        succeeded_before: at(100),
        failed_before: at(100),
        after: None,
        limit: 100,
    };
    store.prune_transactions(prune).await.unwrap();
    let filter = TransactionFilter {
        hierarchy: Some((hierarchy("sys.A.B"), Scope::Subtree)),
        ..TransactionFilter::default()
    };
    assert_eq!(list(&store, &filter, 10).await, ["t12"]);
}

async fn list(store: &Arc<dyn Store>, filter: &TransactionFilter, limit: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store.transactions(filter, cursor.as_deref(), limit).await;
        let page = page.unwrap();
        assert!(
            page.items
                .iter()
                .all(|transaction| transaction.log.is_empty())
        );
        found.extend(page.items.into_iter().map(|transaction| transaction.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let number = u64::try_from(found.len()).unwrap();
    for at_most in [0, 1, number, u64::MAX] {
        let counted = store.count_transactions(filter, at_most).await.unwrap();
        assert_eq!(counted, number.min(at_most), "{filter:?} up to {at_most}");
    }
    found
}
