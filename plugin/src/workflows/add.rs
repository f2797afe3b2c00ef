//! Adds a record with its shadow, data syncs, schedules and wakeups.

use serde_json::Map;

use crate::alerts::ActiveAlerts;
use crate::grant::Grant;
use crate::model::{FieldErrors, Input, ValidatedInput, validate};
use crate::names;
use crate::owned_documents::{self, RunTimes};
use crate::pasted_tokens;
use crate::platform::{
    Change, Check, Failure, Key, Level, OnUnavailable, Platform, Reference, Secret, UniqueCheck,
    is_pkid,
};
use crate::record::{Record, RecordBody, key, secret};
use crate::reports::{AddReport, ConnectionReport};
use crate::settings::Settings;
use crate::text::trim_text;
use crate::tokens::StoredTokens;
use crate::uniqueness;
use crate::webex::client::Proxies;
use crate::workflows::sync::schedule_for_pasted;

/// The maximum length of an idempotency key in characters.
const KEY_LIMIT: usize = 256;
/// The number of reported steps.
const STEPS: u32 = 3;

/// The data of a new record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The new record's primary key: 24 random lower-case hexadecimal characters.
    pub pkid: String,
    /// The record's node.
    pub hierarchy: String,
    /// One JSON object: the fields by name, including tokens and proxy passwords.
    pub fields: Secret,
    /// The token endpoint's JSON response, instead of the token fields.
    pub token_response: Option<Secret>,
    /// The caller's name for this call. A second call with the same key creates nothing.
    pub idempotency_key: Option<String>,
}

/// Adds a record. A repeated call with the same pkid or idempotency key creates nothing and returns
/// the record of the first call.
///
/// # Errors
/// `invalid` with all errors by field; `conflict`; `unavailable` and `rate-limited` if storage or
/// Webex failed or another server responded. No record is created then, unless the host reports that it
/// keeps the commit.
pub fn add(platform: &dyn Platform, request: Request) -> Result<AddReport, Failure> {
    let request = Request {
        hierarchy: trim_path(&request.hierarchy),
        ..request
    };
    if let Some(added) = find_existing(platform, &request)? {
        return Ok(added);
    }
    let settings = Settings::load(platform)?;
    platform.progress(1, STEPS, "checking the fields");
    let mut errors = FieldErrors::default();
    check_request(&request, &mut errors);
    let input = Input::parse(request.fields.expose(), &Map::new(), &mut errors);
    let has_token_response = request.token_response.is_some();
    let mut accepted = validate(
        input,
        None,
        &request.hierarchy,
        has_token_response,
        &mut errors,
    );
    let response =
        pasted_tokens::read_tokens(&accepted, request.token_response.as_ref(), &mut errors);
    crate::proxies::check_proxies(platform, &accepted, &mut errors)?;
    uniqueness::find_duplicates(platform, &request.hierarchy, &accepted, None, &mut errors)?;
    errors.into_result()?;

    let mut confirmed = None;
    if let Some(response) = response {
        platform.progress(2, STEPS, "checking the tokens at Webex");
        let named = accepted.organization.is_some();
        let inquiry = pasted_tokens::TokenChecker {
            platform,
            settings: &settings,
            proxies: &collect_proxies(&accepted),
            before: None,
        };
        let tokens = inquiry.confirm(response, &mut accepted)?;
        if !named {
            let mut errors = FieldErrors::default();
            uniqueness::find_duplicates(
                platform,
                &request.hierarchy,
                &accepted,
                None,
                &mut errors,
            )?;
            errors
                .into_result()
                .map_err(|failure| tokens.explain(failure))?;
        }
        confirmed = Some(tokens);
    }

    platform.progress(3, STEPS, "creating the record, its syncs and schedules");
    let mut record = Record {
        pkid: request.pkid.clone(),
        hierarchy: request.hierarchy.clone(),
        version: 0,
        body: RecordBody {
            fields: accepted.fields.clone(),
            idempotency_key: request.idempotency_key.clone(),
            ..RecordBody::default()
        },
    };
    record.complete_grants();
    owned_documents::plan(&mut record, platform);
    let owner = record.reference();
    let mut owned_changes = Vec::new();
    for (name, value) in &accepted.sealed {
        if let Some(value) = value {
            owned_changes.push(Change::PutSecret {
                owner: owner.clone(),
                name: (*name).to_owned(),
                value: value.clone(),
            });
        }
    }
    let (mut refresh, mut check) = (RunTimes::default(), RunTimes::default());
    if let Some(confirmed) = &confirmed {
        let now = platform.now();
        let stored = StoredTokens::default();
        let token_update = confirmed.apply(platform, &settings, &mut record, &stored, now)?;
        refresh.next = Some(token_update.next_refresh);
        check.next = token_update.next_check;
        owned_changes.extend(token_update.changes);
        owned_changes.extend(schedule_for_pasted(&record, now));
        let alerts = ActiveAlerts::default();
        let grant = Grant::Organization;
        owned_changes.extend(alerts.raise_missing_scope(platform, &record, grant, now)?);
    }
    let mut changes = vec![Change::Put(record.to_document()?)];
    changes.extend(owned_documents::creation_changes(&record, refresh, check));
    changes.extend(owned_changes);

    let mut checks = vec![Check::Absent(owner)];
    checks.extend(uniqueness::uniqueness_checks(
        &request.hierarchy,
        &accepted,
        None,
    ));
    checks.extend(filter_by_idempotency_key(&request).map(|filter| {
        Check::Unique(UniqueCheck {
            filter,
            except: None,
        })
    }));
    let on_unavailable = confirmed.as_ref().map_or(
        OnUnavailable::Fail,
        pasted_tokens::ConfirmedTokens::on_unavailable,
    );
    match platform.commit_with(checks, changes, on_unavailable) {
        Ok(()) => {}
        Err(Failure::Conflict(text)) => {
            let lost = resolve_conflict(platform, &request, &accepted, text);
            return lost.map_err(|failure| match &confirmed {
                Some(confirmed) => confirmed.explain(failure),
                None => failure,
            });
        }
        Err(failure) => return Err(failure),
    }
    platform.log(
        Level::Info,
        &format!(
            "added {} at {} with {} parts",
            record.name(),
            record.hierarchy,
            record.body.owned_documents.len()
        ),
    );
    Ok(build_report(&record, false))
}

