//! The driver's actions by `modify`, with the fields `{"do": ACTION}`.
//!
//! | action | the driver's procedure | the check |
//! |---|---|---|
//! | `checks` | repeat until `next` changes | the checks of one call, one group per call |
//! | `overlap` | repeat while the first call's request `/hold` is held, then release it | one call at a time runs on a record |
//! | `overlap-refused` | after one `overlap`, when the host refused the second call | one call at a time runs on a record |
//! | `outlive-lease` | let the call's lease expire, and run `take-over`, while its request `/hold` is held | |
//! | `take-over` | call on another host of the same store, after the lease has expired | the call that was cut off is reported |
//! | `after-take-over` | call after both have ended, with the case of `outlive-lease`'s failure as `failure` | the fence |
//! | `commit-in-outage` | once the request `/hold` is held, make the store refuse commits, then release the request | |
//! | `after-outage` | call after the outage, with the case of `commit-in-outage`'s failure as `failure` | the commit was kept and applied |
//! | `expose-secret` | keep all visible texts about the failure, in responses and logs | |
//! | `check-texts` | call with those texts as `text` | no text contains the secret |
//! | `after-restart` | call after a restart of the host on the same store | commits survive |

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
use crate::outcome::{CheckFailure, Outcome, ensure, ensure_eq, fail};
use crate::registry::{self, CHECKS, DecisionMethod, FRESH, ONE_AT_A_TIME};
use crate::samples::{self, SAMPLE};
use crate::state::{CheckStatus, State};

/// An action with its inputs.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DriverAction {
    Checks,
    Overlap,
    OverlapRefused,
    OutliveLease,
    TakeOver,
    AfterTakeOver { failure: String },
    CommitInOutage,
    AfterOutage { failure: String },
    ExposeSecret,
    CheckTexts { text: String },
    AfterRestart,
}

/// A secret that must not occur in any text that leaves a call.
const CANARY: &str = "a-secret-that-a-call-has-seen-5f2c";
/// The largest difference between the clocks of callers and plugin, in milliseconds.
const MAX_CLOCK_DIFFERENCE_MS: u64 = 600_000;

