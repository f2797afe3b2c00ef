//! Changes the fields of a record and all that follows from them.

use crate::admission;
use crate::alerts;
use crate::grant::Grant;
use crate::model::{Accepted, Faults, Input, accept};
use crate::parts::{self, EXPIRY_SCHEDULE, REFRESH_SCHEDULE};
use crate::pasted;
use crate::platform::{Change, Failure, Level, OnUnavailable, Platform, Reference, Secret};
use crate::record::{Record, secret};
use crate::reports::Connection;
use crate::settings::Settings;
use crate::tokens::{self, Held};
use crate::webex::client::Proxies;

/// Changes the fields given and leaves the others; `null` or empty text clears one.
///
/// A rename renames the syncs and schedules that carry the name. New tokens, in the fields or as
/// the token endpoint's answer, are checked at Webex, replace the old ones, restart the schedule
/// and end the alerts about the old ones.
///
/// # Errors
/// `not-found`; `invalid` with all faults by field; `conflict`; `unavailable` and `rate-limited`
/// when storage or Webex could not be asked. Nothing was changed then.
pub fn modify<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    fields: &Secret,
    token_response: Option<&Secret>,
) -> Result<Connection, Failure> {
    let settings = Settings::load(platform)?;
    let before = Record::load(platform, pkid)?;
    let owner = before.reference();
    let hierarchy = before.hierarchy.as_str();
    let mut faults = Faults::default();
    let input = Input::read(fields.expose(), &before.body.fields, &mut faults);
    let answered = token_response.is_some();
    let mut accepted = accept(input, Some(&before), hierarchy, answered, &mut faults);
    let answer = pasted::read_tokens(&accepted, token_response, &mut faults);
    admission::check_proxies(platform, &accepted, &mut faults)?;
    admission::find_doubles(platform, hierarchy, &accepted, Some(&owner), &mut faults)?;
    faults.check()?;

    let mut confirmed = None;
    if let Some(answer) = answer {
        let held = Held::by(&before, Grant::Organization, platform)?;
        let inquiry = pasted::Inquiry {
            platform,
            settings: &settings,
            proxies: &proxies(platform, &before, &accepted)?,
            before: Some((&before, &held)),
        };
        let tokens = inquiry.confirm(answer, &mut accepted)?;
        // The organisation may have been filled in just now.
        check_doubles(platform, hierarchy, &accepted, &owner)
            .map_err(|failure| tokens.explain(failure))?;
        confirmed = Some((tokens, held));
    }

    let mut record = before.clone();
    record.body.fields = accepted.fields.clone();
    record.note_interruption(platform);
    let mut changes: Vec<Change> = accepted
        .sealed
        .iter()
        .map(|(name, value)| sealing(&owner, name, value.as_ref()))
        .collect();
    changes.extend(parts::follow(&mut record, platform)?);
    if let Some((confirmed, held)) = &confirmed {
        let now = platform.now();
        let taken = tokens::take(
            &mut record,
            Grant::Organization,
            tokens::Received {
                answer: &confirmed.answer,
                held,
                origin: confirmed.origin,
                issued: confirmed.issued,
            },
            now,
            &settings,
        )?;
        for warning in &taken.warnings {
            platform.log(Level::Warning, warning);
        }
        changes.extend(taken.changes);
        changes.extend(alerts::recovery(platform, &record, now)?);
        let next_runs = [
            (REFRESH_SCHEDULE, Some(taken.next_refresh)),
            (EXPIRY_SCHEDULE, taken.next_check),
        ];
        for (role, next) in next_runs {
            // Without a next run, the one that is set stands.
            if next.is_some() {
                changes.extend(parts::reschedule(platform, &record, role, None, next)?);
            }
        }
    }
    if changes.is_empty() && record == before {
        platform.log(Level::Info, "nothing was different; nothing is changed");
        return Ok(Connection::of(&record));
    }

    changes.insert(0, Change::Put(record.to_document()?));
    let mut checks = vec![before.unchanged()];
    checks.extend(admission::no_doubles(hierarchy, &accepted, Some(&owner)));
    let on_unavailable = confirmed
        .as_ref()
        .map_or(OnUnavailable::Fail, |(confirmed, _)| {
            confirmed.on_unavailable()
        });
    match platform.commit_with(checks, changes, on_unavailable) {
        Ok(()) => Ok(Connection::of(&record)),
        Err(Failure::Conflict(text)) => {
            let failure = check_doubles(platform, hierarchy, &accepted, &owner)
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

fn check_doubles<P: Platform + ?Sized>(
    platform: &P,
    hierarchy: &str,
    accepted: &Accepted,
    owner: &Reference,
) -> Result<(), Failure> {
    let mut faults = Faults::default();
    admission::find_doubles(platform, hierarchy, accepted, Some(owner), &mut faults)?;
    faults.check()
}

fn sealing(owner: &Reference, name: &str, value: Option<&Secret>) -> Change {
    match value {
        Some(value) => Change::PutSecret {
            owner: owner.clone(),
            name: name.to_owned(),
            value: value.clone(),
        },
        None => Change::RemoveSecret(owner.clone(), name.to_owned()),
    }
}

// The proxies as they will be: those given, and those kept.
fn proxies<P: Platform + ?Sized>(
    platform: &P,
    before: &Record,
    accepted: &Accepted,
) -> Result<Proxies, Failure> {
    let mut proxies = Proxies::of(before, platform)?;
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
