//! Commits of two hosts at the same moment.

use super::*;

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
    let name = [("name", "name 0")];
    let there = (0..DOCUMENTS).map(|number| put(&record(number), "sys.A", &name));
    let there = commit(vec![], there.collect());
    hosts.first.commit(there).await.unwrap();
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
            let mut puts = vec![0_u64; index(DOCUMENTS)];
            for _ in 0..20 {
                let mut changes = Vec::new();
                let mut put_now = Vec::new();
                for _ in 0..=next(5) {
                    let number = next(DOCUMENTS);
                    let name = format!("name {}", next(3));
                    changes.push(put(&record(number), "sys.A", &[("name", &name)]));
                    put_now.push(index(number));
                }
                let scheduled = changes.len() as u64;
                if let Change::Put(document) = &changes[index(next(scheduled))] {
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
        assert_eq!(
            found.as_ref().unwrap().version,
            1 + puts,
            "document {number}"
        );
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
async fn unstorable_texts_are_refused_or_replaced() {
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
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
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
async fn functions_refuse_wrong_parameters() {
    let Some(hosts) = Hosts::start(LeaseClock::Caller).await else {
        return;
    };
    let id = "gen_random_uuid()";
    let none = "'{}','{}','{}'";
    let change = |kind: &str, rest: &str| {
        format!(
            "relation.commit_v1({id}, 'h', NULL, NULL, NULL, {none}, NULL, false, '{{}}', false, '{{{kind}}}', '{{m}}', '{{p}}', \
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
        (
            format!("relation.report_v1({id}, 'no JSON', '', '')"),
            "json",
        ),
        (
            format!(
                "relation.begin_v1({id}, 'h', false, 1, 1, 'm', 'p', NULL, NULL, NULL, NULL, NULL, false, '{{}}')"
            ),
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
