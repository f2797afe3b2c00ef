//! A call in progress: its heartbeats name its transaction, and a cancellation of its workflow ends it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use relation_host::reports::SyncSelector;
use relation_host::transactions::Status;
use relation_temporal::calls::Heartbeat;
use relation_temporal::customer::{Request, SyncRequest};
use support::customer::{Customer, add, connect, handle, request};
use support::{PATIENCE, World, eventually, server_program};
use temporalio_client::{WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecutionStatus};
use webex_emulator::{Emulator, Listing};

const USERS_PATH: &str = "/v1/people";

/// Returns the heartbeat of the activity in progress.
async fn heartbeat(customer: &Customer) -> Option<Heartbeat> {
    let described = customer.describe(WorkflowDescribeOptions::default());
    let described = described.await.ok()?.raw_description;
    let activity = described.pending_activities.first()?;
    let details = activity.heartbeat_details.as_ref()?;
    serde_json::from_slice(&details.payloads.first()?.data).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn cancellation_ends_an_import() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder().generate(Listing::People, 20);
    let world = World::start(&program, webex).await;
    let mut worker = world.worker();
    let pkid = add(&world, "Contoso").await;
    let customer = handle(&world, &pkid);
    connect(&world, &customer).await;

    let gate = world.webex.gate(USERS_PATH);
    let sync = SyncRequest {
        sync: SyncSelector::USERS.as_str().to_owned(),
        accept_removals: false,
    };
    request(&customer, Request::Sync(sync)).await;
    let reached = tokio::time::timeout(PATIENCE, gate.reached()).await;
    reached.expect("the import begins");
    let heartbeat = eventually("a heartbeat", async || heartbeat(&customer).await).await;
    let id = heartbeat.transaction.unwrap();
    let store = world.parts.host.store();
    let transaction = store.transaction(&id).await.unwrap().unwrap();
    assert_eq!(transaction.status, Status::Processing);

    customer
        .cancel(WorkflowCancelOptions::default())
        .await
        .unwrap();
    // The request is still held.
    let ended = eventually("the call ends", async || {
        let transaction = store.transaction(&id).await.unwrap().unwrap();
        (transaction.status != Status::Processing).then_some(transaction)
    })
    .await;
    assert_eq!(ended.status, Status::Fail, "{ended:?}");
    let described = customer.describe(WorkflowDescribeOptions::default()).await;
    let status = described.unwrap().status();
    assert!(
        matches!(
            status,
            // The bridge starts it again when a wakeup is due.
            WorkflowExecutionStatus::Canceled | WorkflowExecutionStatus::Running
        ),
        "{status:?}"
    );
    gate.release();
    world.webex.assert_sound();
    worker.kill().await.unwrap();
}
