//! The driver's actions by `modify`, with the fields `{"do": VERB}`.
//!
//! | verb | the driver's action | the check |
//! |---|---|---|
//! | `checks` | repeat until `next` changes | the checks of one call, one group per call |
//! | `meet` | repeat while the first call's request `/hold` is held, then release it | one call at a time runs on a record |
//! | `turned-away` | after one `meet`, when the host refused the second call | one call at a time runs on a record |
//! | `outlive` | let the call's lease expire, and run `take-over`, while its request `/hold` is held | |
//! | `take-over` | call on another host of the same store, after the lease has expired | the call that was cut off is reported |
//! | `look-back` | call after both have ended, with the case of `outlive`'s failure as `answered` | the fence |
//! | `keep` | once the request `/hold` is held, make the store refuse commits, then release the request | |
//! | `kept` | call after the outage, with the case of `keep`'s failure as `answered` | the commit was kept and applied |
//! | `tell` | keep all visible texts about the failure, in responses and logs | |
//! | `told` | call with those texts as `text` | no text contains the secret |
//! | `restarted` | call after a restart of the host on the same store | commits survive |

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::Value;

use crate::bindings::automate::platform::storage::{self, Change, Document, OnUnavailable};
use crate::bindings::automate::platform::types::{Failure, FieldError, Reference};
use crate::bindings::automate::platform::{scheduling, secrets, transactions};
use crate::bindings::wasi::random::random;
use crate::checks::{egress, proxies};
use crate::deliveries;
use crate::exchange::{Request, send};
use crate::outcome::{NotPassed, Outcome, ensure, ensure_eq, fail};
use crate::registry::{self, CHECKS, DecidedBy, FRESH, ONE_AT_A_TIME};
use crate::samples::{self, SAMPLE};
use crate::state::{CheckStatus, State};

/// A verb with its inputs.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verb {
    Checks,
    Meet,
    TurnedAway,
    Outlive,
    TakeOver,
    LookBack { answered: String },
    Keep,
    Kept { answered: String },
    Tell,
    Told { text: String },
    Restarted,
}

/// A secret that must not occur in any text that leaves a call.
const CANARY: &str = "a-secret-that-a-call-has-seen-5f2c";
/// The largest difference between the clocks of callers and plugin, in milliseconds.
const MAX_CLOCK_DIFFERENCE_MS: u64 = 600_000;

/// Performs the verb in the fields.
pub fn modify(pkid: &str, fields: &str) -> Result<State, Failure> {
    let verb: Verb = serde_json::from_str(fields).map_err(|error| {
        Failure::Invalid(vec![FieldError {
            field: "do".into(),
            message: format!("no such verb: {error}"),
        }])
    })?;
    let mut state = State::load(pkid)?;
    enter(&mut state);
    match verb {
        Verb::Checks => run_next_group(&mut state)?,
        Verb::Meet => {
            hold_exclusive(&mut state)?;
            state.inside = None;
            state.meetings += 1;
            if state.meetings > 1 {
                state.record_pass(ONE_AT_A_TIME);
            }
            state.save(Vec::new())?;
        }
        Verb::TurnedAway => {
            if state.meetings > 0 {
                state.record_pass(ONE_AT_A_TIME);
            }
            state.save(Vec::new())?;
        }
        Verb::Outlive => outlive(&mut state)?,
        Verb::TakeOver => {
            let outcome = check_interruption_reported(&state);
            state.record_outcome("transactions.interrupted.told", outcome);
            state.save(Vec::new())?;
        }
        Verb::LookBack { answered } => {
            let outcome = check_fenced(&state, &answered);
            state.record_outcome("storage.commit.fenced", outcome);
            let outcome = ensure_eq("when a call was cut off", transactions::interrupted(), None);
            state.record_outcome("transactions.interrupted.cleared", outcome);
            state.save(Vec::new())?;
        }
        Verb::Keep => keep(&mut state)?,
        Verb::Kept { answered } => {
            let outcome = kept(&state, &answered);
            state.record_outcome("storage.commit.kept", outcome);
            state.save(Vec::new())?;
        }
        Verb::Tell => return reveal_secret(&mut state),
        Verb::Told { text } => {
            let outcome = ensure("a text contains the secret", !text.contains(CANARY));
            state.record_outcome("secrets.scrubbed", outcome);
            state.save(Vec::new())?;
        }
        Verb::Restarted => {
            let outcome = check_durable(&state);
            state.record_outcome("storage.commit.durable", outcome);
            state.save(Vec::new())?;
        }
    }
    Ok(state)
}

