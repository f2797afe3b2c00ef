//! A long history continues as a new run: the state survives, and no signal is lost.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use relation_host::reports::State;
use relation_host::transactions::TransactionFilter;
use relation_temporal::calls::Change;
use relation_temporal::customer::{Request, SparkCustomer};
use serde_json::json;
use support::customer::{add, connect, handle, request, state, wait_for};
use support::{PATIENCE, World, WorldOptions, eventually, server_program};
use temporalio_client::{
    WorkflowExecuteUpdateOptions, WorkflowGetResultOptions, WorkflowListOptions,
};
use webex_emulator::{Emulator, Mode};

/// The events after which the server suggests a new run.
const SUGGESTED: usize = 40;
/// The signals, each with a request. A request is 6 events at least.
const SIGNALS: usize = 60;

/// Returns the statuses of all runs of a workflow.
async fn runs(world: &World, workflow: &str) -> Vec<String> {
    let query = format!("WorkflowId = '{workflow}'");
    let listed = world
        .client
        .list_workflows(&query, WorkflowListOptions::default());
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let statuses = listed.iter().map(|run| format!("{:?}", run.status()));
    statuses.collect()
}

/// Returns the number of changes of records that the host has carried out.
async fn changes(world: &World) -> u64 {
    let filter = TransactionFilter {
        action: Some("modify".to_owned()),
        ..TransactionFilter::default()
    };
    let store = world.parts.host.store();
    store.count_transactions(&filter, 1000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_history_continues_without_losing_signals() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder()
        .mode(Mode::Rotate)
        .access_ttl(Duration::from_secs(36_000))
        .refresh_ttl(Duration::from_secs(72_000));
    let options = WorldOptions {
        settings: vec![format!(
            "limit.historyCount.suggestContinueAsNew={SUGGESTED}"
        )],
        ..WorldOptions::default()
    };
    let world = World::start_with(&program, webex, options).await;
    let mut worker = world.worker();
    let pkid = add(&world, "Contoso").await;
    let customer = handle(&world, &pkid);
    connect(&world, &customer).await;
    let before = changes(&world).await;

    // Signals arrive in each step of the workflow, also in those that end a run: each wave is sent while the workflow
    // works on the last one.
    for wave in 0..SIGNALS / 4 {
        let signals = (0..4).map(|number| {
            let name = format!("Contoso {wave}.{number}");
            let fields = json!({ "name": name }).as_object().unwrap().clone();
            let change = Change {
                fields,
                input: None,
            };
            request(&customer, Request::Modify(change))
        });
        join_all(signals).await;
        eventually("a part of the signals is done", async || {
            let done = changes(&world).await - before;
            (done as usize >= 4 * wave + 2).then_some(())
        })
        .await;
    }
    let last = eventually("no request waits", async || {
        let state = state(&customer).await?;
        (state.waiting == 0 && changes(&world).await - before >= SIGNALS as u64).then_some(state)
    })
    .await;
    assert_eq!(changes(&world).await - before, SIGNALS as u64);
    assert_eq!(last.last_error, None);
    let record = last.record.unwrap();
    assert_eq!(record.state, State::Connected);
    let expected = format!("Contoso {}.", SIGNALS / 4 - 1);
    assert!(record.name.starts_with(&expected), "{}", record.name);

    // Updates reach the present run, which is the only one.
    let options = WorkflowExecuteUpdateOptions::default;
    let refreshed = customer.execute_update(SparkCustomer::refresh, Default::default(), options());
    refreshed.await.unwrap();
    wait_for(&customer, State::Connected).await;
    let workflow = relation_temporal::customer::workflow_id(&pkid);
    let ended = eventually("all runs are listed", async || {
        let runs = runs(&world, &workflow).await;
        let running = runs.iter().filter(|run| *run == "Running").count();
        (running == 1 && runs.len() > 5).then_some(runs)
    })
    .await;
    let continued = ended.iter().filter(|run| *run == "ContinuedAsNew").count();
    assert_eq!(continued, ended.len() - 1, "{ended:?}");
    // Each run sets the search attributes.
    eventually("the last run is found by its state", async || {
        let query = format!("WorkflowId = '{workflow}' AND RelationState = 'connected' AND ExecutionStatus = 'Running'");
        let found = world.client.list_workflows(&query, WorkflowListOptions::default());
        let found: Vec<_> = found.try_collect().await.ok()?;
        (found.len() == 1).then_some(())
    })
    .await;

    let deleted = customer.execute_update(SparkCustomer::delete, (), options());
    assert!(deleted.await.unwrap().record.is_none());
    let ended = customer.get_result(WorkflowGetResultOptions::default());
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    ended.unwrap().unwrap();
    worker.kill().await.unwrap();
}
