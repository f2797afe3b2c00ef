//! The two layers of keys: the key-encryption key and where it comes from, and the data keys that it
//! wraps.

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
use crate::store::encoding;
use crate::types::{Reference, Timestamp};

/// Where the key-encryption key comes from.
pub trait KeyProvider: Send + Sync {
    /// The key; none when there is none yet.
    fn existing(&self) -> Result<Option<KeyEncryptionKey>, KeyError>;

    /// Makes a key and keeps it durably; answers with the existing one when somebody else was
    /// faster. Asked only by a store that holds no secrets yet.
    fn create(&self) -> Result<KeyEncryptionKey, KeyError>;

    /// Names the place in messages, such as `the key file /etc/relation.key`.
    fn describe(&self) -> String;
}

/// Why a key-encryption key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory for it does not exist.
    #[error("cannot make the key file {}: the directory {} does not exist: create it, or name another file", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// The directory it would be in.
        directory: PathBuf,
    },
    /// Others than its owner may read or write the file.
    #[error("refusing the key file {}: its mode {mode:04o} lets others than its owner at it: run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("cannot read the key file {}: {reason}: restore it from its copy, or name the right one", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} the key file {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An environment variable gives no key.
    #[error("cannot take the key from the environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A command gives no key.
    #[error("cannot get the key from the command {}: {reason}", program.display())]
    Command {
        /// The program that was run.
        program: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A provider of another kind failed, in its own words.
    #[error("{0}")]
    Other(String),
}

/// The key that wraps the data keys: 256 bits. Its Debug shows its fingerprint alone.
pub struct KeyEncryptionKey(Zeroizing<[u8; 32]>);

impl KeyEncryptionKey {
    /// The key with these bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// A new one.
    pub fn random() -> Result<Self, KeyError> {
        random().map(Self).map_err(KeyError::Other)
    }

    /// The bytes, for a provider that has to keep them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names the key without telling it: 16 hexadecimal digits of a labelled SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"relation key-encryption key\0")
            .chain_update(self.0.as_slice())
            .finalize();
        encoding::hex(digest.first_chunk::<8>().map_or(&[], <[u8; 8]>::as_slice))
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.fingerprint())
    }
}

/// A data key as the store keeps it: wrapped.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey {
    /// Names it in the store; the highest is the one to seal with.
    pub id: u32,
    /// The fingerprint of the key-encryption key that wraps it.
    pub kek_id: String,
    /// Nonce (24 bytes), ciphertext (32) and tag (16) of XChaCha20-Poly1305; bound to the store, the
    /// id and the fingerprint.
    pub wrapped: Vec<u8>,
    /// When it was made.
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
                &bound_to(store, self.id, &self.kek_id),
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

/// All keys that a sealer has.
pub(super) struct Keys {
    pub(super) kek: Arc<KeyEncryptionKey>,
    /// By id; those that were retired since the first look among them.
    pub(super) data: BTreeMap<u32, Arc<ClearDataKey>>,
    /// The id of the one to seal with.
    pub(super) current: u32,
}

impl Keys {
    /// Opens those of `wrapped` that are not in `data` yet.
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

    /// The data key `id`, to seal or open the secret `name` of `owner` with.
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

/// The key that `provider` gives. One is made only for a store that has no data key yet. A provider
/// may run a program, so it is asked aside from the threads that the runtime needs.
pub(super) async fn ask(
    provider: &Arc<dyn KeyProvider>,
    wrapped: Option<&DataKey>,
) -> Result<Arc<KeyEncryptionKey>, SealError> {
    let wanted = wrapped.map(|key| key.kek_id.clone());
    let asked = Arc::clone(provider);
    let asking = move || match (asked.existing()?, wanted) {
        (Some(kek), _) => Ok(kek),
        (None, None) => Ok(asked.create()?),
        (None, Some(wanted)) => Err(SealError::NoKey {
            wanted,
            source_of_key: asked.describe(),
        }),
    };
    let kek = match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(asking)
            .await
            .map_err(|error| KeyError::Other(format!("asking for the key broke off: {error}")))?,
        Err(_) => asking(),
    };
    kek.map(Arc::new)
}

/// Refuses `kek` unless it is the one that wraps `key`.
pub(super) fn insist(
    kek: &KeyEncryptionKey,
    key: &DataKey,
    provider: &dyn KeyProvider,
) -> Result<(), SealError> {
    if key.kek_id == kek.fingerprint() {
        return Ok(());
    }
    Err(SealError::WrongKey {
        wanted: key.kek_id.clone(),
        given: kek.fingerprint(),
        source_of_key: provider.describe(),
    })
}

/// A data key, ready for use.
pub(super) struct ClearDataKey(Zeroizing<[u8; 32]>);

impl ClearDataKey {
    pub(super) fn random() -> Result<Self, SealError> {
        random().map(Self).map_err(SealError::Cannot)
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
        getrandom::fill(&mut nonce).map_err(|error| SealError::Cannot(error.to_string()))?;
        let kek_id = kek.fingerprint();
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.0.len() + 16));
        buffer.extend_from_slice(self.0.as_slice());
        XChaCha20Poly1305::new((&*kek.0).into())
            .encrypt_in_place(
                &XNonce::from(nonce),
                &bound_to(store, id, &kek_id),
                &mut *buffer,
            )
            .map_err(|_| SealError::Cannot("the data key is too long".to_owned()))?;
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

fn bound_to(store: &str, id: u32, kek_id: &str) -> Vec<u8> {
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
