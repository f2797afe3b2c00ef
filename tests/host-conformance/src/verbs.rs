//! What a driver can ask for by `modify`: the fields `{"do": VERB}`.
//!
//! | verb | what the driver does | what is checked |
//! |---|---|---|
//! | `checks` | again, until `next` is another word | whatever one call can check, a group a call |
//! | `meet` | again while the first call's request `/hold` waits, then lets go | one call at a time runs on a record |
//! | `turned-away` | after one `meet`, when the host refused the second call | one call at a time runs on a record |
//! | `outlive` | lets the call's lease expire, and `take-over` run, while its request `/hold` waits | |
//! | `take-over` | from another host of the same store, when the lease is over | the call that was cut off is told |
//! | `look-back` | when both have ended, with the case of `outlive`'s failure as `answered` | the fence |
//! | `tell` | keeps every text that it sees of the failure, in answers and logs | |
//! | `told` | with those texts as `text` | no secret is in them |
//! | `restarted` | after a restart of the host on the same store | what was committed is there |

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::Value;

use crate::bindings::automate::platform::storage::{self, Change, Document};
use crate::bindings::automate::platform::types::{Failure, FieldError, Reference};
use crate::bindings::automate::platform::{scheduling, secrets, transactions};
use crate::bindings::wasi::random::random;
use crate::checks::{egress, proxies};
use crate::deliveries;
use crate::exchange::{Request, exchange};
use crate::list::{self, CHECKS, FRESH, ONE_AT_A_TIME, Since};
use crate::samples::{self, SAMPLE};
use crate::state::{Standing, State};
use crate::verdict::{Outcome, Verdict, failed, holds, same};

/// A verb with what it needs.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verb {
    Checks,
    Meet,
    TurnedAway,
    Outlive,
    TakeOver,
    LookBack { answered: String },
    Tell,
    Told { text: String },
    Restarted,
}

/// What no text that leaves a call may have in it.
const TOLD: &str = "a-secret-that-a-call-has-seen-5f2c";
/// How far the clocks of callers and plugin may be apart, in milliseconds.
const APART: u64 = 600_000;

/// Does what the fields ask for.
pub fn modify(pkid: &str, fields: &str) -> Result<State, Failure> {
    let verb: Verb = serde_json::from_str(fields).map_err(|error| {
        Failure::Invalid(vec![FieldError {
            field: "do".into(),
            message: format!("no such verb: {error}"),
        }])
    })?;
    let mut state = State::of(pkid)?;
    enter(&mut state);
    match verb {
        Verb::Checks => checks(&mut state)?,
        Verb::Meet => {
            meet(&mut state)?;
            state.inside = None;
            state.meetings += 1;
            if state.meetings > 1 {
                state.pass(ONE_AT_A_TIME);
            }
            state.keep(Vec::new())?;
        }
        Verb::TurnedAway => {
            if state.meetings > 0 {
                state.pass(ONE_AT_A_TIME);
            }
            state.keep(Vec::new())?;
        }
        Verb::Outlive => outlive(&mut state)?,
        Verb::TakeOver => {
            let outcome = told_of_interruption(&state);
            state.note("transactions.interrupted.told", outcome);
            state.keep(Vec::new())?;
        }
        Verb::LookBack { answered } => {
            let outcome = fenced(&state, &answered);
            state.note("storage.commit.fenced", outcome);
            let outcome = same("when a call was cut off", transactions::interrupted(), None);
            state.note("transactions.interrupted.cleared", outcome);
            state.keep(Vec::new())?;
        }
        Verb::Tell => return tell(&mut state),
        Verb::Told { text } => {
            let outcome = holds("a text has the secret in it", !text.contains(TOLD));
            state.note("secrets.scrubbed", outcome);
            state.keep(Vec::new())?;
        }
        Verb::Restarted => {
            let outcome = durable(&state);
            state.note("storage.commit.durable", outcome);
            state.keep(Vec::new())?;
        }
    }
    Ok(state)
}