/// Makes the checks of every call.
pub fn enter(state: &mut State) {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let instance_calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    state.calls += 1;
    if instance_calls > 1 {
        let why = format!("an instance received call number {instance_calls}");
        state.record_not_passed(FRESH, NotPassed::Failed(why));
    } else if state.calls == 2 {
        state.record_pass(FRESH);
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
                let outcome = ensure("another call drew the same bytes", !again);
                state.record_outcome("random.fresh-per-call", outcome);
            }
        }
    }
}

/// Checks that a proxy of an earlier call is not used.
fn check_proxy_reset(state: &mut State) {
    const CHECK: &str = "egress.proxy.one-call";
    let was_set = state.results.get("egress.proxy.used") == Some(&CheckStatus::Passed);
    if !was_set || state.results.contains_key(CHECK) {
        return;
    }
    let context = state.context(CHECK);
    let outcome = egress::server(&context)
        .and_then(proxies::request_form)
        .and_then(|way| ensure_eq("the next call's way", way.as_deref(), Some("origin")));
    state.record_outcome(CHECK, outcome);
}

/// Enters the exclusive section. The next save leaves it. Returns an id of this stay.
fn enter_exclusive(state: &mut State) -> Result<String, Failure> {
    if state.inside.is_some() && transactions::interrupted().is_none() {
        let why = "a call found another call in progress";
        state.record_not_passed(ONE_AT_A_TIME, NotPassed::Failed(why.into()));
    }
    let stay = samples::pkid();
    state.inside = Some(stay.clone());
    state.save(Vec::new())?;
    Ok(stay)
}

/// Checks `rounds` times that no other call has entered the section.
fn check_undisturbed(state: &mut State, stay: &str, rounds: u32) -> Result<(), Failure> {
    for _ in 0..rounds {
        if State::load(&state.pkid)?.inside.as_deref() != Some(stay) {
            let why = "another call began while one was in progress";
            state.record_not_passed(ONE_AT_A_TIME, NotPassed::Failed(why.into()));
            break;
        }
    }
    Ok(())
}

/// Enters the exclusive section and checks it for a moment.
pub fn check_exclusive(state: &mut State) -> Result<(), Failure> {
    let stay = enter_exclusive(state)?;
    check_undisturbed(state, &stay, 5)
}

/// Enters the exclusive section and stays until the driver has observed another call. Without a server, the
/// call stays for many checks.
fn hold_exclusive(state: &mut State) -> Result<(), Failure> {
    let stay = enter_exclusive(state)?;
    let server = state.options.server.clone();
    let held = server.is_some_and(|server| send(&Request::get(&server, "/hold")).is_ok());
    check_undisturbed(state, &stay, if held { 1 } else { 100 })
}

/// Runs the next group of checks.
fn run_next_group(state: &mut State) -> Result<(), Failure> {
    if let Some(cut) = state.running.take() {
        let why = "the call was cut off during the check".to_owned();
        state.record_not_passed(&cut, NotPassed::Failed(why));
    }
    check_proxy_reset(state);
    let Some(group) = registry::next_group(state) else {
        if state.moments.contains_key("deliveries") {
            return Ok(());
        }
        return deliveries::schedule_all(state);
    };
    let of_group = CHECKS
        .iter()
        .filter(|check| registry::group(check.id) == group);
    for (check, done) in of_group.zip(0..) {
        let DecidedBy::Checks(run) = check.decided_by else {
            continue;
        };
        if state.results.contains_key(check.id) {
            continue;
        }
        transactions::progress(done, 0, check.id);
        state.running = Some(check.id.into());
        state.save(Vec::new())?;
        let outcome = run(&state.context(check.id));
        state.running = None;
        state.record_outcome(check.id, outcome);
    }
    state.save(Vec::new())
}

/// Returns the document that a call without a lease tries to write.
fn outlived(state: &State) -> Result<Document, NotPassed> {
    match state.marks.get("outlived") {
        Some(pkid) => samples::read(&Reference {
            model: SAMPLE.into(),
            pkid: pkid.clone(),
        }),
        None => fail("`outlive` was not called before"),
    }
}

/// Waits until the call's lease has expired, and then writes.
fn outlive(state: &mut State) -> Result<(), Failure> {
    let began = samples::now();
    let Some(server) = state.options.server.clone() else {
        return Ok(());
    };
    let mut document = state.context("outlive").written_document()?;
    let pkid = document.reference.pkid.clone();
    state.marks.insert("outlived".into(), pkid);
    state.moments.insert("outlived".into(), began);
    state.save(Vec::new())?;
    // The result is irrelevant: the lease has expired by then.
    let _ = send(&Request::get(&server, "/hold"));
    document.body = "{\"written\": \"without a lease\"}".into();
    samples::commit(vec![Change::Put(document)])
}

