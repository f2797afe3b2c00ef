//! A customer's life in Temporal: added by a workflow, connected by a consent, refreshed by timers, deleted by an update.
//! Webex is emulated, and its access tokens live for eight seconds.
//!
//! ```console
//! cargo xtask engine temporal demo
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use relation_host::reports::State;
use relation_temporal::customer::{RefreshRequest, SparkCustomer};
use support::{World, customer, eventually};
use temporalio_client::{WorkflowExecuteUpdateOptions, WorkflowFetchHistoryOptions};
use webex_emulator::{Emulator, Mode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let program = support::server_program().ok_or("the program `temporal` is needed")?;
    let webex = Emulator::builder()
        .mode(Mode::Rotate)
        .access_ttl(Duration::from_secs(8))
        .refresh_ttl(Duration::from_secs(3600));
    let world = World::start(&program, webex).await;
    println!(
        "Temporal's development server runs, and a worker polls the task queue {}",
        world.task_queue()
    );
    let mut worker = world.worker();

    let pkid = customer::add(&world, "Contoso").await;
    println!(
        "the workflow AddCustomer has added the record {pkid}, and started its workflow SparkCustomer"
    );
    let handle = customer::handle(&world, &pkid);
    customer::connect(&world, &handle).await;
    println!(
        "the update `connect` has stored a link, and the signal `request` has brought a stored callback: connected"
    );
    eventually("timers refresh", async || {
        (customer::refreshes(&world) >= 3).then_some(())
    })
    .await;
    println!(
        "durable timers have refreshed the tokens {} times",
        customer::refreshes(&world)
    );

    worker.kill().await?;
    println!("killed the worker");
    let mut worker = world.worker();
    let before = customer::refreshes(&world);
    eventually("the next worker refreshes", async || {
        (customer::refreshes(&world) > before + 1).then_some(())
    })
    .await;
    println!("another worker has refreshed them since");
    customer::wait_for(&handle, State::Connected).await;
    let refreshed = handle
        .execute_update(
            SparkCustomer::refresh,
            RefreshRequest::default(),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await?;
    println!("the update `refresh`: {}", refreshed.report.message);

    let deleted = handle
        .execute_update(
            SparkCustomer::delete,
            (),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await?;
    println!(
        "the update `delete` has removed {} documents; the tokens at Webex: {}",
        deleted.report.documents, deleted.report.revocation
    );
    let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
    println!(
        "the history of its workflow has {} events",
        history.into_events().await?.len()
    );
    worker.kill().await?;
    Ok(())
}