/// Performs the action in the fields.
pub fn modify(pkid: &str, fields: &str) -> Result<State, Failure> {
    let action: DriverAction = serde_json::from_str(fields).map_err(|error| {
        Failure::Invalid(vec![FieldError {
            field: "do".into(),
            message: format!("unknown action: {error}"),
        }])
    })?;
    let mut state = State::load(pkid)?;
    enter(&mut state);
    match action {
        DriverAction::Checks => run_next_group(&mut state)?,
        DriverAction::Overlap => {
            hold_exclusive(&mut state)?;
            state.inside = None;
            state.overlaps += 1;
            if state.overlaps > 1 {
                state.record_pass(ONE_AT_A_TIME);
            }
            state.save(Vec::new())?;
        }
        DriverAction::OverlapRefused => {
            if state.overlaps > 0 {
                state.record_pass(ONE_AT_A_TIME);
            }
            state.save(Vec::new())?;
        }
        DriverAction::OutliveLease => outlive_lease(&mut state)?,
        DriverAction::TakeOver => {
            let outcome = check_interruption_reported(&state);
            state.record_outcome("transactions.interrupted.reported", outcome);
            state.save(Vec::new())?;
        }
        DriverAction::AfterTakeOver { failure } => {
            let outcome = check_fenced(&state, &failure);
            state.record_outcome("storage.commit.fenced", outcome);
            let outcome = ensure_eq("when a call was cut off", transactions::interrupted(), None);
            state.record_outcome("transactions.interrupted.cleared", outcome);
            state.save(Vec::new())?;
        }
        DriverAction::CommitInOutage => commit_in_outage(&mut state)?,
        DriverAction::AfterOutage { failure } => {
            let outcome = check_applied(&state, &failure);
            state.record_outcome("storage.commit.kept", outcome);
            state.save(Vec::new())?;
        }
        DriverAction::ExposeSecret => return reveal_secret(&mut state),
        DriverAction::CheckTexts { text } => {
            let outcome = ensure("a text contains the secret", !text.contains(CANARY));
            state.record_outcome("secrets.redacted", outcome);
            state.save(Vec::new())?;
        }
        DriverAction::AfterRestart => {
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
        let reason = format!("an instance received call number {instance_calls}");
        state.record_not_passed(FRESH, CheckFailure::Failed(reason));
    } else if state.calls == 2 {
        state.record_pass(FRESH);
    }
    let drawn = hex::encode(random::get_random_bytes(16));
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
        .and_then(|form| {
            ensure_eq(
                "the next call's request form",
                form.as_deref(),
                Some("origin"),
            )
        });
    state.record_outcome(CHECK, outcome);
}

/// Enters the exclusive section. The next save leaves it. Returns an id of this stay.
fn enter_exclusive(state: &mut State) -> Result<String, Failure> {
    if state.inside.is_some() && transactions::interrupted().is_none() {
        let reason = "a call found another call in progress";
        state.record_not_passed(ONE_AT_A_TIME, CheckFailure::Failed(reason.into()));
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
            let reason = "another call began while one was in progress";
            state.record_not_passed(ONE_AT_A_TIME, CheckFailure::Failed(reason.into()));
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
        let reason = "the call was cut off during the check".to_owned();
        state.record_not_passed(&cut, CheckFailure::Failed(reason));
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
        let DecisionMethod::Checks(run) = check.decided_by else {
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
fn outlived_document(state: &State) -> Result<Document, CheckFailure> {
    match state.marks.get("outlived") {
        Some(pkid) => samples::read(&Reference {
            model: SAMPLE.into(),
            pkid: pkid.clone(),
        }),
        None => fail("`outlive-lease` was not called before"),
    }
}

/// Waits until the call's lease has expired, and then writes.
fn outlive_lease(state: &mut State) -> Result<(), Failure> {
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
        (_, None) => fail("`outlive-lease` was not called before"),
        (Some(reported), Some(began)) => ensure(
            &format!("reported to have begun at {reported}; the call itself read {began}"),
            reported <= began && began - reported < MAX_CLOCK_DIFFERENCE_MS,
        ),
    }
}

fn check_fenced(state: &State, failure: &str) -> Outcome {
    ensure_eq(
        "the document that it wrote",
        outlived_document(state)?.body,
        "{}".to_owned(),
    )?;
    ensure_eq("its error", failure, "conflict")
}

/// Waits until the store accepts no commits, then commits data that must not be lost.
fn commit_in_outage(state: &mut State) -> Result<(), Failure> {
    let Some(server) = state.options.server.clone() else {
        return Ok(());
    };
    let document = state.context("keep").document();
    let pkid = document.reference.pkid.clone();
    state.marks.insert("committed-in-outage".into(), pkid);
    state.save(Vec::new())?;
    let record = samples::record(&state.pkid);
    let version = storage::get(&record)?.map_or(0, |record| record.version);
    // The result does not matter: the driver has made the store unavailable by then.
    let _ = send(&Request::get(&server, "/hold"));
    let changes = [
        Change::Put(document.clone()),
        samples::secret(&document, "s", "committed-in-outage"),
    ];
    let unchanged = samples::version_check(record, version);
    storage::commit(&[unchanged], &changes, OnUnavailable::Keep)
}

fn check_applied(state: &State, failure: &str) -> Outcome {
    let Some(pkid) = state.marks.get("committed-in-outage") else {
        return fail("`commit-in-outage` was not called before");
    };
    let reference = Reference {
        model: SAMPLE.into(),
        pkid: pkid.clone(),
    };
    ensure_eq("the call's failure", failure, "unavailable")?;
    samples::read(&reference)?;
    let secret = secrets::reveal(&reference, "s")?;
    ensure_eq("the secret", secret.as_deref(), Some("committed-in-outage"))
}

/// Exposes a secret in all texts.
fn reveal_secret(state: &mut State) -> Result<State, Failure> {
    let document = state.context("tell").document();
    let owner = document.reference.clone();
    state.save(vec![
        Change::Put(document.clone()),
        samples::secret(&document, "exposed", CANARY),
    ])?;
    let secret = secrets::reveal(&owner, "exposed")?.unwrap_or_default();
    let text = format!("the secret is {secret}, on purpose");
    transactions::log(transactions::Level::Info, &text);
    transactions::progress(1, 2, &text);
    transactions::record_part(&transactions::Part {
        action: text.clone(),
        started: 0,
        outcome: Err(text.clone()),
    });
    Err(Failure::Internal(text))
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
