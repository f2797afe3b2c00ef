//! The redirect URL to which Webex sent the browser, with the parameters of the authorization
//! response.

use url::Url;

use crate::platform::Secret;
use crate::text::trim_text;
use crate::webex::redactor::Redactor;

/// The maximum length of a callback in bytes.
const MAX_CALLBACK_BYTES: usize = 16 * 1024;

/// A parsed callback. Its code is a secret; its state is a secret until it has been used.
#[derive(Clone, Debug)]
pub struct Callback {
    address: Url,
    state: Option<Secret>,
    code: Option<Secret>,
    error: Option<AuthorizationError>,
}

/// Webex's authorization error response, sent instead of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationError {
    /// OAuth's error code (RFC 6749, section 4.1.2.1), such as `access_denied`.
    pub error: String,
    /// Webex's explanation for people.
    pub description: Option<String>,
}

impl AuthorizationError {
    /// Returns code and description as one text.
    pub fn message(&self) -> String {
        match &self.description {
            Some(description) => format!("{}: {}", self.error, description.trim_end_matches('.')),
            None => self.error.clone(),
        }
    }
}

impl Callback {
    /// Parses a URL that a person may have copied.
    ///
    /// # Errors
    /// The reason, without the URL, because the URL contains a code.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_CALLBACK_BYTES {
            return Err("is longer than any callback");
        }
        let address = Url::parse(trim_text(text)).map_err(
            |_| "is not an absolute address: give the complete address that the browser shows",
        )?;
        let read_parameter = |name: &str| {
            let mut values = address.query_pairs().filter(|(each, _)| each == name);
            match (values.next(), values.next()) {
                // RFC 6749, section 3.1: a parameter occurs at most once.
                (Some(_), Some(_)) => Err("has a repeated parameter"),
                (Some((_, value)), None) if !value.is_empty() => Ok(Some(value.into_owned())),
                _ => Ok(None),
            }
        };
        let code = read_parameter("code")?.map(Secret::new);
        let state = read_parameter("state")?.map(Secret::new);
        let mut redactor = Redactor::default();
        for secret in [&code, &state].into_iter().flatten() {
            redactor.add_secret(secret);
        }
        let description =
            read_parameter("error_description")?.and_then(|text| redactor.redact(&text));
        let error = read_parameter("error")?.map(|error| AuthorizationError {
            error: redactor.redact_name(&error).unwrap_or_default(),
            description,
        });
        Ok(Self {
            address,
            state,
            code,
            error,
        })
    }

    /// Returns the `state` parameter.
    pub fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }

    /// Returns the `code` parameter.
    pub fn code(&self) -> Option<&Secret> {
        self.code.as_ref()
    }

    /// Returns the error that Webex sent instead of a code.
    pub fn error(&self) -> Option<&AuthorizationError> {
        self.error.as_ref()
    }

    /// Returns whether the browser was sent to `redirect_uri`: scheme, host, port and path are equal, and
    /// the query begins with the query of the redirect URI.
    pub fn matches_redirect(&self, redirect_uri: &str) -> bool {
        let Ok(redirect) = Url::parse(redirect_uri) else {
            return false;
        };
        let endpoint = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
                url.path().to_owned(),
            )
        };
        let query = self.address.query().unwrap_or_default();
        let begins = match redirect.query() {
            None | Some("") => true,
            Some(own) => query
                .strip_prefix(own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('&')),
        };
        begins && endpoint(&self.address) == endpoint(&redirect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Callback {
        Callback::parse(text).unwrap()
    }

    #[test]
    fn callback_is_parsed_and_secrets_are_redacted() {
        let callback = read(" http://127.0.0.1:8085/cb?code=SECRET&state=a.b%2Bc ");
        assert_eq!(callback.code().map(Secret::expose), Some("SECRET"));
        assert_eq!(callback.state().map(Secret::expose), Some("a.b+c"));
        assert_eq!(callback.error(), None);

        let refused = read(
            "http://127.0.0.1:8085/cb?error=access_denied&state=STATE&\
             error_description=no%0d%0a%1b%5b31m+STATE+thanks.",
        );
        let message = refused.error().unwrap().message();
        assert_eq!(message, "access_denied: no  [31m *** thanks");
    }

    #[test]
    fn invalid_callback_is_refused_without_its_text() {
        for text in ["", "?code=SECRET", "/cb?code=SECRET", "code=SECRET"] {
            let error = Callback::parse(text).unwrap_err();
            assert!(!error.contains("SECRET"), "{error}");
        }
        assert!(Callback::parse("http://localhost/?state=a&state=b").is_err());
        assert!(
            Callback::parse(&format!(
                "http://localhost/?code={}",
                "x".repeat(MAX_CALLBACK_BYTES)
            ))
            .is_err()
        );
    }

    #[test]
    fn callback_matches_only_its_redirect_address() {
        let redirect = "http://127.0.0.1:8085/cb?tenant=1";
        for (address, matches) in [
            ("http://127.0.0.1:8085/cb?tenant=1&code=x", true),
            ("HTTP://127.0.0.1:8085/cb?tenant=1&code=x#_", true),
            ("http://127.0.0.1:8085/cb?tenant=12&code=x", false),
            ("http://127.0.0.1:8085/cb?code=x&tenant=1", false),
            ("http://127.0.0.1:8085/cb/?tenant=1&code=x", false),
            ("http://127.0.0.1:8086/cb?tenant=1&code=x", false),
            ("https://127.0.0.1:8085/cb?tenant=1&code=x", false),
            ("http://localhost:8085/cb?tenant=1&code=x", false),
        ] {
            assert_eq!(
                read(address).matches_redirect(redirect),
                matches,
                "{address}"
            );
        }
        assert!(read("https://h.example/cb?code=x").matches_redirect("https://h.example:443/cb"));
    }
}
