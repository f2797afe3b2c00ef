//! The stored secrets as a whole: what a rotation of the data keys sees and does.

use std::collections::BTreeMap;
use std::fmt;

use super::seal::Sealed;
use crate::types::{Reference, Timestamp};

/// Which of the stored secrets are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretScope {
    /// Every one.
    All,
    /// Those that are sealed with another data key than this one, or are not sealed values at all.
    NotUnder(u32),
    /// Those that were found not to open.
    Quarantined,
}

/// A secret as it is stored, whether or not it can be opened.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The document it belongs to.
    pub owner: Reference,
    /// Its name there.
    pub name: String,
    /// What is stored; a [`Sealed`] unless it is damaged.
    pub bytes: Vec<u8>,
    /// Set when it was found not to open. Replacing the value ends it.
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

/// Why and since when a secret is known not to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// What was found.
    pub reason: String,
    /// When it was found.
    pub since: Timestamp,
}

/// What becomes of a stored secret, if its bytes are still those that were read.
#[derive(Clone, Debug)]
pub struct Reseal {
    /// As it was read.
    pub secret: StoredSecret,
    /// What is written.
    pub to: Resealed,
}

/// What a rotation makes of a secret.
#[derive(Clone, Debug)]
pub enum Resealed {
    /// The same value under the newest data key. Ends a quarantine.
    Sealed(Sealed),
    /// The bytes stay, with a note that they do not open.
    Quarantined(Quarantine),
    /// The bytes stay; they open. Ends a quarantine.
    Sound,
}

/// How many secrets are sealed with which data key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// By the id that the sealed values name, whether or not the store has that key.
    pub by_key: BTreeMap<u32, SecretCount>,
    /// Those that are not sealed values of a known format.
    pub malformed: SecretCount,
}

/// A number of secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretCount {
    /// All of them.
    pub all: u64,
    /// Those that were found not to open.
    pub quarantined: u64,
}

/// What became of a data key that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// It is gone.
    Retired,
    /// It is the newest one, which new secrets are sealed with.
    Newest,
    /// There is no such key: it was retired before, or never was.
    Absent,
    /// Secrets need it, or may need it.
    InUse {
        /// Secrets sealed with it.
        sealed: SecretCount,
        /// Secrets so damaged that nobody can tell the key that they were sealed with.
        unknown: u64,
    },
}
