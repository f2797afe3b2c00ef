//! The wakeups by which delivery is checked: when each is due, what it does, and the end of it all.
//!
//! All are due within ten moments of the one at which they were scheduled. The last one draws the
//! conclusions; what must not come may still come later, and has failed then.

use serde_json::json;

use crate::bindings::automate::platform::scheduling::Wakeup;
use crate::bindings::automate::platform::storage::{self, Change};
use crate::bindings::automate::platform::types::{Failure, Reference};
use crate::samples::{self, SAMPLE, SUITE, WOKEN, key};
use crate::state::{Standing, State};
use crate::verbs;
use crate::verdict::Verdict;

/// A wakeup of the record: its id, the moment it is due at, and the one of its deadline.
type Planned = (&'static str, u64, Option<u64>);

/// In the order of writing, which is not that of coming.
const PLAN: &[Planned] = &[
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
/// When the wakeup is due that is moved, and when it is due then.
const MOVED_FROM: u64 = 4;
const MOVED_TO: u64 = 6;
/// When the one that schedules itself is due again.
const AGAIN: u64 = 8;
/// When the wakeups of other documents are due.
const PROBES: u64 = 5;
/// How often the end waits for what has not come.
const PATIENCE: usize = 20;

/// When all of it began.
const BEGAN: &str = "deliveries";

fn at(state: &State, moment: u64) -> u64 {
    let began = state.moments.get(BEGAN).copied().unwrap_or_default();
    began + moment * state.options.moment()
}

fn payload(state: &State, id: &str) -> String {
    json!({ "suite": state.pkid, "node": state.scene("delivery").node, "id": id }).to_string()
}

fn of_record(state: &State, (id, due, deadline): Planned) -> Wakeup {
    Wakeup {
        id: id.into(),
        subject: samples::record(&state.pkid),
        due: at(state, due),
        deadline: deadline.map(|moment| at(state, moment)),
        payload: payload(state, id),
    }
}

/// Schedules everything.
pub fn begin(state: &mut State) -> Result<(), Failure> {
    state.moments.insert(BEGAN.into(), samples::now());
    let mut changes: Vec<Change> = PLAN
        .iter()
        .map(|planned| Change::Schedule(of_record(state, *planned)))
        .collect();
    for probe in ["subject", "deleted"] {
        let document = state.scene("delivery").document();
        state
            .marks
            .insert(probe.into(), document.reference.pkid.clone());
        changes.push(Change::Put(document.clone()));
        changes.push(Change::Schedule(Wakeup {
            subject: document.reference,
            ..of_record(state, (probe, PROBES, None))
        }));
    }
    state.keep(changes)
}

/// A wakeup of the record has come: what it finds, and what is done about it.
pub fn come(state: &mut State, wakeup: &Wakeup) -> Result<String, Failure> {
    let id = wakeup.id.as_str();
    let now = samples::now();
    let earlier = state.arrivals.iter().filter(|came| *came == id).count();
    state.arrivals.push(id.into());
    if now < wakeup.due {
        let why = format!("{id} came at {now} and was due at {}", wakeup.due);
        state.settle("delivery.not-before", Verdict::Failed(why));
    }
    compare(state, wakeup, earlier);
    let mut changes = Vec::new();
    let mut failure = None;
    match (id, earlier) {
        ("order-1", 0) => changes = disturb(state, now),
        ("cancelled", _) => {
            let why = "it came".to_owned();
            state.settle("delivery.cancelled", Verdict::Failed(why));
        }
        ("again", 0) => {
            let again = of_record(state, ("again", AGAIN, None));
            changes.push(Change::Schedule(again));
        }
        ("again", 1) => state.pass("delivery.rescheduled"),
        ("fails", 0) => {
            failure = Some(Failure::Unavailable(
                "this wakeup fails once, on purpose".into(),
            ));
        }
        ("fails", 1) => state.pass("delivery.retried"),
        ("traps", 0) => {
            state.inside = None;
            state.keep(Vec::new())?;
            panic!("this wakeup traps once, on purpose");
        }
        ("traps", 1) => state.pass("delivery.retried-after-trap"),
        (END, _) => changes = end(state, earlier, now)?,
        (_, 0) => {}
        (_, _) => {
            let why = format!("{id} came again after it was answered");
            state.settle("delivery.once", Verdict::Failed(why));
        }
    }
    state.inside = None;
    state.keep(changes)?;
    failure.map_or_else(|| Ok(format!("{id} has come")), Err)
}

/// A wakeup comes as it was scheduled. One that is tried again may say when it was due again.
fn compare(state: &mut State, wakeup: &Wakeup, earlier: usize) {
    let id = wakeup.id.as_str();
    let Some(planned) = PLAN.iter().find(|(planned, ..)| *planned == id) else {
        let why = format!("{id} came, which nobody scheduled");
        return state.settle("delivery.content", Verdict::Failed(why));
    };
    let mut expected = of_record(state, *planned);
    match (id, earlier) {
        ("again", 1) => expected.due = at(state, AGAIN),
        ("moved", _) if state.moments.contains_key("moved") => {
            expected.due = at(state, MOVED_TO);
            if wakeup.due != expected.due {
                let why = format!("it came as it was before, due at {}", wakeup.due);
                return state.settle("delivery.moved", Verdict::Failed(why));
            }
        }
        (END, _) | (_, 1..) => expected.due = wakeup.due,
        _ => {}
    }
    let told = |wakeup: &Wakeup| (wakeup.due, wakeup.deadline, wakeup.payload.clone());
    if told(wakeup) != told(&expected) {
        let why = format!("scheduled as {expected:?}, it came as {wakeup:?}");
        state.settle("delivery.content", Verdict::Failed(why));
    }
}

/// Moves, cancels and deletes what is due later.
fn disturb(state: &mut State, now: u64) -> Vec<Change> {
    if now >= at(state, MOVED_FROM) {
        let why = "the first wakeup came too late for it: give it a longer `moment`";
        for id in ["delivery.moved", "delivery.cancelled", "delivery.deleted"] {
            state.settle(id, Verdict::Skipped(why.into()));
        }
        return Vec::new();
    }
    state.moments.insert("moved".into(), now);
    let moved = of_record(state, ("moved", MOVED_TO, None));
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

/// Draws the conclusions, or waits a moment longer for what has not come.
fn end(state: &mut State, waited: usize, now: u64) -> Result<Vec<Change>, Failure> {
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
    if !missing.is_empty() && waited < PATIENCE {
        let mut later = of_record(state, (END, 0, None));
        later.due = now + state.options.moment();
        return Ok(vec![Change::Schedule(later)]);
    }
    let never = format!("did not come: {}", missing.join(", "));
    let is_missing = |id: &str| missing.contains(&id);
    let order = |group: &str| -> Vec<String> {
        let of = state.arrivals.iter().filter(|id| id.starts_with(group));
        of.cloned().collect()
    };
    let mut outcomes = Vec::new();
    for (check, group) in [
        ("delivery.order", "order-"),
        ("delivery.deadline", "deadline-"),
    ] {
        let came = order(group);
        let all = missing.iter().all(|id| !id.starts_with(group));
        outcomes.push((check, came.is_sorted() && all, format!("came as {came:?}")));
    }
    outcomes.push(("delivery.moved", !is_missing("moved"), never.clone()));
    outcomes.push(("delivery.rescheduled", !is_missing("again"), never.clone()));
    outcomes.push(("delivery.subject", woken, never.clone()));
    let gone = Reference {
        model: WOKEN.into(),
        pkid: state.marks.get("deleted").cloned().unwrap_or_default(),
    };
    let came = storage::get(&gone)?.is_some();
    outcomes.push(("delivery.deleted", !came, "it came".into()));
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
    for (check, passed, why) in outcomes {
        let skipped = matches!(state.results.get(check), Some(Standing::Skipped(_)));
        if passed && !skipped {
            state.pass(check);
        } else if !passed {
            state.settle(check, Verdict::Failed(why));
        }
    }
    Ok(Vec::new())
}

/// A wakeup of another document has come. This call holds that document's lease, not the record's.
pub fn come_for_probe(wakeup: &Wakeup) -> Result<String, Failure> {
    let told: serde_json::Value = serde_json::from_str(&wakeup.payload)
        .map_err(|error| Failure::Internal(format!("the payload {:?}: {error}", wakeup.payload)))?;
    let text = |name: &str| told.get(name).and_then(serde_json::Value::as_str);
    let (suite, node) = (text("suite"), text("node"));
    let mut written = storage::Document {
        reference: wakeup.subject.clone(),
        hierarchy: node.unwrap_or_default().into(),
        version: 0,
        body: json!({ "woken": samples::now() }).to_string(),
        keys: vec![key(SUITE, suite.unwrap_or_default())],
    };
    // That of the one which was deleted must not come, whether the host has deleted it or not.
    if text("id") == Some("deleted") || storage::get(&wakeup.subject)?.is_none() {
        written.reference.model = WOKEN.into();
    }
    samples::commit(vec![Change::Put(written)])?;
    Ok(format!("{} has come", wakeup.id))
}

/// A wakeup has come.
pub fn wake(wakeup: &Wakeup) -> Result<String, Failure> {
    if wakeup.subject.model == SAMPLE {
        return come_for_probe(wakeup);
    }
    let mut state = State::of(&wakeup.subject.pkid)?;
    verbs::enter(&mut state);
    verbs::alone(&mut state)?;
    come(&mut state, wakeup)
}
