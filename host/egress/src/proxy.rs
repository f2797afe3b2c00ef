//! A customer's proxy: its address and credentials.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::origin::{Origin, Scheme};

/// A proxy URL: `http(s)://[user:password]@host:port/`, user and password percent-encoded.
///
/// The port defaults to that of the scheme. Two URLs are equal if origin and credentials are.
/// `Debug` and `Display` do not show the credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Arc<Inner>);

struct Inner {
    origin: Origin,
    /// The value of `Proxy-Authorization` (RFC 7617), which contains the credentials.
    authorization: Option<SecretString>,
}

/// The reason why a text is not a proxy URL. The error never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// The text does not begin with `http://` or `https://`.
    #[error("a proxy must begin with http:// or https://")]
    Scheme,
    /// The host or port is missing or invalid, often because of an unescaped character before it.
    #[error(
        "a proxy is written as http://user:password@host:port/, with special characters in user and \
         password percent-encoded (such as %40 for @ and %2F for /)"
    )]
    Form,
    /// The text has a path, query or fragment, often because of an unescaped `/`, `?` or `#` in the
    /// password.
    #[error(
        "a proxy ends after host and port, but this has a path; if user or password contain /, ? or #, \
         percent-encode them (%2F, %3F, %23)"
    )]
    Path,
    /// The credentials cannot be sent by RFC 7617.
    #[error("the proxy's user name contains a colon, or user or password a control character")]
    Credentials,
}

impl ProxyUrl {
    /// Parses a proxy URL.
    ///
    /// # Errors
    /// A [`ProxyUrlError`], which never quotes the text.
    pub fn parse(text: &SecretString) -> Result<Self, ProxyUrlError> {
        let text = text.expose_secret();
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(ProxyUrlError::Form);
        }
        let (scheme, rest) = text.split_once("://").ok_or(ProxyUrlError::Scheme)?;
        if !["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
        {
            return Err(ProxyUrlError::Scheme);
        }
        if rest.starts_with('/') {
            return Err(ProxyUrlError::Form);
        }
        let url = Url::parse(text).map_err(|_| ProxyUrlError::Form)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyUrlError::Path);
        }
        let origin = Origin::from_url(&url).map_err(|_| ProxyUrlError::Form)?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default())?),
        };
        Ok(Self(Arc::new(Inner {
            origin,
            authorization,
        })))
    }

    /// Returns the proxy's address.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Returns whether the URL has a user name or password.
    pub fn has_credentials(&self) -> bool {
        self.0.authorization.is_some()
    }

    /// Returns the value of `Proxy-Authorization`, marked sensitive.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.0.exposed()?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Encodes percent-encoded credentials by RFC 7617 in UTF-8.
fn basic(user: &str, password: &str) -> Result<SecretString, ProxyUrlError> {
    let user: Vec<u8> = percent_decode_str(user).collect();
    let password: Vec<u8> = percent_decode_str(password).collect();
    let control = |byte: &u8| byte.is_ascii_control();
    if user.contains(&b':') || user.iter().chain(&password).any(control) {
        return Err(ProxyUrlError::Credentials);
    }
    let pair = [user.as_slice(), b":", password.as_slice()].concat();
    Ok(format!("Basic {}", STANDARD.encode(pair)).into())
}

impl Inner {
    fn exposed(&self) -> Option<&str> {
        self.authorization.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.exposed() == other.exposed()
    }
}

impl Eq for Inner {}

impl Hash for Inner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.origin.hash(state);
        self.exposed().hash(state);
    }
}

impl fmt::Display for ProxyUrl {
    /// Writes scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.origin, f)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyUrl")
            .field("origin", self.origin())
            .field("has_credentials", &self.has_credentials())
            .finish()
    }
}

/// The proxies of one call, by the scheme of the target. `None` connects directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` targets.
    pub http: Option<ProxyUrl>,
    /// For `https` targets.
    pub https: Option<ProxyUrl>,
}

impl Proxies {
    pub(super) fn for_scheme(&self, scheme: Scheme) -> Option<&ProxyUrl> {
        match scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }
    }
}
