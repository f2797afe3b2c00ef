//! Texts from the other side made fit to be stored and shown: short, one line, without secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::platform::Secret;

/// The most characters of a foreign text that are kept.
pub const LONGEST_TEXT: usize = 300;
const LONGEST_NAME: usize = 128;
const HIDDEN: &str = "***";

/// Knows the secrets of a call, and takes them out of any text that repeats one.
#[derive(Clone, Default)]
pub struct Scrubber {
    // In every form in which a text may repeat them, the longest first.
    secrets: Vec<String>,
}

impl Scrubber {
    /// Hides `secret` too, as it is, as a line shows it, and as it is written in a form or an address.
    pub fn hide(&mut self, secret: &Secret) {
        let clear = secret.expose();
        let encoded: String = url::form_urlencoded::byte_serialize(clear.as_bytes()).collect();
        self.add(clear.to_owned());
        self.add(visible(clear).trim().to_owned());
        self.add(compact(&visible(clear)));
        self.add(encoded);
    }

    /// Hides a proxy string: the whole of it, its password, percent-encoded or not, and its
    /// credentials as HTTP sends them (RFC 7617).
    pub fn hide_proxy(&mut self, proxy: &Secret) {
        self.hide(proxy);
        let Ok(url) = Url::parse(proxy.expose()) else {
            return;
        };
        if let Some(password) = url.password() {
            self.add(password.to_owned());
            let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
            let (user, password) = (decoded(url.username()), decoded(password));
            self.add(STANDARD.encode(format!("{user}:{password}")));
            self.hide(&Secret::new(password.into_owned()));
        }
    }

    /// Hides credentials as HTTP sends them (RFC 7617), also with both parts encoded first, as
    /// OAuth wants it (RFC 6749, section 2.3.1).
    pub fn hide_basic(&mut self, user: &str, password: &str) {
        let encoded = |part: &str| -> String {
            url::form_urlencoded::byte_serialize(part.as_bytes()).collect()
        };
        self.add(STANDARD.encode(format!("{user}:{password}")));
        self.add(STANDARD.encode(format!("{}:{}", encoded(user), encoded(password))));
    }

    fn add(&mut self, secret: String) {
        if !secret.is_empty() && !self.secrets.contains(&secret) {
            self.secrets.push(secret);
            self.secrets
                .sort_by_key(|each| std::cmp::Reverse(each.len()));
        }
    }

    /// `text` on one line, without control characters and secrets, cut at [`LONGEST_TEXT`]; none
    /// when nothing is left.
    pub fn text(&self, text: &str) -> Option<String> {
        self.short(text, LONGEST_TEXT)
    }

    /// A name such as a tracking id or an error code: as [`text`](Self::text), without spaces,
    /// and shorter.
    pub fn name(&self, text: &str) -> Option<String> {
        self.short(&compact(text), LONGEST_NAME)
    }

    fn short(&self, text: &str, longest: usize) -> Option<String> {
        let mut line = visible(text);
        for secret in &self.secrets {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), HIDDEN);
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

/// `text` on one line, without control characters and what cannot be seen.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect()
}

fn compact(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Characters that reorder or hide what follows them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hiding(secrets: &[&str]) -> Scrubber {
        let mut scrubber = Scrubber::default();
        for secret in secrets {
            scrubber.hide(&Secret::new(*secret));
        }
        scrubber
    }

    #[test]
    fn a_text_is_one_line_without_control_characters() {
        let scrubber = Scrubber::default();
        assert_eq!(
            scrubber.text(" a\r\nb\u{1b}[31m\u{202e}c\0 ").as_deref(),
            Some("a  b[31mc")
        );
        assert_eq!(scrubber.text("\n\t "), None);
        assert_eq!(scrubber.name(" ROUTER 1 ").as_deref(), Some("ROUTER1"));
    }

    #[test]
    fn a_long_text_is_cut_by_characters() {
        let text = Scrubber::default().text(&"ä".repeat(1_000)).unwrap();
        assert_eq!(text.chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn secrets_are_hidden_in_each_of_their_forms() {
        let mut scrubber = hiding(&["to/k+en"]);
        scrubber.hide_proxy(&Secret::new("http://me:p%40ss+word@proxy:3128/"));
        for text in [
            "bad token to/k+en",
            "refresh_token=to%2Fk%2Ben",
            "to/k\u{0}+en",
            "proxy http://me:p%40ss+word@proxy:3128/ failed",
            "password p@ss+word",
            "password p%40ss+word",
            "Proxy-Authorization: Basic bWU6cEBzcyt3b3Jk",
        ] {
            let clean = scrubber.text(text).unwrap();
            assert!(clean.contains(HIDDEN), "{clean}");
            for secret in ["to/k+en", "to%2Fk%2Ben", "p@ss", "p%40ss", "bWU6"] {
                assert!(!clean.contains(secret), "{clean}");
            }
        }
    }

    #[test]
    fn a_secret_with_spaces_or_invisible_characters_is_hidden_as_it_is_shown() {
        let scrubber = hiding(&["se cr\u{200b}et\nly"]);
        for text in ["se cr\u{200b}et\nly", "se cret ly"] {
            assert_eq!(scrubber.text(text).as_deref(), Some(HIDDEN), "{text:?}");
        }
        let id = scrubber.name("ROUTER_se cr\u{200b}et\nly");
        assert_eq!(id.as_deref(), Some("ROUTER_***"));
    }

    proptest! {
        #[test]
        fn no_secret_survives_wherever_it_stands(
            before in ".{0,400}", secret in "[!-~]{8,60}", after in ".{0,50}",
        ) {
            let clean = hiding(&[&secret]).text(&format!("{before}{secret}{after}"));
            prop_assert!(!clean.unwrap_or_default().contains(&secret));
        }
    }
}
