//! Whom a request is meant for: scheme, host and port, brought to one spelling.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;
use url::{Host, Url};

/// The two schemes that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP, port 80 unless said otherwise.
    Http,
    /// HTTP over TLS, port 443 unless said otherwise.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an address without one means.
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
/// Hosts are normalised as the WHATWG URL standard does, and further: one trailing dot is dropped and an
/// IPv4-mapped IPv6 address becomes the IPv4 address that a connection to it would reach.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

/// Why a text or URI names no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginProblem {
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
    #[error("it carries a user name or password")]
    UserInfo,
}

impl Origin {
    /// The origin of a request's absolute URI.
    ///
    /// # Errors
    /// An [`OriginProblem`] when the URI names none, or more than one reading of it is possible.
    pub fn of(uri: &Uri) -> Result<Self, OriginProblem> {
        let scheme = uri.scheme_str().and_then(Scheme::parse);
        let scheme = scheme.ok_or(OriginProblem::Scheme)?;
        let authority = uri.authority().ok_or(OriginProblem::Host)?;
        if authority.as_str().contains('@') {
            return Err(OriginProblem::UserInfo);
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => scheme.default_port(),
            Some(_) => written_port(authority).ok_or(OriginProblem::Port)?,
            None => return Err(OriginProblem::Host),
        };
        let host = Host::parse(authority.host()).map_err(|_| OriginProblem::Host)?;
        Self::new(scheme, host, port)
    }

    /// The origin of a URL that a person wrote; its path, query and user info are the caller's to judge.
    pub(super) fn of_url(url: &Url) -> Result<Self, OriginProblem> {
        let scheme = Scheme::parse(url.scheme()).ok_or(OriginProblem::Scheme)?;
        let host = url.host().ok_or(OriginProblem::Host)?.to_owned();
        Self::new(scheme, host, url.port().unwrap_or(scheme.default_port()))
    }

    fn new(scheme: Scheme, host: Host<String>, port: u16) -> Result<Self, OriginProblem> {
        if port == 0 {
            return Err(OriginProblem::Port);
        }
        let host = match host {
            Host::Domain(name) => Host::Domain(plain_name(name)?),
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => match address.to_ipv4_mapped() {
                Some(inner) => Host::Ipv4(inner),
                None => Host::Ipv6(address),
            },
        };
        Ok(Self { scheme, host, port })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a lower-case ASCII name without a trailing dot, or an address.
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// Whether the host is `localhost` or a name below it, which always means the machine itself
    /// (RFC 6761, section 6.3).
    pub(super) fn is_localhost(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        }
    }

    /// The port, given or implied.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, when the host is one rather than a name.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// `host:port` as a `Host` field or an absolute URI has it: without the scheme's default port.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            self.host_and_port()
        }
    }

    /// `host:port`, always with the port, as `CONNECT` wants it.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same scheme and port at an address: what to list in order to permit that address.
    pub(super) fn at(&self, address: IpAddr) -> Self {
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

/// The port as RFC 3986 has it: digits and nothing else, where a parser of numbers takes a sign too.
fn written_port(authority: &Authority) -> Option<u16> {
    let port = authority.port()?;
    let digits = port.as_str().bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.as_u16())
}

/// The name without its trailing dot, if it consists of labels that DNS and certificates know.
fn plain_name(mut name: String) -> Result<String, OriginProblem> {
    if name.ends_with('.') {
        name.pop();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |text: &str| (1..=63).contains(&text.len()) && text.bytes().all(plain);
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(OriginProblem::Host)
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
