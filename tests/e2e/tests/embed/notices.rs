//! The outbox of notices, and the handlers that run its wakeups.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_e2e::world::DAY;
use relation_e2e::{Customer, World};
use relation_host::clock::Clock as _;
use relation_host::reports::{RefreshOutcome, SyncSelector};
use relation_host::store::{Change, Check, Commit, DueWakeup};
use relation_host::types::{
    AlertNotice, Document, NOTICE_MODEL, NoticeChange, Pkid, RECORD_KEY, Reference, Wakeup,
};
use relation_host::{
    CallErrorKind, HandledWakeup, HandlerError, HandlerOptions, Limits, NextRun, Outbox,
    WakeupHandler, WakeupOutcome, WakeupResult,
};
use serde_json::json;
use tokio::sync::Notify;
use webex_emulator::Fault;

use super::{EventLog, observed_world};

/// A model that a handler makes of notices.
const DELIVERY: &str = "host/NoticeDelivery";

async fn world_with_outbox() -> World {
    let outbox = Outbox {
        record_models: vec![DELIVERY.to_owned()],
    };
    World::builder().outbox(outbox).start().await
}

/// Returns the notices in the outbox.
async fn notices(world: &World) -> Vec<AlertNotice> {
    let bodies = world.bodies(NOTICE_MODEL).await.into_iter();
    bodies
        .map(|body| serde_json::from_value(body).expect("a notice"))
        .collect()
}

/// Makes Webex refuse the customer's refresh token.
async fn refuse_refresh(world: &World, customer: &Customer) {
    world.emulator.revoke(&customer.organization);
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
}

/// Adds a customer, and runs the import that pasted tokens start.
async fn add_customer(world: &World) -> Customer {
    let customer = world.add_customer("Contoso").await;
    let sync = SyncSelector::ROLES_LICENSES;
    let imported = world.host().sync(&customer.pkid, sync, false).await;
    let _ = imported.expect("the import succeeds");
    customer
}

/// Adds a customer whose refresh token is refused. Returns the wakeup of the notice too.
async fn customer_with_notice(world: &World) -> (Customer, DueWakeup) {
    let customer = add_customer(world).await;
    refuse_refresh(world, &customer).await;
    (customer, notice_wakeup(world).await.expect("a notice"))
}

async fn notice_wakeup(world: &World) -> Option<DueWakeup> {
    let wakeups = world.host().store().upcoming(None, None, 100).await;
    let mut wakeups = wakeups.unwrap().items.into_iter();
    wakeups.find(|due| due.wakeup.kind() == "notice")
}

#[tokio::test]
async fn alert_and_notice_are_stored_in_one_commit() {
    let world = world_with_outbox().await;
    let (customer, due) = customer_with_notice(&world).await;
    let record = Reference::record(customer.pkid.clone());
    let [raised] = &notices(&world).await[..] else {
        panic!("one notice");
    };
    let alerts = world.bodies("data/Alert").await;
    assert_eq!(raised.change, NoticeChange::Raised);
    assert_eq!(raised.body.as_ref(), Some(&alerts[0]));
    assert_eq!(raised.record.as_ref(), Some(&record));
    assert_eq!(raised.alert.pkid.as_str(), alerts[0]["id"]);
    assert_eq!(raised.time, world.clock.now());
    let document = world.document(&due.wakeup.subject).await.unwrap();
    let owner = world.document(&record).await.unwrap();
    assert_eq!(document.hierarchy, owner.hierarchy);
    assert_eq!(
        (due.wakeup.id.as_str(), due.wakeup.due),
        ("notice.route", world.clock.now())
    );

    // A repetition stores nothing. A host without a handler leaves the notice alone.
    world.clock.advance(DAY);
    refuse_refresh(&world, &customer).await;
    world.run_for(DAY).await;
    assert_eq!(notices(&world).await.len(), 1);
    assert_eq!(notice_wakeup(&world).await, Some(due));

    // A new grant works: the alert is cleared.
    let grant = world.emulator.grant(
        &customer.organization,
        relation_e2e::world::SCOPES.iter().copied(),
    );
    let tokens = secrecy::SecretString::from(grant.json().to_string());
    let fields = serde_json::Map::new();
    let _ = world
        .host()
        .modify(&customer.pkid, fields, Some(tokens))
        .await
        .unwrap();
    assert_eq!(world.bodies("data/Alert").await.len(), 0);
    let mut changes: Vec<_> = notices(&world).await;
    changes.sort_by_key(|notice| notice.time);
    assert_eq!(changes[1].change, NoticeChange::Cleared);
    assert_eq!(changes[1].alert, changes[0].alert);
    assert_eq!(
        changes[1].body.as_ref().unwrap()["code"],
        "WEBEX_REAUTHORIZE"
    );
}

