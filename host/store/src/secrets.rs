//! Types for working on all stored secrets, as a rotation of the data keys does.

use std::collections::BTreeMap;
use std::fmt;

use super::seal::Sealed;
use relation_types::{Reference, Timestamp};

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
