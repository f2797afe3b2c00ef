//! The example of a platform's process: a new customer from its record to its imported users.
//!
//! The workflow adds the record, hands out a consent link, waits for days for the callback, imports the users, checks that
//! they arrived, and reports. If it does not succeed, it deletes what it has made.

use std::time::Duration;

use relation_host::reports::SyncSelector;
use relation_host::types::Pkid;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityExecutionError, ApplicationFailure, SignalWorkflowOptions, SyncWorkflowContext,
    TimerOptions, WorkflowCancellationError, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult,
};

use crate::activities::Activities;
use crate::add_customer::start_customer;
use crate::calls::{
    Add, CompleteConnect, Connect, ConsentLink, ConsentRequest, CountImported, Delete, SyncInput,
};
use crate::customer::{Callback, SparkCustomer, attended, workflow_id};

/// The model of imported users.
const USERS: &str = "device/spark/User";
/// The pause between two looks for imported users.
const LOOK: Duration = Duration::from_secs(10);

/// The input of `Onboard`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OnboardInput {
    /// The record to add.
    pub add: Add,
    /// The consent to ask for.
    pub consent: ConsentRequest,
    /// How long the administrator has for the consent, in seconds. A link that expires before is replaced.
    pub consent_within_s: u64,
    /// How long the import may take, in seconds.
    pub import_within_s: u64,
    /// The least number of users that are expected.
    pub expected_users: u64,
}

/// The result of `Onboard`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OnboardReport {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The organization that consented.
    pub organization: String,
    /// The number of imported users.
    pub users: u64,
}

/// The result of the query `progress`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OnboardProgress {
    /// The present step, for an administrator.
    pub step: String,
    /// The record's primary key, once it is added.
    pub pkid: Option<Pkid>,
    /// The stored link to hand to the customer's administrator: `relation-temporal link` prints it.
    pub link: Option<Pkid>,
    /// Why the last callback was refused.
    pub refused: Option<String>,
}

/// The workflow of a new customer.
#[workflow]
pub struct Onboard {
    input: OnboardInput,
    progress: OnboardProgress,
    callback: Option<Pkid>,
}

#[workflow_methods]
impl Onboard {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: OnboardInput) -> Self {
        Self {
            input,
            progress: OnboardProgress::default(),
            callback: None,
        }
    }

    /// Runs the steps, and deletes the record if one of them fails.
    #[run(name = "Onboard")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<OnboardReport> {
        let result = run_steps(ctx).await;
        if result.is_err()
            && let Some(pkid) = ctx.state(|state| state.progress.pkid.clone())
        {
            set_step(ctx, "deleting what was made");
            let input = Delete {
                pkid,
                dry_run: false,
            };
            let mut options = attended();
            // Also after a cancellation of the workflow.
            options.cancellation_token = Some(WorkflowCancellationToken::new());
            ctx.execute_activity(Activities::delete, input, options)
                .await?;
        }
        result
    }

    /// Passes the stored callback of the consent.
    #[signal]
    pub fn callback(&mut self, _ctx: &mut SyncWorkflowContext<Self>, callback: Callback) {
        self.callback = Some(callback.input);
    }

    /// Returns the present step, and the link to hand out.
    #[query]
    pub fn progress(&self, _ctx: &WorkflowContextView) -> OnboardProgress {
        self.progress.clone()
    }
}

type Context = WorkflowContext<Onboard>;

fn set_step(ctx: &Context, step: &str) {
    ctx.state_mut(|state| step.clone_into(&mut state.progress.step));
}

async fn run_steps(ctx: &Context) -> WorkflowResult<OnboardReport> {
    let input = ctx.state(|state| state.input.clone());
    set_step(ctx, "adding the record");
    let added = ctx.execute_activity(Activities::add, input.add.clone(), attended());
    let pkid = added.await?.report.pkid;
    ctx.state_mut(|state| state.progress.pkid = Some(pkid.clone()));
    start_customer(ctx, &pkid).await?;
    let organization = wait_for_consent(ctx, &pkid, &input).await?;
    set_step(ctx, "importing users");
    let sync = SyncInput {
        pkid: pkid.clone(),
        sync: SyncSelector::USERS,
        accept_removals: false,
    };
    ctx.execute_activity(Activities::run_sync, sync, attended())
        .await?;
    // The record's own workflow continues the import.
    ctx.external_workflow(workflow_id(&pkid), None)
        .signal(SparkCustomer::wake, (), SignalWorkflowOptions::default())
        .await?;
    let users = wait_for_users(ctx, &pkid, &input).await?;
    set_step(ctx, "done");
    Ok(OnboardReport {
        pkid,
        organization,
        users,
    })
}