/// What each call looks at.
pub fn enter(state: &mut State) {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let of_instance = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    state.calls += 1;
    if of_instance > 1 {
        let why = format!("an instance got its call number {of_instance}");
        state.settle(FRESH, Verdict::Failed(why));
    } else if state.calls == 2 {
        state.pass(FRESH);
    }
    let drawn: String = random::get_random_bytes(16)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match &state.random {
        None => state.random = Some(drawn),
        Some(first) => {
            let again = *first == drawn;
            if again || state.calls == 2 {
                let outcome = holds("another call drew the same bytes", !again);
                state.note("random.fresh-per-call", outcome);
            }
        }
    }
}

/// A proxy was set in an earlier call: this one knows nothing of it.
fn proxy_of_another_call(state: &mut State) {
    const CHECK: &str = "egress.proxy.one-call";
    let was_set = state.results.get("egress.proxy.used") == Some(&Standing::Passed);
    if !was_set || state.results.contains_key(CHECK) {
        return;
    }
    let scene = state.scene(CHECK);
    let outcome = egress::server(&scene)
        .and_then(proxies::way)
        .and_then(|way| same("the next call's way", way.as_deref(), Some("origin")));
    state.note(CHECK, outcome);
}

/// Goes into a stretch in which no other call may be, and stays inside: whoever keeps the state next
/// leaves. Answers with what tells this stay from another.
fn go_in(state: &mut State) -> Result<String, Failure> {
    if state.inside.is_some() && transactions::interrupted().is_none() {
        let why = "a call found another one at work";
        state.settle(ONE_AT_A_TIME, Verdict::Failed(why.into()));
    }
    let stay = samples::pkid();
    state.inside = Some(stay.clone());
    state.keep(Vec::new())?;
    Ok(stay)
}

/// Looks `rounds` times whether another call went in meanwhile.
fn look(state: &mut State, stay: &str, rounds: u32) -> Result<(), Failure> {
    for _ in 0..rounds {
        if State::of(&state.pkid)?.inside.as_deref() != Some(stay) {
            let why = "another call went to work while one was";
            state.settle(ONE_AT_A_TIME, Verdict::Failed(why.into()));
            break;
        }
    }
    Ok(())
}

/// Goes into the stretch and looks around for a moment.
pub fn alone(state: &mut State) -> Result<(), Failure> {
    let stay = go_in(state)?;
    look(state, &stay, 5)
}

/// Goes into the stretch and stays until the driver has seen what becomes of another call: only it knows.
/// Without a server the call stays as long as it takes to look often.
fn meet(state: &mut State) -> Result<(), Failure> {
    let stay = go_in(state)?;
    let server = state.options.server.clone();
    let held = server.is_some_and(|server| exchange(&Request::get(&server, "/hold")).is_ok());
    look(state, &stay, if held { 1 } else { 100 })
}

/// Runs the next group.
fn checks(state: &mut State) -> Result<(), Failure> {
    if let Some(cut) = state.running.take() {
        let why = "the call was cut off in it".to_owned();
        state.settle(&cut, Verdict::Failed(why));
    }
    proxy_of_another_call(state);
    let Some(group) = list::next_group(state) else {
        if state.moments.contains_key("deliveries") {
            return Ok(());
        }
        return deliveries::begin(state);
    };
    let of_group = CHECKS.iter().filter(|check| list::group(check.id) == group);
    for (check, done) in of_group.zip(0..) {
        let Since::Checks(run) = check.since else {
            continue;
        };
        if state.results.contains_key(check.id) {
            continue;
        }
        transactions::progress(done, 0, check.id);
        state.running = Some(check.id.into());
        state.keep(Vec::new())?;
        let outcome = run(&state.scene(check.id));
        state.running = None;
        state.note(check.id, outcome);
    }
    state.keep(Vec::new())
}

