//! Proxy strings: `http(s)://[user:password@]host:port/`.

use std::fmt;

use url::{Host, Url};

use crate::platform::Secret;

/// A proxy as given by an administrator. Its display omits the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: &'static str,
    // Percent-encoded, as given.
    user: Option<String>,
    password: Option<Secret>,
    host: Host,
    port: u16,
}

/// The reason why a text is not a proxy string. No error repeats the text, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The scheme is not `http` or `https`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// A character that is never allowed in a URL.
    #[error("must not contain spaces, backslashes or control characters")]
    Character,
    /// User or password is not percent-encoded.
    #[error(
        "user and password must have their special characters percent-encoded, such as %40 for @, \
         and no control characters"
    )]
    Encoding,
    /// The user contains a colon, which ends the user in HTTP's Basic scheme (RFC 7617, section 2).
    #[error("the user must not contain a colon, encoded or not")]
    UserColon,
    /// A user without a password.
    #[error("must have user and password, as user:password@, or neither")]
    PasswordMissing,
    /// A password without a user.
    #[error("must have a user before the password")]
    UserMissing,
    /// The host is missing or invalid.
    #[error("must have a host name or address that is valid")]
    Host,
    /// The port is missing or invalid.
    #[error("must have a port between 1 and 65535 after the host")]
    Port,
    /// Text after the port.
    #[error("must end after the port, with or without a /")]
    TrailingText,
}

impl Proxy {
    /// Parses a proxy string. The parser is stricter than a URL parser: browsers quietly repair a URL,
    /// but a repaired password is a different password.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.split_once("://").ok_or(ProxyError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err(ProxyError::Scheme),
        };
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(ProxyError::Character);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if !matches!(tail, "" | "/") {
            // A raw `/`, `?` or `#` in a password looks like the end of the authority.
            let inside_password = tail.contains('@');
            return Err(if inside_password {
                ProxyError::Encoding
            } else {
                ProxyError::TrailingText
            });
        }
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (user, password) = match credentials {
            None => (None, None),
            Some(credentials) => {
                let (user, password) = credentials
                    .split_once(':')
                    .ok_or(ProxyError::PasswordMissing)?;
                let clear = percent_decode(user)?;
                percent_decode(password)?;
                if clear.is_empty() {
                    return Err(ProxyError::UserMissing);
                }
                if clear.contains(&b':') {
                    return Err(ProxyError::UserColon);
                }
                (Some(user.to_owned()), Some(Secret::new(password)))
            }
        };
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => return Err(ProxyError::Port),
        };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port.parse::<u16>() {
            Ok(port) if digits && port > 0 => port,
            _ => return Err(ProxyError::Port),
        };
        Ok(Self {
            scheme,
            user,
            password,
            host: parse_host(host)?,
            port,
        })
    }

    /// Returns the normalized string with its password, for `egress.use-proxies`.
    pub fn to_secret(&self) -> Secret {
        let credentials = match (&self.user, &self.password) {
            (Some(user), Some(password)) => format!("{user}:{}@", password.expose()),
            _ => String::new(),
        };
        let Self {
            scheme, host, port, ..
        } = self;
        Secret::new(format!("{scheme}://{credentials}{host}:{port}/"))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}:{}/", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

// Parses only the host with the URL parser, which handles IDNA, IPv4 and IPv6.
fn parse_host(host: &str) -> Result<Host, ProxyError> {
    if host.contains('@') {
        return Err(ProxyError::Host);
    }
    let url = Url::parse(&format!("http://{host}/")).map_err(|_| ProxyError::Host)?;
    match (url.host(), url.port()) {
        (Some(host), None) => Ok(host.to_owned()),
        _ => Err(ProxyError::Host),
    }
}

