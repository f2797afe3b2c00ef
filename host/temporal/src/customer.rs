//! The workflow of one record: durable timers run its wakeups, and updates and signals run calls.
//!
//! The store stays the truth. The workflow asks an activity for the time of the next wakeup after each call, and waits for
//! it. A wakeup that another process schedules earlier comes as the signal `wake`: see [`bridge`](crate::bridge).
//!
//! A change of this code must accept the histories of earlier releases: put new commands below `ctx.patched("NAME")`.
//! `tests/replay.rs` replays stored histories.

use std::collections::VecDeque;
use std::time::Duration;

use relation_host::reports::{Grant, SyncReport};
use relation_host::types::Pkid;
use serde::{Deserialize, Serialize};
use temporalio_common::RetryPolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ActivityExecutionError, ActivityOptions, ContinueAsNewOptions, SyncWorkflowContext,
    TimerOptions, WorkflowCancellationError, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::activities::Activities;
use crate::attempt::HEARTBEAT_TIMEOUT;
use crate::calls::{
    Change, CompleteConnect, Connect, Connected, ConsentLink, ConsentRequest, Delete, Deleted,
    Modified, Modify, OfGrant, Outcome, Record, Refreshed, Snapshot, SyncInput, Woken,
};
use crate::inputs::find_secrets;
use crate::search;

/// The largest time of one attempt: two calls of the default limit, since a call may wait for another one.
const ATTEMPT_TIME: Duration = Duration::from_secs(600);
/// The most attempts of a call that somebody waits for.
const MAX_ATTEMPTS: u32 = 5;
/// The longest time between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);
/// How long a workflow waits whose record has no wakeup.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// The pause after wakeups could not be run.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(300);
/// The events of a history after which a new one begins, besides the server's suggestion. A refresh has about 10.
const MAX_EVENTS: u32 = 2000;

/// The input of the workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CustomerInput {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The requests that an earlier run of this workflow has left.
    #[serde(default)]
    pub requests: Vec<Request>,
    /// The record after the last call of an earlier run.
    #[serde(default)]
    pub record: Option<Snapshot>,
    /// Why the last call of an earlier run failed.
    #[serde(default)]
    pub last_error: Option<String>,
}

impl CustomerInput {
    /// Creates the input of a record's first run.
    pub fn new(pkid: Pkid) -> Self {
        Self {
            pkid,
            requests: Vec::new(),
            record: None,
            last_error: None,
        }
    }
}

/// A request by the signal `request`, for senders that do not wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Request {
    /// Changes fields.
    Modify(Change),
    /// Completes a consent.
    CompleteConnect(Callback),
    /// Refreshes the tokens of a grant.
    Refresh(RefreshRequest),
    /// Executes a data sync.
    Sync(SyncRequest),
    /// Deletes the record, which ends the workflow.
    Delete,
}

/// A stored callback.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Callback {
    /// The key of the stored input.
    pub input: Pkid,
}

/// The grant to refresh.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// The grant.
    #[serde(default)]
    pub grant: Grant,
}

/// The data sync to execute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The data sync: its role, its name or its primary key.
    pub sync: String,
    /// Whether to remove what has vanished at Webex even if that is most of what is stored.
    #[serde(default)]
    pub accept_removals: bool,
}

/// The result of the query `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CustomerState {
    /// The record after the last call; `None`: no call has ended yet, or the record does not exist.
    pub record: Option<Snapshot>,
    /// Why the last call failed; `None`: it succeeded.
    pub last_error: Option<String>,
    /// The number of requests that wait.
    pub waiting: usize,
}

/// The workflow of one record. Its id is `spark-customer-` with the record's primary key.
#[workflow]
pub struct SparkCustomer {
    pkid: Pkid,
    record: Option<Snapshot>,
    requests: VecDeque<Request>,
    /// The time of the workflow when the next wakeup is due, in milliseconds.
    wake_at: u64,
    /// Rises with each event for which the workflow stops waiting.
    events: u64,
    is_gone: bool,
    last_error: Option<String>,
    /// The values of the search attributes.
    shown: Option<(String, String)>,
}

/// Returns the id of a record's workflow.
pub fn workflow_id(pkid: &Pkid) -> String {
    format!("spark-customer-{pkid}")
}

type CallResult<T> = Result<Outcome<T>, ActivityExecutionError>;
/// The error of an update or of its validation.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[workflow_methods]
impl SparkCustomer {
    #[init]
    fn new(_context: &WorkflowContextView, input: CustomerInput) -> Self {
        Self {
            pkid: input.pkid,
            record: input.record,
            requests: input.requests.into(),
            wake_at: 0,
            events: 0,
            is_gone: false,
            last_error: input.last_error,
            shown: None,
        }
    }

