//! The keys of an endpoint, and their rotation without a gap.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::keys::{KeyError, SigningKey, SigningKeyPair, SigningSecret};

/// How long a replaced key signs, if nothing else is chosen.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// The longest time for which a replaced key may sign.
pub const MAX_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);
/// The maximum number of replaced keys that still sign, so that the header stays small.
const MAX_PREVIOUS: usize = 3;

/// The reason why a key cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The overlap is too long.
    #[error("a replaced key may sign for at most 30 days")]
    Overlap,
    /// Too many replaced keys still sign.
    #[error(
        "three replaced keys still sign; replace the key when the overlap of one has ended, or with a shorter overlap"
    )]
    TooMany,
}

/// A key and its predecessors, which sign too until their overlap ends.
#[derive(Debug)]
pub struct Rotation<K> {
    current: K,
    previous: Vec<Previous<K>>,
}

#[derive(Debug)]
struct Previous<K> {
    key: K,
    until: DateTime<Utc>,
}

impl<K> Rotation<K> {
    /// Creates a rotation with a first key.
    pub fn new(key: K) -> Self {
        Self {
            current: key,
            previous: Vec::new(),
        }
    }

    /// Returns the current key.
    pub fn current(&self) -> &K {
        &self.current
    }

    /// Returns the keys that sign at a time: the current one, then its predecessors, the latest first.
    pub fn valid_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &K> {
        let previous = self.previous.iter().filter(move |each| now < each.until);
        std::iter::once(&self.current).chain(previous.map(|each| &each.key))
    }

    /// Returns the time when only the current key signs; `None`: that is so already.
    pub fn overlap_end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ends = self.previous.iter().map(|each| each.until);
        ends.max().filter(|end| now < *end)
    }

    /// Replaces the current key. Every earlier key signs for at most `overlap` from now on; zero ends all of them,
    /// such as after a disclosure.
    ///
    /// # Errors
    /// A [`RotationError`], with the unchanged rotation.
    pub fn rotate(
        self,
        key: K,
        now: DateTime<Utc>,
        overlap: Duration,
    ) -> Result<Self, (RotationError, Self)> {
        let span = TimeDelta::from_std(overlap).ok();
        let span = span.filter(|_| overlap <= MAX_OVERLAP);
        let Some(end) = span.and_then(|span| now.checked_add_signed(span)) else {
            return Err((RotationError::Overlap, self));
        };
        let still_valid = self
            .previous
            .iter()
            .filter(|each| now < each.until.min(end));
        if end > now && still_valid.count() >= MAX_PREVIOUS {
            return Err((RotationError::TooMany, self));
        }
        let replaced = Previous {
            key: self.current,
            until: end,
        };
        let mut previous = vec![replaced];
        previous.extend(self.previous.into_iter().map(|each| Previous {
            until: each.until.min(end),
            ..each
        }));
        previous.retain(|each| now < each.until);
        Ok(Self {
            current: key,
            previous,
        })
    }
}

/// The keys of one endpoint.
#[derive(Debug)]
pub struct SigningKeys {
    /// The secrets for `v1`.
    pub secrets: Rotation<SigningSecret>,
    /// The key pairs for `v1a`, if the endpoint has some.
    pub key_pairs: Option<Rotation<SigningKeyPair>>,
}

/// The JSON of [`SigningKeys`].
#[derive(Serialize, Deserialize)]
struct KeysText {
    secrets: Vec<KeyText>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key_pairs: Vec<KeyText>,
}

#[derive(Serialize, Deserialize)]
struct KeyText {
    key: String,
    /// The end of the overlap. The current key, which is the first, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

/// The reason why stored keys cannot be read. The error never quotes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The text is not the JSON of keys.
    #[error("the stored keys of the endpoint are not in the expected form")]
    Form,
    /// A key is invalid.
    #[error("a stored key of the endpoint is invalid: {0}")]
    Key(#[from] KeyError),
}

impl SigningKeys {
    /// Creates the keys of an endpoint that has only a secret.
    #[must_use]
    pub fn new(secret: SigningSecret) -> Self {
        Self {
            secrets: Rotation::new(secret),
            key_pairs: None,
        }
    }

