//! Why secrets cannot be sealed or opened, and what to do about it.

use super::keys::KeyError;
use crate::store::StoreError;
use crate::types::Reference;

/// What to do about a secret that does not open.
pub(in crate::store) const HINT: &str = "`relation-host keys check` lists all such secrets; put it \
    back from a backup, or set it anew";

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key-encryption key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store did not answer, or not as it should.
    #[error(transparent)]
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
    /// The key-encryption key was changed while this process runs.
    #[error(
        "the data keys of this store are wrapped by key {wanted} meanwhile, and {source_of_key} does not give it: configure that key and start this process again"
    )]
    Rewrapped {
        /// The fingerprint of the key that the store wants.
        wanted: String,
        /// Where a key was looked for.
        source_of_key: String,
    },
    /// The key is the right one, and yet a data key does not open.
    #[error(
        "data key {0} does not open with the key that wrapped it: it is damaged, or was copied from another store"
    )]
    DamagedDataKey(u32),
    /// The value names a data key that is not in the store.
    #[error(
        "the secret {name} of {owner} was sealed with data key {key}, which this store does not have: {hint}",
        hint = HINT
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
        "the secret {name} of {owner} does not open: it is damaged, or was sealed for another row or another store: {hint}",
        hint = HINT
    )]
    Refused {
        /// Whose secret.
        owner: Reference,
        /// Its name.
        name: String,
    },
    /// The stored bytes are no sealed value.
    #[error(
        "the secret {name} of {owner} is damaged: it is not a sealed value of a known format: {hint}",
        hint = HINT
    )]
    Malformed {
        /// Whose secret.
        owner: Reference,
        /// Its name.
        name: String,
    },
    /// A data key that was to be retired is needed outside of the store.
    #[error("data key {key} cannot be retired: {holder} holds {values} that are sealed with it")]
    UsedElsewhere {
        /// The data key.
        key: u32,
        /// What holds values that are sealed with it.
        holder: String,
        /// How many.
        values: u64,
    },
    /// It cannot be told whether a data key is needed outside of the store.
    #[error("cannot tell whether {holder} needs data key {key}: {source}")]
    Elsewhere {
        /// The data key.
        key: u32,
        /// What may hold values that are sealed with it.
        holder: String,
        /// Why it cannot be told.
        source: std::io::Error,
    },
    /// A rotation did not come to its end.
    #[error(
        "other hosts go on sealing secrets with older data keys than {0}: they do not have its key; start them again with the configured one, and rotate again"
    )]
    Unending(u32),
    /// The operating system gives no random numbers, or the value is too long.
    #[error("cannot seal: {0}")]
    Cannot(String),
}
