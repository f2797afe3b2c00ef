//! The invariants of all schedules.

use relation_harness::explore::Interleaving;
use relation_host::types::{Pkid, Reference};

use super::actions::{ActionResult, ConcurrentAction};
use crate::world::World;

/// A violation of an invariant: its kind and details.
pub struct Violation {
    pub kind: &'static str,
    pub text: String,
}

pub fn record(pkid: &Pkid) -> String {
    Reference::record(pkid.clone()).to_string()
}

/// Returns the violated invariants.
pub async fn find_violations(
    world: &World,
    customers: &[Pkid; 2],
    actions: &[(usize, ConcurrentAction)],
    run: &Interleaving<ActionResult>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |kind, text| violations.push(Violation { kind, text });
    for violation in world.webex.violations() {
        report("a replaced refresh token is used", violation);
    }
    for (result, (customer, action)) in run.calls.iter().zip(actions) {
        match result {
            None => report(
                "a call panics or does not end",
                format!("{action:?} of customer {customer}"),
            ),
            Some(Err(reason)) if reason.starts_with("UNEXPECTED") => {
                report(
                    "a call fails with an unexpected error",
                    format!("{action:?} of customer {customer}: {reason}"),
                );
            }
            Some(_) => {}
        }
    }
    let snapshot = world.snapshot().await;
    for (customer, pkid) in customers.iter().enumerate() {
        let did = |wanted: ConcurrentAction| {
            let mut all = actions.iter().zip(&run.calls);
            all.any(|(action, result)| *action == (customer, wanted) && *result == Some(Ok(())))
        };
        let name = record(pkid);
        let Some(stored) = snapshot.documents.get(&name) else {
            if !did(ConcurrentAction::Delete) {
                report("a customer is gone that was not deleted", name.clone());
            }
            let left = snapshot.secrets.keys().chain(snapshot.wakeups.keys());
            let left: Vec<&String> = left.filter(|left| left.contains(pkid.as_str())).collect();
            if !left.is_empty() {
                report(
                    "data of a deleted customer remain",
                    format!("of customer {customer}: {left:?}"),
                );
            }
            continue;
        };
        if did(ConcurrentAction::Delete) {
            report("a deleted customer exists again", name.clone());
        }
        let state = &stored.body["connection"]["state"];
        if state != "connected" {
            report(
                "a connection is broken",
                format!("customer {customer} is {state}"),
            );
        }
        if did(ConcurrentAction::Modify) && !stored.body.to_string().contains("contoso.example") {
            report("a change is lost", format!("of customer {customer}"));
        }
        for id in ["refresh", "expiry"] {
            if !snapshot.wakeups.contains_key(&format!("{name}#{id}")) {
                report(
                    "no wakeup for a customer",
                    format!("customer {customer} for {id}"),
                );
            }
        }
    }
    violations
}
