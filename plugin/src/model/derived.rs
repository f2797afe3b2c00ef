//! Fields that the plugin derives from the state of the connection.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use crate::platform::UnixMillis;
use crate::record::{GrantState, RecordBody, Retry, State};

/// The access token's expiry, RFC 3339 UTC.
pub const ACCESS_TOKEN_EXPIRES: &str = "access_token_expires";
/// The refresh token's expiry, RFC 3339 UTC.
pub const REFRESH_TOKEN_EXPIRES: &str = "refresh_token_expires";
/// Advice for the administrator; absent when no action is needed.
pub const NOTES: &str = "notes";

/// Writes the derived fields of `body` into `fields`, and removes those without a value.
pub fn write(fields: &mut Map<String, Value>, body: &RecordBody) {
    let connection = &body.connection;
    let notes = notes(body);
    let derived = [
        (
            ACCESS_TOKEN_EXPIRES,
            connection.access.map(|expiry| format_timestamp(expiry.at)),
        ),
        (
            REFRESH_TOKEN_EXPIRES,
            connection.refresh.map(|expiry| format_timestamp(expiry.at)),
        ),
        (NOTES, (!notes.is_empty()).then_some(notes)),
    ];
    for (name, value) in derived {
        match value {
            Some(text) => {
                fields.insert(name.to_owned(), Value::String(text));
            }
            None => {
                fields.remove(name);
            }
        }
    }
}

/// Formats `at` as RFC 3339 in UTC, to the second. A time beyond the calendar becomes its last one.
pub fn format_timestamp(at: UnixMillis) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<chrono::Utc>::MAX_UTC)
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Parses what [`format_timestamp`] has formatted.
pub fn parse_timestamp(text: &str) -> Option<UnixMillis> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(time.timestamp_millis()).ok().map(UnixMillis)
}

/// Joins the notes of all grants. Each note but the organization's begins with its grant's name.
/// The result is empty when no action is needed.
pub fn notes(body: &RecordBody) -> String {
    let organization = note(&body.connection);
    let further = body
        .further_grants
        .iter()
        .map(|(grant, connection)| (grant, note(connection)))
        .filter(|(_, note)| !note.is_empty())
        .map(|(grant, note)| format!("{grant}: {note}"));
    let organization = Some(organization).filter(|note| !note.is_empty());
    organization
        .into_iter()
        .chain(further)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Returns the note for one grant; empty when no action is needed.
pub fn note(connection: &GrantState) -> String {
    let note = describe_state(connection);
    match connection.missing_scopes.join(" ") {
        missing if missing.is_empty() => note,
        missing if note.is_empty() => format!("missing scopes: {missing}"),
        missing => format!("{note}; missing scopes: {missing}"),
    }
}

fn describe_state(connection: &GrantState) -> String {
    let refusal = || format_reason(connection.refusal.as_ref());
    match connection.state {
        State::NotConnected => "not connected to Webex yet: connect this customer".to_owned(),
        State::Connected => String::new(),
        State::Expiring => "the refresh token expires soon: connect this customer again".to_owned(),
        State::Expired => format!(
            "the refresh token has expired: connect this customer again{}",
            refusal()
        ),
        State::Reauthorize => format!(
            "Webex refused the refresh token: connect this customer again{}",
            refusal()
        ),
        State::MissingScope => {
            "scopes that are needed were not granted: connect this customer again".to_owned()
        }
        State::Retrying => {
            let retry = connection.retry.as_ref();
            let outlook = match retry.is_some_and(|retry| retry.needs_change) {
                true => "and further attempts fail until the cause is corrected",
                false => "and will be tried again",
            };
            format!("the last refresh failed {outlook}{}", format_reason(retry))
        }
    }
}

fn format_reason(failure: Option<&Retry>) -> String {
    match failure {
        None => String::new(),
        Some(failure) => match &failure.tracking_id {
            Some(tracking_id) => format!(" ({}; tracking id {tracking_id})", failure.reason),
            None => format!(" ({})", failure.reason),
        },
    }
}
