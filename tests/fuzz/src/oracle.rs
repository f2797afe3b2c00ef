//! Checks a call's outcome by the contract, whatever its input.

use relation_harness::memory::MemoryStore;
use relation_host::CallErrorKind;
use relation_host::reports::Grant;
use relation_host::store::{KeyStore, SecretScope, StoreError, TransactionStore, WakeupStore};
use relation_host::transactions::Transaction;
use relation_host::types::{Document, Failure, FieldError, Pkid, Reference, Wakeup};
use serde_json::Value;

use crate::call::{Call, CallOutcome};
use crate::fake_webex::CANARY;
use crate::trial::Trial;
use crate::verdict::{Finding, FindingKind, Verdict, fingerprint};

/// Outcomes that a target permits and that would be findings elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowances {
    /// Unreadable documents: the target broke them. `internal` is permitted.
    pub unreadable: bool,
    /// Responses by which Webex rejects a request as invalid or unknown: `internal` is permitted.
    pub rejected: bool,
}

/// More wakeups, and more secrets, than any trial has.
const MAX_ROWS: u32 = 1000;

/// The result of one check: an error describes the defect.
type CheckResult = Result<(), Violation>;

struct Violation(FindingKind, String);

/// Checks a call's outcome and the state after it.
pub(crate) async fn check(mut trial: Trial<'_>, call: CallOutcome, allowed: Allowances) -> Verdict {
    let transaction = transaction(&trial, &call).await;
    let path = describe_path(&call);
    let heads: Vec<String> = transaction
        .iter()
        .flat_map(|transaction| &transaction.log)
        .map(|line| fingerprint(&line.message, 3))
        .collect();
    let more = (call.imports.order, call.requests.min(6), heads);
    let (signature, path) = Verdict::sign(path, more);
    let found = run_checks(&mut trial, &call, transaction.as_ref(), allowed).await;
    Verdict {
        calls: trial.calls,
        signature,
        path,
        finding: found.err().map(|Violation(kind, description)| Finding {
            kind,
            function: call.function.to_owned(),
            description,
        }),
    }
}

async fn run_checks(
    trial: &mut Trial<'_>,
    call: &CallOutcome,
    transaction: Option<&Transaction>,
    allowed: Allowances,
) -> CheckResult {
    check_result(call, allowed)?;
    let documents = trial.store.documents();
    let stored_state = StoredState::read(&trial.store).await?;
    check_no_leak(call, transaction, &documents, &stored_state)?;
    check_unchanged(trial, call, &documents, &stored_state).await?;
    check_tokens_kept(trial, call, &documents).await?;
    check_deleted(trial, call, &documents, allowed).await?;
    check_readable(trial, call, allowed).await
}

/// The stored state beside the documents.
#[derive(PartialEq)]
struct StoredState {
    wakeups: Vec<Wakeup>,
    /// Owner, name, and stored value.
    secrets: Vec<(Reference, String, Vec<u8>)>,
}

impl StoredState {
    async fn read(store: &MemoryStore) -> Result<Self, Violation> {
        let failed = |error: StoreError| Violation(FindingKind::Host, error.to_string());
        let wakeups = store.upcoming(None, None, MAX_ROWS).await.map_err(failed)?;
        let secrets = store.secrets(SecretScope::All, None, MAX_ROWS).await;
        let secrets = secrets.map_err(failed)?;
        Ok(Self {
            wakeups: wakeups.items.into_iter().map(|due| due.wakeup).collect(),
            secrets: secrets
                .items
                .into_iter()
                .map(|secret| (secret.owner, secret.name, secret.bytes))
                .collect(),
        })
    }
}

async fn transaction(trial: &Trial<'_>, call: &CallOutcome) -> Option<Transaction> {
    let id = call.transaction.as_deref()?;
    trial.store.transaction(id).await.ok().flatten()
}

/// Describes the call without repeating its input.
fn describe_path(call: &CallOutcome) -> String {
    let outcome = match &call.result {
        Ok(value) => format!("ok {}", value.kind),
        Err(CallErrorKind::Refused(Failure::Invalid(faults))) => {
            let mut each: Vec<String> = faults
                .iter()
                .map(|fault| {
                    format!(
                        "{}: {}",
                        fingerprint(&fault.field, 3),
                        fingerprint(&fault.message, 4)
                    )
                })
                .collect();
            each.sort();
            each.dedup();
            format!("invalid {}", each.join(", "))
        }
        Err(CallErrorKind::Refused(failure)) => {
            format!(
                "{} {}",
                failure.case(),
                fingerprint(&failure.to_string(), 8)
            )
        }
        Err(CallErrorKind::Guest(error)) => format!("guest {}", error.kind.code()),
        Err(CallErrorKind::Busy { .. }) => "busy".to_owned(),
        Err(_) => "store".to_owned(),
    };
    format!("{} {outcome}", call.function)
}

