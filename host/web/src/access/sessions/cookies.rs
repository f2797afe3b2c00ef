//! The cookie of a session.

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::access::AccessParts;

/// Returns the name of the cookie. The prefix of browsers binds a cookie to this host name and to HTTPS. All ports of a
/// host name share their cookies, so that a demo has a name of its own.
pub(super) fn cookie_name(parts: &AccessParts) -> &'static str {
    match parts.options().public_url.scheme() {
        "https" => "__Host-relation",
        _ if parts.options().demo.is_some() => "relation-demo",
        _ => "relation",
    }
}

/// Reads the id of the session from the cookies of a request.
pub fn read_cookie(parts: &AccessParts, headers: &HeaderMap) -> Option<SecretString> {
    let name = cookie_name(parts);
    let headers = headers.get_all(header::COOKIE).iter();
    let mut cookies = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='));
    let value = cookies.find_map(|(key, value)| (key == name).then_some(value))?;
    Some(SecretString::from(value))
}

/// Returns the `Set-Cookie` header that removes the cookie.
pub fn clear_cookie(parts: &AccessParts) -> HeaderValue {
    to_header(parts, "", 0)
}

/// Returns the `Set-Cookie` header of a session.
pub(super) fn set_cookie(parts: &AccessParts, token: &SecretString) -> HeaderValue {
    let seconds = parts.options().session_lifetime.as_secs();
    let mut header = to_header(parts, token.expose_secret(), seconds);
    header.set_sensitive(true);
    header
}

fn to_header(parts: &AccessParts, value: &str, max_age: u64) -> HeaderValue {
    let name = cookie_name(parts);
    let secure = match name.starts_with("__Host-") {
        true => "; Secure",
        false => "",
    };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    // The value is hexadecimal, so that the header is always valid.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