// Decodes the characters of `userinfo` (RFC 3986, section 3.2.1).
fn percent_decode(text: &str) -> Result<Vec<u8>, ProxyError> {
    let mut clear = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let value = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
                    _ => None,
                }
            }
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' => Some(byte),
            _ if byte.is_ascii_alphanumeric() => Some(byte),
            _ => None,
        };
        match value {
            Some(value) if !value.is_ascii_control() => clear.push(value),
            _ => return Err(ProxyError::Encoding),
        }
    }
    Ok(clear)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn display_of_proxy_omits_the_password() {
        let proxy = Proxy::parse("http://bob:p%40ss%3Aword@proxy.example.com:3128/").unwrap();
        assert_eq!(proxy.to_string(), "http://bob@proxy.example.com:3128/");
        assert_eq!(
            proxy.to_secret().expose(),
            "http://bob:p%40ss%3Aword@proxy.example.com:3128/"
        );
        assert_eq!(
            format!("{proxy:?}"),
            "Proxy(http://bob@proxy.example.com:3128/)"
        );
    }

    #[test]
    fn proxy_spellings_are_normalized() {
        for text in [
            "HTTPS://Proxy.Example.com:443",
            "https://proxy.example.com:443/",
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.to_secret().expose(), "https://proxy.example.com:443/");
        }
    }

    #[test]
    fn proxy_host_may_be_an_ip_address() {
        for text in ["http://10.0.0.1:8080/", "http://[2001:db8::1]:8080/"] {
            assert_eq!(Proxy::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_proxy_defect_has_its_own_error() {
        for (text, error) in [
            ("", ProxyError::Scheme),
            ("proxy:3128", ProxyError::Scheme),
            ("socks5://proxy:1080/", ProxyError::Scheme),
            ("http://proxy/", ProxyError::Port),
            ("http://[2001:db8::1]/", ProxyError::Port),
            ("http://proxy:/", ProxyError::Port),
            ("http://proxy:0/", ProxyError::Port),
            ("http://proxy:65536/", ProxyError::Port),
            ("http://proxy:+80/", ProxyError::Port),
            ("http://:3128/", ProxyError::Host),
            ("http://a b:3128/", ProxyError::Character),
            ("http://proxy:3128\\x/", ProxyError::Character),
            ("http://proxy:3128/path", ProxyError::TrailingText),
            ("http://proxy:3128/?", ProxyError::TrailingText),
            ("http://proxy:3128#", ProxyError::TrailingText),
            ("http://bob@proxy:3128/", ProxyError::PasswordMissing),
            ("http://:pw@proxy:3128/", ProxyError::UserMissing),
            ("http://b%3Ab:pw@proxy:3128/", ProxyError::UserColon),
            ("http://bob:p@ss@proxy:3128/", ProxyError::Encoding),
            ("http://bob:p/ss@proxy:3128/", ProxyError::Encoding),
            ("http://bob:p%4ss@proxy:3128/", ProxyError::Encoding),
            ("http://bob:p%0Ass@proxy:3128/", ProxyError::Encoding),
            ("http://bob:pässword@proxy:3128/", ProxyError::Encoding),
        ] {
            assert_eq!(Proxy::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn proxy_round_trips_through_its_text(
            user in "[a-z0-9._~-]{1,12}",
            password in "([A-Za-z0-9._~!$&'()*+,;=:-]|%[2-7][0-9A-E]){0,24}",
            host in "[a-z]{1,10}(\\.[a-z]{2,6}){0,2}",
            port in 1u16..,
            secure: bool,
        ) {
            let scheme = if secure { "https" } else { "http" };
            let text = format!("{scheme}://{user}:{password}@{host}:{port}/");
            let proxy = Proxy::parse(&text).unwrap();
            let whole = proxy.to_secret();
            prop_assert_eq!(whole.expose(), &text);
            prop_assert_eq!(Proxy::parse(whole.expose()), Ok(proxy));
        }

        #[test]
        fn the_password_is_never_shown(password in "[A-Z]{9,20}") {
            let text = format!("http://bob:{password}@proxy:3128/");
            let proxy = Proxy::parse(&text).unwrap();
            let shown = format!("{proxy} {proxy:?}");
            prop_assert!(!shown.contains(&password));
        }

        #[test]
        fn parse_never_panics(text: String) {
            let _ = Proxy::parse(&text);
            let _ = Proxy::parse(&format!("http://{text}"));
            let _ = Proxy::parse(&format!("http://a:b@{text}:1/"));
        }
    }
}
