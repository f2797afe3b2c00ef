//! The cookies of a session, and of the log-in and the log-out at a provider.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::access::AccessParts;

/// A cookie with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::access) enum Cookie {
    /// The id of a session.
    Session,
    /// The token of a log-in that continues at a provider.
    LogIn,
    /// The ID token of a provider, which only the log-out needs.
    IdToken,
}

impl Cookie {
    /// Returns the name. The prefix of browsers binds a cookie to this host name and to HTTPS.
    fn name(self, parts: &AccessParts) -> &'static str {
        match (self, parts.options().public_url.scheme()) {
            (Self::Session, "https") => "__Host-relation",
            // All ports of a host name share their cookies, so that a demo has a name of its own.
            (Self::Session, _) if parts.options().demo.is_some() => "relation-demo",
            (Self::Session, _) => "relation",
            (Self::LogIn, "https") => "__Host-relation-login",
            (Self::LogIn, _) => "relation-login",
            // The prefix __Host- is for the path / only.
            (Self::IdToken, "https") => "__Secure-relation-id-token",
            (Self::IdToken, _) => "relation-id-token",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Session | Self::LogIn => "/",
            Self::IdToken => "/logout",
        }
    }

    /// Reads the token from the cookies of a request.
    pub(in crate::access) fn read(
        self,
        parts: &AccessParts,
        headers: &HeaderMap,
    ) -> Option<SecretString> {
        let name = self.name(parts);
        let headers = headers.get_all(header::COOKIE).iter();
        let mut cookies = headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='));
        let value = cookies.find_map(|(key, value)| (key == name).then_some(value))?;
        Some(SecretString::from(value))
    }

    /// Returns the `Set-Cookie` header.
    pub(in crate::access) fn set(
        self,
        parts: &AccessParts,
        token: &SecretString,
        lifetime: Duration,
    ) -> HeaderValue {
        let mut header = self.to_header(parts, token.expose_secret(), lifetime.as_secs());
        header.set_sensitive(true);
        header
    }

    /// Returns the `Set-Cookie` header that removes the cookie.
    pub(in crate::access) fn clear(self, parts: &AccessParts) -> HeaderValue {
        self.to_header(parts, "", 0)
    }

    fn to_header(self, parts: &AccessParts, value: &str, max_age: u64) -> HeaderValue {
        let name = self.name(parts);
        let path = self.path();
        let secure = match name.starts_with("__") {
            true => "; Secure",
            false => "",
        };
        let text = format!(
            "{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}"
        );
        // The value is hexadecimal or a JSON web token, so that the header is always valid.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Reads the id of the session from the cookies of a request.
pub fn read_cookie(parts: &AccessParts, headers: &HeaderMap) -> Option<SecretString> {
    Cookie::Session.read(parts, headers)
}

/// Returns the `Set-Cookie` header that removes the cookie of a session.
pub fn clear_cookie(parts: &AccessParts) -> HeaderValue {
    Cookie::Session.clear(parts)
}

/// Returns the `Set-Cookie` header of a session.
pub(super) fn set_cookie(parts: &AccessParts, token: &SecretString) -> HeaderValue {
    Cookie::Session.set(parts, token, parts.options().session_lifetime)
}
