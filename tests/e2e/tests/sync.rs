//! Imports of roles and licences through the real component, from an emulated Webex.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::{Customer, DAY, WorldBuilder};
use relation_host::clock::Clock;
use relation_host::reports::{ImportCount, SyncKind, SyncReport};
use relation_host::transactions::{Status, TransactionFilter};
use relation_host::types::Failure;
use relation_host::types::{Document, Filter, Key};
use relation_host::{CallErrorKind, Limits};
use webex_emulator::{DEFAULT_SCOPES, Fault, License, Listing, Paging, PagingDefect, Role};

const ROLE: &str = "device/spark/Role";
const LICENSE: &str = "device/spark/License";
const ROLES: &str = "/v1/roles";
const LICENSES: &str = "/v1/licenses";
const TOKEN: &str = "/v1/access_token";
const KIND: SyncKind = SyncKind::ROLES_LICENSES;

/// Creates a world with a customer whose tokens may read everything.
async fn connected() -> (World, Customer) {
    connected_in(World::builder(), DEFAULT_SCOPES.as_slice()).await
}

async fn connected_in(world: WorldBuilder, scopes: &[&str]) -> (World, Customer) {
    let world = world.start().await;
    let organization = world.emulator.create_organization("Contoso");
    let grant = world.emulator.grant(&organization, scopes.iter().copied());
    let added = world.add("Contoso", &organization, &grant).await.unwrap();
    let pkid = added.value.connection.pkid.clone();
    let customer = Customer {
        pkid,
        organization,
        grant,
        added,
    };
    (world, customer)
}

fn licenses(count: u64) -> Vec<License> {
    (1..=count)
        .map(|n| License::new(&format!("License {n}"), n))
        .collect()
}

/// Gives the customer `count` licences, in pages of `page`.
fn list_licenses(world: &World, customer: &Customer, count: u64, page: usize) {
    world
        .emulator
        .set_licenses(&customer.organization, licenses(count));
    world
        .emulator
        .set_paging(Listing::Licenses, Paging::with_size(page));
}

async fn sync(world: &World, customer: &Customer) -> SyncReport {
    let called = world.host().sync(&customer.pkid, KIND, false).await;
    called.expect("the import begins").value
}