/// Hands out links until a callback completes the consent. Returns the organization.
async fn wait_for_consent(
    ctx: &Context,
    pkid: &Pkid,
    input: &OnboardInput,
) -> WorkflowResult<String> {
    let deadline = Deadline::after(ctx, input.consent_within_s);
    loop {
        let link = begin_consent(ctx, pkid, input).await?;
        ctx.state_mut(|state| state.progress.link = Some(link.link));
        set_step(ctx, "waiting for the consent");
        let expires = Duration::from_millis(link.expires.0).saturating_sub(now(ctx));
        if let Some(callback) = wait_for_callback(ctx, deadline.left(ctx).min(expires)).await? {
            let complete = CompleteConnect {
                pkid: pkid.clone(),
                input: callback,
            };
            let completed =
                ctx.execute_activity(Activities::complete_connect, complete, attended());
            match completed.await {
                Ok(completed) => return Ok(completed.report.organization),
                // A callback for another customer, or a declined consent: the administrator may try again.
                Err(error @ ActivityExecutionError::Failed(_)) => {
                    let refused = Some(error.to_string());
                    ctx.state_mut(|state| state.progress.refused = refused);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if deadline.left(ctx).is_zero() {
            let text = "nobody has consented in time";
            return Err(ApplicationFailure::non_retryable(text).into());
        }
    }
}

async fn begin_consent(
    ctx: &Context,
    pkid: &Pkid,
    input: &OnboardInput,
) -> Result<ConsentLink, ActivityExecutionError> {
    let connect = Connect {
        pkid: pkid.clone(),
        consent: input.consent.clone(),
    };
    let begun = ctx.execute_activity(Activities::connect, connect, attended());
    Ok(begun.await?.report)
}

/// Waits for the signal with a callback. Returns `None` after `wait`.
async fn wait_for_callback(
    ctx: &Context,
    wait: Duration,
) -> Result<Option<Pkid>, WorkflowCancellationError> {
    let unneeded = ctx.cancellation_token().child_token();
    let timer = TimerOptions::builder(wait)
        .cancellation_token(unneeded.clone())
        .build();
    select! {
        _ = ctx.timer(timer) => {}
        come = ctx.wait_condition(|state| state.callback.is_some()) => {
            unneeded.cancel();
            come?;
        }
    }
    Ok(ctx.state_mut(|state| state.callback.take()))
}

/// Waits until the expected users are stored. Returns their number.
async fn wait_for_users(ctx: &Context, pkid: &Pkid, input: &OnboardInput) -> WorkflowResult<u64> {
    let deadline = Deadline::after(ctx, input.import_within_s);
    loop {
        let count = CountImported {
            pkid: pkid.clone(),
            model: USERS.to_owned(),
        };
        let counted = ctx.execute_activity(Activities::count_imported, count, attended());
        let users = counted.await?;
        if users >= input.expected_users {
            return Ok(users);
        }
        if deadline.left(ctx).is_zero() {
            let text = format!(
                "{users} of {} expected users have arrived in time",
                input.expected_users
            );
            return Err(ApplicationFailure::non_retryable(text).into());
        }
        ctx.timer(LOOK.min(deadline.left(ctx))).await;
    }
}

/// A time of the workflow.
struct Deadline(Duration);

impl Deadline {
    fn after(ctx: &Context, seconds: u64) -> Self {
        Self(now(ctx).saturating_add(Duration::from_secs(seconds)))
    }

    fn left(&self, ctx: &Context) -> Duration {
        self.0.saturating_sub(now(ctx))
    }
}

/// Returns the time of the workflow since the Unix epoch.
fn now(ctx: &Context) -> Duration {
    let time = ctx.workflow_time();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.unwrap_or_default()
}
