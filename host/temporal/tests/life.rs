//! The whole life of a customer by workflows, against a development server; histories never contain secrets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use prost::Message as _;
use relation_host::reports::State;
use relation_temporal::calls::Change;
use relation_temporal::customer::{RefreshRequest, Request, SparkCustomer};
use relation_temporal::inputs::Purpose;
use secrecy::SecretString;
use serde_json::json;
use support::customer::{add, connect, handle, refreshes, request, state, wait_for};
use support::{NODE, PATIENCE, World, eventually, server_program};
use temporalio_client::{
    Client, WorkflowExecuteUpdateOptions, WorkflowFetchHistoryOptions, WorkflowGetResultOptions,
    WorkflowListOptions,
};
use webex_emulator::{Emulator, Mode};

/// The password of a customer's proxy.
const PASSWORD: &str = "canary-proxy-5b1e";
const TOKEN_PATH: &str = "/v1/access_token";

/// Returns all histories of the namespace, as bytes.
async fn histories(client: &Client) -> Vec<u8> {
    let listed = client.list_workflows("", WorkflowListOptions::default());
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let mut bytes = Vec::new();
    for execution in listed {
        let handle = client.get_workflow_handle::<SparkCustomer>(execution.id());
        let history = || handle.fetch_history(WorkflowFetchHistoryOptions::default());
        for event in history().into_events().await.unwrap() {
            bytes.extend(event.encode_to_vec());
        }
        // Histories for `replay.rs`.
        if let Some(directory) = std::env::var_os("RELATION_SAVE_HISTORIES") {
            let name = format!("{}.json", execution.workflow_type());
            let json = history().to_json().await.unwrap();
            std::fs::write(Path::new(&directory).join(name), json).unwrap();
        }
    }
    bytes
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_lives_by_signals_and_timers() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder()
        .mode(Mode::Rotate)
        .access_ttl(Duration::from_secs(8))
        .refresh_ttl(Duration::from_secs(3600));
    let world = World::start(&program, webex).await;
    let mut worker = world.worker();
    let pkid = add(&world, "Contoso").await;
    let customer = handle(&world, &pkid);
    wait_for(&customer, State::NotConnected).await;
    let mut secrets = connect(&world, &customer).await;
    eventually("timers refresh", async || {
        (refreshes(&world) >= 3).then_some(())
    })
    .await;

    // A person's request, although the timer waits.
    let before = refreshes(&world);
    let options = WorkflowExecuteUpdateOptions::default;
    let refreshed =
        customer.execute_update(SparkCustomer::refresh, RefreshRequest::default(), options());
    let refreshed = refreshed.await.unwrap();
    assert_eq!(refreshed.record.unwrap().state, State::Connected);
    assert!(refreshed.report.joined || refreshes(&world) > before);

    // A field with a secret is refused before it is in the history. A stored one reaches the plugin.
    let proxy = format!("http://user:{PASSWORD}@proxy.invalid:3128/");
    let fields = json!({ "http_proxy": proxy }).as_object().unwrap().clone();
    let change = Change {
        fields,
        input: None,
    };
    let refused = customer.execute_update(SparkCustomer::modify, change, options());
    let refused = format!("{:?}", refused.await.unwrap_err());
    assert!(refused.contains("relation-temporal store"), "{refused}");
    assert!(!refused.contains(PASSWORD), "{refused}");
    let stored = SecretString::from(json!({ "fields": { "http_proxy": proxy } }).to_string());
    let node = NODE.parse().unwrap();
    let inputs = &world.parts.inputs;
    let input = inputs.put(&node, Purpose::Fields, &stored).await.unwrap();
    let change = Change {
        input: Some(input),
        ..Change::default()
    };
    let modified = customer.execute_update(SparkCustomer::modify, change, options());
    modified.await.unwrap();

    let deleted = customer.execute_update(SparkCustomer::delete, (), options());
    assert!(deleted.await.unwrap().record.is_none());
    let ended = customer.get_result(WorkflowGetResultOptions::default());
    tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();

    secrets.push(PASSWORD.to_owned());
    // Each token of the emulator has it.
    secrets.push("_PF84_".to_owned());
    secrets.push(webex_emulator::DEFAULT_CLIENT_SECRET.to_owned());
    let histories = histories(&world.client).await;
    assert!(
        contains(&histories, "Contoso"),
        "the search finds what is there"
    );
    for secret in secrets {
        assert!(secret.len() > 5, "{secret} is too short to be looked for");
        assert!(!contains(&histories, &secret), "{secret} is in a history");
    }
    world.webex.assert_sound();
    worker.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_in_a_refresh_is_replaced() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder()
        .mode(Mode::Rotate)
        .access_ttl(Duration::from_secs(3600))
        .refresh_ttl(Duration::from_secs(7200));
    let world = World::start(&program, webex).await;
    let mut first = world.worker();
    let pkid = add(&world, "Fabrikam").await;
    let customer = handle(&world, &pkid);
    connect(&world, &customer).await;

    let gate = world.webex.gate(TOKEN_PATH);
    request(&customer, Request::Refresh(RefreshRequest::default())).await;
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
    first.kill().await.unwrap();
    let mut second = world.worker();
    gate.release();
    eventually(
        "the customer is refreshed by the second worker",
        async || {
            let state = state(&customer).await?;
            let is_done = state.waiting == 0 && state.last_error.is_none();
            let is_connected = state.record?.state == State::Connected;
            (is_done && is_connected && refreshes(&world) >= 1).then_some(())
        },
    )
    .await;
    world.webex.assert_sound();
    second.kill().await.unwrap();
}
