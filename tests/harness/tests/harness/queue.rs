//! Queued calls: submitted, run, interrupted, canceled and replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use relation_harness::{Harness, Http, StoreKind};
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use relation_host::reports::Grant;
use relation_host::store::{Change, Commit};
use relation_host::transactions::{Originator, Status, Transaction, TransactionFilter};
use relation_host::types::{Filter, Pkid, QUEUED_CALL_MODEL, RECORD_MODEL, Reference, Wakeup};
use relation_host::{AddRequest, Host, QueueError, QueuedCall, WakeupOutcome};
use serde_json::json;
use tokio::sync::Notify;

use crate::{acme, add, harness, script};

const STORES: [StoreKind; 2] = [StoreKind::Memory, StoreKind::Sqlite];

async fn start(store: StoreKind) -> Harness {
    let harness = harness().store(store).http(Http::Script(script()));
    harness.start().await.unwrap()
}

fn check(pkid: &Pkid) -> QueuedCall {
    QueuedCall::CheckExpiry {
        pkid: pkid.clone(),
        grant: Grant::Organization,
    }
}

fn invalid() -> AddRequest {
    AddRequest {
        fields: json!({ "no_such_field": "x" }).as_object().unwrap().clone(),
        token_response: None,
        ..acme()
    }
}

async fn read(host: &Host, id: &str) -> Transaction {
    host.store().transaction(id).await.unwrap().unwrap()
}

fn request(transaction: &Transaction) -> Reference {
    Reference::new(QUEUED_CALL_MODEL, transaction.request.clone().unwrap())
}

/// Runs the wakeup of a queued call.
async fn run(host: &Host, id: &str) -> WakeupOutcome {
    let owner = request(&read(host, id).await);
    let due = host.store().wakeups(&owner).await.unwrap().pop().unwrap();
    host.run_wakeup(due).await.unwrap()
}

async fn count(host: &Host, model: &str) -> u64 {
    let filter = Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    host.store().count(&filter, 100).await.unwrap()
}

#[tokio::test]
async fn queued_add_runs_under_the_id_of_its_transaction() {
    for store in STORES {
        let harness = start(store).await;
        let originator = Originator {
            user: "Jo".to_owned(),
            ..Originator::default()
        };
        let host = harness.host().on_behalf_of(originator.clone());
        let id = host.submit(QueuedCall::Add(acme())).await.unwrap();
        let queued = read(&host, &id).await;
        assert_eq!((queued.status, &*queued.action), (Status::Queued, "add"));
        assert_eq!(queued.hierarchy, Some(acme().hierarchy));
        assert_eq!(queued.originator, Some(originator.clone()));
        let owner = request(&queued);
        let documents = host
            .store()
            .get(std::slice::from_ref(&owner))
            .await
            .unwrap();
        let document = documents[0].as_ref().unwrap();
        assert!(!document.body.contains("token"), "{}", document.body);

        let ran = run(harness.host(), &id).await;
        assert!(
            matches!(&ran, WakeupOutcome::Finished(result) if result.is_ok()),
            "{ran:?}"
        );
        let done = read(&host, &id).await;
        assert_eq!(done.status, Status::Success, "{}", done.message);
        assert_eq!(done.originator, Some(originator));
        let record = done.subject.unwrap();
        assert!(host.store().get(&[record]).await.unwrap()[0].is_some());
        assert_eq!(count(&host, QUEUED_CALL_MODEL).await, 0);
        assert_eq!(host.store().sealed(&owner, "request").await.unwrap(), None);
        assert_eq!(host.store().wakeups(&owner).await.unwrap(), []);
    }
}

/// A hold on one call before or after its first use of an import, until the call traps.
struct Hold {
    import: Import,
    /// How often the import is passed: 0 holds before it, 1 after it.
    passing: AtomicU32,
    reached: Notify,
    released: Notify,
}

impl Hold {
    fn new(import: Import, passing: u32) -> Arc<Self> {
        Arc::new(Self {
            import,
            passing: AtomicU32::new(passing),
            reached: Notify::new(),
            released: Notify::new(),
        })
    }

    async fn pass(&self, call: &ImportCall) -> Intervention {
        if call.import == self.import {
            let left = self
                .passing
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    Some(left.saturating_sub(1)).filter(|_| left != u32::MAX)
                });
            if left == Ok(0) {
                // All later calls pass.
                self.passing.store(u32::MAX, Ordering::Relaxed);
                self.reached.notify_one();
                self.released.notified().await;
                return Intervention::Trap("released".to_owned());
            }
        }
        Intervention::Proceed
    }
}

