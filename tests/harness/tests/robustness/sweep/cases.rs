//! The workflows as cases of a sweep: preparation, call, and recovery.

use std::sync::Arc;

use async_trait::async_trait;
use relation_harness::sweep::{Baseline, CallerError, InjectedFault, Point, SweepCase};
use relation_harness::{Call, CallFailure};
use relation_host::imports::{Import, Interceptor};
use relation_host::reports::{Grant, SyncSelector};
use relation_host::types::Reference;
use serde_json::Value;
use webex_emulator::Mode;

use crate::world::{BEFORE, DAY, HOUR, VIOLATIONS, World, is_not_found};

/// The workflow of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflow {
    /// `add` without tokens.
    Add,
    /// `add` with given tokens, which are checked at Webex.
    AddWithTokens,
    /// `modify` of the name, on which syncs and schedules depend.
    Modify,
    /// `connect`: the beginning of a consent.
    Connect,
    /// `complete-connect`: the exchange of the code.
    CompleteConnect,
    /// `refresh`.
    Refresh,
    /// `check-expiry` that repeats an alert.
    CheckExpiry,
    /// `sync` of roles and licenses.
    Sync,
    /// `invoke` of the action that adds a wholesale customer.
    AddWholesaleCustomer,
    /// `delete`, with the revocation.
    Delete,
    /// `wake`, as the dispatcher calls it for this wakeup.
    Wake(&'static str),
}

/// A workflow, and Webex's mode of refreshes.
pub struct WorkflowCase {
    pub name: &'static str,
    pub workflow: Workflow,
    pub mode: Mode,
    /// Whether named states are accepted; otherwise they are unexplained.
    pub explains: bool,
}

impl WorkflowCase {
    pub const fn new(name: &'static str, workflow: Workflow, mode: Mode) -> Self {
        Self {
            name,
            workflow,
            mode,
            explains: true,
        }
    }
}

/// The wakeup of the schedule of the roles and licenses.
const SCHEDULE: &str = "schedule.roles-licenses";

/// All cases of the page.
pub const ALL: [WorkflowCase; 17] = [
    WorkflowCase::new("add", Workflow::Add, Mode::ExtendSame),
    WorkflowCase::new("add with tokens", Workflow::AddWithTokens, Mode::ExtendSame),
    WorkflowCase::new("modify", Workflow::Modify, Mode::ExtendSame),
    WorkflowCase::new("connect", Workflow::Connect, Mode::ExtendSame),
    WorkflowCase::new(
        "complete-connect",
        Workflow::CompleteConnect,
        Mode::ExtendSame,
    ),
    WorkflowCase::new(
        "refresh, tokens extended",
        Workflow::Refresh,
        Mode::ExtendSame,
    ),
    WorkflowCase::new(
        "refresh, no refresh token in the response",
        Workflow::Refresh,
        Mode::OmitRefreshToken,
    ),
    WorkflowCase::new("refresh, tokens rotated", Workflow::Refresh, Mode::Rotate),
    WorkflowCase::new("check-expiry", Workflow::CheckExpiry, Mode::FrozenClock),
    WorkflowCase::new("sync", Workflow::Sync, Mode::ExtendSame),
    WorkflowCase::new(
        "add a wholesale customer",
        Workflow::AddWholesaleCustomer,
        Mode::ExtendSame,
    ),
    WorkflowCase::new("delete", Workflow::Delete, Mode::ExtendSame),
    WorkflowCase::new(
        "wake for a refresh, tokens extended",
        Workflow::Wake("refresh"),
        Mode::ExtendSame,
    ),
    WorkflowCase::new(
        "wake for a refresh, tokens rotated",
        Workflow::Wake("refresh"),
        Mode::Rotate,
    ),
    WorkflowCase::new(
        "wake for an expiry check",
        Workflow::Wake("expiry"),
        Mode::FrozenClock,
    ),
    WorkflowCase::new(
        "wake for an import",
        Workflow::Wake("sync.roles-licenses"),
        Mode::ExtendSame,
    ),
    WorkflowCase::new(
        "wake for a schedule",
        Workflow::Wake(SCHEDULE),
        Mode::ExtendSame,
    ),
];

