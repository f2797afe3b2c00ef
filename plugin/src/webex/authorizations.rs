//! Requests to Webex about tokens: their expiry, the authorizations of a person, and their revocation.

use chrono::DateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use crate::platform::{Secret, UnixMillis};

/// The scope required for requesting a token's expiry.
pub const TOKENS_READ: &str = "identity:tokens_read";
/// The characters that are percent-encoded in an id in a path.
const OUTSIDE_IDS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
const AUTHORIZATIONS: &str = "/authorizations";
const TOKEN_EXPIRY: &str = "/authorizations/tokenExpiry";

/// Requests the expiry of the access token `token`.
///
/// # Errors
/// Any response that does not name a time.
pub fn fetch_token_expiry(webex: &Webex<'_>, token: &Secret) -> Result<UnixMillis, WebexError> {
    let response = webex.get_json(TOKEN_EXPIRY, token)?;
    // In milliseconds, unlike the rest of the API.
    let expiry = response.get("exp").and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    expiry.map(UnixMillis).ok_or_else(|| {
        let reason = "the response names no time".to_owned();
        WebexError::new(
            ErrorKind::Unavailable,
            "asking for the token's expiry",
            Some(reason),
        )
    })
}

/// An authorization that a person gave to the integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The id by which it is revoked.
    pub id: String,
    /// The time at which the person gave it.
    pub created: Option<UnixMillis>,
}

/// Lists the refresh tokens that the person of `token` has authorized for `client_id`. The token needs
/// the scope [`TOKENS_READ`].
///
/// # Errors
/// Any response that is not the person, or not the list.
pub fn list_authorizations(
    webex: &Webex<'_>,
    client_id: &str,
    token: &Secret,
) -> Result<Vec<Authorization>, WebexError> {
    let unusable = |request: &str, reason: &str| {
        WebexError::new(ErrorKind::Unavailable, request, Some(reason.to_owned()))
    };
    let person = webex.get_json("/people/me", token)?;
    let person = person.get("id").and_then(Value::as_str);
    let person =
        person.ok_or_else(|| unusable("asking for the person of the token", "it has no id"))?;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("personId", person)
        .finish();
    let list = webex.get_json(&format!("{AUTHORIZATIONS}?{query}"), token)?;
    let items = list.get("items").and_then(Value::as_array);
    let items = items.ok_or_else(|| {
        unusable(
            "asking for the authorizations",
            "the response is not a list",
        )
    })?;
    let text = |item: &Value, name: &str| item.get(name)?.as_str().map(str::to_owned);
    let matching = items.iter().filter(|item| {
        let kind = text(item, "type").unwrap_or_default();
        text(item, "clientId").as_deref() == Some(client_id) && kind.eq_ignore_ascii_case("refresh")
    });
    Ok(matching
        .filter_map(|item| {
            Some(Authorization {
                id: text(item, "id")?,
                created: text(item, "created").and_then(|created| parse_time(&created)),
            })
        })
        .collect())
}

/// Revokes the authorization `id` with its tokens. An absent one counts as revoked.
///
/// # Errors
/// Any response other than success.
pub fn revoke_authorization(webex: &Webex<'_>, id: &str, token: &Secret) -> Result<(), WebexError> {
    let id = utf8_percent_encode(id, OUTSIDE_IDS);
    match webex.delete(&format!("{AUTHORIZATIONS}/{id}"), token) {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn parse_time(text: &str) -> Option<UnixMillis> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(time.timestamp_millis()).ok().map(UnixMillis)
}