#[async_trait]
impl Interceptor for Hold {
    async fn before(&self, call: &ImportCall) -> Intervention {
        self.pass(call).await
    }

    async fn after(&self, call: &ImportCall) -> Intervention {
        self.pass(call).await
    }
}

#[tokio::test]
async fn interrupted_add_adds_one_record() {
    for store in STORES {
        for passing in [0, 1] {
            let hold = Hold::new(Import::StorageCommit, passing);
            let harness = harness()
                .store(store)
                .http(Http::Script(script()))
                .interceptor(hold.clone());
            let mut harness = harness.start().await.unwrap();
            let id = harness
                .host()
                .submit(QueuedCall::Add(acme()))
                .await
                .unwrap();
            tokio::select! {
                ran = run(harness.host(), &id) => panic!("{ran:?}"),
                () = hold.reached.notified() => {}
            }
            assert_eq!(read(harness.host(), &id).await.status, Status::Processing);
            harness.restart().await.unwrap();
            let host = harness.host();
            assert_eq!(read(host, &id).await.status, Status::Queued);
            assert_eq!(count(host, RECORD_MODEL).await, u64::from(passing));
            let _ = run(host, &id).await;
            let done = read(host, &id).await;
            assert_eq!(done.status, Status::Success, "{}", done.message);
            assert_eq!(count(host, RECORD_MODEL).await, 1, "{store:?} {passing}");
            assert_eq!(count(host, QUEUED_CALL_MODEL).await, 0);
        }
    }
}

#[tokio::test]
async fn interrupted_delete_succeeds() {
    for store in STORES {
        let harness = start(store).await;
        let pkid = add(&harness).await;
        let host = harness.host();
        let delete = QueuedCall::Delete { pkid: pkid.clone() };
        let id = host.submit(delete.clone()).await.unwrap();
        // The record is gone, as after an attempt that was interrupted before its end.
        let record = Reference::record(pkid);
        let commit = Commit {
            changes: vec![Change::Delete(record)],
            ..Commit::default()
        };
        host.store().commit(commit).await.unwrap();
        let ran = run(host, &id).await;
        assert!(
            matches!(&ran, WakeupOutcome::Finished(result) if result.is_ok()),
            "{ran:?}"
        );
        assert_eq!(read(host, &id).await.status, Status::Success);
        // A record that does not exist is reported to the caller who submits.
        let refused = host.submit(delete).await.unwrap_err();
        assert!(refused.to_string().contains("does not exist"), "{refused}");
    }
}

#[tokio::test]
async fn refused_call_keeps_its_request_for_a_replay() {
    for store in STORES {
        let harness = start(store).await;
        let host = harness.host();
        let id = host.submit(QueuedCall::Add(invalid())).await.unwrap();
        let unfinished = host.replay(&id).await.unwrap_err();
        assert!(
            matches!(unfinished, QueueError::NotEnded(_)),
            "{unfinished}"
        );
        let _ = run(host, &id).await;
        let failed = read(host, &id).await;
        assert_eq!(failed.status, Status::Fail);
        assert!(
            failed.message.contains("no_such_field"),
            "{}",
            failed.message
        );
        assert_eq!(count(host, QUEUED_CALL_MODEL).await, 1);

        let again = host.replay(&id).await.unwrap();
        let queued = read(host, &again).await;
        assert_eq!(
            (&queued.subject, queued.status),
            (&failed.subject, Status::Queued)
        );
        let _ = run(host, &again).await;
        assert_eq!(read(host, &again).await.message, failed.message);
        let ended = host.cancel(&again).await.unwrap_err();
        assert!(matches!(ended, QueueError::Ended { .. }), "{ended}");
    }
}

#[tokio::test]
async fn replay_needs_a_known_request() {
    let harness = start(StoreKind::Memory).await;
    let host = harness.host();
    let missing = host.replay("t0").await.unwrap_err();
    assert!(matches!(missing, QueueError::NotFound(_)), "{missing}");
    let added = host.add(acme()).await.unwrap();
    let unknown = host.replay(&added.transaction).await.unwrap_err();
    assert!(
        matches!(unknown, QueueError::NotReplayable { .. }),
        "{unknown}"
    );
    // An action without arguments is known from the transaction.
    let checked = host
        .check_expiry(&added.value.connection.pkid)
        .await
        .unwrap();
    let again = host.replay(&checked.transaction).await.unwrap();
    let _ = run(host, &again).await;
    let done = read(host, &again).await;
    assert_eq!(
        (done.status, &*done.action),
        (Status::Success, "check-expiry")
    );
}

