//! A customer's proxy: where it is and who to be there.

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

/// A proxy: `http(s)://[user:password]@host:port/`, user and password percent-encoded.
///
/// Without a port it is the scheme's default port. Two are equal when place and credentials are. Neither
/// `Debug` nor `Display` shows the credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Arc<Inner>);

struct Inner {
    origin: Origin,
    /// The value of `Proxy-Authorization` (RFC 7617), which is the credentials in all but name.
    authorization: Option<SecretString>,
}

/// Why a text is no proxy URL. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// No `http://` or `https://` in front.
    #[error("a proxy must begin with http:// or https://")]
    Scheme,
    /// The host or port is missing or not valid, often because of a bare reserved character before it.
    #[error(
        "a proxy is written as http://user:password@host:port/, with special characters in user and \
         password percent-encoded (such as %40 for @ and %2F for /)"
    )]
    Form,
    /// A path, query or fragment, often because of a bare `/`, `?` or `#` in the password.
    #[error(
        "a proxy ends after host and port, but this has a path; if user or password contain /, ? or #, \
         percent-encode them (%2F, %3F, %23)"
    )]
    Path,
    /// RFC 7617 has no way to send it.
    #[error("the proxy's user name contains a colon, or user or password a control character")]
    Credentials,
}

impl ProxyUrl {
    /// Reads a proxy URL.
    ///
    /// # Errors
    /// A [`ProxyUrlError`] that says what is right and never quotes the text.
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
        let origin = Origin::of_url(&url).map_err(|_| ProxyUrlError::Form)?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default())?),
        };
        Ok(Self(Arc::new(Inner {
            origin,
            authorization,
        })))
    }

    /// Where the proxy is.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Whether there is a user name or password.
    pub fn has_credentials(&self) -> bool {
        self.0.authorization.is_some()
    }

    /// The value of `Proxy-Authorization`, marked sensitive.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.0.exposed()?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// RFC 7617 in UTF-8, from percent-encoded parts.
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
    /// Scheme, host and port.
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

/// The proxies of one call, chosen by the scheme of the target. None: directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` targets.
    pub http: Option<ProxyUrl>,
    /// For `https` targets.
    pub https: Option<ProxyUrl>,
}

impl Proxies {
    pub(super) fn toward(&self, scheme: Scheme) -> Option<&ProxyUrl> {
        match scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }
    }
}
