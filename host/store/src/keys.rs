//! Sealed secrets and wrapped data keys, and what a rotation of the data keys needs of both.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::StoreError;
use crate::seal::{DataKey, Sealed};
use relation_types::{Page, Reference, Timestamp};

/// A selection of stored secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretScope {
    /// All secrets.
    All,
    /// Secrets that are not sealed with this data key, or are not sealed values at all.
    NotSealedWith(u32),
    /// Secrets that are known not to open.
    Quarantined,
}

/// A secret as it is stored, whether or not it opens.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The document that owns the secret.
    pub owner: Reference,
    /// The secret's name in its owner.
    pub name: String,
    /// The stored bytes: a [`Sealed`] value unless they are damaged.
    pub bytes: Vec<u8>,
    /// Set when the secret was found not to open. Replacing the value clears the mark.
    pub quarantined: Option<Quarantine>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSecret")
            .field("owner", &self.owner)
            .field("name", &self.name)
            .field("bytes", &self.bytes.len())
            .field("quarantined", &self.quarantined)
            .finish()
    }
}

/// The reason why a secret does not open, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The finding, as text.
    pub reason: String,
    /// When the secret was first found not to open.
    pub since: Timestamp,
}

/// A change of one stored secret, applied only if its bytes are still those that were read.
#[derive(Clone, Debug)]
pub struct ResealStep {
    /// The secret as it was read.
    pub secret: StoredSecret,
    /// The change.
    pub to: ResealAction,
}

/// A change that a rotation makes to a secret.
#[derive(Clone, Debug)]
pub enum ResealAction {
    /// Store the same value, sealed with the newest data key. Ends a quarantine.
    Sealed(Sealed),
    /// Keep the bytes and mark them as not opening.
    Quarantined(Quarantine),
    /// Keep the bytes, which open. Ends a quarantine.
    Sound,
}

/// The number of secrets by data key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// By the data key id in the sealed values, whether or not the store has that key.
    pub by_key: BTreeMap<u32, SecretCount>,
    /// Values that are not in a known format.
    pub malformed: SecretCount,
}

/// A number of secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretCount {
    /// All secrets, including quarantined ones.
    pub all: u64,
    /// Secrets that are known not to open.
    pub quarantined: u64,
}

/// The result of retiring a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// The key was removed.
    Retired,
    /// The key is the newest one, which seals new secrets.
    Newest,
    /// There is no such key: it was retired before or never existed.
    Absent,
    /// Secrets need the key, or may need it.
    InUse {
        /// Secrets sealed with the key.
        sealed: SecretCount,
        /// Secrets so damaged that their data key is unknown.
        unknown: u64,
    },
}

/// Refuses a rewrap that does not contain exactly the same data keys.
pub fn validate_rewrap(current: &[DataKey], rewrapped: &[DataKey]) -> Result<(), StoreError> {
    let same = |(was, becomes): (&DataKey, &DataKey)| was.id == becomes.id;
    if current.len() == rewrapped.len() && current.iter().zip(rewrapped).all(same) {
        return Ok(());
    }
    Err(StoreError::Invalid(
        "cannot wrap the data keys again: the new list does not have the same keys".to_owned(),
    ))
}

/// Sealed secrets, and the wrapped data keys that seal them.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Returns the sealed value, if there is one.
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError>;

    /// Returns a page of the stored secrets, ordered by model, pkid and name. The cost follows the
    /// number of stored secrets.
    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError>;

    /// Applies each step whose secret still has the bytes that were read, and returns for each step
    /// whether it was applied. Fails with [`StoreError::StaleKey`] and changes nothing when a value is
    /// sealed with a data key that is not the newest.
    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError>;

    /// Returns the wrapped data keys.
    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError>;

    /// Adds a wrapped data key, unless the id exists already, and returns the stored one. From then on,
    /// commits must seal with the newest data key. Fails with [`StoreError::Conflict`] when the other
    /// data keys are wrapped by another key-encryption key.
    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError>;

    /// Replaces all data keys by the same keys, wrapped again. Fails with [`StoreError::Conflict`] when
    /// the stored keys are not `current` any more.
    async fn rewrap_data_keys(
        &self,
        current: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError>;

    /// Removes a data key that does not seal any secret; the check of all secrets is part of the same
    /// write. With `despite_quarantined`, secrets that are known not to open do not count.
    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError>;

    /// Counts the secrets by data key. The cost follows the number of stored secrets.
    async fn key_use(&self) -> Result<KeyUse, StoreError>;
}
