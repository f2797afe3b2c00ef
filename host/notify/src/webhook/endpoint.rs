//! The address of a receiver, and its checks.

use std::fmt;

use http::Uri;
use percent_encoding::percent_decode_str;
use relation_egress::{Denial, Policy};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

/// The maximum length of an address, in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// The length from which a part of an address may be a token, in bytes.
const MIN_TOKEN_BYTES: usize = 12;

/// The options of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Whether the address may have the scheme `http`.
    pub allow_http: bool,
}

/// An error in an address. The texts never quote the address, since its path may have a token of the receiver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The address is too long.
    #[error("the address has {0} bytes; it may have at most {MAX_URL_BYTES}")]
    Length(usize),
    /// The address has characters that it cannot have.
    #[error("the address has white space, a control character or a backslash; percent-encode it")]
    Characters,
    /// The address is not absolute, or has another scheme.
    #[error("the address must begin with https://")]
    Scheme,
    /// The address has the scheme `http`, which is not permitted.
    #[error(
        "the address begins with http://; use https; the operator can permit http by an entry of `notices.webhook-origins`"
    )]
    Http,
    /// The address has a user name or password.
    #[error("the address has a user name or password; leave them out, messages are signed instead")]
    UserInfo,
    /// The address has a fragment.
    #[error("the address has a fragment (`#…`), which is never sent; leave it out")]
    Fragment,
    /// The host or the port is invalid.
    #[error("the address has no valid host name and port")]
    Host,
    /// The operator's policy does not permit the address.
    #[error(transparent)]
    Denied(Denial),
}

/// The address of a receiver that has passed the checks.
#[derive(Clone)]
pub struct EndpointUrl {
    /// The address in its normal form. Its path and query may have a token of the receiver.
    url: SecretString,
    /// The scheme, host and port.
    origin: String,
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.origin)
    }
}

