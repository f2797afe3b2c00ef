//! Random secrets of sessions, keys and links. The store has only their SHA-256: they have 256 bits, so that no slow
//! hash is needed.

use relation_app::{AppError, ErrorKind};
use relation_host::types::Pkid;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::WebError;

const TOKEN_BYTES: usize = 32;

/// The SHA-256 of a token, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct TokenDigest(String);

impl TokenDigest {
    /// Calculates the digest of a token.
    pub(super) fn new(token: &str) -> Self {
        Self(hex::encode(Sha256::digest(token.as_bytes())))
    }

    /// Returns the digits, to store them sealed.
    pub(super) fn to_secret(&self) -> SecretString {
        SecretString::from(self.0.as_str())
    }

    /// Returns the digest of the digits that [`TokenDigest::to_secret`] returned.
    pub(super) fn from_secret(digits: &SecretString) -> Self {
        Self(digits.expose_secret().to_owned())
    }

    /// Returns the digits, for a value that is a secret itself.
    pub(super) fn into_secret(self) -> SecretString {
        SecretString::from(self.0)
    }

    /// Returns whether the digests are the same, in a time that does not depend on their difference.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        bool::from(self.0.as_bytes().ct_eq(other.0.as_bytes()))
    }

    /// Returns the pkid of the document of this token: the beginning of the digest.
    pub(super) fn pkid(&self) -> Pkid {
        let digits = self.0.get(..24).unwrap_or_default();
        digits.parse().unwrap_or_else(|_| Pkid::random())
    }
}

/// Creates a random token of 256 bits, in hexadecimal digits.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn create_token() -> Result<SecretString, WebError> {
    let mut bytes = [0; TOKEN_BYTES];
    fill_random(&mut bytes)?;
    Ok(SecretString::from(hex::encode(bytes)))
}

/// Fills `bytes` with random bytes of the system.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), WebError> {
    getrandom::fill(bytes).map_err(|error| {
        let message = format!("the system has no random numbers: {error}");
        AppError::new(ErrorKind::Failed, message).into()
    })
}

/// Returns the digest of a secret token.
pub(super) fn digest(token: &SecretString) -> TokenDigest {
    TokenDigest::new(token.expose_secret())
}
