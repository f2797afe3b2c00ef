//! Hosts on one store file in real time: concurrent calls, a lost lease, a stopped call, and the largest import within
//! the default limits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_e2e::World;
use relation_e2e::world::{Customer, DAY};
use relation_host::clock::{Clock, ManualClock};
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use relation_host::reports::{RefreshOutcome, SyncSelector};
use relation_host::types::{Document, Failure, Filter, Key};
use relation_host::{CallErrorKind, Limits};
use tokio_util::sync::CancellationToken;
use webex_emulator::{License, Listing, Mode, Paging};

const TOKEN: &str = "/v1/access_token";
const LICENSES: &str = "/v1/licenses";
const LICENSE: &str = "device/spark/License";
const SYNC: SyncSelector = SyncSelector::ROLES_LICENSES;

/// Gives the customer `count` licenses, in pages of `page`.
fn list_licenses(world: &World, customer: &Customer, count: u64, page: usize) {
    let licenses = (1..=count).map(|n| License::new(&format!("License {n}"), n));
    let emulator = &world.emulator;
    emulator.set_licenses(&customer.organization, licenses);
    emulator.set_paging(Listing::Licenses, Paging::with_size(page));
}

/// Returns the customer's documents of a model.
async fn stored(world: &World, customer: &Customer, model: &str) -> Vec<Document> {
    let filter = Filter {
        model: model.into(),
        hierarchy: None,
        equals: vec![Key {
            name: "owner".into(),
            value: customer.pkid.to_string(),
        }],
    };
    let store = world.host().store();
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.find(&filter, cursor.as_deref(), 1_000).await.unwrap();
        found.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

fn license_requests(world: &World) -> usize {
    let requests = world.emulator.requests();
    let pages = requests.iter().filter(|request| request.path == LICENSES);
    pages.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_share_one_request() {
    let world = World::builder().mode(Mode::Rotate).start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(Duration::from_secs(1));
    let second = world.new_host().await;
    let calls: Vec<_> = (0..64)
        .map(|n| {
            let host = if n % 2 == 0 {
                world.host().clone()
            } else {
                second.clone()
            };
            let pkid = customer.pkid.clone();
            tokio::spawn(async move { host.refresh(&pkid).await })
        })
        .collect();
    let mut joined = 0;
    for call in calls {
        let called = call.await.unwrap();
        let report = called.expect("every caller gets a result").value;
        assert_eq!(report.outcome, RefreshOutcome::Connected);
        joined += usize::from(report.joined);
    }
    assert_eq!(joined, 63);
    assert_eq!(world.token_requests(), 1);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn host_without_its_lease_writes_nothing() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    let gate = world.emulator.gate_after(TOKEN);
    let (host, pkid) = (world.host().clone(), customer.pkid.clone());
    let refresh = tokio::spawn(async move { host.refresh(&pkid).await });
    gate.reached().await;
    // The first host is stopped for so long that its lease expires, and another deletes the record.
    world
        .clock
        .advance(world.host().plugin().limits().lease() * 2);
    let second = world.new_host().await;
    let _ = second
        .delete(&customer.pkid, false)
        .await
        .expect("the second host deletes");
    gate.release();
    let error = refresh
        .await
        .unwrap()
        .expect_err("the first host has lost its lease");
    assert!(matches!(error.kind, CallErrorKind::Refused(_)), "{error}");
    assert!(world.bodies("data/SparkCustomer").await.is_empty());
    assert_eq!(world.host().store().next_due(None).await.unwrap(), None);
    // The delete has revoked the whole grant, including the tokens of the late refresh.
    let refused = world
        .add("Again", &customer.organization, &customer.grant)
        .await;
    let Err(error) = refused else {
        panic!("the grant was not ended");
    };
    let CallErrorKind::Refused(Failure::Invalid(errors)) = error.kind else {
        panic!("not an error of the token: {error}");
    };
    assert_eq!(errors[0].field, "token", "{errors:?}");
}

/// A suspension of the host before the next secret is revealed: time passes there.
#[derive(Default)]
struct Suspension(Mutex<Option<(Arc<ManualClock>, Duration)>>);

#[async_trait]
impl Interceptor for Suspension {
    async fn before(&self, call: &ImportCall) -> Intervention {
        if call.import == Import::SecretsReveal
            && let Some((clock, duration)) = self.0.lock().take()
        {
            clock.advance(duration);
        }
        Intervention::Proceed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_beyond_the_lease_is_not_sent() {
    let suspension = Arc::new(Suspension::default());
    let world = World::builder().interceptor(suspension.clone());
    let world = world.start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    // The lease is left, but for less time than a request may take.
    let limits = world.host().plugin().limits();
    let duration = limits.lease() - limits.request_time / 2;
    *suspension.0.lock() = Some((Arc::clone(&world.clock), duration));
    let called = world.host().refresh(&customer.pkid).await.unwrap();
    assert_eq!(called.value.outcome, RefreshOutcome::Retrying);
    assert_eq!(world.token_requests(), 0);
    let store = world.host().store();
    let transaction = store.transaction(&called.transaction).await.unwrap();
    let log = transaction.unwrap().log;
    let reason = "not sent: the lease of this call ends in";
    assert!(
        log.iter().any(|line| line.message.contains(reason)),
        "{log:#?}"
    );

    world.run_for(Duration::from_secs(600)).await;
    assert_eq!(world.token_requests(), 1);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn timed_out_call_counts_as_interrupted() {
    let world = World::builder()
        .mode(Mode::Rotate)
        .reuse_detection(true)
        .limits(Limits {
            time: Duration::from_millis(700),
            ..Limits::default()
        });
    let world = world.start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    let gate = world.emulator.gate_after(TOKEN);
    let stopped = world.host().refresh(&customer.pkid).await;
    gate.release();
    let stopped = stopped.expect_err("its time is over").to_string();
    assert!(stopped.contains("limits.time"), "{stopped}");

    // It may have sent a request. A call that sends nothing leaves that as it is.
    let next = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(next.outcome, RefreshOutcome::Reauthorize);
    assert!(
        next.message.contains("possibly lost rotation"),
        "{}",
        next.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn import_and_delete_of_25000_entries() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    list_licenses(&world, &customer, 25_000, 500);
    let first = world.host().sync(&customer.pkid, SYNC, false).await;
    let first = first.expect("the import begins").value;
    assert_eq!(first.continues, Some(world.clock.now()));
    assert!(first.done < first.total);
    // The dispatcher continues immediately: two more calls are enough.
    let summary = world.run_for(Duration::ZERO).await;
    assert_eq!((summary.done, summary.failed), (2, 0));
    assert_eq!(license_requests(&world), 50);
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 25_000);

    let deleted = world.host().delete(&customer.pkid, false).await;
    let deleted = deleted.unwrap().value.documents;
    let licenses = deleted
        .iter()
        .filter(|(reference, _)| reference.model == LICENSE);
    assert_eq!(licenses.count(), 25_000);
    for model in [LICENSE, "data/SparkImport", "data/SparkImportPage"] {
        assert!(stored(&world, &customer, model).await.is_empty(), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_import_concurrently() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    list_licenses(&world, &customer, 4_000, 100);
    let second = world.new_host().await;
    let first = world.host().sync(&customer.pkid, SYNC, false).await;
    let data_sync = first.expect("the import begins").value.sync_pkid;
    let (one, other) = tokio::join!(
        world.host().continue_sync(&customer.pkid, &data_sync),
        second.continue_sync(&customer.pkid, &data_sync)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.is_some() || other.is_some());
    assert_eq!(world.token_requests(), 0);
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 4_000);
    assert_eq!(license_requests(&world), 40);
    let nothing = world.host().continue_sync(&customer.pkid, &data_sync);
    assert_eq!(nothing.await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_import_releases_its_record() {
    let world = World::builder().mode(Mode::Rotate).start().await;
    let customer = world.add_customer("Contoso").await;
    let gate = world.emulator.gate(LICENSES);
    let stop = CancellationToken::new();
    let host = world.host().stopped_by(stop.clone());
    let pkid = customer.pkid.clone();
    let import = tokio::spawn(async move { host.sync(&pkid, SYNC, false).await });
    gate.reached().await;
    stop.cancel();
    let error = import.await.unwrap().unwrap_err();
    assert!(matches!(error.kind, CallErrorKind::Stopped), "{error}");
    assert!(error.transaction.is_some());
    gate.release();
    // The lease was released, so that another host need not wait for its end.
    let checked = world.new_host().await.check_expiry(&customer.pkid).await;
    assert!(checked.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_that_was_sent_is_not_stopped() {
    let world = World::builder().mode(Mode::Rotate).start().await;
    let customer = world.add_customer("Contoso").await;
    let gate = world.emulator.gate(TOKEN);
    let stop = CancellationToken::new();
    let host = world.host().stopped_by(stop.clone());
    let pkid = customer.pkid.clone();
    let refresh = tokio::spawn(async move { host.refresh(&pkid).await });
    gate.reached().await;
    stop.cancel();
    gate.release();
    let refreshed = refresh.await.unwrap().unwrap().value;
    assert_eq!(refreshed.outcome, RefreshOutcome::Connected);
    world.emulator.assert_sound();
}