    /// Returns `webhook-signature`: a signature by every key that is valid at `now`, separated by spaces.
    #[must_use]
    pub fn sign(&self, id: &str, now: DateTime<Utc>, body: &str) -> String {
        let content = format!("{id}.{}.{body}", now.timestamp());
        let content = content.as_bytes();
        let mut signatures: Vec<String> = self
            .secrets
            .valid_at(now)
            .map(|key| key.sign(content))
            .collect();
        if let Some(pairs) = &self.key_pairs {
            signatures.extend(pairs.valid_at(now).map(|key| key.sign(content)));
        }
        signatures.join(" ")
    }

    /// Returns the texts of all keys, so that they can be redacted.
    pub(super) fn to_texts(&self) -> Vec<SecretString> {
        let secrets = to_key_texts(&self.secrets);
        let pairs = self.key_pairs.as_ref().map(to_key_texts);
        let all = secrets.into_iter().chain(pairs.into_iter().flatten());
        all.map(|each| SecretString::from(each.key)).collect()
    }

    /// Returns the keys in clear text, as JSON. Store it only sealed.
    #[must_use]
    pub fn to_clear_text(&self) -> SecretString {
        let text = KeysText {
            secrets: to_key_texts(&self.secrets),
            key_pairs: self
                .key_pairs
                .as_ref()
                .map(to_key_texts)
                .unwrap_or_default(),
        };
        // The JSON of strings and times cannot fail.
        SecretString::from(serde_json::to_string(&text).unwrap_or_default())
    }

    /// Reads the text of [`SigningKeys::to_clear_text`].
    ///
    /// # Errors
    /// A [`KeysError`], which never quotes a key.
    pub fn from_clear_text(text: &SecretString) -> Result<Self, KeysError> {
        let text: KeysText =
            serde_json::from_str(text.expose_secret()).map_err(|_| KeysError::Form)?;
        Ok(Self {
            secrets: parse_rotation(text.secrets)?.ok_or(KeysError::Form)?,
            key_pairs: parse_rotation(text.key_pairs)?,
        })
    }
}

fn to_key_texts<K: SigningKey>(rotation: &Rotation<K>) -> Vec<KeyText> {
    let text = |key: &K, until| KeyText {
        key: key.to_text().expose_secret().to_owned(),
        until,
    };
    let mut texts = vec![text(&rotation.current, None)];
    texts.extend(
        rotation
            .previous
            .iter()
            .map(|each| text(&each.key, Some(each.until))),
    );
    texts
}

fn parse_rotation<K: SigningKey>(texts: Vec<KeyText>) -> Result<Option<Rotation<K>>, KeysError> {
    let mut rotation: Option<Rotation<K>> = None;
    for KeyText { key, until } in texts {
        let key = K::parse(&SecretString::from(key))?;
        match (&mut rotation, until) {
            (None, None) => rotation = Some(Rotation::new(key)),
            (Some(rotation), Some(until)) => rotation.previous.push(Previous { key, until }),
            _ => return Err(KeysError::Form),
        }
    }
    Ok(rotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_764_000_000 + hours * 3600, 0).unwrap()
    }

    fn valid(rotation: &Rotation<u8>, hours: i64) -> Vec<u8> {
        rotation.valid_at(at(hours)).copied().collect()
    }

    fn rotate(rotation: Rotation<u8>, key: u8, hours: i64, overlap: Duration) -> Rotation<u8> {
        rotation.rotate(key, at(hours), overlap).unwrap()
    }