/// Removes white space around a path and around its nodes.
fn trim_path(path: &str) -> String {
    let nodes: Vec<&str> = trim_text(path).split('.').map(trim_text).collect();
    nodes.join(".")
}

fn check_request(request: &Request, errors: &mut FieldErrors) {
    if !is_pkid(&request.pkid) {
        errors.add("pkid", "must be 24 lower-case hexadecimal characters");
    }
    if request.hierarchy.split('.').any(str::is_empty) {
        errors.add(
            "hierarchy",
            "must be the path of a node, such as sys.Provider.Reseller.Customer",
        );
    } else if let Some(error) = names::find_hidden_character(&request.hierarchy) {
        errors.add("hierarchy", error);
    }
    if let Some(idempotency_key) = &request.idempotency_key {
        let length = idempotency_key.chars().count();
        if length == 0 || length > KEY_LIMIT {
            errors.add(
                "idempotency_key",
                format!("has {length} characters; 1 to {KEY_LIMIT} are possible"),
            );
        }
    }
}

// Finds the record of an earlier call with this pkid (interrupted after its commit) or this
// idempotency key.
fn find_existing(platform: &dyn Platform, request: &Request) -> Result<Option<AddReport>, Failure> {
    let mut found = platform.get(&Reference::record(&request.pkid))?;
    if found.is_none()
        && let Some(filter) = filter_by_idempotency_key(request)
    {
        found = platform
            .find(&filter, None, 1)?
            .documents
            .into_iter()
            .next();
    }
    let Some(document) = found else {
        return Ok(None);
    };
    if document.hierarchy != request.hierarchy {
        return Err(Failure::Conflict(format!(
            "{} exists at another node, {}",
            document.reference, document.hierarchy
        )));
    }
    let record = Record::from_document(document)?;
    platform.log(
        Level::Info,
        &format!(
            "{} was added before; no record is created",
            record.reference()
        ),
    );
    Ok(Some(build_report(&record, true)))
}

fn filter_by_idempotency_key(request: &Request) -> Option<crate::platform::Filter> {
    // A refused key was never stored, and may be longer than any key that can be searched for.
    let idempotency_key = request.idempotency_key.as_ref();
    let idempotency_key = idempotency_key.filter(|key| key.chars().count() <= KEY_LIMIT)?;
    let key = Key::new(key::IDEMPOTENCY_KEY, idempotency_key);
    Some(uniqueness::filter_at_node(&request.hierarchy, key))
}

// Another call committed first: report its result as if it had been found at the beginning.
fn resolve_conflict(
    platform: &dyn Platform,
    request: &Request,
    accepted: &ValidatedInput,
    conflict: String,
) -> Result<AddReport, Failure> {
    if let Some(added) = find_existing(platform, request)? {
        return Ok(added);
    }
    let mut errors = FieldErrors::default();
    uniqueness::find_duplicates(platform, &request.hierarchy, accepted, None, &mut errors)?;
    errors.into_result()?;
    Err(Failure::Conflict(conflict))
}

fn collect_proxies(accepted: &ValidatedInput) -> Proxies {
    let given = |name: &str| {
        let (_, value) = accepted.sealed.iter().find(|(each, _)| *each == name)?;
        value.clone()
    };
    Proxies {
        http: given(secret::HTTP_PROXY),
        https: given(secret::HTTPS_PROXY),
    }
}

fn build_report(record: &Record, replayed: bool) -> AddReport {
    let mut created = vec![record.reference()];
    created.extend(
        record
            .body
            .owned_documents
            .iter()
            .map(crate::record::OwnedDocument::reference),
    );
    AddReport {
        connection: ConnectionReport::from_record(record),
        created,
        replayed,
    }
}

#[cfg(test)]
#[path = "add_tests.rs"]
mod tests;
