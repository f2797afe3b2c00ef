//! Each workflow as a story: what goes before it, the call, and what its callers do when it fails.

use std::sync::Arc;

use async_trait::async_trait;
use relation_harness::sweep::{Blow, Lost, Point, Story, Undisturbed};
use relation_harness::{Call, Failed};
use relation_host::imports::{Import, Interceptor};
use relation_host::reports::{Grant, SyncKind};
use relation_host::types::Reference;
use serde_json::Value;
use webex_emulator::Mode;

use crate::world::{BEFORE, DAY, HOUR, VIOLATIONS, World, is_not_found};

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
    /// `wake`, as the dispatcher calls it for the wakeup of this id.
    Wake(&'static str),
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
pub const ALL: [Told; 15] = [
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
    Told::of(
        "wake for a refresh, tokens extended",
        Workflow::Wake("refresh"),
        Mode::ExtendSame,
    ),
    Told::of(
        "wake for a refresh, tokens rotated",
        Workflow::Wake("refresh"),
        Mode::Rotate,
    ),
    Told::of(
        "wake for a look at expiries",
        Workflow::Wake("expiry"),
        Mode::FrozenClock,
    ),
    Told::of(
        "wake for an import",
        Workflow::Wake("sync"),
        Mode::ExtendSame,
    ),
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
            // As somebody who connects again is in the end, with the import behind the consent.
            Workflow::Refresh | Workflow::Wake("refresh") if self.rotates() => {
                world.done(world.add(false)).await;
                world.connect_anew().await;
                world.pass(HOUR).await;
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
                let kind = SyncKind::ROLES_LICENSES;
                let call = Call::Sync {
                    pkid,
                    kind,
                    accept_removals: false,
                };
                world.done(call).await;
            }
            // What a consent leaves to be done.
            Workflow::Wake("sync") => {
                world.done(world.add(false)).await;
                world.connect_anew().await;
            }
            Workflow::Wake(_) => {
                world.done(world.add(true)).await;
            }
        }
        if let Workflow::Wake(id) = self.workflow {
            world.until_due(id).await;
        }
        world
    }

    async fn act(&self, world: &World) -> Result<(), Failed> {
        if let Workflow::Wake(id) = self.workflow {
            let record = Reference::record(world.customer().await);
            let seen = world.harness.wake(&record, id).await.unwrap();
            return seen.expect("it waits").result.map(drop);
        }
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
        world.pass(6 * HOUR).await;
        if self.rotates() && world.state().await == "reauthorize" {
            world.before_connecting_again = Some(world.remains().await);
            world.connect_anew().await;
        }
        if self.mode != Mode::FrozenClock {
            // The next refresh shows that the tokens which are stored work.
            world.pass(8 * DAY).await;
        }
    }

    async fn remains(&self, world: &World) -> Value {
        world.remains().await
    }

    fn degraded(
        &self,
        point: &Point,
        remains: &Value,
        undisturbed: &Undisturbed,
    ) -> Option<&'static str> {
        if !self.explains || !connected_again(remains, &undisturbed.remains) {
            return None;
        }
        let sent = undisturbed.first_behind(0, Import::HttpHandle)?;
        let stored = undisturbed.first_behind(sent, Import::StorageCommit)?;
        let refused = (point.nth, point.import) == (stored, Import::StorageCommit)
            && matches!(
                point.blow,
                Blow::Conflict | Blow::LimitExceeded | Blow::Invalid | Blow::Internal
            );
        if refused {
            return Some("answer-refused");
        }
        let lost = point.is_behind(sent) && !point.is_behind(stored);
        let told = remains[BEFORE]
            .to_string()
            .contains("possibly lost rotation");
        (lost && told).then_some("possibly-lost-rotation")
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
                kind: SyncKind::ROLES_LICENSES,
                accept_removals: false,
            },
            Workflow::Delete => Call::Delete {
                pkid: world.customer().await,
                dry_run: false,
            },
            Workflow::Wake(_) => unreachable!("nobody calls it but the host"),
        }
    }

    /// Whether a refresh is swept at whose end the old refresh token is worth nothing.
    fn rotates(&self) -> bool {
        let refreshes = matches!(self.workflow, Workflow::Refresh | Workflow::Wake("refresh"));
        refreshes && self.mode == Mode::Rotate
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
            // The consent begins anew behind this anyway, and the host comes back to a wakeup by itself.
            Workflow::Connect | Workflow::Wake(_) => {}
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

/// Whether an alert asked a person to connect again, which led to the end that was meant, and nothing else
/// broke a rule at Webex than the use of the token that nobody knew to be replaced.
fn connected_again(remains: &Value, undisturbed: &Value) -> bool {
    let asked = remains[BEFORE].to_string().contains("WEBEX_REAUTHORIZE");
    let mut violations = remains[VIOLATIONS].as_array().into_iter().flatten();
    let only_reuse = violations.all(|violation| violation.to_string().contains("rotated out"));
    let mut end = remains.clone();
    end[BEFORE] = undisturbed[BEFORE].clone();
    end[VIOLATIONS] = undisturbed[VIOLATIONS].clone();
    asked && only_reuse && end == *undisturbed
}
