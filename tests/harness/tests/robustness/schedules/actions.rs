//! The concurrent actions, and how they run.

use relation_harness::{Call, CallFailure};
use relation_host::WakeupOutcome;
use relation_host::entropy::{Entropy as _, SeededEntropy};
use relation_host::reports::Grant;
use relation_host::types::{Failure, Pkid, Reference};
use secrecy::SecretString;
use serde_json::json;

use crate::world::World;

/// A concurrent action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConcurrentAction {
    ScheduledRefresh,
    ManualRefresh,
    Modify,
    Delete,
    Connect,
    CompleteConnect,
    CheckExpiry,
}

const ACTIONS: [ConcurrentAction; 7] = [
    ConcurrentAction::ScheduledRefresh,
    ConcurrentAction::ManualRefresh,
    ConcurrentAction::Modify,
    ConcurrentAction::Delete,
    ConcurrentAction::Connect,
    ConcurrentAction::CompleteConnect,
    ConcurrentAction::CheckExpiry,
];

/// The result of an action, or the reason why it was not done.
pub type ActionResult = Result<(), String>;

fn draw(entropy: &SeededEntropy, among: usize) -> usize {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    usize::try_from(u32::from_le_bytes(bytes)).unwrap() % among
}

/// Draws two or three actions on the first customer, and sometimes one on the second.
pub fn draw_actions(seed: u64) -> Vec<(usize, ConcurrentAction)> {
    // The seed itself determines the order of the imports.
    let entropy = SeededEntropy::new(!seed);
    let mut actions = Vec::new();
    for _ in 0..2 + draw(&entropy, 2) {
        actions.push((0, ACTIONS[draw(&entropy, ACTIONS.len())]));
    }
    if draw(&entropy, 2) == 0 {
        actions.push((1, ACTIONS[draw(&entropy, ACTIONS.len())]));
    }
    actions
}

pub fn connect(pkid: &Pkid) -> Call {
    Call::Connect {
        pkid: pkid.clone(),
        grant: Grant::Organization,
        redirect_uri: crate::world::REDIRECT.to_owned(),
    }
}

pub async fn perform(
    world: &World,
    host: usize,
    pkid: Pkid,
    action: ConcurrentAction,
    callback: Option<SecretString>,
) -> ActionResult {
    let call = match action {
        ConcurrentAction::ScheduledRefresh => {
            return run_scheduled_refresh(world, host, pkid).await;
        }
        ConcurrentAction::ManualRefresh => Call::Refresh {
            pkid,
            grant: Grant::Organization,
        },
        ConcurrentAction::Modify => Call::Modify {
            pkid,
            fields: json!({ "email_domain": "contoso.example" })
                .as_object()
                .unwrap()
                .clone(),
            token_response: None,
        },
        ConcurrentAction::Delete => Call::Delete {
            pkid,
            dry_run: false,
        },
        ConcurrentAction::Connect => connect(&pkid),
        ConcurrentAction::CompleteConnect => Call::CompleteConnect {
            pkid,
            callback: callback.expect("a person has consented"),
        },
        ConcurrentAction::CheckExpiry => Call::CheckExpiry {
            pkid,
            grant: Grant::Organization,
        },
    };
    let result = world.harness.call_on(host, call).await.result.map(drop);
    match &result {
        // Another call completed the consent, or began a new one.
        Err(failed)
            if action == ConcurrentAction::CompleteConnect
                && matches!(failed.refusal(), Some(Failure::Reauthorize(_))) =>
        {
            Err("reauthorize".to_owned())
        }
        _ => classify(result),
    }
}

/// Classifies a result. `conflict` and `not-found` are valid replies to a concurrent call.
fn classify(result: Result<(), CallFailure>) -> ActionResult {
    match &result {
        Ok(()) => Ok(()),
        Err(failed) => match failed.refusal() {
            Some(Failure::NotFound(_)) => Err("not-found".to_owned()),
            Some(Failure::Conflict(_)) => Err("conflict".to_owned()),
            _ => Err(format!("UNEXPECTED {failed}")),
        },
    }
}

async fn run_scheduled_refresh(world: &World, host: usize, pkid: Pkid) -> ActionResult {
    let host = world.harness.host_at(host).unwrap();
    let wakeups = host
        .store()
        .wakeups(&Reference::record(pkid))
        .await
        .unwrap();
    let Some(due) = wakeups.into_iter().find(|due| due.wakeup.id == "refresh") else {
        return Err("not-found".to_owned());
    };
    match host.run_wakeup(due).await {
        Ok(WakeupOutcome::Gone) => Err("gone".to_owned()),
        // The dispatcher would retry.
        Ok(WakeupOutcome::Busy(_)) => Err("busy".to_owned()),
        Ok(WakeupOutcome::Finished(_)) => Ok(()),
        Ok(outcome) => Err(format!("UNEXPECTED {outcome:?}")),
        Err(error) => Err(format!("UNEXPECTED {error}")),
    }
}