fn check_interruption_reported(state: &State) -> Outcome {
    let began = state.moments.get("outlived").copied();
    match (transactions::interrupted(), began) {
        (None, _) => fail("the call that lost its lease was not reported"),
        (_, None) => fail("`outlive` was not called before"),
        (Some(told), Some(began)) => ensure(
            &format!("reported to have begun at {told}; the call itself read {began}"),
            told <= began && began - told < MAX_CLOCK_DIFFERENCE_MS,
        ),
    }
}

fn check_fenced(state: &State, answered: &str) -> Outcome {
    ensure_eq(
        "the document that it wrote",
        outlived(state)?.body,
        "{}".to_owned(),
    )?;
    ensure_eq("its error", answered, "conflict")
}

/// Waits until the store accepts no commits, then commits data that must not be lost.
fn keep(state: &mut State) -> Result<(), Failure> {
    let Some(server) = state.options.server.clone() else {
        return Ok(());
    };
    let document = state.context("keep").document();
    let pkid = document.reference.pkid.clone();
    state.marks.insert("kept".into(), pkid);
    state.save(Vec::new())?;
    let record = samples::record(&state.pkid);
    let version = storage::get(&record)?.map_or(0, |record| record.version);
    // The result does not matter: the driver has made the store unavailable by then.
    let _ = send(&Request::get(&server, "/hold"));
    let changes = [
        Change::Put(document.clone()),
        samples::secret(&document, "s", "kept"),
    ];
    let unchanged = samples::version_check(record, version);
    storage::commit(&[unchanged], &changes, OnUnavailable::Keep)
}

fn kept(state: &State, answered: &str) -> Outcome {
    let Some(pkid) = state.marks.get("kept") else {
        return fail("`keep` was not called before");
    };
    let reference = Reference {
        model: SAMPLE.into(),
        pkid: pkid.clone(),
    };
    ensure_eq("what the call was told", answered, "unavailable")?;
    samples::read(&reference)?;
    let secret = secrets::reveal(&reference, "s")?;
    ensure_eq("the secret", secret.as_deref(), Some("kept"))
}

/// Exposes a secret in all texts.
fn reveal_secret(state: &mut State) -> Result<State, Failure> {
    let document = state.context("tell").document();
    let owner = document.reference.clone();
    state.save(vec![
        Change::Put(document.clone()),
        samples::secret(&document, "told", CANARY),
    ])?;
    let secret = secrets::reveal(&owner, "told")?.unwrap_or_default();
    let aloud = format!("the secret is {secret}, on purpose");
    transactions::log(transactions::Level::Info, &aloud);
    transactions::progress(1, 2, &aloud);
    Err(Failure::Internal(aloud))
}

/// Returns changes that a later call looks for.
pub fn mark_durable(state: &mut State) -> Vec<Change> {
    let mut document = state.context("durable").document();
    document.body = "{\"durable\": true}".into();
    let pkid = document.reference.pkid.clone();
    state.marks.insert("durable".into(), pkid);
    vec![
        Change::Put(document.clone()),
        samples::secret(&document, "s", "durable"),
        Change::Schedule(samples::wakeup(&document, "w", "")),
    ]
}

fn check_durable(state: &State) -> Outcome {
    let pkid = state.marks.get("durable").cloned().unwrap_or_default();
    let reference = Reference {
        model: SAMPLE.into(),
        pkid,
    };
    let Some(document) = storage::get(&reference)? else {
        return fail("the document is gone");
    };
    let body: Option<Value> = serde_json::from_str(&document.body).ok();
    let marked = body.and_then(|body| body.get("durable").and_then(Value::as_bool));
    ensure_eq("the document", marked, Some(true))?;
    let secret = secrets::reveal(&reference, "s")?;
    ensure_eq("the secret", secret.as_deref(), Some("durable"))?;
    let wakeups = scheduling::wakeups(&reference)?.len();
    ensure_eq("the wakeups", wakeups, 1)
}

/// Checks the time of the caller's request against the plugin's clock.
pub fn check_clock(state: &mut State, requested: u64) -> Result<(), Failure> {
    enter(state);
    let now = samples::now();
    let outcome = ensure(
        &format!("the caller made the request at {requested}, but the plugin reads {now}"),
        requested <= now && now - requested < MAX_CLOCK_DIFFERENCE_MS,
    );
    state.record_outcome("clock.agrees", outcome);
    state.save(Vec::new())
}
