//! Secrets at rest: envelope encryption with XChaCha20-Poly1305.
//!
//! A key-encryption key, which never enters the store, wraps data keys, which live in the store; the
//! data keys seal the secrets. A sealed value is bound to its store and its row: it opens nowhere
//! else. The keys and clear values that this module holds are wiped from memory when it lets them go.
//!
//! Data keys are rotated while hosts run (see `rotation`). The newest is the one to seal with, and
//! stores refuse others: [`Sealer::commit`] then reads the data keys again and seals anew.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Change, Commit, Store, StoreError};
use crate::sync::lock;
use crate::types::{Reference, Timestamp};

mod error;
mod kept;
mod key_command;
mod key_env;
mod key_file;
mod key_text;
mod keys;
mod retirement;
mod rotation;
mod sealed;

pub(in crate::store) use error::HINT;
pub use error::SealError;
pub use key_command::KeyCommand;
pub use key_env::KeyEnv;
pub use key_file::KeyFile;
pub use keys::{DataKey, KeyEncryptionKey, KeyError, KeyProvider};
pub use retirement::{SealedElsewhere, retire};
pub use rotation::{Checked, Progress, Rewrapped, Rotated, Rotation, Unopened, unopened};
pub use sealed::{MalformedSeal, Sealed};

use keys::{ClearDataKey, Keys};

/// The id of the data key that an empty store begins with. It is the same for every host, so that
/// of two that start at once on an empty store one adds its key and the other adopts that.
const FIRST_DATA_KEY: u32 = 1;

/// How often a call that meets unknown or stale keys reads them again before it gives up. Each time
/// needs another rotation in between.
const TRIES: u32 = 3;

/// How long a key that the provider did not give is not asked for again; asking may run a program.
const PATIENCE: Duration = Duration::from_secs(30);

/// Seals and opens the secrets of one store.
pub struct Sealer {
    store: String,
    provider: Arc<dyn KeyProvider>,
    keys: Mutex<Arc<Keys>>,
    /// The key that the provider did not give, and when it was asked last.
    refused: Mutex<Option<(String, Instant)>>,
}

impl Sealer {
    /// Opens the data keys of `store` with the key that `provider` gives, which is asked again when
    /// the data keys are found to be wrapped by another one later.
    ///
    /// A store without data keys gets its first one, made at `now`; only then is `provider` asked to
    /// make a key when it has none. Any other store insists on the key that its secrets were sealed
    /// under: with another one, or none, this fails and says which one it wants.
    pub async fn open(
        store: &dyn Store,
        provider: impl KeyProvider + 'static,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let provider: Arc<dyn KeyProvider> = Arc::new(provider);
        let mut wrapped = store.data_keys().await?;
        let kek = keys::ask(&provider, wrapped.first()).await?;
        if wrapped.is_empty() {
            let first = ClearDataKey::random()?.wrap(&kek, store.id(), FIRST_DATA_KEY, now)?;
            wrapped.push(store.add_data_key(first).await?);
        }
        for key in &wrapped {
            keys::insist(&kek, key, provider.as_ref())?;
        }
        let keys = Keys::open(kek, &wrapped, store.id(), BTreeMap::new())?;
        Ok(Self {
            store: store.id().to_owned(),
            provider,
            keys: Mutex::new(Arc::new(keys)),
            refused: Mutex::default(),
        })
    }

