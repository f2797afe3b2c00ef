//! The address to which Webex sent the browser, and what it says.

use url::Url;

use crate::platform::Secret;
use crate::text::trim_text;
use crate::webex::scrub::Scrubber;

/// More than this no callback has, in bytes.
const LONGEST: usize = 16 * 1024;

/// A callback, read. Its code is a secret; so is its state until it was used.
#[derive(Clone, Debug)]
pub struct Callback {
    address: Url,
    state: Option<Secret>,
    code: Option<Secret>,
    error: Option<Refusal>,
}

/// What Webex says in place of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// OAuth's error code (RFC 6749, section 4.1.2.1), such as `access_denied`.
    pub error: String,
    /// Webex's words for people.
    pub description: Option<String>,
}

impl Refusal {
    /// Both, as one text.
    pub fn words(&self) -> String {
        match &self.description {
            Some(description) => format!("{}: {}", self.error, description.trim_end_matches('.')),
            None => self.error.clone(),
        }
    }
}

impl Callback {
    /// Reads an address that a person may have copied.
    ///
    /// # Errors
    /// What is wrong, without the address: it holds a code.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("is longer than any callback");
        }
        let address = Url::parse(trim_text(text))
            .map_err(|_| "is no absolute address: give the whole of what the browser shows")?;
        let one = |name: &str| {
            let mut values = address.query_pairs().filter(|(each, _)| each == name);
            match (values.next(), values.next()) {
                // RFC 6749, section 3.1: no parameter more than once.
                (Some(_), Some(_)) => Err("has a parameter twice"),
                (Some((_, value)), None) if !value.is_empty() => Ok(Some(value.into_owned())),
                _ => Ok(None),
            }
        };
        let code = one("code")?.map(Secret::new);
        let state = one("state")?.map(Secret::new);
        let mut scrubber = Scrubber::default();
        for secret in [&code, &state].into_iter().flatten() {
            scrubber.hide(secret);
        }
        let description = one("error_description")?.and_then(|text| scrubber.text(&text));
        let error = one("error")?.map(|error| Refusal {
            error: scrubber.name(&error).unwrap_or_default(),
            description,
        });
        Ok(Self {
            address,
            state,
            code,
            error,
        })
    }

    /// The state that it brings back.
    pub fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }

    /// The code that it brings.
    pub fn code(&self) -> Option<&Secret> {
        self.code.as_ref()
    }

    /// What Webex says in place of a code.
    pub fn error(&self) -> Option<&Refusal> {
        self.error.as_ref()
    }

    /// Whether it came to `redirect_uri`: scheme, host, port and path are the same, and the query
    /// begins with the one that the redirect address has.
    pub fn came_to(&self, redirect_uri: &str) -> bool {
        let Ok(redirect) = Url::parse(redirect_uri) else {
            return false;
        };
        let place = |url: &Url| {
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
        begins && place(&self.address) == place(&redirect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Callback {
        Callback::parse(text).unwrap()
    }

    #[test]
    fn code_state_and_error_are_read_and_nothing_is_shown() {
        let callback = read(" http://127.0.0.1:8085/cb?code=SECRET&state=a.b%2Bc ");
        assert_eq!(callback.code().map(Secret::expose), Some("SECRET"));
        assert_eq!(callback.state().map(Secret::expose), Some("a.b+c"));
        assert_eq!(callback.error(), None);

        let refused = read(
            "http://127.0.0.1:8085/cb?error=access_denied&state=STATE&\
             error_description=no%0d%0a%1b%5b31m+STATE+thanks.",
        );
        let words = refused.error().unwrap().words();
        assert_eq!(words, "access_denied: no  [31m *** thanks");
    }

    #[test]
    fn what_is_no_callback_is_refused_without_being_repeated() {
        for text in ["", "?code=SECRET", "/cb?code=SECRET", "code=SECRET"] {
            let fault = Callback::parse(text).unwrap_err();
            assert!(!fault.contains("SECRET"), "{fault}");
        }
        assert!(Callback::parse("http://localhost/?state=a&state=b").is_err());
        assert!(
            Callback::parse(&format!("http://localhost/?code={}", "x".repeat(LONGEST))).is_err()
        );
    }

    #[test]
    fn only_the_redirect_address_itself_is_where_a_callback_comes_to() {
        let redirect = "http://127.0.0.1:8085/cb?tenant=1";
        for (address, came) in [
            ("http://127.0.0.1:8085/cb?tenant=1&code=x", true),
            ("HTTP://127.0.0.1:8085/cb?tenant=1&code=x#_", true),
            ("http://127.0.0.1:8085/cb?tenant=12&code=x", false),
            ("http://127.0.0.1:8085/cb?code=x&tenant=1", false),
            ("http://127.0.0.1:8085/cb/?tenant=1&code=x", false),
            ("http://127.0.0.1:8086/cb?tenant=1&code=x", false),
            ("https://127.0.0.1:8085/cb?tenant=1&code=x", false),
            ("http://localhost:8085/cb?tenant=1&code=x", false),
        ] {
            assert_eq!(read(address).came_to(redirect), came, "{address}");
        }
        assert!(read("https://h.example/cb?code=x").came_to("https://h.example:443/cb"));
    }
}
