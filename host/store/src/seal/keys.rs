//! The two layers of keys: the key-encryption key with its source, and the data keys that it wraps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SealError;
use crate::encoding;
use relation_types::{Reference, Timestamp};

/// A source of the key-encryption key.
pub trait KeyProvider: Send + Sync {
    /// Loads the key; `None` when there is none yet.
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError>;

    /// Creates and durably stores a key; returns the existing key when another process was faster.
    /// Called only for a store that does not have secrets yet.
    fn create(&self) -> Result<KeyEncryptionKey, KeyError>;

    /// Describes the source in messages, such as `the key file /etc/relation.key`.
    fn describe(&self) -> String;
}

/// The error of loading or creating a key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory of the key file does not exist.
    #[error("cannot create the key file {}: the directory {} does not exist: create it, or name another file", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// Users other than its owner may read or write the file.
    #[error("refusing the key file {}: its mode {mode:04o} lets users other than its owner access it: run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("cannot read the key file {}: {reason}: restore it from its copy, or name the right one", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The defect.
        reason: &'static str,
    },
    /// An operation of the file system failed.
    #[error("cannot {action} the key file {}: {source}", path.display())]
    Io {
        /// The attempted operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An environment variable does not contain a key.
    #[error("cannot take the key from the environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: String,
        /// The cause.
        reason: String,
    },
    /// A command does not provide a key.
    #[error("cannot get the key from the command {}: {reason}", program.display())]
    Command {
        /// The program that was run.
        program: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Another kind of provider failed, with its own message.
    #[error("{0}")]
    Other(String),
}

/// The key that wraps the data keys: 256 bits. Its `Debug` output shows only its fingerprint.
pub struct KeyEncryptionKey(Zeroizing<[u8; 32]>);

impl KeyEncryptionKey {
    /// Creates a key from these bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Creates a random key.
    pub fn random() -> Result<Self, KeyError> {
        random().map(Self).map_err(KeyError::Other)
    }

    /// Returns the bytes, for a provider that has to store them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Identifies the key without disclosing it: 16 hexadecimal digits of a labeled SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"relation key-encryption key\0")
            .chain_update(self.0.as_slice())
            .finalize();
        hex::encode(digest.get(..8).unwrap_or_default())
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.fingerprint())
    }
}

/// A wrapped data key, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey {
    /// The id in the store. The highest one is the key to seal with.
    pub id: u32,
    /// The fingerprint of the key-encryption key that wraps this key.
    pub kek_id: String,
    /// Nonce (24 bytes), ciphertext (32) and tag (16) of XChaCha20-Poly1305; bound to the store, the
    /// id and the fingerprint.
    pub wrapped: Vec<u8>,
    /// When the key was created.
    pub created: Timestamp,
}

