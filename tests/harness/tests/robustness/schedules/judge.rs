//! What must hold in the end, whatever the order was.

use relation_harness::explore::Interleaved;
use relation_host::types::{Pkid, Reference};

use super::deeds::{Came, Deed};
use crate::world::World;

/// Something that must not be: of which kind, and where.
pub struct Wrong {
    pub kind: &'static str,
    pub text: String,
}

pub fn record(pkid: &Pkid) -> String {
    Reference::record(pkid.clone()).to_string()
}

/// Everything that must hold whatever the order was.
pub async fn wrong(
    world: &World,
    customers: &[Pkid; 2],
    deeds: &[(usize, Deed)],
    run: &Interleaved<Came>,
) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut is_wrong = |kind, text| wrong.push(Wrong { kind, text });
    for violation in world.webex.violations() {
        is_wrong("a refresh token is used that had been replaced", violation);
    }
    for (came, (whose, deed)) in run.calls.iter().zip(deeds) {
        match came {
            None => is_wrong(
                "a call panics or comes to no end",
                format!("{deed:?} of customer {whose}"),
            ),
            Some(Err(why)) if why.starts_with("UNEXPECTED") => {
                is_wrong(
                    "a call fails otherwise than it may",
                    format!("{deed:?} of customer {whose}: {why}"),
                );
            }
            Some(_) => {}
        }
    }
    let snapshot = world.snapshot().await;
    for (whose, pkid) in customers.iter().enumerate() {
        let did = |wanted: Deed| {
            let mut all = deeds.iter().zip(&run.calls);
            all.any(|(deed, came)| *deed == (whose, wanted) && *came == Some(Ok(())))
        };
        let name = record(pkid);
        let Some(stored) = snapshot.documents.get(&name) else {
            if !did(Deed::Delete) {
                is_wrong("a customer is gone whom nobody deleted", name.clone());
            }
            let left = snapshot.secrets.keys().chain(snapshot.wakeups.keys());
            let left: Vec<&String> = left.filter(|left| left.contains(pkid.as_str())).collect();
            if !left.is_empty() {
                is_wrong(
                    "something is left of a deleted customer",
                    format!("of customer {whose}: {left:?}"),
                );
            }
            continue;
        };
        if did(Deed::Delete) {
            is_wrong("a deleted customer is there again", name.clone());
        }
        let state = &stored.body["connection"]["state"];
        if state != "connected" {
            is_wrong(
                "a connection is broken",
                format!("customer {whose} is {state}"),
            );
        }
        if did(Deed::Modify) && !stored.body.to_string().contains("contoso.example") {
            is_wrong("a change is lost", format!("of customer {whose}"));
        }
        for id in ["refresh", "expiry"] {
            if !snapshot.wakeups.contains_key(&format!("{name}#{id}")) {
                is_wrong(
                    "nothing wakes a customer",
                    format!("customer {whose} for {id}"),
                );
            }
        }
    }
    wrong
}
