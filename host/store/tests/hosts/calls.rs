//! Calls of two hosts, whose clocks may differ and which may freeze.

use super::*;

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
async fn calls_of_two_hosts_share_transactions_without_deadlocks() {
    let Some(hosts) = Hosts::start(LeaseClock::Database).await else {
        return;
    };
    let subjects: Vec<Reference> = (0..20).map(record).collect();
    let changes = subjects.iter().map(|subject| put(subject, "sys.A", &[]));
    let add = commit(vec![], changes.collect());
    hosts.first.commit(add).await.unwrap();
    // Each host begins calls for all records, the second one in the other order.
    let results = race(200, |n| {
        let host = hosts.host(n);
        let position = n / 2 % 20;
        let position = if n % 2 == 0 { position } else { 19 - position };
        let subject = subjects[index(position)].clone();
        async move {
            let id = format!("t{n}");
            let begun = host.begin(begin(&id, &subject, NOW)).await.unwrap();
            let BeginOutcome::Started(lease) = begun else {
                return 0;
            };
            let document = host
                .get(std::slice::from_ref(&subject))
                .await
                .unwrap()
                .remove(0);
            let version = document.unwrap().version;
            let update = Commit {
                fence: lease.clone(),
                ..commit(
                    vec![Check::Version(subject.clone(), version)],
                    vec![put(&subject, "sys.A", &[]), schedule(&subject)],
                )
            };
            host.commit(update).await.unwrap();
            host.end(end(&id, lease.as_ref())).await.unwrap();
            1
        }
    })
    .await;
    let started: u64 = results.iter().sum();
    assert!(started >= 20);
    let ended = "SELECT count(*) FROM relation.transactions WHERE status = 'Success'";
    assert_eq!(hosts.sql(ended), started.to_string());
    assert_eq!(hosts.sql("SELECT count(*) FROM relation.leases"), "0");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(hosts.sql(deadlocks), "0");
    for host in hosts.both() {
        let statistics = host.statistics().await.unwrap();
        assert!(
            statistics.grouped_writes > statistics.groups,
            "{statistics:?}"
        );
    }
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
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
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
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
    assert_eq!(hosts.sql("SELECT count(*) FROM relation.leases"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_is_recovered_only_after_it_has_ended() {
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
                ..transaction(&call_id(&bulk, n))
            });
            let both = [put(&owner, "sys.A", &[]), schedule(&owner)];
            submission.changes.extend(both);
        }
        hosts.first.commit(submission).await.unwrap();
        let mut calls: Vec<(Option<Lease>, DueWakeup)> = Vec::new();
        for n in 0..4 {
            let found = hosts.first.wakeups(&request(n)).await.unwrap().remove(0);
            let id = call_id(&bulk, n);
            let start = CallStart {
                wakeup: Some(found.clone()),
                ..begin(&id, &record(n), NOW)
            };
            let lease = claim(&hosts.host(n), start).await;
            calls.push((Some(lease), found));
        }
        race(4, |n| {
            let (lease, found) = calls[index(n)].clone();
            let done = CallEnd {
                wakeup: Some(WakeupSettlement::Delete(found)),
                ..end(&call_id(&bulk, n), lease.as_ref())
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