impl DataKey {
    pub(super) fn unwrap(
        &self,
        kek: &KeyEncryptionKey,
        store: &str,
    ) -> Result<ClearDataKey, SealError> {
        let damaged = || SealError::DamagedDataKey(self.id);
        let (nonce, rest) = self.wrapped.split_first_chunk().ok_or_else(damaged)?;
        let mut buffer = Zeroizing::new(rest.to_vec());
        XChaCha20Poly1305::new((&*kek.0).into())
            .decrypt_in_place(
                &XNonce::from(*nonce),
                &associated_data(store, self.id, &self.kek_id),
                &mut *buffer,
            )
            .map_err(|_| damaged())?;
        let mut key = Zeroizing::new([0; 32]);
        if buffer.len() != key.len() {
            return Err(damaged());
        }
        key.copy_from_slice(&buffer);
        Ok(ClearDataKey(key))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .field("kek_id", &self.kek_id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// The keys that a sealer has loaded.
pub(super) struct Keys {
    pub(super) kek: Arc<KeyEncryptionKey>,
    /// The data keys by id, including those retired since the first load.
    pub(super) data: BTreeMap<u32, Arc<ClearDataKey>>,
    /// The id of the key to seal with.
    pub(super) current: u32,
}

impl Keys {
    /// Unwraps those of `wrapped` that are not in `data` yet.
    pub(super) fn open(
        kek: Arc<KeyEncryptionKey>,
        wrapped: &[DataKey],
        store: &str,
        mut data: BTreeMap<u32, Arc<ClearDataKey>>,
    ) -> Result<Self, SealError> {
        let mut current = 0;
        for key in wrapped {
            if let Entry::Vacant(vacant) = data.entry(key.id) {
                vacant.insert(Arc::new(key.unwrap(&kek, store)?));
            }
            current = current.max(key.id);
        }
        Ok(Self { kek, data, current })
    }

    /// Returns the data key `id`, to seal or open the secret `name` of `owner` with.
    pub(super) fn get(
        &self,
        id: u32,
        owner: &Reference,
        name: &str,
    ) -> Result<&ClearDataKey, SealError> {
        let found = self.data.get(&id).map(Arc::as_ref);
        found.ok_or_else(|| SealError::UnknownDataKey {
            owner: owner.clone(),
            name: name.to_owned(),
            key: id,
        })
    }
}

/// Loads the key from `provider`. A key is created only for a store without data keys. A provider may
/// run a program, so the call is moved to a blocking thread.
pub(super) async fn load_key(
    provider: &Arc<dyn KeyProvider>,
    wrapped: Option<&DataKey>,
) -> Result<Arc<KeyEncryptionKey>, SealError> {
    let wanted = wrapped.map(|key| key.kek_id.clone());
    let source = Arc::clone(provider);
    let load = move || match (source.load()?, wanted) {
        (Some(kek), _) => Ok(kek),
        (None, None) => Ok(source.create()?),
        (None, Some(wanted)) => Err(SealError::NoKey {
            wanted,
            key_source: source.describe(),
        }),
    };
    let kek = match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(load).await.map_err(|error| {
            KeyError::Other(format!("loading the key was interrupted: {error}"))
        })?,
        Err(_) => load(),
    };
    kek.map(Arc::new)
}

/// Refuses `kek` unless it wraps `key`.
pub(super) fn require_key(
    kek: &KeyEncryptionKey,
    key: &DataKey,
    provider: &dyn KeyProvider,
) -> Result<(), SealError> {
    if key.kek_id == kek.fingerprint() {
        return Ok(());
    }
    Err(SealError::WrongKey {
        wanted: key.kek_id.clone(),
        found: kek.fingerprint(),
        key_source: provider.describe(),
    })
}

/// An unwrapped data key.
pub(super) struct ClearDataKey(Zeroizing<[u8; 32]>);

impl ClearDataKey {
    pub(super) fn random() -> Result<Self, SealError> {
        random().map(Self).map_err(SealError::Failed)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn wrap(
        &self,
        kek: &KeyEncryptionKey,
        store: &str,
        id: u32,
        created: Timestamp,
    ) -> Result<DataKey, SealError> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Failed(error.to_string()))?;
        let kek_id = kek.fingerprint();
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.0.len() + 16));
        buffer.extend_from_slice(self.0.as_slice());
        XChaCha20Poly1305::new((&*kek.0).into())
            .encrypt_in_place(
                &XNonce::from(nonce),
                &associated_data(store, id, &kek_id),
                &mut *buffer,
            )
            .map_err(|_| SealError::Failed("the data key is too long".to_owned()))?;
        let mut wrapped = nonce.to_vec();
        wrapped.extend_from_slice(&buffer);
        Ok(DataKey {
            id,
            kek_id,
            wrapped,
            created,
        })
    }
}

fn associated_data(store: &str, id: u32, kek_id: &str) -> Vec<u8> {
    encoding::join(&[
        b"relation data key",
        store.as_bytes(),
        &id.to_be_bytes(),
        kek_id.as_bytes(),
    ])
}

fn random() -> Result<Zeroizing<[u8; 32]>, String> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| error.to_string())?;
    Ok(bytes)
}
