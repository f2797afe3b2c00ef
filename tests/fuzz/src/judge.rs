//! What the contract says of any call, whatever it was given.

use relation_harness::memory::MemoryStore;
use relation_host::CallErrorKind;
use relation_host::reports::Grant;
use relation_host::store::{SecretScope, Store as _, StoreError};
use relation_host::transactions::Transaction;
use relation_host::types::{Document, Failure, FieldError, Pkid, Reference, Wakeup};
use serde_json::Value;

use crate::call::{Call, Seen};
use crate::trial::Trial;
use crate::verdict::{Finding, FindingKind, Verdict, gist};
use crate::web::CANARY;

/// What a target lets pass that would be a finding elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permits {
    /// Documents that cannot be read: the target broke them. `internal` may say so.
    pub unreadable: bool,
    /// Webex answered that it does not understand, or does not know: `internal` may say so.
    pub rejected: bool,
}

/// More wakeups, and more secrets, than any trial has.
const MOST: u32 = 1000;

/// What one look says: nothing, or what is wrong.
type Look = Result<(), Wrong>;

struct Wrong(FindingKind, String);

/// Says what is wrong with a call, and with what it left.
pub(crate) async fn judge(mut trial: Trial<'_>, seen: Seen, permits: Permits) -> Verdict {
    let told = transaction(&trial, &seen).await;
    let way = way(&seen);
    let heads: Vec<String> = told
        .iter()
        .flat_map(|told| &told.log)
        .map(|line| gist(&line.message, 3))
        .collect();
    let more = (seen.sight.order, seen.requests.min(6), heads);
    let (signature, way) = Verdict::sign(way, more);
    let found = look(&mut trial, &seen, told.as_ref(), permits).await;
    Verdict {
        calls: trial.calls,
        signature,
        way,
        finding: found.err().map(|Wrong(kind, what)| Finding {
            kind,
            function: seen.function.to_owned(),
            what,
        }),
    }
}

async fn look(
    trial: &mut Trial<'_>,
    seen: &Seen,
    told: Option<&Transaction>,
    permits: Permits,
) -> Look {
    answer(seen, permits)?;
    let documents = trial.store.documents();
    let beside = Beside::of(&trial.store).await?;
    no_secret_shows(seen, told, &documents, &beside)?;
    nothing_changed(trial, seen, &documents, &beside).await?;
    tokens_are_kept(trial, seen, &documents).await?;
    nothing_is_left(trial, seen, &documents, permits).await?;
    can_be_read(trial, seen, permits).await
}

/// What is stored beside the documents.
#[derive(PartialEq)]
struct Beside {
    wakeups: Vec<Wakeup>,
    /// Owner, name, and what is stored.
    secrets: Vec<(Reference, String, Vec<u8>)>,
}

impl Beside {
    async fn of(store: &MemoryStore) -> Result<Self, Wrong> {
        let failed = |error: StoreError| Wrong(FindingKind::Host, error.to_string());
        let wakeups = store.upcoming(None, None, MOST).await.map_err(failed)?;
        let secrets = store.secrets(SecretScope::All, None, MOST).await;
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

async fn transaction(trial: &Trial<'_>, seen: &Seen) -> Option<Transaction> {
    let id = seen.transaction.as_deref()?;
    trial.store.transaction(id).await.ok().flatten()
}

/// The call in words that do not repeat its input.
fn way(seen: &Seen) -> String {
    let outcome = match &seen.answer {
        Ok(answer) => format!("ok {}", answer.kind),
        Err(CallErrorKind::Refused(Failure::Invalid(faults))) => {
            let mut each: Vec<String> = faults
                .iter()
                .map(|fault| format!("{}: {}", gist(&fault.field, 3), gist(&fault.message, 4)))
                .collect();
            each.sort();
            each.dedup();
            format!("invalid {}", each.join(", "))
        }
        Err(CallErrorKind::Refused(failure)) => {
            format!("{} {}", failure.case(), gist(&failure.to_string(), 8))
        }
        Err(CallErrorKind::Guest(error)) => format!("guest {}", error.kind.code()),
        Err(CallErrorKind::Busy { .. }) => "busy".to_owned(),
        Err(CallErrorKind::Store(_)) => "store".to_owned(),
    };
    format!("{} {outcome}", seen.function)
}

/// The answer is one that the contract has for what can happen here.
fn answer(seen: &Seen, permits: Permits) -> Look {
    let failure = match &seen.answer {
        Ok(_) => return Ok(()),
        Err(CallErrorKind::Guest(error)) => {
            let stderr = error.stderr.trim();
            return Err(Wrong(FindingKind::Trap, format!("{error} {stderr}")));
        }
        Err(kind @ (CallErrorKind::Busy { .. } | CallErrorKind::Store(_))) => {
            return Err(Wrong(FindingKind::Host, kind.to_string()));
        }
        Err(CallErrorKind::Refused(failure)) => failure,
    };
    let text = failure.to_string();
    let wrong = match failure {
        Failure::Internal(_) => {
            let unreadable = permits.unreadable && text.contains("cannot be read");
            let rejected = permits.rejected && text.contains(" failed with status 4");
            !unreadable && !rejected
        }
        // Every input here is far smaller than any limit. What Webex answers may be larger.
        Failure::LimitExceeded(_) => {
            let answers = ["limits.headers", "limits.response"];
            let of_an_answer =
                seen.requests > 0 && answers.iter().any(|limit| text.contains(limit));
            text.contains("limits.") && !of_an_answer
        }
        Failure::Invalid(faults) => faults.iter().any(|fault| fault.message.is_empty()),
        _ => false,
    };
    let wrong = wrong || !in_contract(seen.function, failure);
    if wrong || text.trim().is_empty() {
        return Err(Wrong(FindingKind::Failure, format!("{failure:?}")));
    }
    Ok(())
}

/// Whether the contract names this failure among those of the function; `internal` is looked at elsewhere.
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
    // What the host calls the parts of a commit or a request; no caller has given them.
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
            "sync" => gone || limited || person || later,
            // Those of the workflow that it runs.
            _ => gone || limited || person || later || gives(&["grant"]),
        }
}