/// Checks that the contract has this result for this function.
fn check_result(call: &CallOutcome, allowed: Allowances) -> CheckResult {
    let failure = match &call.result {
        Ok(_) => return Ok(()),
        Err(CallErrorKind::Guest(error)) => {
            let stderr = error.stderr.trim();
            return Err(Violation(FindingKind::Trap, format!("{error} {stderr}")));
        }
        Err(CallErrorKind::Refused(failure)) => failure,
        Err(kind) => return Err(Violation(FindingKind::Host, kind.to_string())),
    };
    let text = failure.to_string();
    let wrong = match failure {
        Failure::Internal(_) => {
            let unreadable = allowed.unreadable && text.contains("cannot be read");
            let rejected = allowed.rejected && text.contains(" failed with status 4");
            !unreadable && !rejected
        }
        // Every input here is far smaller than any limit. Webex's responses may be larger.
        Failure::LimitExceeded(_) => {
            let response_limits = ["limits.headers", "limits.response"];
            let of_response =
                call.requests > 0 && response_limits.iter().any(|limit| text.contains(limit));
            text.contains("limits.") && !of_response
        }
        Failure::Invalid(faults) => faults.iter().any(|fault| fault.message.is_empty()),
        _ => false,
    };
    let wrong = wrong || !in_contract(call.function, failure);
    if wrong || text.trim().is_empty() {
        return Err(Violation(FindingKind::Failure, format!("{failure:?}")));
    }
    Ok(())
}

/// The fields of the failures about a stored data sync.
const DATA_SYNC_FIELDS: &[&str] = &[
    "sync",
    "model_type_list",
    "sync_type",
    "disabled_operations",
    "model_instance_filter",
];

/// Returns whether the contract lists this failure for the function; another check handles `internal`.
fn in_contract(function: &str, failure: &Failure) -> bool {
    let gives = |fields: &[&str]| match failure {
        Failure::Invalid(faults) => {
            let known = |fault: &FieldError| fields.contains(&fault.field.as_str());
            !faults.is_empty() && faults.iter().all(known)
        }
        _ => false,
    };
    let passing = matches!(
        failure,
        Failure::Conflict(_) | Failure::Unavailable(_) | Failure::Internal(_)
    );
    let gone = matches!(failure, Failure::NotFound(_));
    let limited = matches!(failure, Failure::LimitExceeded(_));
    let person = matches!(failure, Failure::Reauthorize(_));
    let later = matches!(failure, Failure::RateLimited(_));
    // The host's names for the parts of a commit or a request; no caller has passed them.
    let hosts_own = ["keys", "model", "references", "changes", "http", "https"];
    let callers = |fault: &FieldError| !hosts_own.contains(&fault.field.as_str());
    let faults = matches!(failure, Failure::Invalid(faults)
        if !faults.is_empty() && faults.iter().all(callers));
    passing
        || match function {
            "add" => faults || later || limited,
            "modify" => faults || later || limited || gone,
            "delete" => gone,
            "connect" => gone || limited || gives(&["redirect-uri", "grant"]),
            "complete-connect" => gone || limited || person || later || gives(&["callback"]),
            "refresh" => gone || person || gives(&["grant"]),
            "check-expiry" => gone || gives(&["grant"]),
            "sync" => gone || limited || person || later || gives(DATA_SYNC_FIELDS),
            // The failures of the workflow that it runs.
            _ => gone || limited || person || later || gives(&["grant"]) || gives(DATA_SYNC_FIELDS),
        }
}

/// Checks that no secret is in the call's output, or in clear in the store.
fn check_no_leak(
    call: &CallOutcome,
    transaction: Option<&Transaction>,
    documents: &[Document],
    stored_state: &StoredState,
) -> CheckResult {
    let leak = |place: &str, text: &str| {
        if text.contains(CANARY) {
            return Err(Violation(FindingKind::Leak, format!("in {place}: {text}")));
        }
        Ok(())
    };
    match &call.result {
        Ok(value) => leak("the result", &value.json)?,
        Err(kind) => leak("the error", &kind.to_string())?,
    }
    if let Some(transaction) = transaction {
        leak("the transaction's message", &transaction.message)?;
        for line in &transaction.log {
            leak("the transaction's log", &line.message)?;
        }
        if let Some(progress) = &transaction.progress {
            leak("the progress", &progress.message)?;
        }
    }
    for document in documents {
        leak(&document.reference.to_string(), &document.body)?;
        for key in &document.keys {
            leak("a key", &key.value)?;
        }
    }
    for wakeup in &stored_state.wakeups {
        leak("a wakeup's payload", &wakeup.payload)?;
    }
    Ok(())
}

