//! Redacts foreign texts for storage and display: one short line without secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::platform::Secret;

/// The maximum number of characters of a redacted text.
pub const MAX_TEXT_CHARS: usize = 300;
const MAX_NAME_CHARS: usize = 128;
const PLACEHOLDER: &str = "***";

/// The secrets of a call, to be removed from any text that repeats one.
#[derive(Clone, Default)]
pub struct Redactor {
    // Every form in which a text may repeat a secret, the longest first.
    secrets: Vec<String>,
}

impl Redactor {
    /// Adds `secret` as it is, as a line shows it, and as a form or a URL encodes it.
    pub fn add_secret(&mut self, secret: &Secret) {
        let clear = secret.expose();
        let encoded: String = url::form_urlencoded::byte_serialize(clear.as_bytes()).collect();
        self.add_form(clear.to_owned());
        self.add_form(to_visible_line(clear).trim().to_owned());
        self.add_form(remove_whitespace(&to_visible_line(clear)));
        self.add_form(encoded);
    }

    /// Adds a proxy string: the complete string, its password, percent-encoded or not, and its
    /// credentials as HTTP sends them (RFC 7617).
    pub fn add_proxy(&mut self, proxy: &Secret) {
        self.add_secret(proxy);
        let Ok(url) = Url::parse(proxy.expose()) else {
            return;
        };
        if let Some(password) = url.password() {
            self.add_form(password.to_owned());
            let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
            let (user, password) = (decoded(url.username()), decoded(password));
            self.add_form(STANDARD.encode(format!("{user}:{password}")));
            self.add_secret(&Secret::new(password.into_owned()));
        }
    }

    /// Adds credentials as HTTP sends them (RFC 7617), also with both parts encoded first, as OAuth
    /// requires (RFC 6749, section 2.3.1).
    pub fn add_basic_credentials(&mut self, user: &str, password: &str) {
        let encoded = |part: &str| -> String {
            url::form_urlencoded::byte_serialize(part.as_bytes()).collect()
        };
        self.add_form(STANDARD.encode(format!("{user}:{password}")));
        self.add_form(STANDARD.encode(format!("{}:{}", encoded(user), encoded(password))));
    }

    fn add_form(&mut self, secret: String) {
        if !secret.is_empty() && !self.secrets.contains(&secret) {
            self.secrets.push(secret);
            self.secrets
                .sort_by_key(|each| std::cmp::Reverse(each.len()));
        }
    }

    /// Redacts `text` to one line without control characters and secrets, at most
    /// [`MAX_TEXT_CHARS`] long; none when it is empty.
    pub fn redact(&self, text: &str) -> Option<String> {
        self.redact_and_cut(text, MAX_TEXT_CHARS)
    }

    /// Redacts a name such as a tracking id or an error code: like [`redact`](Self::redact),
    /// without spaces, and shorter.
    pub fn redact_name(&self, text: &str) -> Option<String> {
        self.redact_and_cut(&remove_whitespace(text), MAX_NAME_CHARS)
    }

    fn redact_and_cut(&self, text: &str, longest: usize) -> Option<String> {
        let mut line = to_visible_line(text);
        for secret in &self.secrets {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), PLACEHOLDER);
            }
        }
        let line = line.trim();
        let cut: String = match line.char_indices().nth(longest) {
            Some(_) => line.chars().take(longest - 1).chain(['…']).collect(),
            None => line.to_owned(),
        };
        (!cut.is_empty()).then_some(cut)
    }
}

/// Converts `text` to one line without control characters and invisible characters.
fn to_visible_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect()
}

fn remove_whitespace(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Returns whether a character reorders or hides what follows it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor_for(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add_secret(&Secret::new(*secret));
        }
        redactor
    }

    #[test]
    fn text_is_one_line_without_control_characters() {
        let redactor = Redactor::default();
        assert_eq!(
            redactor.redact(" a\r\nb\u{1b}[31m\u{202e}c\0 ").as_deref(),
            Some("a  b[31mc")
        );
        assert_eq!(redactor.redact("\n\t "), None);
        assert_eq!(
            redactor.redact_name(" ROUTER 1 ").as_deref(),
            Some("ROUTER1")
        );
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        let text = Redactor::default().redact(&"ä".repeat(1_000)).unwrap();
        assert_eq!(text.chars().count(), MAX_TEXT_CHARS);
    }

    #[test]
    fn secrets_are_redacted_in_each_form() {
        let mut redactor = redactor_for(&["to/k+en"]);
        redactor.add_proxy(&Secret::new("http://me:p%40ss+word@proxy:3128/"));
        for text in [
            "bad token to/k+en",
            "refresh_token=to%2Fk%2Ben",
            "to/k\u{0}+en",
            "proxy http://me:p%40ss+word@proxy:3128/ failed",
            "password p@ss+word",
            "password p%40ss+word",
            "Proxy-Authorization: Basic bWU6cEBzcyt3b3Jk",
        ] {
            let clean = redactor.redact(text).unwrap();
            assert!(clean.contains(PLACEHOLDER), "{clean}");
            for secret in ["to/k+en", "to%2Fk%2Ben", "p@ss", "p%40ss", "bWU6"] {
                assert!(!clean.contains(secret), "{clean}");
            }
        }
    }

    #[test]
    fn secret_with_invisible_characters_is_redacted() {
        let redactor = redactor_for(&["se cr\u{200b}et\nly"]);
        for text in ["se cr\u{200b}et\nly", "se cret ly"] {
            assert_eq!(
                redactor.redact(text).as_deref(),
                Some(PLACEHOLDER),
                "{text:?}"
            );
        }
        let id = redactor.redact_name("ROUTER_se cr\u{200b}et\nly");
        assert_eq!(id.as_deref(), Some("ROUTER_***"));
    }

    proptest! {
        #[test]
        fn secret_is_redacted_at_any_position(
            before in ".{0,400}", secret in "[!-~]{8,60}", after in ".{0,50}",
        ) {
            let clean = redactor_for(&[&secret]).redact(&format!("{before}{secret}{after}"));
            prop_assert!(!clean.unwrap_or_default().contains(&secret));
        }
    }
}
