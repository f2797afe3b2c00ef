//! The sealed value: its bytes and its associated data.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | format: 1 = XChaCha20-Poly1305 |
//! | 4 | id of the data key, big-endian |
//! | 24 | nonce, random |
//! | rest | ciphertext and 16 bytes of tag |
//!
//! Associated data: a label, the format, store, model, pkid, name and the id of the data key, each with
//! its length.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SealError;
use super::keys::ClearDataKey;
use crate::encoding;

/// XChaCha20-Poly1305, with the header above.
const FORMAT: u8 = 1;
const HEADER: usize = 1 + 4 + 24;
const TAG: usize = 16;

/// The error for bytes that are not a sealed value of a known format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed value of a known format")]
pub struct MalformedSeal;

/// An encrypted secret, which only the store's data key opens, and only in its own row. As JSON, it is base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed {
    bytes: Vec<u8>,
    key: u32,
    nonce: [u8; 24],
}

impl Sealed {
    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the id of the data key that sealed the value.
    pub fn key(&self) -> u32 {
        self.key
    }

    /// Returns the prefix of every value that is sealed with data key `key`.
    pub fn key_prefix(key: u32) -> [u8; 5] {
        let [a, b, c, d] = key.to_be_bytes();
        [FORMAT, a, b, c, d]
    }

    /// Returns the data key of a value with this prefix; `None` when the format is unknown.
    pub fn key_from_prefix(bytes: &[u8]) -> Option<u32> {
        match bytes.first_chunk::<5>()? {
            [FORMAT, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
            _ => None,
        }
    }

    /// The smallest size of a sealed value, in bytes.
    pub const MIN_BYTES: u32 = 1 + 4 + 24 + 16;

    fn ciphertext(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> Self {
        BASE64.encode(sealed.bytes)
    }
}

impl TryFrom<String> for Sealed {
    type Error = MalformedSeal;

    fn try_from(text: String) -> Result<Self, MalformedSeal> {
        BASE64.decode(text).map_err(|_| MalformedSeal)?.try_into()
    }
}

impl TryFrom<Vec<u8>> for Sealed {
    type Error = MalformedSeal;

    fn try_from(bytes: Vec<u8>) -> Result<Self, MalformedSeal> {
        let (format, rest) = bytes.split_first().ok_or(MalformedSeal)?;
        let (key, rest) = rest.split_first_chunk::<4>().ok_or(MalformedSeal)?;
        let (nonce, rest) = rest.split_first_chunk::<24>().ok_or(MalformedSeal)?;
        if *format != FORMAT || rest.len() < TAG {
            return Err(MalformedSeal);
        }
        let (key, nonce) = (u32::from_be_bytes(*key), *nonce);
        Ok(Self { bytes, key, nonce })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Sealed(data key {}, {} bytes)",
            self.key,
            self.bytes.len()
        )
    }
}

/// Encrypts `clear` for the row `binding`: store, model, pkid and name.
pub(super) fn seal(
    key: &ClearDataKey,
    id: u32,
    binding: &[&str; 4],
    clear: &[u8],
) -> Result<Sealed, SealError> {
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).map_err(|error| SealError::Failed(error.to_string()))?;
    // The buffer has room for the tag from the start: growing it would leave a copy of the clear value
    // in memory.
    let mut buffer = Zeroizing::new(Vec::with_capacity(clear.len() + TAG));
    buffer.extend_from_slice(clear);
    XChaCha20Poly1305::new(key.bytes().into())
        .encrypt_in_place(
            &XNonce::from(nonce),
            &associated_data(id, binding),
            &mut *buffer,
        )
        .map_err(|_| SealError::Failed("the value is too long".to_owned()))?;
    let mut bytes = Vec::with_capacity(HEADER + buffer.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&buffer);
    Ok(Sealed {
        bytes,
        key: id,
        nonce,
    })
}

/// Decrypts `sealed`; `None` when it was not sealed with this key for this row.
pub(super) fn open(
    key: &ClearDataKey,
    sealed: &Sealed,
    binding: &[&str; 4],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed.ciphertext().to_vec());
    XChaCha20Poly1305::new(key.bytes().into())
        .decrypt_in_place(
            &XNonce::from(sealed.nonce),
            &associated_data(sealed.key, binding),
            &mut *buffer,
        )
        .ok()?;
    Some(buffer)
}

fn associated_data(key: u32, [store, model, pkid, name]: &[&str; 4]) -> Vec<u8> {
    encoding::join(&[
        b"relation sealed secret",
        &[FORMAT],
        store.as_bytes(),
        model.as_bytes(),
        pkid.as_bytes(),
        name.as_bytes(),
        &key.to_be_bytes(),
    ])
}
