//! What runs at once, and how it is asked for.

use relation_harness::{Call, Failed};
use relation_host::WakeupOutcome;
use relation_host::entropy::{Entropy as _, SeededEntropy};
use relation_host::reports::Grant;
use relation_host::types::{Failure, Pkid, Reference};
use secrecy::SecretString;
use serde_json::json;

use crate::world::World;

/// What runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    ScheduledRefresh,
    ManualRefresh,
    Modify,
    Delete,
    Connect,
    CompleteConnect,
    CheckExpiry,
}

const DEEDS: [Deed; 7] = [
    Deed::ScheduledRefresh,
    Deed::ManualRefresh,
    Deed::Modify,
    Deed::Delete,
    Deed::Connect,
    Deed::CompleteConnect,
    Deed::CheckExpiry,
];

/// What came of a deed: done, or why not.
pub type Came = Result<(), String>;

fn draw(entropy: &SeededEntropy, among: usize) -> usize {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    usize::try_from(u32::from_le_bytes(bytes)).unwrap() % among
}

/// Whose deeds: two or three on the first customer, and sometimes one on the second.
pub fn drawn(seed: u64) -> Vec<(usize, Deed)> {
    // The order of the imports is drawn from the seed itself.
    let entropy = SeededEntropy::new(!seed);
    let mut deeds = Vec::new();
    for _ in 0..2 + draw(&entropy, 2) {
        deeds.push((0, DEEDS[draw(&entropy, DEEDS.len())]));
    }
    if draw(&entropy, 2) == 0 {
        deeds.push((1, DEEDS[draw(&entropy, DEEDS.len())]));
    }
    deeds
}

pub fn connect(pkid: &Pkid) -> Call {
    Call::Connect {
        pkid: pkid.clone(),
        grant: Grant::Organization,
        redirect_uri: crate::world::REDIRECT.to_owned(),
    }
}

pub async fn doing(
    world: &World,
    host: usize,
    pkid: Pkid,
    deed: Deed,
    callback: Option<SecretString>,
) -> Came {
    let call = match deed {
        Deed::ScheduledRefresh => return scheduled(world, host, pkid).await,
        Deed::ManualRefresh => Call::Refresh {
            pkid,
            grant: Grant::Organization,
        },
        Deed::Modify => Call::Modify {
            pkid,
            fields: json!({ "email_domain": "contoso.example" })
                .as_object()
                .unwrap()
                .clone(),
            token_response: None,
        },
        Deed::Delete => Call::Delete {
            pkid,
            dry_run: false,
        },
        Deed::Connect => connect(&pkid),
        Deed::CompleteConnect => Call::CompleteConnect {
            pkid,
            callback: callback.expect("somebody has consented"),
        },
        Deed::CheckExpiry => Call::CheckExpiry {
            pkid,
            grant: Grant::Organization,
        },
    };
    let result = world.harness.call_on(host, call).await.result.map(drop);
    match &result {
        // The consent was completed by another call, or begun anew.
        Err(failed)
            if deed == Deed::CompleteConnect
                && matches!(failed.refusal(), Some(Failure::Reauthorize(_))) =>
        {
            Err("reauthorize".to_owned())
        }
        _ => told(result),
    }
}

/// Who is told to come again, or that there is no such record, was told the truth.
fn told(result: Result<(), Failed>) -> Came {
    match &result {
        Ok(()) => Ok(()),
        Err(failed) => match failed.refusal() {
            Some(Failure::NotFound(_)) => Err("not-found".to_owned()),
            Some(Failure::Conflict(_)) => Err("conflict".to_owned()),
            _ => Err(format!("UNEXPECTED {failed}")),
        },
    }
}

async fn scheduled(world: &World, host: usize, pkid: Pkid) -> Came {
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
        // The dispatcher comes again.
        Ok(WakeupOutcome::Busy(_)) => Err("busy".to_owned()),
        Ok(WakeupOutcome::Finished(_)) => Ok(()),
        Err(error) => Err(format!("UNEXPECTED {error}")),
    }
}
