//! Advances the clock from one due wakeup to the next and runs each when it is due.

use std::collections::{BTreeMap, BTreeSet};

use relation_host::schedule::WakeupRunner as _;
use relation_host::store::{DueWakeup, KindFilter, StoreError};
use relation_host::types::{Reference, Timestamp};
use relation_host::{CallError, CallErrorKind, WakeupOutcome};
use serde_json::{Value, json};

use super::call::to_report;
use super::{Harness, ObservedCall};
use crate::redaction::Redactor;

/// The maximum number of wakeups of one record that run without time passing. A component that always schedules the next one
/// for now would never stop; ours runs at most two.
const MAX_WAKEUPS_PER_MOMENT: usize = 100;

/// Advances the clock to `until`, running due wakeups on the way.
pub(super) async fn run_until(harness: &Harness, until: Timestamp) -> Vec<ObservedCall<Value>> {
    let mut calls = Vec::new();
    loop {
        let released = match run_due_wakeups(harness, &mut calls).await {
            Ok(released) => released,
            Err(error) => {
                calls.push(record_store_error(harness, json!("what is due"), error).await);
                None
            }
        };
        let now = harness.now();
        let due = harness.host().store().next_due(None).await.ok().flatten();
        // A wakeup that is due and was not run waits for another host's lease.
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

/// Runs due wakeups until none is left. Returns when the earliest lease of another holder ends that blocks a
/// due wakeup.
async fn run_due_wakeups(
    harness: &Harness,
    calls: &mut Vec<ObservedCall<Value>>,
) -> Result<Option<Timestamp>, StoreError> {
    harness.host().run_housekeeping().await;
    let mut held = BTreeSet::new();
    let mut released: Option<Timestamp> = None;
    let mut ran: BTreeMap<Reference, usize> = BTreeMap::new();
    while let Some(due) = find_due_wakeup(harness, &held).await? {
        let subject = due.wakeup.subject.clone();
        let times = ran.entry(subject.clone()).or_default();
        if *times == MAX_WAKEUPS_PER_MOMENT {
            return Err(StoreError::Invalid(format!(
                "{subject} does not come to rest: {MAX_WAKEUPS_PER_MOMENT} of its wakeups were run at {} and more are due",
                harness.now()
            )));
        }
        *times += 1;
        let before = harness.capture_before().await;
        let input = wakeup_input(&due, &harness.redactor);
        match harness.host().run_wakeup(due).await {
            Ok(WakeupOutcome::Gone) => {}
            Ok(WakeupOutcome::Busy(until)) => {
                held.insert(subject);
                released = Some(released.map_or(until, |earlier| earlier.min(until)));
            }
            Ok(WakeupOutcome::Finished(called)) => {
                let host = harness.host();
                let call = harness
                    .observe(before, input, host, to_report(*called))
                    .await;
                calls.push(call);
            }
            Ok(_) => {
                held.insert(subject);
            }
            Err(error) => {
                let error = CallError {
                    transaction: None,
                    kind: CallErrorKind::Store(error),
                };
                let host = harness.host();
                calls.push(harness.observe(before, input, host, Err(error)).await);
                held.insert(subject);
            }
        }
    }
    Ok(released)
}

/// Returns the next wakeup whose subject is not known to be held.
async fn find_due_wakeup(
    harness: &Harness,
    held: &BTreeSet<Reference>,
) -> Result<Option<DueWakeup>, StoreError> {
    // The store returns at most one wakeup per subject.
    let most = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let store = harness.host().store();
    let due = store
        .due(harness.now(), most.saturating_add(1), KindFilter::All)
        .await?;
    let free = |due: &DueWakeup| !held.contains(&due.wakeup.subject);
    Ok(due.into_iter().find(free))
}

/// Describes a wakeup as the input of a call.
pub(super) fn wakeup_input(due: &DueWakeup, redactor: &Redactor) -> Value {
    let wakeup = &due.wakeup;
    json!({ "wakeup": {
        "id": wakeup.id,
        "subject": wakeup.subject.to_string(),
        "due": wakeup.due,
        "payload": redactor.text(&wakeup.payload),
    } })
}

/// Records a call that could not begin because of a store error.
async fn record_store_error(
    harness: &Harness,
    input: Value,
    error: StoreError,
) -> ObservedCall<Value> {
    let before = harness.capture_before().await;
    let error = CallError {
        transaction: None,
        kind: CallErrorKind::Store(error),
    };
    let input = json!({ "wakeup": input });
    harness
        .observe(before, input, harness.host(), Err(error))
        .await
}