#[tokio::test]
async fn canceled_call_does_not_run_and_can_be_replayed() {
    for store in STORES {
        let harness = start(store).await;
        let host = harness.host();
        let id = host.submit(QueuedCall::Add(acme())).await.unwrap();
        let owner = request(&read(host, &id).await);
        let due = host.store().wakeups(&owner).await.unwrap().pop().unwrap();
        host.cancel(&id).await.unwrap();
        let canceled = read(host, &id).await;
        assert_eq!(canceled.status, Status::Fail);
        assert_eq!(canceled.message, "Transaction canceled");
        let late = host.run_wakeup(due).await.unwrap();
        assert!(matches!(late, WakeupOutcome::Gone), "{late:?}");
        assert_eq!(count(host, RECORD_MODEL).await, 0);

        let again = host.replay(&id).await.unwrap();
        let _ = run(host, &again).await;
        assert_eq!(read(host, &again).await.status, Status::Success);
        assert_eq!(count(host, RECORD_MODEL).await, 1);
    }
}

#[tokio::test]
async fn bulk_ends_with_its_calls() {
    for store in STORES {
        let harness = start(store).await;
        let pkid = add(&harness).await;
        let host = harness.host();
        let node = acme().hierarchy;
        let calls = vec![check(&pkid), QueuedCall::Add(invalid()), check(&pkid)];
        let bulk = host.submit_all("import", &node, calls).await.unwrap();
        let filter = TransactionFilter {
            parent: Some(bulk.clone()),
            ..TransactionFilter::default()
        };
        let calls = host.store().transactions(&filter, None, 9).await.unwrap();
        assert_eq!(calls.items.len(), 3);
        for call in &calls.items[1..] {
            let _ = run(host, &call.id).await;
            assert_eq!(read(host, &bulk).await.status, Status::Queued);
        }
        let effect = host.cancel(&bulk).await.unwrap();
        assert_eq!((effect.canceled, effect.running), (1, 0));
        let ended = read(host, &bulk).await;
        assert_eq!(ended.status, Status::SuccessWithAsyncFailures);
        assert_eq!(ended.message, "1 of 3 calls succeeded");
        assert_eq!(
            read(host, &calls.items[0].id).await.message,
            "Transaction canceled"
        );
        let none = host
            .submit_all("import", &node, Vec::new())
            .await
            .unwrap_err();
        assert!(none.to_string().contains("1 to 9999 calls"), "{none}");
    }
}

#[tokio::test]
async fn cancel_stops_what_continues_a_running_import() {
    let hold = Hold::new(Import::StorageGet, u32::MAX);
    let harness = harness()
        .http(Http::Script(script()))
        .interceptor(hold.clone());
    let harness = harness.start().await.unwrap();
    let pkid = add(&harness).await;
    let host = harness.host().clone();
    let record = Reference::record(pkid.clone());
    let continues = async || {
        let wakeups = host.store().wakeups(&record).await.unwrap();
        wakeups.iter().any(|due| due.wakeup.kind() == "sync")
    };
    let wakeup = Wakeup {
        id: "sync.roles-licenses".to_owned(),
        subject: record.clone(),
        due: host.clock().now(),
        deadline: None,
        payload: String::new(),
    };
    let commit = Commit {
        changes: vec![Change::Schedule(wakeup)],
        ..Commit::default()
    };
    host.store().commit(commit).await.unwrap();
    assert!(continues().await);
    hold.passing.store(0, Ordering::Relaxed);
    let import = QueuedCall::Invoke {
        pkid,
        action: "SyncRolesLicenses".to_owned(),
        arguments: json!({}).as_object().unwrap().clone(),
    };
    let id = host.submit(import).await.unwrap();
    let running = tokio::spawn({
        let (host, id) = (host.clone(), id.clone());
        async move { run(&host, &id).await }
    });
    hold.reached.notified().await;
    let canceling = tokio::spawn({
        let (host, id) = (host.clone(), id.clone());
        async move { host.cancel(&id).await }
    });
    // The cancellation is noted while the call runs.
    while read(&host, &id)
        .await
        .log
        .iter()
        .all(|line| !line.message.contains("asked to end"))
    {
        tokio::task::yield_now().await;
    }
    // The running call ends, here with a trap.
    hold.released.notify_one();
    let _ = running.await.unwrap();
    let effect = canceling.await.unwrap().unwrap();
    assert_eq!((effect.canceled, effect.running), (0, 1));
    assert_eq!(read(&host, &id).await.status, Status::Fail);
    assert!(!continues().await);
}