    /// Reads the data keys of the store again. Those that were retired can still be opened by this
    /// sealer. Fails, and keeps what it has, when they are wrapped by another key by now, and the
    /// provider does not give that one.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), SealError> {
        let wrapped = store.data_keys().await?;
        let known = self.keys();
        let Some(newest) = wrapped.last() else {
            return Ok(());
        };
        let kek = if newest.kek_id == known.kek.fingerprint() {
            Arc::clone(&known.kek)
        } else {
            self.ask_again(newest).await?
        };
        let keys = Keys::open(kek, &wrapped, &self.store, known.data.clone())?;
        *lock(&self.keys) = Arc::new(keys);
        Ok(())
    }

    /// The key that `wrapped` is wrapped by meanwhile, if the provider gives it by now.
    async fn ask_again(&self, wrapped: &DataKey) -> Result<Arc<KeyEncryptionKey>, SealError> {
        let wanted = &wrapped.kek_id;
        let asked_lately = match lock(&self.refused).as_ref() {
            Some((refused, asked)) => refused == wanted && asked.elapsed() < PATIENCE,
            None => false,
        };
        if !asked_lately {
            match keys::ask(&self.provider, Some(wrapped)).await {
                Ok(kek) if kek.fingerprint() == *wanted => return Ok(kek),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the key was asked for again in vain"),
            }
            *lock(&self.refused) = Some((wanted.clone(), Instant::now()));
        }
        Err(SealError::Rewrapped {
            wanted: wanted.clone(),
            source_of_key: self.provider.describe(),
        })
    }

    /// Seals `value` as the secret `name` of `owner`, under the newest data key that was read.
    pub fn seal(
        &self,
        owner: &Reference,
        name: &str,
        value: &SecretString,
    ) -> Result<Sealed, SealError> {
        let keys = self.keys();
        let key = keys.get(keys.current, owner, name)?;
        let clear = value.expose_secret().as_bytes();
        sealed::seal(key, keys.current, &self.place(owner, name), clear)
    }

    /// The value that was sealed as the secret `name` of `owner`.
    pub fn unseal(
        &self,
        owner: &Reference,
        name: &str,
        sealed: &Sealed,
    ) -> Result<SecretString, SealError> {
        let keys = self.keys();
        let key = keys.get(sealed.key(), owner, name)?;
        let refused = || SealError::Refused {
            owner: owner.clone(),
            name: name.to_owned(),
        };
        let clear: Zeroizing<Vec<u8>> =
            sealed::open(key, sealed, &self.place(owner, name)).ok_or_else(refused)?;
        let clear = std::str::from_utf8(&clear).map_err(|_| refused())?;
        Ok(SecretString::from(clear))
    }

    /// The same value under the newest data key that was read.
    pub fn seal_again(
        &self,
        owner: &Reference,
        name: &str,
        sealed: &Sealed,
    ) -> Result<Sealed, SealError> {
        self.seal(owner, name, &self.unseal(owner, name, sealed)?)
    }

    /// The secret `name` of `owner`, or none, also while data keys are rotated by another process.
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
                Err(SealError::UnknownDataKey { .. }) if tries < TRIES => {
                    self.reload(store).await?;
                    tries += 1;
                }
                done => return done.map(Some),
            }
        }
    }

    /// Commits. What was sealed with a data key that is not the newest any more is sealed anew; when
    /// this sealer cannot open the newest, the secrets are kept under the one that it has.
    pub async fn commit(&self, store: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        let is_seal = |change: &Change| matches!(change, Change::PutSecret { .. });
        if !commit.changes.iter().any(is_seal) {
            return store.commit(commit).await;
        }
        for _ in 0..TRIES {
            match store.commit(commit.clone()).await {
                Err(StoreError::StaleKey(_)) => {}
                done => return done,
            }
            match self.reload(store).await {
                Ok(()) => self.seal_all_again(&mut commit)?,
                Err(SealError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "secrets are sealed with an older data key");
                    commit.older_keys = true;
                }
            }
        }
        store.commit(commit).await
    }

    fn seal_all_again(&self, commit: &mut Commit) -> Result<(), StoreError> {
        for change in &mut commit.changes {
            if let Change::PutSecret {
                owner,
                name,
                sealed,
            } = change
            {
                *sealed = self
                    .seal_again(owner, name, sealed)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The fingerprint of the key that wraps the data keys.
    pub fn fingerprint(&self) -> String {
        self.keys().kek.fingerprint()
    }

    /// Goes on with another key-encryption key, which the data keys are wrapped by now.
    fn adopt(&self, kek: KeyEncryptionKey) {
        let known = self.keys();
        *lock(&self.keys) = Arc::new(Keys {
            kek: Arc::new(kek),
            data: known.data.clone(),
            current: known.current,
        });
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&lock(&self.keys))
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
            .field("data_keys", &self.keys().data.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