/// No secret is in anything that leaves the call, or in clear in what is stored.
fn no_secret_shows(
    seen: &Seen,
    told: Option<&Transaction>,
    documents: &[Document],
    beside: &Beside,
) -> Look {
    let leak = |place: &str, text: &str| {
        if text.contains(CANARY) {
            return Err(Wrong(FindingKind::Leak, format!("in {place}: {text}")));
        }
        Ok(())
    };
    match &seen.answer {
        Ok(answer) => leak("the answer", &answer.json)?,
        Err(kind) => leak("the error", &kind.to_string())?,
    }
    if let Some(told) = told {
        leak("the transaction's message", &told.message)?;
        for line in &told.log {
            leak("the transaction's log", &line.message)?;
        }
        if let Some(progress) = &told.progress {
            leak("the progress", &progress.message)?;
        }
    }
    for document in documents {
        leak(&document.reference.to_string(), &document.body)?;
        for key in &document.keys {
            leak("a key", &key.value)?;
        }
    }
    for wakeup in &beside.wakeups {
        leak("a wakeup's payload", &wakeup.payload)?;
    }
    Ok(())
}

/// A call that says no has done nothing, where the contract says so.
async fn nothing_changed(
    trial: &Trial<'_>,
    seen: &Seen,
    documents: &[Document],
    beside: &Beside,
) -> Look {
    let Err(CallErrorKind::Refused(failure)) = &seen.answer else {
        return Ok(());
    };
    let whole = matches!(
        seen.function,
        "add" | "modify" | "connect" | "refresh" | "check-expiry"
    );
    let refused = matches!(failure, Failure::Invalid(_) | Failure::NotFound(_));
    if !whole && !refused {
        return Ok(());
    }
    // A wakeup that is answered is gone, or due again, whatever its call has said.
    let kept = seen.function == "wake" || *beside == Beside::of(&trial.untouched).await?;
    if *documents != *trial.before || !kept {
        let what = format!("it changed what is stored, and said no: {failure}");
        return Err(Wrong(FindingKind::State, what));
    }
    Ok(())
}

/// A passing fault clears no token and moves no expiry.
async fn tokens_are_kept(trial: &Trial<'_>, seen: &Seen, documents: &[Document]) -> Look {
    let passing = matches!(&seen.answer, Ok(answer) if answer.kind.starts_with("Retrying"));
    let Some(record) = trial.record().filter(|_| passing) else {
        return Ok(());
    };
    let (before, after) = (expiry(&trial.before, &record), expiry(documents, &record));
    let lost = trial.held && !trial.holds_tokens().await;
    if before != after || lost {
        let what = format!("a passing fault took {before:?} for {after:?}, tokens lost: {lost}");
        return Err(Wrong(FindingKind::State, what));
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

/// Of what was deleted nothing is left.
async fn nothing_is_left(
    trial: &Trial<'_>,
    seen: &Seen,
    documents: &[Document],
    permits: Permits,
) -> Look {
    let deleted = seen.function == "delete"
        && matches!(&seen.answer, Ok(answer) if answer.kind.ends_with("false"));
    let Some(record) = trial.record().filter(|_| deleted) else {
        return Ok(());
    };
    let reference = Reference::record(record.clone());
    let belongs = |document: &&Document| {
        let owned =
            |key: &relation_host::types::Key| key.name == "owner" && key.value == record.as_str();
        document.reference == reference || (!permits.unreadable && document.keys.iter().any(owned))
    };
    if let Some(left) = documents.iter().find(belongs) {
        let what = format!("{} is left after the deletion", left.reference);
        return Err(Wrong(FindingKind::State, what));
    }
    let wakeups = trial.store.wakeups(&reference).await.unwrap_or_default();
    let token = trial.store.sealed(&reference, "refresh_token").await;
    if !wakeups.is_empty() || !matches!(token, Ok(None)) {
        let what = "wakeups or secrets are left after the deletion".to_owned();
        return Err(Wrong(FindingKind::State, what));
    }
    Ok(())
}

/// What a call has stored, the plugin itself can read.
async fn can_be_read(trial: &mut Trial<'_>, seen: &Seen, permits: Permits) -> Look {
    let known = match &seen.answer {
        Ok(answer) => answer.record.clone(),
        Err(_) => None,
    };
    let Some(record) = known.or(trial.record()).filter(|_| seen.sight.commits > 0) else {
        return Ok(());
    };
    let was_there = stored(&trial.before, &record);
    trial.prepare([]);
    let Some(checked) = trial.call(Call::Check(record, Grant::Organization)).await else {
        return Ok(());
    };
    let gone = matches!(
        checked.answer,
        Err(CallErrorKind::Refused(Failure::NotFound(_)))
    );
    // Nothing but a deletion takes a record, and only one that never was there is missed without one.
    let never_was = seen.answer.is_err() && !was_there;
    if gone && (seen.function == "delete" || never_was) {
        return Ok(());
    }
    answer(&checked, permits).map_err(|Wrong(kind, what)| {
        let what = format!("afterwards its own check-expiry says: {what}");
        match kind {
            FindingKind::Failure => Wrong(FindingKind::State, what),
            kind => Wrong(kind, what),
        }
    })
}
