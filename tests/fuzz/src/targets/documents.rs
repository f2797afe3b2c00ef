//! Target `documents`: documents that an older, newer or broken version has stored, before any
//! workflow.

use std::time::Duration;

use relation_host::store::Change;
use relation_host::types::{Document, Key, Pkid, Reference, Timestamp, Wakeup};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{callbacks, caller_input, response_mutation::response_mutation};
use crate::call::Call;
use crate::edits::{apply, edits};
use crate::fake_webex::{CANARY, token_response};
use crate::input::Input;
use crate::oracle::Allowances;
use crate::runner::{RunnerError, TrialRunner};
use crate::trial::Trial;
use crate::verdict::Verdict;
use crate::worlds::{NODE, REDIRECT, WorldKind};

/// Members of the plugin's documents.
const NAMES: &[&str] = &[
    "connection",
    "further_grants",
    "consents",
    "parts",
    "idempotency_key",
    "state",
    "access",
    "refresh",
    "at",
    "life",
    "assumed",
    "generation",
    "attempted",
    "refreshed",
    "next_refresh",
    "retry",
    "refusal",
    "uncertain",
    "scopes",
    "missing_scopes",
    "attempts",
    "reason",
    "tracking_id",
    "pending",
    "past",
    "organization",
    "wholesale-customers",
    "wholesale-users",
    "redirect_uri",
    "expires",
    "fate",
    "model",
    "pkid",
    "name",
    "role",
    "account_number",
    "account_number_external",
    "wholesale_status",
    "webex_contact_center",
    "http_proxy",
    "https_proxy",
    "shadow",
    "notes",
    "count",
    "threshold",
    "grant",
    "severity",
    "lists",
    "next",
    "seen",
    "ended",
    "finished",
    "progressed",
    "owner",
    "kind",
    "found",
];

const SECRETS: &[&str] = &[
    "token",
    "refresh_token",
    "https_proxy",
    "http_proxy",
    "verifier",
    "wholesale_customers.token",
    "wholesale_users.refresh_token",
    "unknown",
];

const KEYS: &[&str] = &[
    "name",
    "organization",
    "state",
    "idempotency_key",
    "owner",
    "id",
];

pub(super) async fn run(
    runner: &TrialRunner,
    input: &mut Input<'_>,
) -> Result<Verdict, RunnerError> {
    let mut trial = runner.open(*input.pick(&WorldKind::WITH_RECORD)).await?;
    let Some(record) = trial.record() else {
        return Ok(Verdict::idle());
    };
    let count = 1 + input.below(3);
    let mut changes = Vec::new();
    for _ in 0..count {
        changes.extend(change(input, &trial, &record));
    }
    if trial.change(changes).await.is_err() {
        return Ok(Verdict::idle());
    }
    if input.chance(96) {
        let days = u64::try_from(input.below(200)).unwrap_or(0);
        trial.clock.advance(Duration::from_secs(days * 86_400));
    }
    let Some(call) = call(input, &trial, record).await else {
        return Ok(Verdict::idle());
    };
    if input.chance(64) {
        trial.prepare([response_mutation(input)]);
    }
    let allowed = Allowances {
        unreadable: true,
        rejected: true,
    };
    Ok(trial.run(call, allowed).await)
}

async fn call(input: &mut Input<'_>, trial: &Trial<'_>, record: Pkid) -> Option<Call> {
    let grant = caller_input::grant(input);
    Some(match input.below(12) {
        0 | 1 => Call::Check(record, grant),
        2 | 3 => Call::Refresh(record, grant),
        4 => Call::Modify(record, caller_input::fields(input), None),
        5 => {
            let response = token_response("pasted").to_string();
            Call::Modify(record, Map::new(), Some(SecretString::from(response)))
        }
        6 => Call::Delete(record, input.chance(128)),
        7 => Call::Connect(record, grant, REDIRECT.into()),
        8 => {
            let consents = trial.consents();
            let consent = consents.get(input.below(consents.len().max(1)))?;
            Call::Complete(record, SecretString::from(callbacks::good(consent)))
        }
        9 => Call::Sync(record),
        10 => {
            let stored = trial
                .store()
                .wakeups(&Reference::record(record))
                .await
                .ok()?;
            Call::Wake(stored.get(input.below(stored.len().max(1)))?.clone())
        }
        _ => Call::Add(crate::worlds::add_request(
            caller_input::fields(input),
            None,
        )?),
    })
}

/// Generates one change of a document.
fn change(input: &mut Input<'_>, trial: &Trial<'_>, record: &Pkid) -> Option<Change> {
    let owner = Reference::record(record.clone());
    Some(match input.below(12) {
        0..=5 => Change::Put(edited(input, trial, &owner)?),
        6 | 7 => {
            let which = any(input, trial)?;
            Change::Put(edited(input, trial, &which)?)
        }
        8 => {
            let gone = any(input, trial)?;
            if gone == owner {
                return None;
            }
            Change::Delete(gone)
        }
        9 => Change::RemoveSecret(owner, (*input.pick(SECRETS)).to_owned()),
        10 => {
            let name = *input.pick(SECRETS);
            let value = SecretString::from(format!("{CANARY}{}", input.text()));
            Change::PutSecret {
                sealed: trial.sealer().seal(&owner, name, &value).ok()?,
                name: name.to_owned(),
                owner,
            }
        }
        _ => Change::Schedule(Wakeup {
            id: (*input.pick(&["refresh", "expiry", "sync", "other"])).to_owned(),
            subject: owner,
            due: Timestamp(input.bits()),
            deadline: None,
            payload: (*input.pick(&["", "roles-licenses"])).to_owned(),
        }),
    })
}

fn any(input: &mut Input<'_>, trial: &Trial<'_>) -> Option<Reference> {
    let documents = trial.documents();
    let document = documents.get(input.below(documents.len().max(1)))?;
    Some(document.reference.clone())
}

/// Returns a stored document with its body changed, and in some cases its keys and node.
fn edited(input: &mut Input<'_>, trial: &Trial<'_>, which: &Reference) -> Option<Document> {
    let stored = trial
        .documents()
        .iter()
        .find(|each| each.reference == *which)?;
    let mut document = stored.clone();
    let mut body: Value = serde_json::from_str(&document.body).ok()?;
    // Most defects are within one member.
    let within = match &mut body {
        Value::Object(members) if input.chance(160) => {
            let member = *input.pick(NAMES);
            members.get_mut(member)
        }
        _ => None,
    };
    let changes = edits(input, NAMES, 4);
    match within {
        Some(member) => apply(member, &changes),
        None => apply(&mut body, &changes),
    }
    document.body = body.to_string();
    if input.chance(32) {
        document.keys.retain(|key| key.name != *input.pick(KEYS));
        let name = *input.pick(KEYS);
        if document.keys.iter().all(|key| key.name != name) {
            document.keys.push(Key {
                name: name.to_owned(),
                value: input.text(),
            });
        }
    }
    if input.chance(16) {
        let node = *input.pick(&[NODE, "sys", "sys.Other", "sys.Provider.Reseller.Acme.Site"]);
        document.hierarchy = node.parse().ok()?;
    }
    Some(document)
}