/// The document by which a call that lost its lease is found out.
fn outlived(state: &State) -> Result<Document, Verdict> {
    match state.marks.get("outlived") {
        Some(pkid) => samples::read(&Reference {
            model: SAMPLE.into(),
            pkid: pkid.clone(),
        }),
        None => failed("`outlive` was not called before"),
    }
}

/// Waits until its lease is over, then writes all the same.
fn outlive(state: &mut State) -> Result<(), Failure> {
    let began = samples::now();
    let Some(server) = state.options.server.clone() else {
        return Ok(());
    };
    let mut document = state.scene("outlive").written()?;
    let pkid = document.reference.pkid.clone();
    state.marks.insert("outlived".into(), pkid);
    state.moments.insert("outlived".into(), began);
    state.keep(Vec::new())?;
    // Whatever comes of it: the driver has let the lease expire by then.
    let _ = exchange(&Request::get(&server, "/hold"));
    document.body = "{\"written\": \"without a lease\"}".into();
    samples::commit(vec![Change::Put(document)])
}

fn told_of_interruption(state: &State) -> Outcome {
    let began = state.moments.get("outlived").copied();
    match (transactions::interrupted(), began) {
        (None, _) => failed("nothing was said of a call that lost its lease"),
        (_, None) => failed("`outlive` was not called before"),
        (Some(told), Some(began)) => holds(
            &format!("told that it began at {told}; the call itself read {began} then"),
            told <= began && began - told < APART,
        ),
    }
}

fn fenced(state: &State, answered: &str) -> Outcome {
    same("what it wrote", outlived(state)?.body, "{}".to_owned())?;
    same("what it was told", answered, "conflict")
}

/// Says a secret aloud.
fn tell(state: &mut State) -> Result<State, Failure> {
    let document = state.scene("tell").document();
    let owner = document.reference.clone();
    state.keep(vec![
        Change::Put(document.clone()),
        samples::secret(&document, "told", TOLD),
    ])?;
    let secret = secrets::reveal(&owner, "told")?.unwrap_or_default();
    let aloud = format!("the secret is {secret}, on purpose");
    transactions::log(transactions::Level::Info, &aloud);
    transactions::progress(1, 2, &aloud);
    Err(Failure::Internal(aloud))
}

/// What `add` leaves for a later call to find.
pub fn durable_mark(state: &mut State) -> Vec<Change> {
    let mut document = state.scene("durable").document();
    document.body = "{\"durable\": true}".into();
    let pkid = document.reference.pkid.clone();
    state.marks.insert("durable".into(), pkid);
    vec![
        Change::Put(document.clone()),
        samples::secret(&document, "s", "durable"),
        Change::Schedule(samples::wakeup(&document, "w", "")),
    ]
}

fn durable(state: &State) -> Outcome {
    let pkid = state.marks.get("durable").cloned().unwrap_or_default();
    let reference = Reference {
        model: SAMPLE.into(),
        pkid,
    };
    let Some(document) = storage::get(&reference)? else {
        return failed("the document is gone");
    };
    let body: Option<Value> = serde_json::from_str(&document.body).ok();
    let marked = body.and_then(|body| body.get("durable").and_then(Value::as_bool));
    same("the document", marked, Some(true))?;
    let secret = secrets::reveal(&reference, "s")?;
    same("the secret", secret.as_deref(), Some("durable"))?;
    let wakeups = scheduling::wakeups(&reference)?.len();
    same("the wakeups", wakeups, 1)
}

/// The moment of asking, as a caller says it, against the plugin's own clock.
pub fn agrees(state: &mut State, requested: u64) -> Result<(), Failure> {
    enter(state);
    let now = samples::now();
    let outcome = holds(
        &format!("asked at {requested} by the caller, it is {now} for the plugin"),
        requested <= now && now - requested < APART,
    );
    state.note("clock.agrees", outcome);
    state.keep(Vec::new())
}