    /// Runs wakeups and requests until the record is deleted.
    #[run(name = "SparkCustomer")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        loop {
            if ctx.state(|state| state.is_gone) {
                ctx.wait_condition(|_| ctx.all_handlers_finished()).await?;
                return Ok(());
            }
            if ctx.all_handlers_finished() && is_long(ctx) {
                let input = ctx.state(Self::to_input);
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
            }
            if let Some(request) = ctx.state_mut(|state| state.requests.pop_front()) {
                run_request(ctx, request).await;
            } else if ctx.state(|state| state.wake_at) <= now(ctx) {
                wake(ctx).await;
            } else {
                wait_for_event(ctx).await?;
            }
            // A canceled workflow ends; the bridge starts it again when a wakeup is due.
            if ctx.cancellation_token().is_cancelled() {
                ctx.wait_condition(|_| false).await?;
            }
        }
    }

    /// Runs the wakeups that are due, also if the timer waits.
    #[signal]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.wake_at = 0;
        self.events += 1;
    }

    /// Runs a call, for a sender that does not wait.
    #[signal]
    pub fn request(&mut self, _ctx: &mut SyncWorkflowContext<Self>, request: Request) {
        self.requests.push_back(request);
        self.events += 1;
    }

    /// Returns the state after the last call.
    #[query]
    pub fn state(&self, _ctx: &WorkflowContextView) -> CustomerState {
        CustomerState {
            record: self.record.clone(),
            last_error: self.last_error.clone(),
            waiting: self.requests.len(),
        }
    }

    /// Begins a consent. The result has the key of the stored link.
    #[update]
    pub async fn connect(
        ctx: &mut WorkflowContext<Self>,
        consent: ConsentRequest,
    ) -> Result<Outcome<ConsentLink>, BoxError> {
        let pkid = ctx.state(|state| state.pkid.clone());
        let input = Connect { pkid, consent };
        let called = ctx.execute_activity(Activities::connect, input, attended());
        Ok(note(ctx, called.await)?)
    }

    /// Completes a consent with a stored callback.
    #[update]
    pub async fn complete_connect(
        ctx: &mut WorkflowContext<Self>,
        callback: Callback,
    ) -> Result<Outcome<Connected>, BoxError> {
        Ok(complete_connect(ctx, callback).await?)
    }

    #[update_validator(modify)]
    fn validate_modify(&self, _ctx: &WorkflowContextView, change: &Change) -> Result<(), BoxError> {
        // A refused update leaves no event, so the history does not get the secret.
        match find_secrets(&change.fields).into_iter().next() {
            Some(error) => Err(format!("{}: {}", error.field, error.message).into()),
            None => Ok(()),
        }
    }

    /// Changes fields.
    #[update]
    pub async fn modify(
        ctx: &mut WorkflowContext<Self>,
        change: Change,
    ) -> Result<Outcome<Modified>, BoxError> {
        Ok(modify(ctx, change).await?)
    }

    /// Refreshes the tokens of a grant.
    #[update]
    pub async fn refresh(
        ctx: &mut WorkflowContext<Self>,
        request: RefreshRequest,
    ) -> Result<Outcome<Refreshed>, BoxError> {
        Ok(refresh(ctx, request).await?)
    }

    /// Executes a data sync, or its first part.
    #[update(name = "sync")]
    pub async fn run_sync(
        ctx: &mut WorkflowContext<Self>,
        request: SyncRequest,
    ) -> Result<Outcome<SyncReport>, BoxError> {
        Ok(sync(ctx, request).await?)
    }

    /// Deletes the record, which ends the workflow.
    #[update]
    pub async fn delete(ctx: &mut WorkflowContext<Self>) -> Result<Outcome<Deleted>, BoxError> {
        Ok(delete(ctx).await?)
    }
}

impl SparkCustomer {
    fn to_input(&self) -> CustomerInput {
        CustomerInput {
            pkid: self.pkid.clone(),
            requests: self.requests.iter().cloned().collect(),
            record: self.record.clone(),
            last_error: self.last_error.clone(),
        }
    }
}

type Context = WorkflowContext<SparkCustomer>;

/// Returns the time of the workflow in milliseconds.
fn now(ctx: &Context) -> u64 {
    let time = ctx.workflow_time();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    millis.unwrap_or_default()
}

/// Waits until the next wakeup is due, or for a signal or the end of an update.
async fn wait_for_event(ctx: &Context) -> Result<(), WorkflowCancellationError> {
    let wait = ctx.state(|state| state.wake_at).saturating_sub(now(ctx));
    let seen = ctx.state(|state| state.events);
    let unneeded = ctx.cancellation_token().child_token();
    let timer = TimerOptions::builder(Duration::from_millis(wait))
        .cancellation_token(unneeded.clone())
        .build();
    select! {
        _ = ctx.timer(timer) => Ok(()),
        changed = ctx.wait_condition(|state| state.events != seen) => {
            unneeded.cancel();
            changed
        }
    }
}

fn is_long(ctx: &Context) -> bool {
    ctx.continue_as_new_suggested() || ctx.history_length() > MAX_EVENTS
}

