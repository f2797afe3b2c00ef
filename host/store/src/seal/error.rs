//! Errors of sealing and opening secrets, with remedies.

use super::keys::KeyError;
use crate::StoreError;
use relation_types::Reference;

/// The remedy for a secret that does not open.
pub(crate) const HINT: &str = "`relation-host keys check` lists all such secrets; put it \
    back from a backup, or set it again";

/// The error of sealing or opening secrets.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key-encryption key cannot be read or created.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An operation of the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds secrets, but their key-encryption key is missing.
    #[error(
        "the secrets of this store were sealed under key {wanted}, but {key_source} does not exist: restore that file or name the right one"
    )]
    NoKey {
        /// The fingerprint of the key that the store needs.
        wanted: String,
        /// The source from which the key was requested.
        key_source: String,
    },
    /// The key is not the one that the store's data keys are wrapped with.
    #[error(
        "the secrets of this store were sealed under key {wanted}, but {key_source} holds key {found}: name the right one"
    )]
    WrongKey {
        /// The fingerprint of the key that the store needs.
        wanted: String,
        /// The fingerprint of the key that was found.
        found: String,
        /// The source of the key.
        key_source: String,
    },
    /// The key-encryption key was replaced while this process runs.
    #[error(
        "the data keys of this store are now wrapped by key {wanted}, which {key_source} does not provide: configure that key and start this process again"
    )]
    KeyReplaced {
        /// The fingerprint of the key that the store needs.
        wanted: String,
        /// The source from which the key was requested.
        key_source: String,
    },
    /// The key-encryption key is correct, but a data key does not open.
    #[error(
        "data key {0} does not open with the key that wrapped it: it is damaged, or was copied from another store"
    )]
    DamagedDataKey(u32),
    /// The value is sealed with a data key that is not in the store.
    #[error(
        "the secret {name} of {owner} was sealed with data key {key}, which this store does not have: {hint}",
        hint = HINT
    )]
    UnknownDataKey {
        /// The owner of the secret.
        owner: Reference,
        /// The name of the secret.
        name: String,
        /// The data key that the value names.
        key: u32,
    },
    /// The value does not open: it was not sealed for this row.
    #[error(
        "the secret {name} of {owner} does not open: it is damaged, or was sealed for another row or another store: {hint}",
        hint = HINT
    )]
    DecryptionFailed {
        /// The owner of the secret.
        owner: Reference,
        /// The name of the secret.
        name: String,
    },
    /// The stored bytes are not a sealed value.
    #[error(
        "the secret {name} of {owner} is damaged: it is not a sealed value of a known format: {hint}",
        hint = HINT
    )]
    Malformed {
        /// The owner of the secret.
        owner: Reference,
        /// The name of the secret.
        name: String,
    },
    /// A data key cannot be retired because it is needed outside of the store.
    #[error("data key {key} cannot be retired: {holder} holds {values} that are sealed with it")]
    UsedElsewhere {
        /// The data key.
        key: u32,
        /// The holder of values that are sealed with the data key.
        holder: String,
        /// The number of such values.
        values: u64,
    },
    /// Whether a data key is needed outside of the store cannot be determined.
    #[error("cannot tell whether {holder} needs data key {key}: {source}")]
    UsageUnknown {
        /// The data key.
        key: u32,
        /// The possible holder of values that are sealed with the data key.
        holder: String,
        /// The underlying error.
        source: std::io::Error,
    },
    /// A rotation did not finish because other hosts use older data keys.
    #[error(
        "other hosts still seal secrets with older data keys than {0}: they do not have its key; start them again with the configured one, and rotate again"
    )]
    RotationUnfinished(u32),
    /// The operating system provides no random numbers, or the value is too long.
    #[error("cannot seal: {0}")]
    Failed(String),
}