async fn refused(world: &World, customer: &Customer) -> Failure {
    match world
        .host()
        .sync(&customer.pkid, KIND, false)
        .await
        .unwrap_err()
        .kind
    {
        CallErrorKind::Refused(failure) => failure,
        other => panic!("{other:?}"),
    }
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
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = world
            .host()
            .store()
            .find(&filter, cursor.as_deref(), 1_000)
            .await;
        let page = page.unwrap();
        found.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

fn imported(model: &str, [found, added, updated, removed]: [u32; 4]) -> ImportCount {
    ImportCount {
        model: model.into(),
        found,
        added,
        updated,
        removed,
    }
}

fn requests(world: &World, path: &str) -> usize {
    let requests = world.emulator.requests();
    requests
        .iter()
        .filter(|request| request.path == path)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn second_import_of_the_same_lists_writes_nothing() {
    let (world, customer) = connected().await;
    let report = sync(&world, &customer).await;
    assert_eq!(
        report.models,
        [
            imported(ROLE, [6, 6, 0, 0]),
            imported(LICENSE, [3, 3, 0, 0])
        ]
    );
    assert_eq!(report.continues, None);
    let before = stored(&world, &customer, LICENSE).await;
    let mut names: Vec<String> = before
        .iter()
        .map(|document| {
            serde_json::from_str::<License>(&document.body)
                .unwrap()
                .name
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "Messaging",
            "Webex Calling - Professional",
            "Webex Meetings Suite"
        ]
    );
    let report = sync(&world, &customer).await;
    assert_eq!(report.models[1], imported(LICENSE, [3, 0, 0, 0]));
    let after = stored(&world, &customer, LICENSE).await;
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn import_adds_updates_and_removes() {
    let (world, customer) = connected().await;
    sync(&world, &customer).await;
    let organization = &customer.organization;
    let [gone, mut changed, _] = world.emulator.licenses(organization).try_into().unwrap();
    world.emulator.remove_license(organization, &gone.id);
    changed.consumed_units += 1;
    world.emulator.put_license(organization, changed.clone());
    world.emulator.put_role(organization, Role::new("Auditor"));
    let report = sync(&world, &customer).await;
    assert_eq!(
        report.models,
        [
            imported(ROLE, [7, 1, 0, 0]),
            imported(LICENSE, [2, 0, 1, 1])
        ]
    );
    let bodies = world.bodies(LICENSE).await;
    assert_eq!(bodies.len(), 2);
    let stored = bodies
        .iter()
        .find(|body| body["id"] == *changed.id)
        .unwrap();
    assert_eq!(stored["consumedUnits"], changed.consumed_units);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_is_a_transaction_with_progress() {
    let (world, customer) = connected().await;
    let called = world
        .host()
        .sync(&customer.pkid, KIND, false)
        .await
        .unwrap();
    let store = world.host().store();
    let transaction = store
        .transaction(&called.transaction)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transaction.action, "sync");
    assert_eq!(transaction.status, Status::Success);
    let progress = transaction.progress.unwrap().to_string();
    assert!(progress.contains("4/4"), "{progress}");
    assert_eq!(
        called.value.message,
        "imported 6 roles (6 added) and 3 licences (3 added)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn import_of_25000_entries_takes_several_calls() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 25_000, 500);
    let first = sync(&world, &customer).await;
    assert_eq!(first.continues, Some(world.clock.now()));
    assert!(first.done < first.total);
    // The dispatcher continues immediately.
    let summary = world.run_for(Duration::ZERO).await;
    assert_eq!(summary.failed, 0);
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 25_000);
    assert_eq!(requests(&world, LICENSES), 50);
    let transactions = world
        .host()
        .store()
        .transactions(&TransactionFilter::default(), None, 100)
        .await
        .unwrap();
    let calls = transactions
        .items
        .iter()
        .filter(|each| each.action == "sync");
    let messages: Vec<&str> = calls.map(|each| each.message.as_str()).collect();
    assert_eq!(messages.len(), 3);
    assert_eq!(
        messages[0],
        "imported 6 roles (6 added) and 25000 licences (25000 added)"
    );

    // And it is deleted with the record, however much it is.
    let deletion = world
        .host()
        .delete(&customer.pkid, false)
        .await
        .unwrap()
        .value;
    assert_eq!(
        deletion
            .documents
            .iter()
            .filter(|(reference, _)| reference.model == LICENSE)
            .count(),
        25_000
    );
    for model in [
        ROLE,
        LICENSE,
        "data/SparkImport",
        "data/SparkImportPage",
        "data/DataSync",
    ] {
        assert!(stored(&world, &customer, model).await.is_empty(), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_limits_only_slow_the_import() {
    let limits = Limits {
        requests: 4,
        changes: 60,
        commit: 32 << 10,
        ..Limits::default()
    };
    let world = World::builder().limits(limits);
    let (world, customer) = connected_in(world, DEFAULT_SCOPES.as_slice()).await;
    list_licenses(&world, &customer, 1_000, 100);
    sync(&world, &customer).await;
    assert_eq!(world.run_for(Duration::ZERO).await.failed, 0);
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_continues_after_a_host_dies() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 1_000, 100);
    let mut gate = world.emulator.gate(LICENSES);
    let host = world.host().clone();
    let pkid = customer.pkid.clone();
    let call = tokio::spawn(async move { host.sync(&pkid, KIND, false).await });
    for _ in 0..5 {
        gate.reached().await;
        // The next page waits at the new gate, this one continues.
        gate = world.emulator.gate(LICENSES);
    }
    gate.reached().await;
    call.abort();
    call.await.unwrap_err();
    gate.release();
    let before = stored(&world, &customer, LICENSE).await.len();
    assert_eq!(before, 500);
    // Its lease expires, and another host continues.
    world.clock.advance(Duration::from_secs(120));
    let earlier = requests(&world, LICENSES);
    let second = world.new_host().await;
    let report = second
        .sync(&customer.pkid, KIND, false)
        .await
        .unwrap()
        .value;
    assert_eq!(report.models[1], imported(LICENSE, [1_000, 1_000, 0, 0]));
    assert_eq!(requests(&world, LICENSES) - earlier, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_refreshes_a_rejected_token() {
    let (world, customer) = connected().await;
    world.emulator.inject(Fault::status(ROLES, 401));
    let report = sync(&world, &customer).await;
    assert_eq!(report.models[1], imported(LICENSE, [3, 3, 0, 0]));
    assert_eq!(world.token_requests(), 1);
    // Also one whose time is over, as after a standstill.
    world.clock.advance(20 * DAY);
    sync(&world, &customer).await;
    assert_eq!(world.token_requests(), 2);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_missing_is_named() {
    let scopes: Vec<&str> = DEFAULT_SCOPES
        .into_iter()
        .filter(|scope| !scope.contains("licenses"))
        .collect();
    let (world, customer) = connected_in(World::builder(), &scopes).await;
    match refused(&world, &customer).await {
        Failure::Reauthorize(text) => {
            assert!(text.contains("spark-admin:licenses_read"), "{text}");
            assert!(text.contains("tracking id"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(stored(&world, &customer, ROLE).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn import_honours_retry_after_to_the_second() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 3_000, 100);
    let report = sync(&world, &customer).await;
    assert!(report.continues.is_some());
    world.emulator.inject(Fault::rate_limited(LICENSES, "194"));
    let asked_at = world.clock.now();
    assert_eq!(world.run_for(Duration::ZERO).await.failed, 1);
    let before = requests(&world, LICENSES);
    world.run_for(Duration::from_millis(193_999)).await;
    assert_eq!(requests(&world, LICENSES), before);
    world.run_for(Duration::from_millis(1)).await;
    assert_eq!(world.clock.now().since(asked_at), Duration::from_secs(194));
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_page_keeps_the_old_documents() {
    let faults = [
        Fault::status(LICENSES, 503),
        Fault::truncated_json(LICENSES),
        Fault::reset_before(LICENSES),
        Fault::reset_after(LICENSES),
        Fault::huge_body(LICENSES, 2 << 20),
    ];
    for fault in faults {
        let what = format!("{fault:?}");
        let (world, customer) = connected().await;
        list_licenses(&world, &customer, 10, 3);
        sync(&world, &customer).await;
        world
            .emulator
            .set_licenses(&customer.organization, licenses(7));
        world.emulator.inject(fault.skipping(1));
        let failed = world.host().sync(&customer.pkid, KIND, false).await;
        // A response that is too large ends the call, and the next one reports it.
        let failed = match failed {
            Ok(called) => called.value.continues.is_some(),
            Err(_) => true,
        };
        assert!(failed, "{what}");
        assert_eq!(stored(&world, &customer, LICENSE).await.len(), 10, "{what}");
        let report = sync(&world, &customer).await;
        assert_eq!(report.models[1], imported(LICENSE, [7, 0, 0, 3]), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_survives_paging_defects() {
    let defects = [
        (PagingDefect::EmptyLastPage, [8, 0, 0, 2]),
        // The rest of the list is unknown, so nothing is removed.
        (PagingDefect::RepeatedPage { page: 2 }, [6, 0, 0, 0]),
        (PagingDefect::LinkToItself { page: 2 }, [6, 0, 0, 0]),
    ];
    for (defect, expected) in defects {
        let what = format!("{defect:?}");
        let (world, customer) = connected().await;
        list_licenses(&world, &customer, 10, 3);
        sync(&world, &customer).await;
        world
            .emulator
            .set_licenses(&customer.organization, licenses(8));
        world
            .emulator
            .set_paging(Listing::Licenses, Paging::with_size(3).with_defect(defect));
        let report = sync(&world, &customer).await;
        assert_eq!(report.models[1], imported(LICENSE, expected), "{what}");
        assert!(requests(&world, LICENSES) <= 4 + 4, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn next_page_on_another_origin_is_not_requested() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 10, 3);
    sync(&world, &customer).await;
    let elsewhere = PagingDefect::ForeignNext {
        page: 1,
        origin: "http://127.0.0.1:9".into(),
    };
    let paging = Paging::with_size(3).with_defect(elsewhere);
    world.emulator.set_paging(Listing::Licenses, paging);
    let reported = sync(&world, &customer).await.message;
    assert!(reported.contains("is not followed"), "{reported}");
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_of_a_large_import_precedes_revocation() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 2_000, 1_000);
    sync(&world, &customer).await;
    let dry = world
        .host()
        .delete(&customer.pkid, true)
        .await
        .unwrap()
        .value;
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 2_000);
    let gate = world.emulator.gate("/v1/authorizations");
    let host = world.host().clone();
    let pkid = customer.pkid.clone();
    let call = tokio::spawn(async move { host.delete(&pkid, false).await });
    gate.reached().await;
    call.abort();
    call.await.unwrap_err();
    gate.release();
    world.clock.advance(Duration::from_secs(120));
    let again = world.new_host().await.delete(&customer.pkid, false).await;
    let again = again.unwrap_err().kind;
    assert!(matches!(
        again,
        CallErrorKind::Refused(Failure::NotFound(_))
    ));
    for (reference, _) in &dry.documents {
        assert!(world.document(reference).await.is_none(), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_during_an_import_leaves_no_documents() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 5_000, 100);
    assert!(sync(&world, &customer).await.continues.is_some());
    world.host().delete(&customer.pkid, false).await.unwrap();
    let before = world.emulator.requests().len();
    world.run_for(DAY).await;
    assert_eq!(world.emulator.requests().len(), before);
    for model in [ROLE, LICENSE, "data/SparkImport", "data/SparkImportPage"] {
        assert!(stored(&world, &customer, model).await.is_empty(), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_import_concurrently() {
    let (world, customer) = connected().await;
    list_licenses(&world, &customer, 4_000, 100);
    let second = world.new_host().await;
    sync(&world, &customer).await;
    let (one, other) = tokio::join!(
        world.host().continue_sync(&customer.pkid, KIND),
        second.continue_sync(&customer.pkid, KIND)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.is_some() || other.is_some());
    assert_eq!(requests(&world, TOKEN), 0);
    assert_eq!(stored(&world, &customer, LICENSE).await.len(), 4_000);
    assert_eq!(requests(&world, LICENSES), 40);
    let nothing = world
        .host()
        .continue_sync(&customer.pkid, KIND)
        .await
        .unwrap();
    assert_eq!(nothing, None);
}
