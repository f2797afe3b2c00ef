//! Secrets at rest: envelope encryption with XChaCha20-Poly1305.
//!
//! A key-encryption key, which is never stored, wraps data keys, which are stored; the data keys seal
//! the secrets. A sealed value is bound to its store and row and cannot be opened elsewhere. The keys
//! and clear values in this module are wiped from memory when they are dropped.
//!
//! Data keys are rotated while hosts run (see `rotation`). Stores accept only values that are sealed
//! with the newest data key: on a refusal, [`Sealer::commit`] reads the data keys again and seals again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Change, Commit, Store, StoreError};
use relation_types::{Reference, Timestamp};

mod error;
mod key_command;
mod key_env;
mod key_file;
mod key_text;
mod keys;
mod retirement;
mod rotation;
mod sealed;
mod stash_sealing;
mod transfer;

pub(crate) use error::HINT;
pub use error::SealError;
pub use key_command::KeyCommand;
pub use key_env::KeyEnv;
pub use key_file::KeyFile;
pub use keys::{DataKey, KeyEncryptionKey, KeyError, KeyProvider};
pub use retirement::{DataKeyUser, retire};
pub(crate) use rotation::describe_unopened;
pub use rotation::{
    RewrapOutcome, Rotation, RotationProgress, RotationReport, SecretCheckReport, UnopenedSecret,
    list_unopened,
};
pub use sealed::{MalformedSeal, Sealed};

use keys::{ClearDataKey, Keys};

/// The id of the first data key of a store. It is the same for every host. If two hosts start concurrently on an empty
/// store, one adds its key and the other adopts it.
const FIRST_DATA_KEY: u32 = 1;

/// How often a call that finds unknown or stale keys reads the keys again before it gives up. Each retry
/// would need another rotation in between.
const MAX_RELOADS: u32 = 3;

/// How long to wait before a missing key is requested from the provider again; the provider may run a
/// program.
const PROVIDER_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The sealer and opener of one store's secrets.
pub struct Sealer {
    store: String,
    provider: Arc<dyn KeyProvider>,
    keys: Mutex<Arc<Keys>>,
    /// The fingerprint that the provider did not have, and the time of the last request for it.
    last_refusal: Mutex<Option<(String, Instant)>>,
}

impl Sealer {
    /// Opens the data keys of `store` with the key from `provider`. The provider is asked again when the
    /// data keys are later found to be wrapped by another key.
    ///
    /// A store without data keys gets its first one, created at `now`; only then may `provider` create a
    /// key.
    ///
    /// # Errors
    /// The store has data keys, and the key is missing or not the one that wraps them; the error names
    /// the needed key.
    pub async fn open(
        store: &dyn Store,
        provider: impl KeyProvider + 'static,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let provider: Arc<dyn KeyProvider> = Arc::new(provider);
        let mut wrapped = store.data_keys().await?;
        let kek = keys::load_key(&provider, wrapped.first()).await?;
        if wrapped.is_empty() {
            let first = ClearDataKey::random()?.wrap(&kek, store.id(), FIRST_DATA_KEY, now)?;
            wrapped.push(store.add_data_key(first).await?);
        }
        for key in &wrapped {
            keys::require_key(&kek, key, provider.as_ref())?;
        }
        let keys = Keys::open(kek, &wrapped, store.id(), BTreeMap::new())?;
        Ok(Self {
            store: store.id().to_owned(),
            provider,
            keys: Mutex::new(Arc::new(keys)),
            last_refusal: Mutex::default(),
        })
    }

