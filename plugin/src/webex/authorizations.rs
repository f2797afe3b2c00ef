//! Requests to Webex about the access token itself.

use serde_json::Value;

use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use crate::platform::{Platform, Secret, Timestamp};

/// The scope that it takes to ask for a token's expiry.
pub const TOKENS_READ: &str = "identity:tokens_read";
const TOKEN_EXPIRY: &str = "/authorizations/tokenExpiry";

/// Asks Webex when `token`, an access token, expires.
///
/// # Errors
/// Anything but an answer that names a moment.
pub fn token_expiry<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    token: &Secret,
) -> Result<Timestamp, WebexError> {
    let answer = webex.get_json(TOKEN_EXPIRY, token)?;
    // In milliseconds, unlike the rest of the API.
    let expiry = answer.get("exp").and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    expiry.ok_or_else(|| {
        let what = "the answer names no moment".to_owned();
        WebexError::new(
            ErrorKind::Unavailable,
            "asking for the token's expiry",
            Some(what),
        )
    })
}