#[async_trait]
impl SweepCase for WorkflowCase {
    type World = World;

    fn name(&self) -> &str {
        self.name
    }

    async fn prepare(&self, interceptor: Arc<dyn Interceptor>) -> World {
        let mut world = World::start(self.mode, interceptor).await;
        match self.workflow {
            Workflow::Add | Workflow::AddWithTokens => {}
            Workflow::Connect => {
                world.call_ok(world.add(false)).await;
            }
            Workflow::CompleteConnect => {
                world.call_ok(world.add(false)).await;
                let begun = world.call_ok(world.connect().await).await;
                world.callback = Some(world.consent(&begun));
            }
            // The same state as after a second consent, including its import.
            Workflow::Refresh | Workflow::Wake("refresh") if self.rotates() => {
                world.call_ok(world.add(false)).await;
                world.reconnect().await;
                world.advance(HOUR).await;
            }
            Workflow::Modify | Workflow::Refresh | Workflow::Sync => {
                world.call_ok(world.add(true)).await;
                world.advance(HOUR).await;
            }
            Workflow::AddWholesaleCustomer => {
                world.call_ok(world.add_partner()).await;
                world.connect_wholesale_customers().await;
            }
            Workflow::CheckExpiry => {
                world.call_ok(world.add(true)).await;
                // Let the refresh token age to its last day, with the alert that the schedule has raised.
                world.advance(89 * DAY).await;
            }
            Workflow::Delete => {
                world.call_ok(world.add(true)).await;
                world.advance(HOUR).await;
                let pkid = world.customer().await;
                let call = Call::Sync {
                    pkid,
                    sync: SyncSelector::ROLES_LICENSES,
                    accept_removals: false,
                };
                world.call_ok(call).await;
            }
            // The import after a consent.
            Workflow::Wake("sync.roles-licenses") => {
                world.call_ok(world.add(false)).await;
                world.reconnect().await;
            }
            Workflow::Wake(SCHEDULE) => {
                world.call_ok(world.add(true)).await;
                world.advance(HOUR).await;
                let arguments = [
                    ("sync", "roles-licenses"),
                    ("start", "2020-01-01T03:00"),
                    ("every", "1d"),
                ];
                let arguments = arguments.map(|(name, value)| (name.to_owned(), value.into()));
                let call = Call::Invoke {
                    pkid: world.customer().await,
                    action: "ScheduleDataSync".to_owned(),
                    arguments: arguments.into_iter().collect(),
                };
                world.call_ok(call).await;
            }
            Workflow::Wake(_) => {
                world.call_ok(world.add(true)).await;
            }
        }
        if let Workflow::Wake(id) = self.workflow {
            world.until_due(id).await;
        }
        world
    }

    async fn run_call(&self, world: &World) -> Result<(), CallFailure> {
        if let Workflow::Wake(id) = self.workflow {
            let record = Reference::record(world.customer().await);
            let seen = world.harness.wake(&record, id).await.unwrap();
            return seen.expect("it waits").result.map(drop);
        }
        let seen = world.harness.call(self.call(world).await).await;
        seen.result.map(drop)
    }

    async fn recover(&self, world: &mut World, acted: Result<(), CallerError>) {
        if acted.is_err() {
            self.retry_call(world).await;
        }
        if self.workflow == Workflow::Connect {
            world.reconnect().await;
        }
        // Longer than every retry delay, and than the import after a consent.
        world.advance(6 * HOUR).await;
        if self.rotates() && world.state().await == "reauthorize" {
            world.state_before_reconnect = Some(world.final_state().await);
            world.reconnect().await;
        }
        if self.mode != Mode::FrozenClock {
            // The next refresh needs valid tokens.
            world.advance(8 * DAY).await;
        }
    }

    async fn final_state(&self, world: &World) -> Value {
        world.final_state().await
    }