    #[test]
    fn replaced_key_signs_until_the_overlap_ends() {
        let rotated = rotate(Rotation::new(1), 2, 0, DEFAULT_OVERLAP);
        assert_eq!(*rotated.current(), 2);
        assert_eq!(valid(&rotated, 0), [2, 1]);
        assert_eq!(valid(&rotated, 23), [2, 1]);
        assert_eq!(valid(&rotated, 24), [2]);
        assert_eq!(rotated.overlap_end(at(1)), Some(at(24)));
        assert_eq!(rotated.overlap_end(at(24)), None);
    }

    #[test]
    fn rotation_within_the_overlap_keeps_both_old_keys() {
        let rotated = rotate(Rotation::new(1), 2, 0, DEFAULT_OVERLAP);
        let rotated = rotate(rotated, 3, 12, DEFAULT_OVERLAP);
        assert_eq!(valid(&rotated, 23), [3, 2, 1]);
        assert_eq!(valid(&rotated, 24), [3, 2]);
        assert_eq!(valid(&rotated, 36), [3]);
    }

    #[test]
    fn overlap_of_zero_ends_every_predecessor() {
        let rotated = rotate(Rotation::new(1), 2, 0, DEFAULT_OVERLAP);
        let rotated = rotate(rotated, 3, 1, Duration::ZERO);
        assert_eq!(valid(&rotated, 1), [3]);
        assert!(rotated.previous.is_empty());
    }

    #[test]
    fn number_of_predecessors_is_bounded() {
        let mut rotation = Rotation::new(0);
        for key in 1..=3 {
            rotation = rotate(rotation, key, 0, HOUR);
        }
        let (error, rotation) = rotation.rotate(4, at(0), HOUR).unwrap_err();
        assert_eq!(error, RotationError::TooMany);
        assert_eq!(valid(&rotation, 0), [3, 2, 1, 0], "nothing has changed");
        let rotation = rotate(rotation, 4, 1, HOUR);
        assert_eq!(valid(&rotation, 1), [4, 3]);
        let (error, _) = rotation.rotate(5, at(1), MAX_OVERLAP + HOUR).unwrap_err();
        assert_eq!(error, RotationError::Overlap);
    }

    fn keys() -> SigningKeys {
        let secret = |byte| SigningSecret::from_entropy(&[byte; 32]);
        let pair = |byte| SigningKeyPair::from_entropy(&[byte; 32]).unwrap();
        let secrets = Rotation::new(secret(1)).rotate(secret(2), at(0), DEFAULT_OVERLAP);
        SigningKeys {
            secrets: secrets.unwrap(),
            key_pairs: Some(Rotation::new(pair(3))),
        }
    }

    #[test]
    fn every_valid_key_signs() {
        let keys = keys();
        let during = keys.sign("msg_1", at(1), "{}");
        let versions = |header: &str| {
            let entries = header.split(' ').map(|entry| entry.split(',').next());
            entries
                .map(|version| version.unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(versions(&during), ["v1", "v1", "v1a"]);
        assert_eq!(versions(&keys.sign("msg_1", at(24), "{}")), ["v1", "v1a"]);
    }

    #[test]
    fn stored_keys_sign_like_the_original() {
        let keys = keys();
        let text = keys.to_clear_text();
        let read = SigningKeys::from_clear_text(&text).unwrap();
        for hours in [1, 24] {
            let sign = |keys: &SigningKeys| keys.sign("msg_1", at(hours), "{}");
            assert_eq!(sign(&read), sign(&keys));
        }
        assert_eq!(read.to_texts().len(), 3);
    }

    #[test]
    fn damaged_keys_are_refused_without_a_quote() {
        let current = r#"{"key":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#;
        for damaged in [
            "",
            r#"{"secrets":[]}"#,
            r#"{"secrets":[{"key":"whsec_canary"}]}"#,
            &format!(r#"{{"secrets":[{current},{current}]}}"#),
        ] {
            let error = SigningKeys::from_clear_text(&damaged.into()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
