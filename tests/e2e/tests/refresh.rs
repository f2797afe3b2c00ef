//! Refreshes through the real component: single flight, transient faults, rejections, deletes
//! meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::DAY;
use relation_host::clock::Clock;
use relation_host::reports::RefreshOutcome;
use relation_host::types::Failure;
use relation_host::{CallErrorKind, Limits};
use webex_emulator::{Fault, Mode};

const TOKEN: &str = "/v1/access_token";

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
        let report = call
            .await
            .unwrap()
            .expect("every caller gets a result")
            .value;
        assert_eq!(report.outcome, RefreshOutcome::Connected);
        joined += usize::from(report.joined);
    }
    assert_eq!(joined, 63);
    assert_eq!(world.token_requests(), 1);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_fault_keeps_tokens_and_is_retried() {
    let faults = [
        Fault::status(TOKEN, 503),
        Fault::rate_limited(TOKEN, "194"),
        Fault::rate_limited(TOKEN, "rand(30),add(30)"),
        Fault::malformed_json(TOKEN),
        Fault::truncated_json(TOKEN),
        Fault::huge_body(TOKEN, 8 << 20),
        Fault::reset_before(TOKEN),
        Fault::reset_after(TOKEN),
    ];
    for fault in faults {
        let what = format!("{fault:?}");
        let world = World::start().await;
        let customer = world.add_customer("Contoso").await;
        let before = world.record(&customer.pkid).await;
        world.clock.advance(DAY);
        world.emulator.inject(fault);

        let report = world.host().refresh(&customer.pkid).await.unwrap().value;
        assert_eq!(
            report.outcome,
            RefreshOutcome::Retrying,
            "{what}: {}",
            report.message
        );
        assert!(
            report.connection.next_refresh.unwrap() > world.clock.now(),
            "{what}"
        );
        let after = world.record(&customer.pkid).await;
        assert_eq!(
            before["connection"]["access"], after["connection"]["access"],
            "{what}"
        );
        assert_eq!(
            before["connection"]["refresh"], after["connection"]["refresh"],
            "{what}"
        );

        world.run_for(Duration::from_secs(600)).await;
        let record = world.record(&customer.pkid).await;
        assert_eq!(record["connection"]["state"], "connected", "{what}");
        world.emulator.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured_to_the_second() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    world.emulator.inject(Fault::rate_limited(TOKEN, "194"));
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    let wait = report
        .connection
        .next_refresh
        .unwrap()
        .since(world.clock.now());
    assert!(wait >= Duration::from_secs(194), "{wait:?}");
    world.run_for(Duration::from_secs(193)).await;
    assert_eq!(world.token_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_refresh_token_is_not_retried() {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    world.emulator.revoke(&customer.grant);
    world.clock.advance(DAY);
    let report = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(report.outcome, RefreshOutcome::Reauthorize);
    assert_eq!(world.bodies("data/Alert").await.len(), 1);
    let requests = world.token_requests();
    world.run_for(60 * DAY).await;
    assert_eq!(world.token_requests(), requests);
    assert_eq!(
        world.record(&customer.pkid).await["connection"]["state"],
        "reauthorize"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refresh_mode_of_webex_ends_connected() {
    let modes = [
        Mode::ExtendSame,
        Mode::OmitRefreshToken,
        Mode::Rotate,
        Mode::SameAccessToken,
        Mode::FrozenClock,
    ];
    for mode in modes {
        let world = World::builder().mode(mode).start().await;
        let customer = world.add_customer("Contoso").await;
        world.run_for(28 * DAY).await;
        let record = world.record(&customer.pkid).await;
        assert_eq!(record["connection"]["state"], "connected", "{mode:?}");
        assert!(world.token_requests() >= 3, "{mode:?}");
        world.emulator.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_waits_for_the_refresh_in_flight() {
    let world = World::builder().mode(Mode::Rotate).start().await;
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(DAY);
    let gate = world.emulator.gate_after(TOKEN);
    let (host, pkid) = (world.host().clone(), customer.pkid.clone());
    let refresh = tokio::spawn(async move { host.refresh(&pkid).await });
    gate.reached().await;
    let (host, pkid) = (world.host().clone(), customer.pkid.clone());
    let delete = tokio::spawn(async move { host.delete(&pkid, false).await });
    gate.release();
    refresh.await.unwrap().expect("the refresh ends first");
    delete.await.unwrap().expect("then the delete");
    assert!(world.bodies("data/SparkCustomer").await.is_empty());
    assert_eq!(world.host().store().next_due().await.unwrap(), None);
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
    second
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
    assert_eq!(world.host().store().next_due().await.unwrap(), None);
    // The delete has revoked the whole grant, including the tokens of the late refresh.
    let refused = world
        .add("Again", &customer.organization, &customer.grant)
        .await;
    let Err(error) = refused else {
        panic!("the grant was not ended");
    };
    let CallErrorKind::Refused(Failure::Invalid(errors)) = error.kind else {
        panic!("not a fault of the token: {error}");
    };
    assert_eq!(errors[0].field, "token", "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_error_is_logged_with_the_hosts_text() {
    for (fault, words) in [
        (
            Fault::huge_body(TOKEN, 8 << 20),
            "is larger than 1048576 bytes, the limit `limits.response`",
        ),
        (
            Fault::truncated_json(TOKEN),
            "ended while reading the response body; the request may have been carried out",
        ),
    ] {
        let world = World::start().await;
        let customer = world.add_customer("Contoso").await;
        world.clock.advance(DAY);
        world.emulator.inject(fault);
        let called = world.host().refresh(&customer.pkid).await.unwrap();
        assert_eq!(called.value.outcome, RefreshOutcome::Retrying);
        let store = world.host().store();
        let transaction = store.transaction(&called.transaction).await.unwrap();
        let log = transaction.unwrap().log;
        assert!(
            log.iter().any(|line| line.message.contains(words)),
            "{log:#?}"
        );
    }
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