    /// Reads the data keys of the store again. This sealer can still open values of retired data keys.
    ///
    /// # Errors
    /// The data keys are now wrapped by another key that the provider does not have. The loaded keys
    /// stay.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), SealError> {
        let wrapped = store.data_keys().await?;
        let known = self.keys();
        let Some(newest) = wrapped.last() else {
            return Ok(());
        };
        let kek = if newest.kek_id == known.kek.fingerprint() {
            Arc::clone(&known.kek)
        } else {
            self.load_replaced_key(newest).await?
        };
        let keys = Keys::open(kek, &wrapped, &self.store, known.data.clone())?;
        *self.keys.lock() = Arc::new(keys);
        Ok(())
    }

    /// Loads the key that `wrapped` is now wrapped by, if the provider has it.
    async fn load_replaced_key(
        &self,
        wrapped: &DataKey,
    ) -> Result<Arc<KeyEncryptionKey>, SealError> {
        let wanted = &wrapped.kek_id;
        let asked_recently = match self.last_refusal.lock().as_ref() {
            Some((refused, asked)) => {
                refused == wanted && asked.elapsed() < PROVIDER_RETRY_INTERVAL
            }
            None => false,
        };
        if !asked_recently {
            match keys::load_key(&self.provider, Some(wrapped)).await {
                Ok(kek) if kek.fingerprint() == *wanted => return Ok(kek),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the replaced key-encryption key could not be loaded")
                }
            }
            *self.last_refusal.lock() = Some((wanted.clone(), Instant::now()));
        }
        Err(SealError::KeyReplaced {
            wanted: wanted.clone(),
            key_source: self.provider.describe(),
        })
    }

    /// Seals `value` as the secret `name` of `owner`, with the newest loaded data key.
    pub fn seal(
        &self,
        owner: &Reference,
        name: &str,
        value: &SecretString,
    ) -> Result<Sealed, SealError> {
        let keys = self.keys();
        let key = keys.get(keys.current, owner, name)?;
        let clear = value.expose_secret().as_bytes();
        sealed::seal(key, keys.current, &self.binding(owner, name), clear)
    }

    /// Decrypts the value that was sealed as the secret `name` of `owner`.
    pub fn unseal(
        &self,
        owner: &Reference,
        name: &str,
        sealed: &Sealed,
    ) -> Result<SecretString, SealError> {
        let keys = self.keys();
        let key = keys.get(sealed.key(), owner, name)?;
        let refused = || SealError::DecryptionFailed {
            owner: owner.clone(),
            name: name.to_owned(),
        };
        let clear: Zeroizing<Vec<u8>> =
            sealed::open(key, sealed, &self.binding(owner, name)).ok_or_else(refused)?;
        let clear = std::str::from_utf8(&clear).map_err(|_| refused())?;
        Ok(SecretString::from(clear))
    }

    /// Seals the same value with the newest loaded data key.
    pub fn reseal_value(
        &self,
        owner: &Reference,
        name: &str,
        sealed: &Sealed,
    ) -> Result<Sealed, SealError> {
        self.seal(owner, name, &self.unseal(owner, name, sealed)?)
    }

    /// Returns the secret `name` of `owner`, if there is one, also while another process rotates data
    /// keys.
    pub async fn reveal(
        &self,
        store: &dyn Store,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<SecretString>, SealError> {
        let mut tries = 0;
        loop {
            let Some(sealed) = store.sealed(owner, name).await? else {
                return Ok(None);
            };
            match self.unseal(owner, name, &sealed) {
                Err(SealError::UnknownDataKey { .. }) if tries < MAX_RELOADS => {
                    self.reload(store).await?;
                    tries += 1;
                }
                done => return done.map(Some),
            }
        }
    }

    /// Commits, and seals values again that are sealed with an older data key. If this sealer cannot
    /// open the newest data key, the secrets are stored under the key that it has.
    pub async fn commit(&self, store: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        let puts_secret = |change: &Change| matches!(change, Change::PutSecret { .. });
        if !commit.changes.iter().any(puts_secret) {
            return store.commit(commit).await;
        }
        for _ in 0..MAX_RELOADS {
            match store.commit(commit.clone()).await {
                Err(StoreError::StaleKey(_)) => {}
                done => return done,
            }
            match self.reload(store).await {
                Ok(()) => self.reseal_all(&mut commit)?,
                Err(SealError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "secrets are sealed with an older data key");
                    commit.older_keys = true;
                }
            }
        }
        store.commit(commit).await
    }

    fn reseal_all(&self, commit: &mut Commit) -> Result<(), StoreError> {
        for change in &mut commit.changes {
            if let Change::PutSecret {
                owner,
                name,
                sealed,
            } = change
            {
                *sealed = self
                    .reseal_value(owner, name, sealed)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Returns the fingerprint of the key that wraps the data keys.
    pub fn fingerprint(&self) -> String {
        self.keys().kek.fingerprint()
    }

    /// Continues with another key-encryption key, which now wraps the data keys.
    fn adopt(&self, kek: KeyEncryptionKey) {
        let known = self.keys();
        *self.keys.lock() = Arc::new(Keys {
            kek: Arc::new(kek),
            data: known.data.clone(),
            current: known.current,
        });
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.lock())
    }

    /// Returns the row that a sealed value is bound to.
    fn binding<'a>(&'a self, owner: &'a Reference, name: &'a str) -> [&'a str; 4] {
        [&self.store, &owner.model, owner.pkid.as_str(), name]
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("store", &self.store)
            .field("data_keys", &self.keys().data.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
