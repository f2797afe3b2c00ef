//! Sealing of the same secrets for another store.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::SecretString;

use super::keys::{self, ClearDataKey, Keys};
use super::{SealError, Sealed, Sealer};
use crate::{Store, StoredSecret};
use relation_types::Timestamp;

impl Sealer {
    /// Opens the sealer of another store, whose data keys are wrapped by the same key-encryption key. A store without
    /// data keys gets one with the id of the newest one here.
    ///
    /// # Errors
    /// The data keys of the other store are wrapped by another key-encryption key.
    pub(crate) async fn open_beside(
        &self,
        other: &dyn Store,
        now: Timestamp,
    ) -> Result<Self, SealError> {
        let known = self.keys();
        let mut wrapped = other.data_keys().await?;
        if wrapped.is_empty() {
            let id = known.current;
            let first = ClearDataKey::random()?.wrap(&known.kek, other.id(), id, now)?;
            wrapped.push(other.add_data_key(first).await?);
        }
        for key in &wrapped {
            keys::require_key(&known.kek, key, self.provider.as_ref())?;
        }
        let kek = Arc::clone(&known.kek);
        let keys = Keys::open(kek, &wrapped, other.id(), BTreeMap::new())?;
        Ok(Self {
            store: other.id().to_owned(),
            provider: Arc::clone(&self.provider),
            keys: Mutex::new(Arc::new(keys)),
            last_refusal: Mutex::default(),
        })
    }

    /// Opens a secret as it is stored.
    pub(crate) fn open_stored(&self, secret: &StoredSecret) -> Result<SecretString, SealError> {
        let (owner, name) = (&secret.owner, &secret.name);
        let sealed = Sealed::try_from(secret.bytes.clone()).map_err(|_| SealError::Malformed {
            owner: owner.clone(),
            name: name.clone(),
        })?;
        self.unseal(owner, name, &sealed)
    }
}