/// Returns the options of a call that somebody waits for.
pub(crate) fn attended() -> ActivityOptions {
    options(MAX_ATTEMPTS)
}

/// Returns the options of an activity; 0 attempts: no limit.
fn options(attempts: u32) -> ActivityOptions {
    let policy = RetryPolicy::builder()
        .maximum_interval(MAX_RETRY_DELAY)
        .maximum_attempts(attempts);
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_TIME)
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .retry_policy(policy.build())
        .build()
}

/// Takes the state over from the result of a call.
fn note<T>(ctx: &Context, called: CallResult<T>) -> CallResult<T> {
    let now = now(ctx);
    match &called {
        Ok(outcome) => {
            ctx.state_mut(|state| {
                state.last_error = None;
                state.is_gone = outcome.record.is_none();
                let next = outcome.record.as_ref();
                let next = next.and_then(|record| record.next_wakeup_in_ms);
                let idle = u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX);
                state.wake_at = now.saturating_add(next.unwrap_or(idle));
                state.record.clone_from(&outcome.record);
                state.events += 1;
            });
            show(ctx);
        }
        Err(error) => ctx.state_mut(|state| state.last_error = Some(describe(error))),
    }
    called
}

/// Returns the message of a failed activity, without the names of events.
fn describe(error: &ActivityExecutionError) -> String {
    error
        .reason()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Sets the search attributes if they have changed.
fn show(ctx: &Context) {
    let wanted = ctx.state(|state| {
        let record = state.record.as_ref()?;
        Some((record.state.to_string(), record.hierarchy.to_string()))
    });
    let Some((state, hierarchy)) = wanted.clone() else {
        return;
    };
    if ctx.state(|state| state.shown != wanted) {
        ctx.upsert_search_attributes([
            search::STATE.value_set(state),
            search::HIERARCHY.value_set(hierarchy),
        ]);
        ctx.state_mut(|state| state.shown = wanted);
    }
}

/// Runs the wakeups that are due. Also reads the record's state at the beginning.
async fn wake(ctx: &Context) {
    let pkid = ctx.state(|state| state.pkid.clone());
    let woken = ctx.execute_activity(Activities::wake, Record { pkid }, options(0));
    let woken: CallResult<Woken> = note(ctx, woken.await);
    match woken {
        Ok(outcome) => {
            let failed = outcome.report.ran.into_iter().rev();
            let error = failed.filter_map(|ran| ran.error).next();
            ctx.state_mut(|state| state.last_error = error);
        }
        Err(_) => {
            let pause = u64::try_from(PAUSE_AFTER_FAILURE.as_millis()).unwrap_or(u64::MAX);
            let wake_at = now(ctx).saturating_add(pause);
            ctx.state_mut(|state| state.wake_at = wake_at);
        }
    }
}

/// Runs a request of a signal. Its failure is the `last_error` of the state.
async fn run_request(ctx: &Context, request: Request) {
    // `note` has noted a failure.
    match request {
        Request::Modify(change) => drop(modify(ctx, change).await),
        Request::CompleteConnect(callback) => drop(complete_connect(ctx, callback).await),
        Request::Refresh(request) => drop(refresh(ctx, request).await),
        Request::Sync(request) => drop(sync(ctx, request).await),
        Request::Delete => drop(delete(ctx).await),
    }
}

async fn modify(ctx: &Context, change: Change) -> CallResult<Modified> {
    let pkid = ctx.state(|state| state.pkid.clone());
    let input = Modify { pkid, change };
    let called = ctx.execute_activity(Activities::modify, input, attended());
    note(ctx, called.await)
}

async fn complete_connect(ctx: &Context, callback: Callback) -> CallResult<Connected> {
    let pkid = ctx.state(|state| state.pkid.clone());
    let input = CompleteConnect {
        pkid,
        input: callback.input,
    };
    let called = ctx.execute_activity(Activities::complete_connect, input, attended());
    note(ctx, called.await)
}

async fn refresh(ctx: &Context, request: RefreshRequest) -> CallResult<Refreshed> {
    let pkid = ctx.state(|state| state.pkid.clone());
    let input = OfGrant {
        pkid,
        grant: request.grant,
    };
    let called = ctx.execute_activity(Activities::refresh, input, attended());
    note(ctx, called.await)
}

async fn sync(ctx: &Context, request: SyncRequest) -> CallResult<SyncReport> {
    let pkid = ctx.state(|state| state.pkid.clone());
    let input = SyncInput {
        pkid,
        sync: relation_host::reports::SyncSelector::new(request.sync),
        accept_removals: request.accept_removals,
    };
    let called = ctx.execute_activity(Activities::run_sync, input, attended());
    note(ctx, called.await)
}

async fn delete(ctx: &Context) -> CallResult<Deleted> {
    let pkid = ctx.state(|state| state.pkid.clone());
    let input = Delete {
        pkid,
        dry_run: false,
    };
    let called = ctx.execute_activity(Activities::delete, input, attended());
    note(ctx, called.await)
}
