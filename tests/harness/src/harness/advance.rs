//! Time that passes: the clock moves from one due wakeup to the next, and each is run at its moment.

use std::collections::{BTreeMap, BTreeSet};

use relation_host::schedule::dispatcher::Runner as _;
use relation_host::store::{DueWakeup, StoreError};
use relation_host::types::{Reference, Timestamp};
use relation_host::{CallError, CallErrorKind, WakeupOutcome};
use serde_json::{Value, json};

use super::call::told;
use super::{Harness, Observed};
use crate::redaction::Redactor;

/// How many wakeups of one record are run without any time passing. A component that schedules one for now
/// whenever one has run would never come to rest; ours runs two at most.
const AT_ONE_MOMENT: usize = 100;

/// Moves the clock to `until`.
pub(super) async fn through(harness: &Harness, until: Timestamp) -> Vec<Observed<Value>> {
    let mut calls = Vec::new();
    loop {
        let released = match rest(harness, &mut calls).await {
            Ok(released) => released,
            Err(error) => {
                calls.push(failed(harness, json!("what is due"), error).await);
                None
            }
        };
        let now = harness.now();
        let due = harness.host().store().next_due().await.ok().flatten();
        // What is due and was not run waits for somebody else's lease.
        let next = [due.filter(|due| *due > now), released];
        match next.into_iter().flatten().min() {
            Some(next) if next <= until && next > now => harness.clock.advance_to(next),
            _ => {
                harness.clock.advance_to(until);
                return calls;
            }
        }
    }
}

/// Runs what is due now until nothing is; says when the earliest lease ends of those that somebody else
/// holds on what is due.
async fn rest(
    harness: &Harness,
    calls: &mut Vec<Observed<Value>>,
) -> Result<Option<Timestamp>, StoreError> {
    harness.host().run_housekeeping().await;
    let mut held = BTreeSet::new();
    let mut released: Option<Timestamp> = None;
    let mut ran: BTreeMap<Reference, usize> = BTreeMap::new();
    while let Some(due) = next(harness, &held).await? {
        let subject = due.wakeup.subject.clone();
        let times = ran.entry(subject.clone()).or_default();
        if *times == AT_ONE_MOMENT {
            return Err(StoreError::Invalid(format!(
                "{subject} does not come to rest: {AT_ONE_MOMENT} of its wakeups were run at {} and more are due",
                harness.now()
            )));
        }
        *times += 1;
        let before = harness.before().await;
        let asked = asked(&due, &harness.redactor);
        match harness.host().run_wakeup(due).await {
            Ok(WakeupOutcome::Gone) => {}
            Ok(WakeupOutcome::Busy(until)) => {
                held.insert(subject);
                released = Some(released.map_or(until, |earlier| earlier.min(until)));
            }
            Ok(WakeupOutcome::Finished(called)) => {
                let host = harness.host();
                let call = harness.observed(before, asked, host, told(*called)).await;
                calls.push(call);
            }
            Err(error) => {
                let error = CallError {
                    transaction: None,
                    kind: CallErrorKind::Store(error),
                };
                let host = harness.host();
                calls.push(harness.observed(before, asked, host, Err(error)).await);
                held.insert(subject);
            }
        }
    }
    Ok(released)
}

/// The wakeup to run next, of those whose subject nobody is known to hold.
async fn next(
    harness: &Harness,
    held: &BTreeSet<Reference>,
) -> Result<Option<DueWakeup>, StoreError> {
    // One at most for each subject.
    let most = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let store = harness.host().store();
    let due = store
        .due(harness.now(), most.saturating_add(1), None)
        .await?;
    let free = |due: &DueWakeup| !held.contains(&due.wakeup.subject);
    Ok(due.into_iter().find(free))
}

/// A wakeup as what is asked of the component.
pub(super) fn asked(due: &DueWakeup, redactor: &Redactor) -> Value {
    let wakeup = &due.wakeup;
    json!({ "wakeup": {
        "id": wakeup.id,
        "subject": wakeup.subject.to_string(),
        "due": wakeup.due,
        "payload": redactor.text(&wakeup.payload),
    } })
}

/// What could not even be begun.
async fn failed(harness: &Harness, asked: Value, error: StoreError) -> Observed<Value> {
    let before = harness.before().await;
    let error = CallError {
        transaction: None,
        kind: CallErrorKind::Store(error),
    };
    let asked = json!({ "wakeup": asked });
    harness
        .observed(before, asked, harness.host(), Err(error))
        .await
}
