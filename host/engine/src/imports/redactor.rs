//! Redacts the secrets that a call knows from every text that leaves the call.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::types::Failure;

/// The secrets known to a call. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Arc<Mutex<Vec<SecretString>>>);

impl Redactor {
    /// The minimum length of a redacted secret: shorter values would match ordinary words.
    const MIN_LENGTH: usize = 4;

    /// Adds a secret unless it is known. Returns false if that would exceed `max` secrets.
    pub(crate) fn add(&self, secret: &SecretString, max: usize) -> bool {
        let text = secret.expose_secret();
        if text.len() < Self::MIN_LENGTH {
            return true;
        }
        let mut secrets = self.0.lock();
        if secrets.iter().any(|known| known.expose_secret() == text) {
            return true;
        }
        if secrets.len() >= max {
            return false;
        }
        // Longest first: a secret that contains another is redacted completely.
        let at = secrets.partition_point(|known| known.expose_secret().len() >= text.len());
        secrets.insert(at, secret.clone());
        true
    }

    /// Replaces every secret in the text.
    pub(crate) fn redact(&self, text: &str) -> String {
        let secrets = self.0.lock();
        let mut redacted = Cow::Borrowed(text);
        for secret in secrets.iter().map(ExposeSecret::expose_secret) {
            if redacted.len() >= secret.len() && redacted.contains(secret) {
                redacted = Cow::Owned(redacted.replace(secret, "[secret]"));
            }
        }
        redacted.into_owned()
    }

    /// Returns the beginning of a text, at most `max` bytes. Never cuts within a secret, because
    /// half a secret would not be recognized. The rest of the text is not scanned.
    pub(crate) fn truncate<'a>(&self, text: &'a str, max: usize) -> &'a str {
        if text.len() <= max {
            return text;
        }
        let secrets = self.0.lock();
        let mut end = text.floor_char_boundary(max);
        let cut_through = |end| {
            let starts = secrets
                .iter()
                .filter_map(|secret| find_across(text, secret, end));
            starts.min()
        };
        while let Some(start) = cut_through(end) {
            end = start;
        }
        text.get(..end).unwrap_or_default()
    }

    /// Replaces every secret in the failure's texts.
    pub(crate) fn redact_failure(&self, failure: Failure) -> Failure {
        failure.map_texts(|text| self.redact(text))
    }
}

/// Returns the start of a secret that begins before `end` and ends after it.
fn find_across(text: &str, secret: &SecretString, end: usize) -> Option<usize> {
    let secret = secret.expose_secret();
    let reach = secret.len().saturating_sub(1);
    let from = text.ceil_char_boundary(end.saturating_sub(reach));
    let to = text.floor_char_boundary(end.saturating_add(reach));
    let found = text.get(from..to)?.find(secret)?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor_with(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        for secret in secrets {
            assert!(redactor.add(&SecretString::from(*secret), 100));
        }
        redactor
    }

    #[test]
    fn secret_that_contains_another_is_redacted_whole() {
        for known in [["token", "token-of-acme"], ["token-of-acme", "token"]] {
            let redacted = redactor_with(&known).redact("token-of-acme and token");
            assert_eq!(redacted, "[secret] and [secret]");
        }
    }

    #[test]
    fn secret_count_is_limited_without_duplicates() {
        let redactor = Redactor::default();
        let learn = |secret: &str| redactor.add(&SecretString::from(secret), 2);
        assert!(learn("first") && learn("second"));
        assert!(learn("first"), "known already");
        assert!(learn("abc"), "too short to be replaced");
        assert!(!learn("third"));
        assert_eq!(redactor.redact("first, third"), "[secret], third");
    }

    #[test]
    fn text_is_not_cut_within_a_secret() {
        let redactor = redactor_with(&["secret", "a secret word"]);
        let beginning = |max| redactor.truncate("äsecret, then a secret word.", max);
        assert_eq!(beginning(1), "", "half a character is none");
        assert_eq!(beginning(2), "ä");
        assert_eq!(beginning(7), "ä");
        assert_eq!(beginning(8), "äsecret");
        assert_eq!(beginning(18), "äsecret, then ", "within both");
        assert_eq!(
            beginning(25),
            "äsecret, then ",
            "after one, within the other"
        );
        assert_eq!(beginning(100), "äsecret, then a secret word.");
    }
}
