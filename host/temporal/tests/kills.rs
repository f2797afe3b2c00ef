//! Kills workers and the server in the middle of refreshes that rotate the refresh token: nothing is lost or done twice.

mod support;

use std::time::Duration;

use relation_host::reports::State;
use relation_host::types::{Pkid, Reference};
use relation_temporal::customer::{RefreshRequest, Request};
use support::customer::{Customer, add, connect, handle, refreshes, request, state};
use support::{PATIENCE, World, eventually, server_program};
use tokio::process::Child;
use webex_emulator::{Emulator, Gate, Mode};

const TOKEN_PATH: &str = "/v1/access_token";

/// Begins a refresh, and waits until its request to Webex is held.
async fn begin_refresh(world: &World, customer: &Customer) -> Gate {
    let gate = world.webex.gate(TOKEN_PATH);
    request(customer, Request::Refresh(RefreshRequest::default())).await;
    let reached = tokio::time::timeout(PATIENCE, gate.reached()).await;
    reached.expect("the refresh begins");
    gate
}

/// Waits until the workflow has no request left, and the customer is connected after `expected` refreshes.
async fn wait_for_refreshes(world: &World, customer: &Customer, expected: usize) {
    eventually(&format!("{expected} refreshes"), async || {
        let state = state(customer).await?;
        let is_done = state.waiting == 0 && state.last_error.is_none();
        let is_connected = state.record?.state == State::Connected;
        (is_done && is_connected && refreshes(world) >= expected).then_some(())
    })
    .await;
    assert_eq!(refreshes(world), expected, "no refresh is done twice");
}

/// Returns the version of a record, which each refresh raises.
async fn version(world: &World, pkid: &Pkid) -> u64 {
    let record = Reference::record(pkid.clone());
    let found = world.parts.host.store().get(&[record]).await.unwrap();
    found.into_iter().flatten().next().unwrap().version
}

async fn kill(worker: &mut Child) {
    worker.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_in_a_refresh_lose_and_double_nothing() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder()
        .mode(Mode::Rotate)
        .reuse_detection(true)
        .access_ttl(Duration::from_secs(36_000))
        .refresh_ttl(Duration::from_secs(72_000));
    let mut world = World::start(&program, webex).await;
    let mut first = world.worker();
    let pkid = add(&world, "Contoso").await;
    let customer = handle(&world, &pkid);
    connect(&world, &customer).await;
    assert_eq!(refreshes(&world), 0);

    // The worker dies before Webex has the request; another worker is there already.
    let gate = begin_refresh(&world, &customer).await;
    let mut second = world.worker();
    kill(&mut first).await;
    gate.release();
    wait_for_refreshes(&world, &customer, 1).await;

    // The server dies while Webex has the request, and comes back.
    let gate = begin_refresh(&world, &customer).await;
    world.restart_server(&program).await;
    gate.release();
    wait_for_refreshes(&world, &customer, 2).await;

    // The server and the worker die when the tokens are stored, before the activity has ended.
    let gate = begin_refresh(&world, &customer).await;
    let before = version(&world, &pkid).await;
    gate.release();
    let began = std::time::Instant::now();
    while version(&world, &pkid).await == before {
        assert!(began.elapsed() < PATIENCE, "the tokens are stored");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kill(&mut second).await;
    world.restart_server(&program).await;
    let mut third = world.worker();
    wait_for_refreshes(&world, &customer, 3).await;

    // All of them die before Webex has the request.
    let gate = begin_refresh(&world, &customer).await;
    kill(&mut third).await;
    world.restart_server(&program).await;
    let mut fourth = world.worker();
    gate.release();
    wait_for_refreshes(&world, &customer, 4).await;
    world.webex.assert_sound();
    kill(&mut fourth).await;
}