#[tokio::test]
async fn alert_without_an_outbox_has_no_notice() {
    let (world, _) = observed_world().await;
    let customer = world.add_customer("Contoso").await;
    refuse_refresh(&world, &customer).await;
    assert_eq!(world.bodies("data/Alert").await.len(), 1);
    assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0);
    assert_eq!(notice_wakeup(&world).await, None);
}

#[tokio::test]
async fn outbox_changes_no_event_of_observers() {
    let mut events = Vec::new();
    for outbox in [None, Some(Outbox::default())] {
        let log = Arc::new(EventLog::default());
        let mut world = World::builder().observer(log.clone());
        if let Some(outbox) = outbox {
            world = world.outbox(outbox);
        }
        let world = world.start().await;
        let customer = world.add_customer("Contoso").await;
        refuse_integration(&world);
        for _ in 0..2 {
            let _ = world.host().refresh(&customer.pkid).await.unwrap();
            world.clock.advance(DAY);
        }
        refuse_refresh(&world, &customer).await;
        let _ = world.host().delete(&customer.pkid, false).await.unwrap();
        events.push(log.take());
    }
    assert_eq!(events[0], events[1]);
    assert!(events[0].iter().any(|event| event.starts_with("alert")));
}

/// Makes Webex refuse the integration once.
fn refuse_integration(world: &World) {
    let body = json!({ "error": "invalid_client" });
    let fault = Fault::status_with_body("/v1/access_token", 401, body);
    world.emulator.inject(fault.times(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn stashed_response_has_its_notice_once() {
    let world = world_with_outbox().await;
    let customer = world.add_customer("Contoso").await;
    refuse_integration(&world);
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    world.clock.advance(DAY);
    let fault = StoreFault::failing(Operation::Commit).times(u32::MAX);
    world.store_faults.inject(fault);
    let refused = world.host().refresh(&customer.pkid).await.unwrap_err();
    assert!(
        matches!(refused.kind, CallErrorKind::Refused(_)),
        "{refused}"
    );
    world.store_faults.clear();
    assert_eq!(notices(&world).await.len(), 1);
    // The store has the commit, but the host does not learn of it, and replays the entry again.
    world
        .store_faults
        .inject(StoreFault::losing_result(Operation::Commit));
    assert_eq!(world.host().replay_stash().await.waiting, 1);
    assert_eq!(notices(&world).await.len(), 2);
    let due = notice_wakeup(&world).await;
    assert_eq!(world.host().replay_stash().await.applied, 1);
    let mut all = notices(&world).await;
    all.sort_by_key(|notice| notice.time);
    let changes: Vec<_> = all.iter().map(|notice| notice.change).collect();
    assert_eq!(changes, [NoticeChange::Raised, NoticeChange::Cleared]);
    assert_eq!(notice_wakeup(&world).await, due);
    // The alert of the installation is about no record, and was cleared without having been read.
    assert!(all.iter().all(|notice| notice.record.is_none()));
    assert_eq!(all[1].body, all[0].body);
}

fn delivery(record: &Pkid) -> (Document, Wakeup) {
    let reference = Reference::new(DELIVERY, Pkid::random());
    let document = Document {
        reference: reference.clone(),
        hierarchy: "sys.Provider".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: vec![relation_host::types::Key {
            name: RECORD_KEY.to_owned(),
            value: record.to_string(),
        }],
    };
    let wakeup = Wakeup {
        id: "notice.deliver.mail".to_owned(),
        subject: reference,
        due: relation_host::types::Timestamp(0),
        deadline: None,
        payload: String::new(),
    };
    (document, wakeup)
}

async fn store_delivery(world: &World, record: &Pkid) {
    let (document, wakeup) = delivery(record);
    let commit = Commit {
        changes: vec![Change::Put(document), Change::Schedule(wakeup)],
        ..Commit::default()
    };
    world.host().store().commit(commit).await.unwrap();
}

#[tokio::test]
async fn delete_removes_notices_and_tells_nothing() {
    let told = Arc::new(Teller::default());
    let outbox = Outbox {
        record_models: vec![DELIVERY.to_owned()],
    };
    let world = World::builder()
        .outbox(outbox)
        .notice_handler(told.clone(), HandlerOptions::default())
        .start()
        .await;
    let (customer, _) = customer_with_notice(&world).await;
    let other = world.add_customer("Acme").await;
    store_delivery(&world, &customer.pkid).await;
    store_delivery(&world, &other.pkid).await;
    let _ = world.host().delete(&customer.pkid, false).await.unwrap();
    assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0);
    assert_eq!(world.bodies(DELIVERY).await.len(), 1);
    // A delivery that was stored while the record was being deleted.
    store_delivery(&world, &customer.pkid).await;
    world.run_for(Duration::from_secs(1)).await;
    assert_eq!(world.bodies(DELIVERY).await.len(), 0);
    assert_eq!(told.runs(), ["1 done"], "only the other customer's");
}

/// A handler that behaves as scripted, one behavior for each run, and then succeeds.
#[derive(Default)]
struct Teller {
    script: Mutex<Vec<&'static str>>,
    runs: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    entered: Notify,
    released: Notify,
}

impl Teller {
    fn runs(&self) -> Vec<String> {
        self.runs.lock().clone()
    }

    fn note(&self, attempt: u32, what: &str) {
        self.runs.lock().push(format!("{attempt} {what}"));
    }
}

#[async_trait]
impl WakeupHandler for Teller {
    async fn run(&self, wakeup: &HandledWakeup) -> Result<WakeupResult, HandlerError> {
        let behavior = self.script.lock().pop().unwrap_or("done");
        self.note(wakeup.attempt, behavior);
        match behavior {
            "error" => Err("the mail server is down".into()),
            "panic" => panic!("a fault of this test"),
            "hang" => std::future::pending().await,
            "foreign" => Ok(WakeupResult {
                changes: vec![Change::Delete(Reference::record(Pkid::random()))],
                ..NextRun::DeleteSubject.into()
            }),
            "conflict" => Ok(WakeupResult {
                checks: vec![Check::Absent(wakeup.document.reference.clone())],
                ..NextRun::DeleteSubject.into()
            }),
            "wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.entered.notify_one();
                self.released.notified().await;
                Ok(NextRun::DeleteSubject.into())
            }
            "later" => {
                let mut document = wakeup.document.clone();
                document.body = json!({ "attempts": 1 }).to_string();
                let at = wakeup.host.clock().now().after(DAY);
                Ok(WakeupResult {
                    changes: vec![Change::Put(document)],
                    ..NextRun::At(at).into()
                })
            }
            _ => Ok(NextRun::DeleteSubject.into()),
        }
    }
}

async fn world_with_teller(script: &[&'static str]) -> (World, Arc<Teller>) {
    let teller = Arc::new(Teller::default());
    *teller.script.lock() = script.iter().rev().copied().collect();
    let options = HandlerOptions {
        time: Duration::from_millis(200),
        ..HandlerOptions::default()
    };
    let world = World::builder()
        .outbox(Outbox::default())
        .notice_handler(teller.clone(), options);
    (world.start().await, teller)
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_handler_is_run_again_later() {
    let script = ["error", "panic", "foreign", "hang", "later"];
    let (world, teller) = world_with_teller(&script).await;
    let (_, due) = customer_with_notice(&world).await;
    let began = world.clock.now();
    let mut minutes = Vec::new();
    for _ in 0..script.len() {
        let next = notice_wakeup(&world).await.unwrap().wakeup.due;
        minutes.push(next.since(began).as_secs() / 60);
        world.run_for(next.since(world.clock.now())).await;
    }
    assert_eq!(minutes, [0, 1, 3, 7, 15]);
    let document = world.document(&due.wakeup.subject).await.unwrap();
    assert_eq!(document.body, r#"{"attempts":1}"#);
    assert!(document.keys.iter().all(|key| key.name == RECORD_KEY));
    world.run_for(DAY).await;
    let expected = [
        "1 error",
        "2 panic",
        "3 foreign",
        "4 hang",
        "5 later",
        "1 done",
    ];
    assert_eq!(teller.runs(), expected);
    assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0);
    assert_eq!(notice_wakeup(&world).await, None);
}

#[tokio::test]
async fn conflicting_result_is_repeated_soon() {
    let (world, teller) = world_with_teller(&["conflict"; 6]).await;
    customer_with_notice(&world).await;
    let mut seconds = Vec::new();
    for _ in 0..7 {
        let began = world.clock.now();
        let next = notice_wakeup(&world).await.unwrap().wakeup.due;
        seconds.push(next.since(began).as_secs());
        world.run_for(next.since(began)).await;
    }
    // A conflict that does not end is a fault of the handler.
    assert_eq!(seconds, [0, 1, 1, 1, 1, 960, 1920]);
    assert_eq!(teller.runs().len(), 7);
    assert_eq!(notice_wakeup(&world).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_run_one_wakeup_once() {
    let teller = Arc::new(Teller::default());
    *teller.script.lock() = vec!["wait"];
    let world = World::builder()
        .outbox(Outbox::default())
        .notice_handler(teller.clone(), HandlerOptions::default())
        .start()
        .await;
    let (_, due) = customer_with_notice(&world).await;
    let other = world.new_host().await;
    let running = {
        let (host, due) = (world.host().clone(), due.clone());
        tokio::spawn(async move { host.run_wakeup(due).await })
    };
    teller.entered.notified().await;
    // The other host has found the wakeup before it was claimed, or looks for due wakeups now.
    let late = other.run_wakeup(due.clone()).await.unwrap();
    assert!(matches!(late, WakeupOutcome::Gone), "{late:?}");
    let dispatcher = other.dispatcher(relation_host::schedule::DispatcherOptions::default());
    dispatcher.run_until_idle().await.unwrap();
    teller.released.notify_one();
    let ran = running.await.unwrap().unwrap();
    assert!(matches!(ran, WakeupOutcome::Handled), "{ran:?}");
    let late = other.run_wakeup(due).await.unwrap();
    assert!(matches!(late, WakeupOutcome::Gone), "{late:?}");
    assert_eq!(teller.runs(), ["1 wait"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_run_one_handler() {
    let (world, teller) = world_with_teller(&[]).await;
    let (_, due) = customer_with_notice(&world).await;
    let other = world.new_host().await;
    let runs: Vec<_> = (0..16)
        .map(|number| {
            let host = if number % 2 == 0 {
                world.host().clone()
            } else {
                other.clone()
            };
            let due = due.clone();
            tokio::spawn(async move { host.run_wakeup(due).await })
        })
        .collect();
    for run in runs {
        let _ = run.await.unwrap().unwrap();
    }
    assert_eq!(teller.runs(), ["1 done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn result_survives_a_store_that_is_unavailable() {
    let teller = Arc::new(Teller::default());
    *teller.script.lock() = vec!["wait"];
    let world = World::builder()
        .outbox(Outbox::default())
        .notice_handler(teller.clone(), HandlerOptions::default())
        .start()
        .await;
    let (_, due) = customer_with_notice(&world).await;
    let host = world.host().clone();
    let running = tokio::spawn(async move { host.run_wakeup(due).await });
    teller.entered.notified().await;
    let fault = StoreFault::failing(Operation::Commit).taking(Duration::ZERO);
    world.store_faults.inject(fault.times(2));
    world
        .store_faults
        .inject(StoreFault::losing_result(Operation::Commit).taking(Duration::ZERO));
    teller.released.notify_one();
    let _ = running.await.unwrap().unwrap();
    world.run_for(DAY).await;
    assert_eq!(teller.runs(), ["1 wait"]);
    assert_eq!(world.bodies(NOTICE_MODEL).await.len(), 0);
}

/// Returns the smallest limit of changes with which a refused refresh is stored.
async fn find_needed_changes(outbox: Option<Outbox>) -> usize {
    let has_outbox = outbox.is_some();
    let mut world = World::builder();
    if let Some(outbox) = outbox {
        world = world.outbox(outbox);
    }
    let mut world = world.start().await;
    let customer = world.add_customer("Contoso").await;
    world.emulator.revoke(&customer.organization);
    for changes in 1.. {
        world.set_limits(Limits {
            changes,
            ..Limits::default()
        });
        let host = world.new_host().await;
        if host.refresh(&customer.pkid).await.is_ok() {
            assert_eq!(world.bodies("data/Alert").await.len(), 1);
            assert_eq!(notices(&world).await.len(), usize::from(has_outbox));
            return changes;
        }
    }
    panic!("no limit suffices")
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_do_not_count_for_the_limits() {
    let needed = find_needed_changes(None).await;
    assert!(needed > 1);
    assert_eq!(find_needed_changes(Some(Outbox::default())).await, needed);
}
