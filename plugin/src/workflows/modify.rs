//! Changes the fields of a record and updates what depends on them.

use crate::alerts::ActiveAlerts;
use crate::grant::Grant;
use crate::model::{FieldErrors, Input, ValidatedInput, validate};
use crate::owned_documents;
use crate::pasted_tokens;
use crate::platform::{Change, Failure, Level, OnUnavailable, Platform, Reference, Secret};
use crate::record::{Record, secret};
use crate::reports::ConnectionReport;
use crate::settings::Settings;
use crate::timing::MIN_DELAY;
use crate::tokens::{self, StoredTokens};
use crate::uniqueness;
use crate::webex::client::Proxies;
use crate::workflows::sync::schedule_for_pasted;

/// Changes the given fields and keeps the others; `null` or an empty text clears a field.
///
/// A new name also renames the syncs and schedules that contain the name. New tokens, in the fields or in
/// the token endpoint's response, are checked at Webex. They replace the old tokens, restart the schedule
/// and end the alerts about the old tokens. A change of the proxies makes refreshes due now, if they wait for
/// another attempt because Webex was not reached.
///
/// # Errors
/// `not-found`; `invalid` with all errors by field; `conflict`; `unavailable` and `rate-limited`
/// if storage or Webex failed. The record stays unchanged then.
pub fn modify(
    platform: &dyn Platform,
    pkid: &str,
    fields: &Secret,
    token_response: Option<&Secret>,
) -> Result<ConnectionReport, Failure> {
    let before = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let owner = before.reference();
    let hierarchy = before.hierarchy.as_str();
    let mut errors = FieldErrors::default();
    let input = Input::parse(fields.expose(), &before.body.fields, &mut errors);
    let has_token_response = token_response.is_some();
    let mut accepted = validate(
        input,
        Some(&before),
        hierarchy,
        has_token_response,
        &mut errors,
    );
    let response = pasted_tokens::read_tokens(&accepted, token_response, &mut errors);
    crate::proxies::check_proxies(platform, &accepted, &mut errors)?;
    uniqueness::find_duplicates(platform, hierarchy, &accepted, Some(&owner), &mut errors)?;
    errors.into_result()?;

    let mut confirmed = None;
    if let Some(response) = response {
        let stored = StoredTokens::reveal(&before, Grant::Organization, platform)?;
        let inquiry = pasted_tokens::TokenChecker {
            platform,
            settings: &settings,
            proxies: &load_proxies(platform, &before, &accepted)?,
            before: Some((&before, &stored)),
        };
        let tokens = inquiry.confirm(response, &mut accepted)?;
        // Webex may have just filled in the organization.
        check_duplicates(platform, hierarchy, &accepted, &owner)
            .map_err(|failure| tokens.explain(failure))?;
        confirmed = Some((tokens, stored));
    }

    let mut record = before.clone();
    record.body.fields = accepted.fields.clone();
    record.note_interruption(platform);
    let mut changes: Vec<Change> = accepted
        .sealed
        .iter()
        .map(|(name, value)| put_or_remove_secret(&owner, name, value.as_ref()))
        .collect();
    changes.extend(owned_documents::sync_names(&mut record, platform)?);
    if let Some((confirmed, stored)) = &confirmed {
        let now = platform.now();
        let mut token_update = confirmed.apply(platform, &settings, &mut record, stored, now)?;
        changes.append(&mut token_update.changes);
        let alerts = ActiveAlerts::load(platform, &record)?;
        changes.extend(alerts.update_after_tokens(platform, &record, Grant::Organization, now)?);
        changes.extend(owned_documents::reschedule_grant(
            platform,
            &record,
            Grant::Organization,
            &token_update,
        )?);
        changes.extend(schedule_for_pasted(&record, now));
    }
    if !accepted.sealed.is_empty() {
        changes.extend(hasten_retries(platform, &mut record)?);
    }
    if changes.is_empty() && record == before {
        platform.log(Level::Info, "nothing was different; nothing is changed");
        return Ok(ConnectionReport::from_record(&record));
    }

    changes.insert(0, Change::Put(record.to_document()?));
    let mut checks = vec![before.version_check()];
    checks.extend(uniqueness::uniqueness_checks(
        hierarchy,
        &accepted,
        Some(&owner),
    ));
    let on_unavailable = confirmed
        .as_ref()
        .map_or(OnUnavailable::Fail, |(confirmed, _)| {
            confirmed.on_unavailable()
        });
    match platform.commit_with(checks, changes, on_unavailable) {
        Ok(()) => Ok(ConnectionReport::from_record(&record)),
        Err(Failure::Conflict(text)) => {
            let failure = check_duplicates(platform, hierarchy, &accepted, &owner)
                .err()
                .unwrap_or(Failure::Conflict(text));
            Err(match &confirmed {
                Some((confirmed, _)) => confirmed.explain(failure),
                None => failure,
            })
        }
        Err(failure) => Err(failure),
    }
}

fn check_duplicates(
    platform: &dyn Platform,
    hierarchy: &str,
    accepted: &ValidatedInput,
    owner: &Reference,
) -> Result<(), Failure> {
    let mut errors = FieldErrors::default();
    uniqueness::find_duplicates(platform, hierarchy, accepted, Some(owner), &mut errors)?;
    errors.into_result()
}

/// Makes refreshes due now after a change of the proxies, if they are retried because Webex was not reached.
fn hasten_retries(platform: &dyn Platform, record: &mut Record) -> Result<Vec<Change>, Failure> {
    let due = platform.now() + MIN_DELAY;
    let mut changes = Vec::new();
    for grant in record.grants() {
        let connection = record.grant_state_mut(*grant);
        let waits = connection
            .retry
            .as_ref()
            .is_some_and(|retry| retry.before_webex)
            && connection.next_refresh.is_none_or(|next| next > due);
        if !waits {
            continue;
        }
        connection.next_refresh = Some(due);
        let refresh = connection.refresh;
        changes.push(tokens::refresh_wakeup(
            &record.reference(),
            *grant,
            due,
            refresh,
        ));
        changes.extend(owned_documents::reschedule(
            platform,
            record,
            grant.refresh_schedule(),
            None,
            Some(due),
        )?);
        let text = format!(
            "the refresh of {} is tried again now, because a proxy was changed",
            record.display_name(*grant)
        );
        platform.log(Level::Info, &text);
    }
    Ok(changes)
}

fn put_or_remove_secret(owner: &Reference, name: &str, value: Option<&Secret>) -> Change {
    match value {
        Some(value) => Change::PutSecret {
            owner: owner.clone(),
            name: name.to_owned(),
            value: value.clone(),
        },
        None => Change::RemoveSecret(owner.clone(), name.to_owned()),
    }
}

// Returns the proxies after the change: the given ones, and the stored ones that are kept.
fn load_proxies(
    platform: &dyn Platform,
    before: &Record,
    accepted: &ValidatedInput,
) -> Result<Proxies, Failure> {
    let mut proxies = Proxies::reveal(before, platform)?;
    for (name, value) in &accepted.sealed {
        match *name {
            secret::HTTP_PROXY => proxies.http.clone_from(value),
            secret::HTTPS_PROXY => proxies.https.clone_from(value),
            _ => {}
        }
    }
    Ok(proxies)
}

#[cfg(test)]
#[path = "modify_tests.rs"]
mod tests;
