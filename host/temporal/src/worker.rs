//! The worker: polls a task queue for workflows and activities, and runs the host's own wakeups.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use relation_app::config::{Config, DispatchEngine, TemporalConfig};
use relation_app::{Installation, PluginFile};
use relation_host::Host;
use relation_host::clock::Clock;
use relation_host::schedule::DispatcherOptions;
use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions, WorkflowRegistrationError};
use tokio_util::sync::CancellationToken;

use crate::bridge::Bridge;
use crate::inputs::Inputs;
use crate::{Activities, AddCustomer, Onboard, SparkCustomer};

/// The parts of an installation that a worker uses.
pub struct Parts {
    /// The host.
    pub host: Host,
    /// The stored inputs.
    pub inputs: Inputs,
}

/// Opens the host of an installation.
///
/// # Errors
/// The configuration does not name Temporal as the engine, or a part cannot be opened.
pub async fn open(
    config: Config,
    plugin: PluginFile,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Parts> {
    if config.dispatch.engine != DispatchEngine::Temporal {
        anyhow::bail!(
            "dispatch.engine is not \"temporal\", so the dispatcher of `relation-host run` or `serve` would run the same \
             wakeups: set it in the configuration, and restart these hosts"
        );
    }
    let installation = Installation {
        config,
        clock,
        plugin,
    };
    let parts = installation.open_parts().await?;
    let clock = Arc::clone(&installation.clock);
    let inputs = Inputs::new(Arc::clone(&parts.store), Arc::clone(&parts.sealer), clock);
    let host = installation.host_from(parts).await?;
    Ok(Parts { host, inputs })
}

/// Runs a worker until `stop` is canceled. The calls in progress end first.
///
/// # Errors
/// The worker cannot be created, or the server refuses it.
pub async fn run(
    parts: Parts,
    client: Client,
    config: &TemporalConfig,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Parts { host, inputs } = parts;
    let bridge = Bridge {
        store: Arc::clone(host.store()),
        clock: Arc::clone(host.clock()),
        inputs: inputs.clone(),
        client: client.clone(),
        task_queue: config.task_queue.clone(),
    };
    let runtime =
        Runtime::from_current_tokio(Default::default()).context("the runtime of Temporal's SDK")?;
    let activities = Activities::new(host.clone(), inputs);
    let options = options(&config.task_queue, activities)?;
    let mut worker = Worker::new(&runtime, client, options).context("the worker")?;
    let shut_down = worker.shutdown_handle();
    let stopped = stop.clone();
    let stopper = async move {
        stopped.cancelled().await;
        shut_down();
        std::future::pending::<()>().await;
    };
    // Queued calls, callbacks, notices and housekeeping are the host's, not Temporal's.
    let dispatcher = host.dispatcher(DispatcherOptions {
        plugin_wakeups: false,
        ..DispatcherOptions::default()
    });
    let stopping = stop.clone();
    let dispatching = tokio::spawn(async move { dispatcher.run(stopping.cancelled()).await });
    let worked = tokio::select! {
        worked = worker.run() => worked,
        () = stopper => Ok(()),
        () = bridge.run() => Ok(()),
    };
    stop.cancel();
    dispatching.await.context("the dispatcher")?;
    worked.context("the worker has ended")
}

/// Returns the options of a worker with all workflows and activities, for a worker of your own.
///
/// # Errors
/// The SDK refuses a workflow.
pub fn options(
    task_queue: &str,
    activities: Activities,
) -> Result<WorkerOptions, WorkflowRegistrationError> {
    Ok(WorkerOptions::new(task_queue)
        .graceful_shutdown_period(Duration::from_secs(120))
        .register_activities(activities)
        .register_workflow::<AddCustomer>()?
        .register_workflow::<Onboard>()?
        .register_workflow::<SparkCustomer>()?
        .build())
}
