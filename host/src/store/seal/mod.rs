//! Secrets at rest: envelope encryption with XChaCha20-Poly1305.
//!
//! A key-encryption key, which never enters the store, wraps data keys, which live in the store; the
//! data keys seal the secrets. A sealed value is bound to its store and its row: it opens nowhere
//! else. The keys and clear values that this module holds are wiped from memory when it lets them go.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Store, StoreError};
use crate::types::{Reference, Timestamp};

mod key_file;
mod keys;
mod sealed;

pub use key_file::KeyFile;
pub use keys::{DataKey, KeyEncryptionKey, KeyError, KeyProvider};
pub use sealed::{MalformedSeal, Sealed};

use keys::ClearDataKey;

/// The id of the data key that an empty store begins with. It is the same for every host, so that
/// of two that start at once on an empty store one adds its key and the other adopts that.
const FIRST_DATA_KEY: u32 = 1;

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key-encryption key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store did not answer.
    #[error("cannot read the data keys: {0}")]
    Store(#[from] StoreError),
    /// The store holds secrets, and the key for them is not where it should be.
    #[error(
        "the secrets of this store were sealed under key {wanted}, but {source_of_key} does not exist: restore that file or name the right one"
    )]
    NoKey {
        /// The fingerprint of the key that the store wants.
        wanted: String,
        /// Where a key was looked for.
        source_of_key: String,
    },
    /// The key is not the one under which the secrets of the store were sealed.
    #[error(
        "the secrets of this store were sealed under key {wanted}, but {source_of_key} holds key {given}: name the right one"
    )]
    WrongKey {
        /// The fingerprint of the key that the store wants.
        wanted: String,
        /// The fingerprint of the key that was given.
        given: String,
        /// Where it came from.
        source_of_key: String,
    },
    /// The key is the right one, and yet a data key does not open.
    #[error(
        "data key {0} does not open with the key that wrapped it: it is damaged, or was copied from another store"
    )]
    DamagedDataKey(u32),
    /// The value names a data key that is not in the store.
    #[error(
        "the secret {name} of {owner} was sealed with data key {key}, which this store does not have"
    )]
    UnknownDataKey {
        /// Whose secret.
        owner: Reference,
        /// Its name.
        name: String,
        /// The data key that it names.
        key: u32,
    },
    /// The value does not open: it is not the one that was sealed for this row.
    #[error(
        "the secret {name} of {owner} does not open: it is damaged, or was sealed for another row or another store"
    )]
    Refused {
        /// Whose secret.
        owner: Reference,
        /// Its name.
        name: String,
    },
    /// The operating system gives no random numbers, or the value is too long.
    #[error("cannot seal: {0}")]
    Cannot(String),
}

/// Seals and opens the secrets of one store.
pub struct Sealer {
    store: String,
    keys: BTreeMap<u32, ClearDataKey>,
    current: u32,
}

impl Sealer {
    /// Opens the data keys of `store` with the key that `provider` gives.
    ///
    /// A store without data keys gets its first one, made at `now`; only then is `provider` asked to
    /// make a key when it has none. Any other store insists on the key that its secrets were sealed
    /// under: with another one, or none, this fails and says which one it wants.
    pub async fn open(
        store: &dyn Store,
        provider: &dyn KeyProvider,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let mut wrapped = store.data_keys().await?;
        let existing = provider.existing()?;
        let kek = match (existing, wrapped.first()) {
            (Some(kek), _) => kek,
            (None, None) => provider.create()?,
            (None, Some(key)) => {
                return Err(SealError::NoKey {
                    wanted: key.kek_id.clone(),
                    source_of_key: provider.describe(),
                });
            }
        };
        if wrapped.is_empty() {
            let first = ClearDataKey::random()?.wrap(&kek, store.id(), FIRST_DATA_KEY, now)?;
            wrapped.push(store.add_data_key(first).await?);
        }
        let mut keys = BTreeMap::new();
        for key in &wrapped {
            if key.kek_id != kek.fingerprint() {
                return Err(SealError::WrongKey {
                    wanted: key.kek_id.clone(),
                    given: kek.fingerprint(),
                    source_of_key: provider.describe(),
                });
            }
            keys.insert(key.id, key.unwrap(&kek, store.id())?);
        }
        let current = keys.keys().next_back().copied().unwrap_or(FIRST_DATA_KEY);
        Ok(Self {
            store: store.id().to_owned(),
            keys,
            current,
        })
    }

    /// Seals `value` as the secret `name` of `owner`, under the newest data key.
    pub fn seal(
        &self,
        owner: &Reference,
        name: &str,
        value: &SecretString,
    ) -> Result<Sealed, SealError> {
        let key = self.key(self.current, owner, name)?;
        let place = self.place(owner, name);
        let clear = value.expose_secret().as_bytes();
        sealed::seal(key, self.current, &place, clear)
    }

    /// The value that was sealed as the secret `name` of `owner`.
    pub fn unseal(
        &self,
        owner: &Reference,
        name: &str,
        sealed: &Sealed,
    ) -> Result<SecretString, SealError> {
        let key = self.key(sealed.key(), owner, name)?;
        let refused = || SealError::Refused {
            owner: owner.clone(),
            name: name.to_owned(),
        };
        let clear: Zeroizing<Vec<u8>> =
            sealed::open(key, sealed, &self.place(owner, name)).ok_or_else(refused)?;
        let clear = std::str::from_utf8(&clear).map_err(|_| refused())?;
        Ok(SecretString::from(clear))
    }

    fn key(&self, id: u32, owner: &Reference, name: &str) -> Result<&ClearDataKey, SealError> {
        self.keys.get(&id).ok_or_else(|| SealError::UnknownDataKey {
            owner: owner.clone(),
            name: name.to_owned(),
            key: id,
        })
    }

    /// What a sealed value is bound to, besides its header.
    fn place<'a>(&'a self, owner: &'a Reference, name: &'a str) -> [&'a str; 4] {
        [&self.store, &owner.model, owner.pkid.as_str(), name]
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("store", &self.store)
            .field("data_keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