/// Checks that a rejected call has changed nothing, where the contract says so.
async fn check_unchanged(
    trial: &Trial<'_>,
    call: &CallOutcome,
    documents: &[Document],
    stored_state: &StoredState,
) -> CheckResult {
    let Err(CallErrorKind::Refused(failure)) = &call.result else {
        return Ok(());
    };
    let whole = matches!(
        call.function,
        "add" | "modify" | "connect" | "refresh" | "check-expiry"
    );
    let refused = matches!(failure, Failure::Invalid(_) | Failure::NotFound(_));
    if !whole && !refused {
        return Ok(());
    }
    // A completed wakeup is gone, or due again, whatever its call has returned.
    let kept = call.function == "wake"
        || *stored_state == StoredState::read(&trial.untouched_store).await?;
    if *documents != *trial.before || !kept {
        let description = format!("it was rejected, but changed stored data: {failure}");
        return Err(Violation(FindingKind::State, description));
    }
    Ok(())
}

/// Checks that a transient failure clears no token and moves no expiry.
async fn check_tokens_kept(
    trial: &Trial<'_>,
    call: &CallOutcome,
    documents: &[Document],
) -> CheckResult {
    let passing = matches!(&call.result, Ok(value) if value.kind.starts_with("Retrying"));
    let Some(record) = trial.record().filter(|_| passing) else {
        return Ok(());
    };
    let (before, after) = (expiry(&trial.before, &record), expiry(documents, &record));
    let lost = trial.had_tokens && !trial.has_tokens().await;
    if before != after || lost {
        let description =
            format!("a temporary error took {before:?} for {after:?}, tokens lost: {lost}");
        return Err(Violation(FindingKind::State, description));
    }
    Ok(())
}

fn stored(documents: &[Document], record: &Pkid) -> bool {
    let reference = Reference::record(record.clone());
    documents.iter().any(|each| each.reference == reference)
}

fn expiry(documents: &[Document], record: &Pkid) -> Option<(Value, Value)> {
    let reference = Reference::record(record.clone());
    let document = documents.iter().find(|each| each.reference == reference)?;
    let body: Value = serde_json::from_str(&document.body).ok()?;
    let refresh = body.get("connection")?.get("refresh")?;
    Some((refresh.get("at")?.clone(), refresh.get("life")?.clone()))
}

/// Checks that nothing is left of a deleted record.
async fn check_deleted(
    trial: &Trial<'_>,
    call: &CallOutcome,
    documents: &[Document],
    allowed: Allowances,
) -> CheckResult {
    let deleted = call.function == "delete"
        && matches!(&call.result, Ok(value) if value.kind.ends_with("false"));
    let Some(record) = trial.record().filter(|_| deleted) else {
        return Ok(());
    };
    let reference = Reference::record(record.clone());
    let belongs = |document: &&Document| {
        let owned =
            |key: &relation_host::types::Key| key.name == "owner" && key.value == record.as_str();
        document.reference == reference || (!allowed.unreadable && document.keys.iter().any(owned))
    };
    if let Some(left) = documents.iter().find(belongs) {
        let description = format!("{} is left after the deletion", left.reference);
        return Err(Violation(FindingKind::State, description));
    }
    let wakeups = trial.store.wakeups(&reference).await.unwrap_or_default();
    let token = trial.store.sealed(&reference, "refresh_token").await;
    if !wakeups.is_empty() || !matches!(token, Ok(None)) {
        let description = "wakeups or secrets are left after the deletion".to_owned();
        return Err(Violation(FindingKind::State, description));
    }
    Ok(())
}

/// Checks that the plugin can read what a call has stored.
async fn check_readable(
    trial: &mut Trial<'_>,
    call: &CallOutcome,
    allowed: Allowances,
) -> CheckResult {
    let known = match &call.result {
        Ok(value) => value.record.clone(),
        Err(_) => None,
    };
    let Some(record) = known
        .or(trial.record())
        .filter(|_| call.imports.commits > 0)
    else {
        return Ok(());
    };
    let was_there = stored(&trial.before, &record);
    trial.prepare([]);
    let Some(checked) = trial.call(Call::Check(record, Grant::Organization)).await else {
        return Ok(());
    };
    let gone = matches!(
        checked.result,
        Err(CallErrorKind::Refused(Failure::NotFound(_)))
    );
    // Only a deletion removes a record, and only a record that never existed is missing without
    // one.
    let never_was = call.result.is_err() && !was_there;
    if gone && (call.function == "delete" || never_was) {
        return Ok(());
    }
    check_result(&checked, allowed).map_err(|Violation(kind, description)| {
        let description = format!("afterwards its own check-expiry says: {description}");
        match kind {
            FindingKind::Failure => Violation(FindingKind::State, description),
            kind => Violation(kind, description),
        }
    })
}
