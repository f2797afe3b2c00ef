//! The workflow that adds a record and starts the record's own workflow.

use relation_host::types::Pkid;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ChildWorkflowOptions, ChildWorkflowStartError, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowResult,
};

use crate::activities::Activities;
use crate::calls::{Add, Added, Outcome};
use crate::customer::{CustomerInput, SparkCustomer, attended, workflow_id};

/// Adds a record, and starts its [`SparkCustomer`]. Its result is that of the activity `relation.add`.
#[workflow]
#[derive(Default)]
pub struct AddCustomer;

#[workflow_methods]
impl AddCustomer {
    /// Adds the record.
    #[run(name = "AddCustomer")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Add,
    ) -> WorkflowResult<Outcome<Added>> {
        let added = ctx.execute_activity(Activities::add, input, attended());
        let added = added.await?;
        start_customer(ctx, &added.report.pkid).await?;
        Ok(added)
    }
}

/// Starts the workflow of a record, unless it runs.
pub(crate) async fn start_customer<W: 'static>(
    ctx: &WorkflowContext<W>,
    pkid: &Pkid,
) -> Result<(), ChildWorkflowStartError> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(workflow_id(pkid))
        // The time-skipping server does not take it from the parent.
        .task_queue(ctx.task_queue().to_owned())
        .parent_close_policy(ParentClosePolicy::Abandon)
        .build();
    let input = CustomerInput::new(pkid.clone());
    let started = ctx.start_child_workflow(SparkCustomer::run, input, options);
    match started.await {
        Ok(_) => Ok(()),
        // The record was there already.
        Err(ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}
