//! A store that is down between Webex's response and its commit: the response is not lost.

use std::time::Duration;

use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_e2e::world::{DAY, SCOPES};
use relation_e2e::{Customer, World};
use relation_host::clock::Clock;
use relation_host::reports::{RefreshOutcome, RefreshReport, SyncSelector};
use relation_host::store::stash;
use relation_host::transactions::{Status, TransactionFilter};
use relation_host::types::{Failure, Reference};
use relation_host::{CallError, CallErrorKind, CallOutput, StashSummary};
use tokio::task::JoinHandle;
use webex_emulator::{Gate, Mode};

type RefreshResult = Result<CallOutput<RefreshReport>, CallError>;

const APPLIED: StashSummary = StashSummary {
    applied: 1,
    superseded: 0,
    quarantined: 0,
    waiting: 0,
};

/// Creates a world in which every refresh token works once. Its second use ends the grant, so that any loss shows.
async fn world() -> (World, Customer) {
    let world = World::builder().mode(Mode::Rotate).start().await;
    world.emulator.set_reuse_detection(true);
    let customer = world.add_customer("Contoso").await;
    // Pasted tokens start an import; afterwards, only the refresh and the expiry check are scheduled.
    let sync = SyncSelector::ROLES_LICENSES;
    let _ = world
        .host()
        .sync(&customer.pkid, sync, false)
        .await
        .unwrap();
    world.clock.advance(DAY);
    (world, customer)
}

/// Asserts the record's state, and that its tokens are those that Webex issued last.
async fn assert_connected_by_one_request(world: &World, customer: &Customer) {
    let record = world.record(&customer.pkid).await;
    assert_eq!(record["connection"]["state"], "connected");
    assert_eq!(world.token_requests(), 1);
    // Only the newest refresh token works, and using another one would end the grant.
    world.clock.advance(DAY);
    let next = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(next.outcome, RefreshOutcome::Connected, "{}", next.message);
    assert_eq!(world.token_requests(), 2);
    world.emulator.assert_sound();
}

/// Starts a refresh that Webex has carried out and whose response is held back.
async fn hold_at_response(world: &World, customer: &Customer) -> (Gate, JoinHandle<RefreshResult>) {
    let gate = world.emulator.gate_after("/v1/access_token");
    let (host, pkid) = (world.host().clone(), customer.pkid.clone());
    let refresh = tokio::spawn(async move { host.refresh(&pkid).await });
    gate.reached().await;
    (gate, refresh)
}

fn unavailable(error: CallError) -> String {
    match error.kind {
        CallErrorKind::Refused(Failure::Unavailable(text)) => text,
        other => panic!("not unavailable: {other}"),
    }
}

/// Puts a result in the stash: the store takes no writes until its faults are cleared.
async fn stash_response(world: &World, customer: &Customer) -> String {
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
    let refused = world.host().refresh(&customer.pkid).await;
    let text = unavailable(refused.expect_err("the store takes nothing"));
    world.store_faults.clear();
    text
}

fn entries(world: &World) -> Vec<stash::StashFile> {
    stash::list(&world.stash()).unwrap()
}

