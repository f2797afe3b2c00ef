//! Requests to Webex about the access token itself.

use serde_json::Value;

use super::client::Webex;
use super::errors::{ErrorKind, WebexError};
use crate::platform::{Platform, Secret, UnixMillis};

/// The scope required for requesting a token's expiry.
pub const TOKENS_READ: &str = "identity:tokens_read";
const TOKEN_EXPIRY: &str = "/authorizations/tokenExpiry";

/// Requests the expiry of the access token `token`.
///
/// # Errors
/// Any response that does not name a time.
pub fn fetch_token_expiry<P: Platform + ?Sized>(
    webex: &Webex<'_, P>,
    token: &Secret,
) -> Result<UnixMillis, WebexError> {
    let response = webex.get_json(TOKEN_EXPIRY, token)?;
    // In milliseconds, unlike the rest of the API.
    let expiry = response.get("exp").and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    expiry.map(UnixMillis).ok_or_else(|| {
        let what = "the response names no time".to_owned();
        WebexError::new(
            ErrorKind::Unavailable,
            "asking for the token's expiry",
            Some(what),
        )
    })
}
