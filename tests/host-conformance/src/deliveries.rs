//! The wakeups that check delivery: their due times, their actions, and the conclusion.
//!
//! All are due within ten moments after they were scheduled. The last one concludes. A wakeup that must not
//! come may still come later, and then its check has failed.

use serde_json::json;

use crate::bindings::automate::platform::scheduling::Wakeup;
use crate::bindings::automate::platform::storage::{self, Change};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::driver_actions;
use crate::outcome::CheckFailure;
use crate::samples::{self, SAMPLE, SUITE, WAKEUP_SUBJECT, key};
use crate::state::{CheckStatus, State};

/// A wakeup of the record: its id, and the moments of its due time and deadline.
type PlannedWakeup = (&'static str, u64, Option<u64>);

/// The wakeups in the order in which they are scheduled, which is not the order of delivery.
const PLAN: &[PlannedWakeup] = &[
    ("order-3", 3, None),
    ("order-1", 1, None),
    ("order-2", 2, None),
    ("moved", MOVED_FROM, None),
    ("cancelled", 5, None),
    ("again", 5, None),
    ("fails", 5, None),
    ("traps", 6, None),
    ("deadline-4", 7, None),
    ("deadline-2", 7, Some(2000)),
    ("deadline-3", 7, Some(3000)),
    ("deadline-1", 7, Some(1000)),
    (END, 10, None),
];
const END: &str = "end";
/// The due time of the moved wakeup, before and after the move.
const MOVED_FROM: u64 = 4;
const MOVED_TO: u64 = 6;
/// The second due time of the wakeup that schedules itself again.
const AGAIN: u64 = 8;
/// The due time of the wakeups of other documents.
const PROBES: u64 = 5;
/// The number of times that the conclusion waits for missing wakeups.
const MAX_EXTENSIONS: usize = 20;

/// The mark for the start of the deliveries.
const BEGAN: &str = "deliveries";

fn moment_ms(state: &State, moment: u64) -> u64 {
    let began = state.moments.get(BEGAN).copied().unwrap_or_default();
    began + moment * state.options.moment()
}

fn payload(state: &State, id: &str) -> String {
    json!({ "suite": state.pkid, "node": state.context("delivery").node, "id": id }).to_string()
}

fn record_wakeup(state: &State, (id, due, deadline): PlannedWakeup) -> Wakeup {
    Wakeup {
        id: id.into(),
        subject: samples::record(&state.pkid),
        due: moment_ms(state, due),
        deadline: deadline.map(|moment| moment_ms(state, moment)),
        payload: payload(state, id),
    }
}

/// Schedules all wakeups.
pub fn schedule_all(state: &mut State) -> Result<(), Failure> {
    state.moments.insert(BEGAN.into(), samples::now());
    let mut changes: Vec<Change> = PLAN
        .iter()
        .map(|planned| Change::Schedule(record_wakeup(state, *planned)))
        .collect();
    for probe in ["subject", "deleted"] {
        let document = state.context("delivery").document();
        state
            .marks
            .insert(probe.into(), document.reference.pkid.clone());
        changes.push(Change::Put(document.clone()));
        changes.push(Change::Schedule(Wakeup {
            subject: document.reference,
            ..record_wakeup(state, (probe, PROBES, None))
        }));
    }
    state.save(changes)
}

/// Handles a wakeup of the record.
pub fn handle_record_wakeup(state: &mut State, wakeup: &Wakeup) -> Result<String, Failure> {
    let id = wakeup.id.as_str();
    let now = samples::now();
    let earlier = state.arrivals.iter().filter(|came| *came == id).count();
    state.arrivals.push(id.into());
    if now < wakeup.due {
        let reason = format!("{id} was delivered at {now} but due at {}", wakeup.due);
        state.record_not_passed("delivery.not-before", CheckFailure::Failed(reason));
    }
    check_content(state, wakeup, earlier);
    let mut changes = Vec::new();
    let mut failure = None;
    match (id, earlier) {
        ("order-1", 0) => changes = move_and_cancel(state, now),
        ("cancelled", _) => {
            let reason = "the wakeup was delivered".to_owned();
            state.record_not_passed("delivery.cancelled", CheckFailure::Failed(reason));
        }
        ("again", 0) => {
            let again = record_wakeup(state, ("again", AGAIN, None));
            changes.push(Change::Schedule(again));
        }
        ("again", 1) => state.record_pass("delivery.rescheduled"),
        ("fails", 0) => {
            failure = Some(Failure::Unavailable(
                "this wakeup fails once, on purpose".into(),
            ));
        }
        ("fails", 1) => state.record_pass("delivery.retried"),
        ("traps", 0) => {
            state.inside = None;
            state.save(Vec::new())?;
            panic!("this wakeup traps once, on purpose");
        }
        ("traps", 1) => state.record_pass("delivery.retried-after-trap"),
        (END, _) => changes = conclude(state, earlier, now)?,
        (_, 0) => {}
        (_, _) => {
            let reason = format!("{id} was delivered again after it had run");
            state.record_not_passed("delivery.once", CheckFailure::Failed(reason));
        }
    }
    state.inside = None;
    state.save(changes)?;
    failure.map_or_else(|| Ok(format!("{id} was delivered")), Err)
}

/// Checks that a wakeup has its scheduled content. A retried wakeup may have another due time.
fn check_content(state: &mut State, wakeup: &Wakeup, earlier: usize) {
    let id = wakeup.id.as_str();
    let Some(planned) = PLAN.iter().find(|(planned, ..)| *planned == id) else {
        let reason = format!("{id} was delivered but never scheduled");
        return state.record_not_passed("delivery.content", CheckFailure::Failed(reason));
    };
    let mut expected = record_wakeup(state, *planned);
    match (id, earlier) {
        ("again", 1) => expected.due = moment_ms(state, AGAIN),
        ("moved", _) if state.moments.contains_key("moved") => {
            expected.due = moment_ms(state, MOVED_TO);
            if wakeup.due != expected.due {
                let reason = format!("it was delivered with its old due time {}", wakeup.due);
                return state.record_not_passed("delivery.moved", CheckFailure::Failed(reason));
            }
        }
        (END, _) | (_, 1..) => expected.due = wakeup.due,
        _ => {}
    }
    let fields = |wakeup: &Wakeup| (wakeup.due, wakeup.deadline, wakeup.payload.clone());
    if fields(wakeup) != fields(&expected) {
        let reason = format!("scheduled as {expected:?}, delivered as {wakeup:?}");
        state.record_not_passed("delivery.content", CheckFailure::Failed(reason));
    }
}

/// Moves, cancels and deletes wakeups that are due later.
fn move_and_cancel(state: &mut State, now: u64) -> Vec<Change> {
    if now >= moment_ms(state, MOVED_FROM) {
        let reason = "the first wakeup was delivered too late: use a longer `moment`";
        for id in ["delivery.moved", "delivery.cancelled", "delivery.deleted"] {
            state.record_not_passed(id, CheckFailure::Skipped(reason.into()));
        }
        return Vec::new();
    }
    state.moments.insert("moved".into(), now);
    let moved = record_wakeup(state, ("moved", MOVED_TO, None));
    let mut changes = vec![
        Change::Schedule(moved),
        samples::cancel(samples::record(&state.pkid), "cancelled".into()),
    ];
    changes.extend(mark(state, "deleted").map(Change::Delete));
    changes
}

fn mark(state: &State, what: &str) -> Option<Reference> {
    state.marks.get(what).map(|pkid| Reference {
        model: SAMPLE.into(),
        pkid: pkid.clone(),
    })
}

/// Concludes, or waits a moment longer for missing wakeups.
fn conclude(state: &mut State, waited: usize, now: u64) -> Result<Vec<Change>, Failure> {
    let times = |id: &str| state.arrivals.iter().filter(|came| *came == id).count();
    let others = |id: &str| !["cancelled", END, "moved", "again"].contains(&id);
    let mut missing: Vec<&str> = PLAN
        .iter()
        .map(|(id, ..)| *id)
        .filter(|id| others(id) && times(id) == 0)
        .collect();
    let decided = |id: &str| state.results.contains_key(id);
    if times("moved") == 0 && !decided("delivery.moved") {
        missing.push("moved");
    }
    if times("again") < 2 {
        missing.push("again");
    }
    let woken = match mark(state, "subject") {
        Some(probe) => storage::get(&probe)?.is_some_and(|probe| probe.body != "{}"),
        None => false,
    };
    if !woken {
        missing.push("subject");
    }
    if !missing.is_empty() && waited < MAX_EXTENSIONS {
        let mut later = record_wakeup(state, (END, 0, None));
        later.due = now + state.options.moment();
        return Ok(vec![Change::Schedule(later)]);
    }
    let never = format!("not delivered: {}", missing.join(", "));
    let is_missing = |id: &str| missing.contains(&id);
    let order = |group: &str| -> Vec<String> {
        let in_group = state.arrivals.iter().filter(|id| id.starts_with(group));
        in_group.cloned().collect()
    };
    let mut outcomes = Vec::new();
    for (check, group) in [
        ("delivery.order", "order-"),
        ("delivery.deadline", "deadline-"),
    ] {
        let came = order(group);
        let all = missing.iter().all(|id| !id.starts_with(group));
        outcomes.push((
            check,
            came.is_sorted() && all,
            format!("delivered as {came:?}"),
        ));
    }
    outcomes.push(("delivery.moved", !is_missing("moved"), never.clone()));
    outcomes.push(("delivery.rescheduled", !is_missing("again"), never.clone()));
    outcomes.push(("delivery.subject", woken, never.clone()));
    let gone = Reference {
        model: WAKEUP_SUBJECT.into(),
        pkid: state.marks.get("deleted").cloned().unwrap_or_default(),
    };
    let came = storage::get(&gone)?.is_some();
    outcomes.push(("delivery.deleted", !came, "the wakeup was delivered".into()));
    for check in ["delivery.not-before", "delivery.content", "delivery.once"] {
        outcomes.push((check, times("order-1") > 0, never.clone()));
    }
    outcomes.push(("delivery.cancelled", true, String::new()));
    for (id, check) in [
        ("fails", "delivery.retried"),
        ("traps", "delivery.retried-after-trap"),
    ] {
        if is_missing(id) {
            outcomes.push((check, false, never.clone()));
        }
    }
    for (check, passed, reason) in outcomes {
        let skipped = matches!(state.results.get(check), Some(CheckStatus::Skipped(_)));
        if passed && !skipped {
            state.record_pass(check);
        } else if !passed {
            state.record_not_passed(check, CheckFailure::Failed(reason));
        }
    }
    Ok(Vec::new())
}

/// Handles a wakeup of another document. This call holds that document's lease, not the record's.
pub fn handle_probe_wakeup(wakeup: &Wakeup) -> Result<String, Failure> {
    let payload: serde_json::Value = serde_json::from_str(&wakeup.payload)
        .map_err(|error| Failure::Internal(format!("the payload {:?}: {error}", wakeup.payload)))?;
    let text = |name: &str| payload.get(name).and_then(serde_json::Value::as_str);
    let (suite, node) = (text("suite"), text("node"));
    let mut written = storage::Document {
        reference: wakeup.subject.clone(),
        hierarchy: node.unwrap_or_default().into(),
        version: 0,
        body: json!({ "woken": samples::now() }).to_string(),
        keys: vec![key(SUITE, suite.unwrap_or_default())],
    };
    // The wakeup of the deleted document must not come, whether the host has deleted the document or not.
    if text("id") == Some("deleted") || storage::get(&wakeup.subject)?.is_none() {
        written.reference.model = WAKEUP_SUBJECT.into();
    }
    samples::commit(vec![Change::Put(written)])?;
    Ok(format!("{} was delivered", wakeup.id))
}

/// Handles a wakeup.
pub fn handle_wakeup(wakeup: &Wakeup) -> Result<String, Failure> {
    if wakeup.subject.model == SAMPLE {
        return handle_probe_wakeup(wakeup);
    }
    let mut state = State::load(&wakeup.subject.pkid)?;
    driver_actions::enter(&mut state);
    driver_actions::check_exclusive(&mut state)?;
    handle_record_wakeup(&mut state, wakeup)
}