    fn degraded_name(
        &self,
        point: &Point,
        final_state: &Value,
        baseline: &Baseline,
    ) -> Option<&'static str> {
        if !self.explains || !connected_again(final_state, &baseline.final_state) {
            return None;
        }
        let sent = baseline.first_after(0, Import::HttpHandle)?;
        let stored = baseline.first_after(sent, Import::StorageCommit)?;
        let refused = (point.nth, point.import) == (stored, Import::StorageCommit)
            && matches!(
                point.fault,
                InjectedFault::Conflict
                    | InjectedFault::LimitExceeded
                    | InjectedFault::Invalid
                    | InjectedFault::Internal
            );
        if refused {
            return Some("response-commit-refused");
        }
        let lost = point.is_after(sent) && !point.is_after(stored);
        let is_noted = final_state[BEFORE]
            .to_string()
            .contains("possibly lost rotation");
        (lost && is_noted).then_some("possibly-lost-rotation")
    }
}

impl WorkflowCase {
    async fn call(&self, world: &World) -> Call {
        match self.workflow {
            Workflow::Add => world.add(false),
            Workflow::AddWithTokens => world.add(true),
            Workflow::Modify => Call::Modify {
                pkid: world.customer().await,
                fields: [("name".to_owned(), "Fabrikam".into())]
                    .into_iter()
                    .collect(),
                token_response: None,
            },
            Workflow::Connect => world.connect().await,
            Workflow::CompleteConnect => {
                let callback = world.callback.clone().unwrap();
                world.complete(callback).await
            }
            Workflow::Refresh => Call::Refresh {
                pkid: world.customer().await,
                grant: Grant::Organization,
            },
            Workflow::CheckExpiry => Call::CheckExpiry {
                pkid: world.customer().await,
                grant: Grant::Organization,
            },
            Workflow::Sync => Call::Sync {
                pkid: world.customer().await,
                sync: SyncSelector::ROLES_LICENSES,
                accept_removals: false,
            },
            Workflow::AddWholesaleCustomer => world.add_wholesale_customer().await,
            Workflow::Delete => Call::Delete {
                pkid: world.customer().await,
                dry_run: false,
            },
            Workflow::Wake(_) => unreachable!("only the host calls it"),
        }
    }

    /// Returns whether the refresh invalidates the old refresh token.
    fn rotates(&self) -> bool {
        let refreshes = matches!(self.workflow, Workflow::Refresh | Workflow::Wake("refresh"));
        refreshes && self.mode == Mode::Rotate
    }

    /// Retries a call that failed or was lost.
    async fn retry_call(&self, world: &World) {
        match self.workflow {
            Workflow::CompleteConnect => {
                if world.state().await == "connected" {
                    return;
                }
                // Use the same callback while it is valid, otherwise start again.
                let again = world.harness.call(self.call(world).await).await;
                if again.result.is_err() {
                    world.reconnect().await;
                }
            }
            // The recovery begins a new consent, and the host retries wakeups.
            Workflow::Connect | Workflow::Wake(_) => {}
            Workflow::Delete => {
                let Some(pkid) = world.pkid().await else {
                    return;
                };
                let again = Call::Delete {
                    pkid,
                    dry_run: false,
                };
                match world.call_until_ok(again).await {
                    Ok(_) => {}
                    Err(failed) if is_not_found(&failed) => {}
                    Err(failed) => panic!("{failed}"),
                }
            }
            Workflow::Refresh => {
                // A refusal by Webex is a valid result.
                let _ = world.call_until_ok(self.call(world).await).await;
            }
            _ => {
                world.call_until_ok(self.call(world).await).await.unwrap();
            }
        }
    }
}

/// Returns whether an alert requested a new consent, which led to the baseline's state. The use of the replaced token
/// is the only allowed violation.
fn connected_again(final_state: &Value, baseline: &Value) -> bool {
    let is_alerted = final_state[BEFORE]
        .to_string()
        .contains("WEBEX_REAUTHORIZE");
    let mut violations = final_state[VIOLATIONS].as_array().into_iter().flatten();
    let only_reuse = violations.all(|violation| violation.to_string().contains("rotated out"));
    let mut end = final_state.clone();
    end[BEFORE] = baseline[BEFORE].clone();
    end[VIOLATIONS] = baseline[VIOLATIONS].clone();
    is_alerted && only_reuse && end == *baseline
}
