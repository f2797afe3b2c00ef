//! Each workflow as a story: what goes before it, the call, and what its callers do when it fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relation_harness::sweep::{Blow, Lost, Point, Story};
use relation_harness::{Call, Failed};
use relation_host::imports::{Import, Interceptor};
use relation_host::reports::{Grant, SyncKind};
use serde_json::Value;
use webex_emulator::Mode;

use crate::world::{DAY, HOUR, World, is_not_found};

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflow {
    /// `add` without tokens.
    Add,
    /// `add` with pasted tokens, which are checked at Webex.
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
    /// `sync` of roles and licences.
    Sync,
    /// `delete`, with the revocation.
    Delete,
}

/// A workflow, and how Webex treats refresh tokens.
pub struct Told {
    pub name: &'static str,
    pub workflow: Workflow,
    pub mode: Mode,
    /// Whether ends that have a name are known to it; without them they are unexplained.
    pub explains: bool,
}

impl Told {
    pub const fn of(name: &'static str, workflow: Workflow, mode: Mode) -> Self {
        Self {
            name,
            workflow,
            mode,
            explains: true,
        }
    }
}

/// All stories of the page.
pub const ALL: [Told; 11] = [
    Told::of("add", Workflow::Add, Mode::ExtendSame),
    Told::of("add with tokens", Workflow::AddWithTokens, Mode::ExtendSame),
    Told::of("modify", Workflow::Modify, Mode::ExtendSame),
    Told::of("connect", Workflow::Connect, Mode::ExtendSame),
    Told::of(
        "complete-connect",
        Workflow::CompleteConnect,
        Mode::ExtendSame,
    ),
    Told::of(
        "refresh, tokens extended",
        Workflow::Refresh,
        Mode::ExtendSame,
    ),
    Told::of(
        "refresh, no refresh token in the answer",
        Workflow::Refresh,
        Mode::OmitRefreshToken,
    ),
    Told::of("refresh, tokens rotated", Workflow::Refresh, Mode::Rotate),
    Told::of("check-expiry", Workflow::CheckExpiry, Mode::FrozenClock),
    Told::of("sync", Workflow::Sync, Mode::ExtendSame),
    Told::of("delete", Workflow::Delete, Mode::ExtendSame),
];

#[async_trait]
impl Story for Told {
    type Scene = World;

    fn name(&self) -> &str {
        self.name
    }

    async fn begin(&self, interceptor: Arc<dyn Interceptor>) -> World {
        let mut world = World::start(self.mode, interceptor).await;
        match self.workflow {
            Workflow::Add | Workflow::AddWithTokens => {}
            Workflow::Connect => {
                world.done(world.add(false)).await;
            }
            Workflow::CompleteConnect => {
                world.done(world.add(false)).await;
                let begun = world.done(world.connect().await).await;
                world.callback = Some(world.consent(&begun));
            }
            Workflow::Modify | Workflow::Refresh | Workflow::Sync => {
                world.done(world.add(true)).await;
                world.pass(HOUR).await;
            }
            Workflow::CheckExpiry => {
                world.done(world.add(true)).await;
                // The refresh token ages here: its last day, with the alert that the schedule has raised.
                world.pass(89 * DAY).await;
            }
            Workflow::Delete => {
                world.done(world.add(true)).await;
                world.pass(HOUR).await;
                let pkid = world.customer().await;
                let kind = SyncKind::RolesLicenses;
                world.done(Call::Sync { pkid, kind }).await;
            }
        }
        world
    }

    async fn act(&self, world: &World) -> Result<(), Failed> {
        let seen = world.harness.call(self.call(world).await).await;
        seen.result.map(drop)
    }

    async fn go_on(&self, world: &mut World, acted: Result<(), Lost>) {
        if acted.is_err() {
            self.ask_again(world).await;
        }
        if self.workflow == Workflow::Connect {
            world.connect_anew().await;
        }
        // Long enough for every backoff, and for the import behind a consent.
        world.pass(Duration::from_secs(6 * 3600)).await;
    }

    async fn remains(&self, world: &World) -> Value {
        world.remains().await
    }

    fn degraded(&self, point: &Point, remains: &Value) -> Option<&'static str> {
        let state = &remains["documents"];
        let reauthorize = state.to_string().contains(r#""state":"reauthorize""#);
        let rotated = self.workflow == Workflow::Refresh && self.mode == Mode::Rotate;
        if !(self.explains && rotated && reauthorize) {
            return None;
        }
        let lost = point.blow.is_carried_out() || point.blow.is_a_kill();
        let refused = point.import == Import::StorageCommit
            && matches!(
                point.blow,
                Blow::Conflict | Blow::LimitExceeded | Blow::Invalid | Blow::Internal
            );
        match (lost, refused) {
            (true, _) => Some("possibly-lost-rotation"),
            (_, true) => Some("answer-refused"),
            _ => None,
        }
    }
}

impl Told {
    async fn call(&self, world: &World) -> Call {
        match self.workflow {
            Workflow::Add => world.add(false),
            Workflow::AddWithTokens => world.add(true),
            Workflow::Modify => Call::Modify {
                pkid: world.customer().await,
                fields: [("name".to_owned(), "Fabrikam".into())]
                    .into_iter()
                    .collect(),
                token_answer: None,
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
                kind: SyncKind::RolesLicenses,
            },
            Workflow::Delete => Call::Delete {
                pkid: world.customer().await,
                dry_run: false,
            },
        }
    }

    /// The caller was refused, or heard nothing.
    async fn ask_again(&self, world: &World) {
        match self.workflow {
            Workflow::CompleteConnect => {
                if world.state().await == "connected" {
                    return;
                }
                // The same callback while it counts, else from the beginning.
                let again = world.harness.call(self.call(world).await).await;
                if again.result.is_err() {
                    world.connect_anew().await;
                }
            }
            // The consent begins anew behind this anyway.
            Workflow::Connect => {}
            Workflow::Delete => {
                let Some(pkid) = world.pkid().await else {
                    return;
                };
                let again = Call::Delete {
                    pkid,
                    dry_run: false,
                };
                match world.insist(again).await {
                    Ok(_) => {}
                    Err(failed) if is_not_found(&failed) => {}
                    Err(failed) => panic!("{failed}"),
                }
            }
            Workflow::Refresh => {
                // A refusal of Webex is told too, and is no reason to give up here.
                let _ = world.insist(self.call(world).await).await;
            }
            _ => {
                world.insist(self.call(world).await).await.unwrap();
            }
        }
    }
}