async fn transactions(world: &World, customer: &Customer, action: &str) -> Vec<(Status, String)> {
    let filter = TransactionFilter {
        subject: Some(Reference::record(customer.pkid.clone())),
        action: Some(action.to_owned()),
        ..TransactionFilter::default()
    };
    let store = world.host().store();
    let page = store.transactions(&filter, None, 100).await.unwrap();
    page.items
        .into_iter()
        .map(|transaction| (transaction.status, transaction.message))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn store_back_within_the_lease_takes_the_response() {
    let (world, customer) = world().await;
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Commit).times(5));
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    assert_eq!(world.store_faults.hits(), 5);
    assert!(!world.stash().exists());
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_lost_result_is_not_repeated() {
    let (world, customer) = world().await;
    let before = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    world
        .store_faults
        .inject(StoreFault::losing_result(Operation::Commit));
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    let after = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    assert_eq!(after.unwrap().version, before.unwrap().version + 1);
    assert!(!world.stash().exists());
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_before_the_commit_are_retried() {
    let (world, customer) = world().await;
    let (gate, refresh) = hold_at_response(&world, &customer).await;
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Read).times(3));
    gate.release();
    let report = refresh.await.unwrap().unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    world.store_faults.clear();
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_progress_delays_no_response() {
    let (world, customer) = world().await;
    let (gate, refresh) = hold_at_response(&world, &customer).await;
    // Progress is stored again after a while.
    world.clock.advance(Duration::from_secs(1));
    world
        .store_faults
        .inject(StoreFault::hanging(Operation::Report));
    gate.release();
    let report = refresh.await.unwrap().unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    assert_eq!(world.store_faults.hits(), 1);
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_is_stashed_while_the_store_is_down() {
    let (world, customer) = world().await;
    let text = stash_response(&world, &customer).await;
    assert!(text.contains("is in the stash"), "{text}");
    let [entry] = &entries(&world)[..] else {
        panic!("not one entry");
    };
    let label = entry.label.as_ref().expect("an entry");
    assert_eq!(label.subject, Reference::record(customer.pkid.clone()));
    assert!(!entry.quarantined);

    world.clock.advance(world.host().plugin().limits().lease());
    assert_eq!(world.host().replay_stash().await, APPLIED);
    assert!(entries(&world).is_empty());
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn add_with_a_used_refresh_token_is_stashed() {
    let world = World::builder().mode(Mode::Rotate).start().await;
    world.emulator.set_reuse_detection(true);
    let organization = world.emulator.create_organization("Contoso");
    let grant = world.emulator.grant(&organization, SCOPES.iter().copied());
    // The access token expires, the refresh token does not.
    world.clock.advance(20 * DAY);
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
    let refused = world.add("Contoso", &organization, &grant).await;
    let text = unavailable(refused.expect_err("the store takes nothing"));
    assert!(text.contains("is in the stash"), "{text}");
    world.store_faults.clear();
    let [entry] = &entries(&world)[..] else {
        panic!("not one entry");
    };
    let pkid = entry.label.as_ref().expect("an entry").subject.pkid.clone();

    world.clock.advance(world.host().plugin().limits().lease());
    assert_eq!(world.host().replay_stash().await, APPLIED);
    assert_eq!(
        world.record(&pkid).await["connection"]["state"],
        "connected"
    );
    assert_eq!(world.token_requests(), 1);
    let next = world.host().refresh(&pkid).await.unwrap().value;
    assert_eq!(next.outcome, RefreshOutcome::Connected, "{}", next.message);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn response_is_stashed_when_reads_fail_too() {
    let (world, customer) = world().await;
    let (gate, refresh) = hold_at_response(&world, &customer).await;
    world.store_faults.inject(StoreFault::down());
    gate.release();
    let text = unavailable(refresh.await.unwrap().expect_err("nothing works"));
    assert!(text.contains("is in the stash"), "{text}");
    world.store_faults.clear();

    world.clock.advance(world.host().plugin().limits().lease());
    assert_eq!(world.host().replay_stash().await, APPLIED);
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stash_is_applied_before_the_due_wakeup() {
    let (world, customer) = world().await;
    let due = world.record(&customer.pkid).await["connection"]["next_refresh"]
        .as_u64()
        .unwrap();
    world.clock.advance_to(relation_host::types::Timestamp(due));
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
    let summary = world.dispatcher().run_until_idle().await.unwrap();
    assert_eq!((summary.done, summary.failed), (0, 1));
    assert_eq!(entries(&world).len(), 1);
    world.store_faults.clear();
    world.clock.advance(Duration::from_secs(120));

    // The wakeup is due again; another process has it.
    let second = world.new_host().await;
    assert!(entries(&world).is_empty());
    let dispatcher = second.dispatcher(Default::default());
    let summary = dispatcher.run_until_idle().await.unwrap();
    assert_eq!((summary.done, summary.failed), (0, 0));
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_caller_gets_the_stashed_tokens() {
    let (world, customer) = world().await;
    let _ = stash_response(&world, &customer).await;
    world.clock.advance(world.host().plugin().limits().lease());
    let next = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(next.outcome, RefreshOutcome::Connected, "{}", next.message);
    assert_eq!(world.token_requests(), 2);
    let applied = transactions(&world, &customer, "apply-stash").await;
    assert_eq!(applied.len(), 1, "{applied:?}");
    assert_eq!(applied[0].0, Status::Success);
    assert!(entries(&world).is_empty());
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_apply_an_entry_once() {
    let (world, customer) = world().await;
    let second = world.new_host().await;
    let _ = stash_response(&world, &customer).await;
    world.clock.advance(world.host().plugin().limits().lease());
    let before = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    let (one, two) = tokio::join!(world.host().replay_stash(), second.replay_stash());
    assert_eq!(one.applied + two.applied, 1, "{one:?} {two:?}");
    assert_eq!(one.superseded + two.superseded, 0, "{one:?} {two:?}");
    let after = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    assert_eq!(after.unwrap().version, before.unwrap().version + 1);
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_applied_before_a_crash_is_not_repeated() {
    let (world, customer) = world().await;
    let _ = stash_response(&world, &customer).await;
    world.clock.advance(world.host().plugin().limits().lease());
    let path = entries(&world)[0].path.clone();
    let copy = std::fs::read(&path).unwrap();
    assert_eq!(world.host().replay_stash().await, APPLIED);
    let after = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    // As if the process had ended before it removed the file.
    std::fs::write(&path, copy).unwrap();
    assert_eq!(world.host().replay_stash().await, APPLIED);
    let again = world
        .document(&Reference::record(customer.pkid.clone()))
        .await;
    assert_eq!(again, after);
    assert!(entries(&world).is_empty());
    assert_connected_by_one_request(&world, &customer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn superseded_entry_is_dropped_with_a_reason() {
    let (world, customer) = world().await;
    let _ = stash_response(&world, &customer).await;
    world.clock.advance(world.host().plugin().limits().lease());
    // A host that does not share the directory changes the record meanwhile.
    let aside = world.directory().join("aside");
    std::fs::rename(world.stash(), &aside).unwrap();
    let fields = serde_json::json!({ "account_email": "a@example.com" });
    let fields = relation_e2e::world::object(fields);
    let modified = world.host().modify(&customer.pkid, fields, None).await;
    if let Err(error) = modified {
        panic!("{error}");
    }
    std::fs::rename(&aside, world.stash()).unwrap();

    let summary = world.host().replay_stash().await;
    assert_eq!((summary.applied, summary.superseded), (0, 1));
    assert!(entries(&world).is_empty());
    let applied = transactions(&world, &customer, "apply-stash").await;
    assert_eq!(applied.len(), 1, "{applied:?}");
    assert!(applied[0].1.contains("1 superseded"), "{applied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_for_a_deleted_record_is_dropped() {
    let (world, customer) = world().await;
    let _ = stash_response(&world, &customer).await;
    world.clock.advance(world.host().plugin().limits().lease());
    let aside = world.directory().join("aside");
    std::fs::rename(world.stash(), &aside).unwrap();
    let _ = world.host().delete(&customer.pkid, false).await.unwrap();
    std::fs::rename(&aside, world.stash()).unwrap();

    let summary = world.host().replay_stash().await;
    assert_eq!((summary.applied, summary.superseded), (0, 1));
    assert!(world.bodies("data/SparkCustomer").await.is_empty());
    assert_eq!(world.host().store().next_due(None).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn response_that_cannot_be_stashed_is_reported_lost() {
    let (world, customer) = world().await;
    let (gate, refresh) = hold_at_response(&world, &customer).await;
    world
        .store_faults
        .inject(StoreFault::failing(Operation::Commit).times(u32::MAX));
    // A file in the place of the directory.
    std::fs::write(world.stash(), "").unwrap();
    gate.release();
    let refused = refresh.await.unwrap();
    let text = unavailable(refused.expect_err("nothing can be written"));
    assert!(text.contains("lost"), "{text}");

    // The next rejection is reported with its likely cause.
    world.store_faults.clear();
    std::fs::remove_file(world.stash()).unwrap();
    world.clock.advance(DAY);
    let next = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(next.outcome, RefreshOutcome::Reauthorize);
    assert!(
        next.message.contains("possibly lost rotation"),
        "{}",
        next.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_commit_after_the_lease_succeeds_uncontested() {
    let (world, customer) = world().await;
    let lease = world.host().plugin().limits().lease();
    world
        .store_faults
        .inject(StoreFault::slow(Operation::Commit, lease * 2));
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Connected);
    assert!(!world.stash().exists());
    assert_connected_by_one_request(&world, &customer).await;
    assert!(world.clock.now() > relation_e2e::world::START_TIME);
}
