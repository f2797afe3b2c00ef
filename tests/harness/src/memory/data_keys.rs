//! The wrapped data keys.

use std::collections::BTreeMap;

use relation_host::store::seal::DataKey;
use relation_host::store::{Retirement, StoreError, validate_rewrap};

use super::secrets::Secrets;

/// The data keys by id; the last one is the newest.
#[derive(Clone, Debug, Default)]
pub(super) struct DataKeys(BTreeMap<u32, DataKey>);

impl DataKeys {
    pub(super) fn all(&self) -> Vec<DataKey> {
        self.0.values().cloned().collect()
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.0.contains_key(&id)
    }

    /// Returns the key to seal with; `None` before a host has opened the store.
    pub(super) fn newest(&self) -> Option<u32> {
        self.0.keys().next_back().copied()
    }

    /// Adds `key` unless its id exists, and returns the stored key.
    pub(super) fn add(&mut self, key: DataKey) -> Result<DataKey, StoreError> {
        if let Some(stored) = self.0.get(&key.id) {
            return Ok(stored.clone());
        }
        if let Some(other) = self.0.values().find(|other| other.kek_id != key.kek_id) {
            return Err(StoreError::other_key_encryption_key(&key, other));
        }
        self.0.insert(key.id, key.clone());
        Ok(key)
    }

    pub(super) fn rewrap(
        &mut self,
        expected: &[DataKey],
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        validate_rewrap(expected, &rewrapped)?;
        if !self.0.values().eq(expected) {
            return Err(StoreError::data_keys_changed());
        }
        for key in rewrapped {
            if let Some(stored) = self.0.get_mut(&key.id) {
                stored.kek_id = key.kek_id;
                stored.wrapped = key.wrapped;
            }
        }
        Ok(())
    }

    pub(super) fn retire(
        &mut self,
        id: u32,
        despite_quarantined: bool,
        secrets: &Secrets,
    ) -> Retirement {
        let newest = match self.newest() {
            Some(newest) if newest == id => return Retirement::Newest,
            Some(newest) if self.contains(id) => newest,
            _ => return Retirement::Absent,
        };
        let (sealed, unknown) = secrets.needing(id, newest);
        let needed = match despite_quarantined {
            true => sealed.all > sealed.quarantined,
            false => sealed.all > 0 || unknown > 0,
        };
        if needed {
            return Retirement::InUse { sealed, unknown };
        }
        self.0.remove(&id);
        Retirement::Retired
    }
}