impl EndpointUrl {
    /// Parses an address and checks it, as far as that is possible before its name is resolved.
    ///
    /// # Errors
    /// All errors of the address.
    pub fn parse(
        text: &SecretString,
        options: EndpointOptions,
        policy: &Policy,
    ) -> Result<Self, Vec<EndpointError>> {
        let text = text.expose_secret();
        let mut errors = Vec::new();
        if text.len() > MAX_URL_BYTES {
            errors.push(EndpointError::Length(text.len()));
        }
        let is_spelled_well =
            !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
        if !is_spelled_well {
            errors.push(EndpointError::Characters);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let is_http = scheme.eq_ignore_ascii_case("http");
        let has_scheme = is_http || scheme.eq_ignore_ascii_case("https");
        if !has_scheme {
            errors.push(EndpointError::Scheme);
        } else if is_http && !options.allow_http {
            errors.push(EndpointError::Http);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            errors.push(EndpointError::UserInfo);
        }
        if text.contains('#') {
            errors.push(EndpointError::Fragment);
        }
        let mut parsed = None;
        if has_scheme && is_spelled_well {
            match parse_target(text, authority, policy) {
                Ok(target) => parsed = Some(target),
                Err(error) => errors.push(error),
            }
        }
        match parsed {
            Some(parsed) if errors.is_empty() => Ok(parsed),
            _ => Err(errors),
        }
    }

    /// Returns the scheme, host and port, which may be shown.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// Returns the parts of the address that a reply must not show: path and query, and the parts of them that may be
    /// tokens.
    pub(super) fn to_secrets(&self) -> Vec<Zeroizing<String>> {
        let Ok(url) = Url::parse(self.expose()) else {
            return Vec::new();
        };
        let mut secrets = Vec::new();
        let path_and_query = &url[url::Position::BeforePath..];
        if path_and_query.len() > 1 {
            secrets.push(path_and_query.to_owned());
            secrets.push(decode(path_and_query));
        }
        if url.path().len() > 1 {
            secrets.push(url.path().to_owned());
            secrets.push(decode(url.path()));
        }
        let segments = url.path().split('/');
        let query = url.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let values = pairs.flat_map(|(key, value)| [key.into_owned(), value.into_owned()]);
        let raw = query.split(['&', '=']).chain(segments);
        let tokens: Vec<String> = raw
            .flat_map(|part| [part.to_owned(), decode(part)])
            .chain(values)
            .filter(|part| part.len() >= MIN_TOKEN_BYTES)
            .collect();
        secrets.extend(tokens);
        secrets.into_iter().map(Zeroizing::new).collect()
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Parses an address without its user name and fragment, which have errors of their own, and checks it by the policy.
fn parse_target(
    text: &str,
    authority: &str,
    policy: &Policy,
) -> Result<EndpointUrl, EndpointError> {
    // The URL standard would take the first part of the path as the host.
    if authority.is_empty() {
        return Err(EndpointError::Host);
    }
    let mut url = Url::parse(text).map_err(|_| EndpointError::Host)?;
    url.set_fragment(None);
    let is_clean = url.set_username("").and_then(|()| url.set_password(None));
    is_clean.map_err(|()| EndpointError::Host)?;
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|_| EndpointError::Characters)?;
    let target = policy.check_target_as_written(&uri);
    let target = target.map_err(|denial| match denial {
        Denial::Target(_) => EndpointError::Host,
        denial => EndpointError::Denied(denial),
    })?;
    Ok(EndpointUrl {
        origin: target.origin().to_string(),
        url: SecretString::from(String::from(url)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let entries = ["https://hooks.example.com", "http://hooks.example.com"];
        Policy::parse_callbacks(&entries.map(str::to_owned)).unwrap()
    }

    fn parse(text: &str, allow_http: bool) -> Result<EndpointUrl, Vec<EndpointError>> {
        EndpointUrl::parse(&text.into(), EndpointOptions { allow_http }, &policy())
    }

    #[test]
    fn https_is_accepted_and_http_only_by_option() {
        let url = parse("HTTPS://Hooks.Example.COM:443/a?b=ü", false).unwrap();
        assert_eq!(url.expose(), "https://hooks.example.com/a?b=%C3%BC");
        assert_eq!(url.origin(), "https://hooks.example.com");
        let plain = "http://hooks.example.com/a";
        assert_eq!(parse(plain, false).unwrap_err(), [EndpointError::Http]);
        parse(plain, true).unwrap();
    }

    #[test]
    fn all_errors_are_reported_together() {
        let long = "x".repeat(MAX_URL_BYTES);
        let errors = parse(
            &format!("http://me:pw@elsewhere.example/{long}#part"),
            false,
        );
        let errors = errors.unwrap_err();
        assert!(matches!(errors[0], EndpointError::Length(_)), "{errors:?}");
        let simple = [
            EndpointError::Http,
            EndpointError::UserInfo,
            EndpointError::Fragment,
        ];
        assert_eq!(errors[1..4], simple);
        assert!(matches!(
            errors[4],
            EndpointError::Denied(Denial::Origin { .. })
        ));
        assert_eq!(errors.len(), 5);
        assert!(errors[4].to_string().contains("`web.callback-origins`"));
    }

    #[test]
    fn each_error_has_an_example() {
        for (text, expected) in [
            ("", EndpointError::Scheme),
            ("hooks.example.com/a", EndpointError::Scheme),
            ("ftp://hooks.example.com/", EndpointError::Scheme),
            ("https:hooks.example.com", EndpointError::Scheme),
            ("https:///hooks.example.com/", EndpointError::Host),
            ("https://hooks.example.com:0/", EndpointError::Host),
            ("https://hooks.example.com:99999/", EndpointError::Host),
            ("https://@hooks.example.com/", EndpointError::UserInfo),
            ("https://hooks.example.com/a#", EndpointError::Fragment),
            ("https://hooks.example.com/a b", EndpointError::Characters),
            ("https://hooks.example.com\\@b", EndpointError::Characters),
        ] {
            let errors = parse(text, false).unwrap_err();
            assert!(errors.contains(&expected), "{text}: {errors:?}");
        }
    }

    #[test]
    fn private_addresses_are_refused_as_written() {
        let entries = ["https://127.0.0.1", "https://localhost"];
        let listed = Policy::parse_callbacks(&entries.map(str::to_owned)).unwrap();
        let options = EndpointOptions::default();
        for text in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://localhost/",
        ] {
            EndpointUrl::parse(&text.into(), options, &listed).unwrap();
        }
        let names = ["https://localhost"].map(str::to_owned);
        let names = Policy::parse_callbacks(&names).unwrap();
        let errors = EndpointUrl::parse(&"https://localhost/".into(), options, &names);
        assert!(matches!(
            errors.unwrap_err().as_slice(),
            [EndpointError::Denied(Denial::Address { .. })]
        ));
        for text in ["https://10.0.0.1/", "https://[fe80::1]/"] {
            let errors = EndpointUrl::parse(&text.into(), options, &names);
            assert!(matches!(
                errors.unwrap_err().as_slice(),
                [EndpointError::Denied(_)]
            ));
        }
    }

    #[test]
    fn errors_and_debug_do_not_quote_the_address() {
        let url = parse("https://hooks.example.com/canary?t=canary", false).unwrap();
        assert!(!format!("{url:?}").contains("canary"));
        let wrong = "http://canary:canary@hooks.example.com/canary canary#canary";
        for error in parse(wrong, false).unwrap_err() {
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn tokens_of_the_address_are_secrets() {
        let text = "https://hooks.example.com/hooks/T0KEN%2DT0KEN-1?k=query%20token%21&s=ab";
        let secrets = parse(text, false).unwrap().to_secrets();
        for expected in ["T0KEN%2DT0KEN-1", "T0KEN-T0KEN-1", "query token!"] {
            let is_listed = secrets.iter().any(|secret| secret.as_str() == expected);
            assert!(is_listed, "{expected}: {secrets:?}");
        }
        let is_short = |secret: &Zeroizing<String>| matches!(secret.as_str(), "ab" | "hooks");
        assert!(!secrets.iter().any(is_short), "{secrets:?}");
        let bare = parse("https://hooks.example.com", false).unwrap();
        assert!(bare.to_secrets().is_empty());
    }
}
