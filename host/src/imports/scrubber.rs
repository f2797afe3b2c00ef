//! Replaces the secrets that a call knows wherever a text is about to leave it.

use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};

use crate::sync::lock;
use crate::types::Failure;

/// The secrets that a call knows. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Scrubber(Arc<Mutex<Vec<SecretString>>>);

impl Scrubber {
    /// Shorter values are not replaced: they would take ordinary words with them.
    const SHORTEST: usize = 4;

    /// Remembers a secret, once. False: it would be one more than `most`, and is not remembered.
    pub(crate) fn learn(&self, secret: &SecretString, most: usize) -> bool {
        let text = secret.expose_secret();
        if text.len() < Self::SHORTEST {
            return true;
        }
        let mut secrets = lock(&self.0);
        if secrets.iter().any(|known| known.expose_secret() == text) {
            return true;
        }
        if secrets.len() >= most {
            return false;
        }
        // The longest first: nothing is left over of one that contains another.
        let at = secrets.partition_point(|known| known.expose_secret().len() >= text.len());
        secrets.insert(at, secret.clone());
        true
    }

    /// The text without any secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secrets = lock(&self.0);
        secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "[secret]")
        })
    }

    /// The beginning of a text, of `most` bytes or as many fewer as keep a secret whole that would be cut
    /// through: half a secret is not recognised. What is not looked at costs no time.
    pub(crate) fn beginning<'a>(&self, text: &'a str, most: usize) -> &'a str {
        let secrets = lock(&self.0);
        let mut end = text.floor_char_boundary(most);
        let cut_through = |end| {
            let starts = secrets
                .iter()
                .filter_map(|secret| across(text, secret, end));
            starts.min()
        };
        while let Some(start) = cut_through(end) {
            end = start;
        }
        text.get(..end).unwrap_or_default()
    }

    /// The failure without any secret in its texts.
    pub(crate) fn scrub_failure(&self, failure: Failure) -> Failure {
        failure.map_texts(|text| self.scrub(text))
    }
}

/// Where a secret begins that reaches from before `end` to behind it.
fn across(text: &str, secret: &SecretString, end: usize) -> Option<usize> {
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

    fn knowing(secrets: &[&str]) -> Scrubber {
        let scrubber = Scrubber::default();
        for secret in secrets {
            assert!(scrubber.learn(&SecretString::from(*secret), 100));
        }
        scrubber
    }

    #[test]
    fn nothing_is_left_of_a_secret_that_contains_another() {
        for known in [["token", "token-of-acme"], ["token-of-acme", "token"]] {
            let scrubbed = knowing(&known).scrub("token-of-acme and token");
            assert_eq!(scrubbed, "[secret] and [secret]");
        }
    }

    #[test]
    fn only_so_many_different_ones_are_remembered_and_a_known_one_is_none_more() {
        let scrubber = Scrubber::default();
        let learn = |secret: &str| scrubber.learn(&SecretString::from(secret), 2);
        assert!(learn("first") && learn("second"));
        assert!(learn("first"), "known already");
        assert!(learn("abc"), "too short to be replaced");
        assert!(!learn("third"));
        assert_eq!(scrubber.scrub("first, third"), "[secret], third");
    }

    #[test]
    fn a_text_is_cut_before_a_secret_and_never_through_one() {
        let scrubber = knowing(&["secret", "a secret word"]);
        let beginning = |most| scrubber.beginning("äsecret, then a secret word.", most);
        assert_eq!(beginning(1), "", "half a character is none");
        assert_eq!(beginning(2), "ä");
        assert_eq!(beginning(7), "ä");
        assert_eq!(beginning(8), "äsecret");
        assert_eq!(beginning(18), "äsecret, then ", "within both");
        assert_eq!(
            beginning(25),
            "äsecret, then ",
            "behind one, within the other"
        );
        assert_eq!(beginning(100), "äsecret, then a secret word.");
    }
}
