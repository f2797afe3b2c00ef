//! The origin of a request: scheme, host and port in one spelling.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;
use url::{Host, Url};

/// The supported schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP; the default port is 80.
    Http,
    /// HTTP over TLS; the default port is 443.
    Https,
}

impl Scheme {
    /// Returns `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port of a URI without an explicit port.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A scheme, host and port in the one spelling that all checks and connections use.
///
/// Hosts are normalized as in the WHATWG URL standard. In addition, one trailing dot is dropped,
/// and an IPv4-mapped IPv6 address becomes its IPv4 address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

/// The reason why a text or URI does not name an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Neither `http` nor `https`.
    #[error("only http and https can be reached")]
    Scheme,
    /// No host, or one that is neither a name nor an address.
    #[error("it has no valid host name or address")]
    Host,
    /// The port is missing after its colon, zero, or too large.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// A user name or password in the address.
    #[error("it contains a user name or password")]
    UserInfo,
}

impl Origin {
    /// Returns the origin of a request's absolute URI.
    ///
    /// # Errors
    /// An [`OriginError`] if the URI does not name an origin, or is ambiguous.
    pub fn from_uri(uri: &Uri) -> Result<Self, OriginError> {
        let scheme = uri.scheme_str().and_then(Scheme::parse);
        let scheme = scheme.ok_or(OriginError::Scheme)?;
        let authority = uri.authority().ok_or(OriginError::Host)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::UserInfo);
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => scheme.default_port(),
            Some(_) => parse_port(authority).ok_or(OriginError::Port)?,
            None => return Err(OriginError::Host),
        };
        let host = Host::parse(authority.host()).map_err(|_| OriginError::Host)?;
        Self::new(scheme, host, port)
    }

    /// Returns the origin of a URL from configuration. The caller checks path, query and user info.
    pub(super) fn from_url(url: &Url) -> Result<Self, OriginError> {
        let scheme = Scheme::parse(url.scheme()).ok_or(OriginError::Scheme)?;
        let host = url.host().ok_or(OriginError::Host)?.to_owned();
        Self::new(scheme, host, url.port().unwrap_or(scheme.default_port()))
    }

    fn new(scheme: Scheme, host: Host<String>, port: u16) -> Result<Self, OriginError> {
        if port == 0 {
            return Err(OriginError::Port);
        }
        let host = match host {
            Host::Domain(name) => Host::Domain(normalize_name(name)?),
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => match address.to_ipv4_mapped() {
                Some(inner) => Host::Ipv4(inner),
                None => Host::Ipv6(address),
            },
        };
        Ok(Self { scheme, host, port })
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host: a lower-case ASCII name without a trailing dot, or an address.
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// Returns whether the host is `localhost` or a name below it, which always means the machine itself
    /// (RFC 6761, section 6.3).
    pub(super) fn is_localhost(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        }
    }

    /// Returns the port, explicit or default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address, if the host is an address.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Returns `host:port` for a `Host` field or an absolute URI: without the scheme's default port.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            self.host_and_port()
        }
    }

    /// Returns `host:port`, always with the port, for `CONNECT`.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the same scheme and port at an address: the entry that permits the address.
    pub(super) fn with_address(&self, address: IpAddr) -> Self {
        let host = match address {
            IpAddr::V4(address) => Host::Ipv4(address),
            IpAddr::V6(address) => Host::Ipv6(address),
        };
        Self {
            scheme: self.scheme,
            host,
            port: self.port,
        }
    }
}

/// Parses the port by RFC 3986: only digits. Number parsers accept a sign too.
fn parse_port(authority: &Authority) -> Option<u16> {
    let port = authority.port()?;
    let digits = port.as_str().bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.as_u16())
}

/// Removes one trailing dot and checks that the labels are valid in DNS and certificates.
fn normalize_name(mut name: String) -> Result<String, OriginError> {
    if name.ends_with('.') {
        name.pop();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |text: &str| (1..=63).contains(&text.len()) && text.bytes().all(plain);
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(OriginError::Host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port == self.scheme.default_port() {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
