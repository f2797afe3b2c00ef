//! Signing keys: secrets for `v1` (HMAC-SHA256) and key pairs for `v1a` (ed25519), in the form of Standard Webhooks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

/// The beginning of a signing secret.
const SECRET_PREFIX: &str = "whsec_";
/// The beginning of a private key.
const PRIVATE_PREFIX: &str = "whsk_";
/// The beginning of a public key.
const PUBLIC_PREFIX: &str = "whpk_";
/// The number of bytes of a seed, and of a public key, of ed25519.
const ED25519_BYTES: usize = 32;

/// The reason why a text is not a key. The error never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not a signing secret.
    #[error("a signing secret is `whsec_` and 24 to 64 bytes in Base64")]
    Secret,
    /// The text is not a private key.
    #[error("a private key is `whsk_` and the 32 bytes of an ed25519 seed in Base64")]
    PrivateKey,
}

/// A key that signs webhooks, and its text.
pub trait SigningKey: Sized {
    /// Parses the text of a key.
    ///
    /// # Errors
    /// A [`KeyError`], which never quotes the text.
    fn parse(text: &SecretString) -> Result<Self, KeyError>;

    /// Returns the text that [`SigningKey::parse`] reads.
    fn to_text(&self) -> SecretString;

    /// Signs the content and returns the entry of `webhook-signature`.
    fn sign(&self, content: &[u8]) -> String;
}

/// A secret that sender and receiver share, for `v1`: 24 to 64 bytes.
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// Creates a secret from 32 random bytes of a cryptographic generator.
    #[must_use]
    pub fn from_entropy(bytes: &[u8; 32]) -> Self {
        Self(SecretSlice::from(bytes.to_vec()))
    }
}

impl SigningKey for SigningSecret {
    fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let mut bytes = decode(text, SECRET_PREFIX).ok_or(KeyError::Secret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(KeyError::Secret);
        }
        Ok(Self(SecretSlice::from(std::mem::take(&mut *bytes))))
    }

    fn to_text(&self) -> SecretString {
        encode(SECRET_PREFIX, self.0.expose_secret())
    }

    fn sign(&self, content: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret());
        let tag = hmac::sign(&key, content);
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([redacted])")
    }
}

/// A key pair for `v1a`. The receiver has only the public key, and cannot sign.
pub struct SigningKeyPair {
    seed: SecretSlice<u8>,
    pair: Ed25519KeyPair,
}

impl SigningKeyPair {
    /// Creates a key pair from 32 random bytes of a cryptographic generator.
    ///
    /// # Errors
    /// [`KeyError::PrivateKey`], if the library refuses the seed.
    pub fn from_entropy(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(bytes).map_err(|_| KeyError::PrivateKey)?;
        Ok(Self {
            seed: SecretSlice::from(bytes.to_vec()),
            pair,
        })
    }

    /// Returns the public key for the receiver: `whpk_` and 32 bytes in Base64.
    #[must_use]
    pub fn to_public_text(&self) -> String {
        let encoded = STANDARD.encode(self.pair.public_key().as_ref());
        format!("{PUBLIC_PREFIX}{encoded}")
    }
}

impl SigningKey for SigningKeyPair {
    /// Parses a private key: its seed, or its seed and the matching public key.
    fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let bytes = decode(text, PRIVATE_PREFIX).ok_or(KeyError::PrivateKey)?;
        let (seed, public) = bytes
            .split_at_checked(ED25519_BYTES)
            .ok_or(KeyError::PrivateKey)?;
        let pair = if public.is_empty() {
            Ed25519KeyPair::from_seed_unchecked(seed)
        } else {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        };
        Ok(Self {
            seed: SecretSlice::from(seed.to_vec()),
            pair: pair.map_err(|_| KeyError::PrivateKey)?,
        })
    }

    fn to_text(&self) -> SecretString {
        encode(PRIVATE_PREFIX, self.seed.expose_secret())
    }

    fn sign(&self, content: &[u8]) -> String {
        let signature = self.pair.sign(content);
        format!("v1a,{}", STANDARD.encode(signature.as_ref()))
    }
}

impl fmt::Debug for SigningKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyPair({})", self.to_public_text())
    }
}

fn decode(text: &SecretString, prefix: &str) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = text.expose_secret().strip_prefix(prefix)?;
    STANDARD.decode(encoded).ok().map(Zeroizing::new)
}

fn encode(prefix: &str, bytes: &[u8]) -> SecretString {
    let encoded = Zeroizing::new(STANDARD.encode(bytes));
    SecretString::from(format!("{prefix}{}", *encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of the vectors: id, time and body of the specification's libraries.
    const CONTENT: &[u8] = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";

    #[test]
    fn v1_signature_is_that_of_the_vector() {
        let secret =
            SigningSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(secret.sign(CONTENT), expected);
    }

    #[test]
    fn v1a_signature_is_that_of_the_vector() {
        let text = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";
        let pair = SigningKeyPair::parse(&text.into()).unwrap();
        let expected = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
        assert_eq!(pair.sign(CONTENT), expected);
        assert_eq!(pair.to_text().expose_secret(), text);
    }

    #[test]
    fn secret_has_a_prefix_and_24_to_64_bytes() {
        let text = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for bytes in [24, 32, 64] {
            let parsed = SigningSecret::parse(&text(bytes).into()).unwrap();
            assert_eq!(parsed.to_text().expose_secret(), text(bytes));
        }
        let without_prefix = STANDARD.encode([7; 32]);
        let refused = [
            "",
            "whsec_",
            "whsec_%",
            &without_prefix,
            &text(23),
            &text(65),
        ];
        for refused in refused {
            let error = SigningSecret::parse(&refused.into()).unwrap_err();
            assert_eq!(error, KeyError::Secret, "{refused}");
        }
    }

    #[test]
    fn private_key_with_another_public_key_is_refused() {
        let pair = SigningKeyPair::from_entropy(&[3; 32]).unwrap();
        let with_public = |public: &[u8]| {
            let bytes = [&[3; 32], public].concat();
            SigningKeyPair::parse(&format!("whsk_{}", STANDARD.encode(bytes)).into())
        };
        let matching = with_public(pair.pair.public_key().as_ref()).unwrap();
        assert_eq!(matching.to_public_text(), pair.to_public_text());
        assert_eq!(with_public(&[9; 32]).unwrap_err(), KeyError::PrivateKey);
        assert_eq!(with_public(&[9; 5]).unwrap_err(), KeyError::PrivateKey);
        assert!(SigningKeyPair::parse(&"whsk_AAAA".into()).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = SigningSecret::from_entropy(&[1; 32]);
        let pair = SigningKeyPair::from_entropy(&[2; 32]).unwrap();
        let shown = format!("{secret:?} {pair:?}");
        assert!(!shown.contains(&STANDARD.encode([1; 32])), "{shown}");
        assert!(!shown.contains(&STANDARD.encode([2; 32])), "{shown}");
        assert!(shown.contains("whpk_"), "{shown}");
    }
}
