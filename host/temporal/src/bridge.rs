//! Wakes workflows from the store: the store is the truth, and a timer may be late or missing.
//!
//! Every second, each worker looks for due wakeups of records that no workflow has begun, and sends the signal `wake`,
//! which starts the workflow if it does not run. This covers calls outside Temporal that schedule earlier, records that
//! were added without Temporal, and workflows that somebody has terminated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use relation_host::clock::Clock;
use relation_host::store::{KindFilter, Store, StoreError};
use relation_host::types::{Pkid, RECORD_MODEL};
use relation_host::wakeup_kinds;
use temporalio_client::errors::WorkflowStartError;
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowIdConflictPolicy, WorkflowStartOptions,
};

use crate::customer::{CustomerInput, SparkCustomer, workflow_id};
use crate::inputs::{INPUT_WAKEUP, Inputs};

/// How often the store is read.
const POLL: Duration = Duration::from_secs(1);
/// How long a wakeup may be due before its workflow is signaled: its timer is usually in time.
const GRACE: Duration = Duration::from_secs(2);
/// The time between two signals to a workflow whose wakeup stays due.
const REPEAT: Duration = Duration::from_secs(30);
/// The most wakeups of one look.
const BATCH: u32 = 500;

/// The most signals in flight.
const CONCURRENCY: usize = 16;

/// The kinds of wakeups that have no workflow.
const OTHER_KINDS: [&str; 4] = [
    wakeup_kinds::CALLBACK,
    INPUT_WAKEUP,
    wakeup_kinds::NOTICE,
    wakeup_kinds::QUEUED_CALL,
];

/// The bridge from a store to a namespace of Temporal.
pub struct Bridge {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock of the host.
    pub clock: Arc<dyn Clock>,
    /// The stored inputs, of which the expired ones are removed.
    pub inputs: Inputs,
    /// The client of the namespace.
    pub client: Client,
    /// The task queue of the workflows.
    pub task_queue: String,
}

impl Bridge {
    /// Wakes workflows until it is dropped.
    pub async fn run(&self) {
        let mut signaled = HashMap::new();
        loop {
            if let Err(error) = self.look(&mut signaled).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "due wakeups are looked for again"
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Looks for due wakeups once. `signaled` has the times of the last signals.
    async fn look(&self, signaled: &mut HashMap<Pkid, Instant>) -> anyhow::Result<()> {
        signaled.retain(|_, at| at.elapsed() < REPEAT);
        self.inputs.remove_expired().await?;
        let mut overdue = self.find_overdue().await?;
        overdue.retain(|pkid| !signaled.contains_key(pkid));
        let woken = stream::iter(overdue).map(|pkid| async move {
            let woken = self.wake(&pkid).await;
            woken.map(|()| pkid)
        });
        let mut woken = woken.buffer_unordered(CONCURRENCY);
        while let Some(pkid) = woken.try_next().await? {
            signaled.insert(pkid, Instant::now());
        }
        Ok(())
    }

    /// Finds the records of this host's share with overdue wakeups and without a call in progress.
    async fn find_overdue(&self) -> Result<Vec<Pkid>, StoreError> {
        let now = self.clock.now();
        let kinds = KindFilter::Except(&OTHER_KINDS);
        let due = self.store.due(now, BATCH, kinds).await?;
        let share = self.store.share();
        let overdue = due.into_iter().map(|due| due.wakeup).filter(|wakeup| {
            wakeup.subject.model == RECORD_MODEL
                && wakeup.due.after(GRACE) <= now
                && share.owns(&wakeup.subject)
        });
        Ok(overdue.map(|wakeup| wakeup.subject.pkid).collect())
    }

    /// Signals a workflow, and starts it if it does not run. A workflow with a task or an activity reads the record's next
    /// wakeup anyway; while many wakeups are due, signals to these would only be more work.
    async fn wake(&self, pkid: &Pkid) -> Result<(), WorkflowStartError> {
        if self.is_working(pkid).await {
            return Ok(());
        }
        let input = CustomerInput::new(pkid.clone());
        let options = WorkflowStartOptions::new(self.task_queue.clone(), workflow_id(pkid))
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .build();
        self.client
            .signal_with_start_workflow(SparkCustomer::run, input, SparkCustomer::wake, (), options)
            .await?;
        tracing::debug!(%pkid, "signaled the workflow of a due wakeup");
        Ok(())
    }

    /// Returns whether a workflow runs, and has a task or an activity that has not ended. `false` also if the server does
    /// not say.
    async fn is_working(&self, pkid: &Pkid) -> bool {
        let handle = self
            .client
            .get_workflow_handle::<SparkCustomer>(workflow_id(pkid));
        let described = handle.describe(WorkflowDescribeOptions::default()).await;
        described.is_ok_and(|described| {
            let raw = &described.raw_description;
            raw.pending_workflow_task.is_some() || !raw.pending_activities.is_empty()
        })
    }
}
