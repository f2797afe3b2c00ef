//! Sealed secrets, and the quarantine of those that cannot be decrypted.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::seal::{DataKey, Sealed};
use relation_host::store::{
    KeyStore, KeyUse, Quarantine, ResealAction, ResealStep, Retirement, SecretCount, SecretScope,
    StoreError, StoredSecret,
};
use relation_host::types::{Page, Reference};

use super::state::State;
use super::{MemoryStore, parse_cursor_part, take_page};

/// The secrets by owner and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(BTreeMap<Reference, BTreeMap<String, SecretRow>>);

#[derive(Clone, Debug)]
struct SecretRow {
    sealed: Sealed,
    quarantined: Option<Quarantine>,
}

impl Secrets {
    pub(super) fn get(&self, owner: &Reference, name: &str) -> Option<&Sealed> {
        let row = self.0.get(owner)?.get(name)?;
        Some(&row.sealed)
    }

    pub(super) fn seal(&mut self, owner: Reference, name: String, sealed: Sealed) {
        let row = SecretRow {
            sealed,
            quarantined: None,
        };
        self.0.entry(owner).or_default().insert(name, row);
    }

    pub(super) fn remove(&mut self, owner: &Reference, name: &str) {
        if let Some(of_owner) = self.0.get_mut(owner) {
            of_owner.remove(name);
            if of_owner.is_empty() {
                self.0.remove(owner);
            }
        }
    }

    pub(super) fn delete(&mut self, owner: &Reference) {
        self.0.remove(owner);
    }

    /// Returns the secrets of `scope`, ordered by owner and name, after the given one.
    pub(super) fn list(
        &self,
        scope: SecretScope,
        after: Option<&(Reference, String)>,
    ) -> impl Iterator<Item = StoredSecret> {
        let from = match after {
            Some((owner, _)) => Bound::Included(owner),
            None => Bound::Unbounded,
        };
        let owners = self.0.range::<Reference, _>((from, Bound::Unbounded));
        let all = owners.flat_map(|(owner, secrets)| {
            let each = secrets.iter();
            each.map(move |(name, row)| (owner, name, row))
        });
        let further = move |owner: &Reference, name: &str| match after {
            Some((last, last_name)) => (owner, name) > (last, last_name.as_str()),
            None => true,
        };
        all.filter(move |(owner, name, row)| {
            let wanted = match scope {
                SecretScope::All => true,
                SecretScope::NotSealedWith(key) => row.sealed.key() != key,
                SecretScope::Quarantined => row.quarantined.is_some(),
            };
            wanted && further(owner, name)
        })
        .map(|(owner, name, row)| StoredSecret {
            owner: owner.clone(),
            name: name.clone(),
            bytes: row.sealed.as_bytes().to_vec(),
            quarantined: row.quarantined.clone(),
        })
    }

    pub(super) fn key_use(&self) -> KeyUse {
        let mut found = KeyUse::default();
        for row in self.0.values().flat_map(BTreeMap::values) {
            let count = found.by_key.entry(row.sealed.key()).or_default();
            count.all += 1;
            count.quarantined += u64::from(row.quarantined.is_some());
        }
        found
    }

    /// Applies the steps whose secrets have not changed; `newest` is the data key to seal with.
    pub(super) fn reseal(
        &mut self,
        steps: Vec<ResealStep>,
        newest: Option<u32>,
    ) -> Result<Vec<bool>, StoreError> {
        for step in &steps {
            if let ResealAction::Sealed(sealed) = &step.to
                && newest != Some(sealed.key())
            {
                return Err(StoreError::StaleKey(sealed.key()));
            }
        }
        Ok(steps
            .into_iter()
            .map(|step| self.reseal_one(step))
            .collect())
    }

    fn reseal_one(&mut self, ResealStep { secret, to }: ResealStep) -> bool {
        let of_owner = self.0.get_mut(&secret.owner);
        let Some(row) = of_owner.and_then(|names| names.get_mut(&secret.name)) else {
            return false;
        };
        if row.sealed.as_bytes() != secret.bytes {
            return false;
        }
        match to {
            ResealAction::Sealed(sealed) => {
                *row = SecretRow {
                    sealed,
                    quarantined: None,
                };
            }
            ResealAction::Quarantined(quarantine) => row.quarantined = Some(quarantine),
            ResealAction::Sound => row.quarantined = None,
        }
        true
    }

    /// Counts the secrets sealed with `key`, and those with an unknown key newer than `newest`.
    pub(super) fn needing(&self, key: u32, newest: u32) -> (SecretCount, u64) {
        let used = self.key_use();
        let of_key = used.by_key.get(&key).copied().unwrap_or_default();
        let beyond = used.by_key.iter().filter(|(named, _)| **named > newest);
        (of_key, beyond.map(|(_, count)| count.all).sum())
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn sealed(&self, owner: &Reference, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.with(|state| Ok(state.secrets.get(owner, name).cloned()))
    }

    async fn secrets(
        &self,
        scope: SecretScope,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<StoredSecret>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_secrets(&self.id, scope);
        let after = match cursor {
            Some(cursor) => {
                let [model, pkid, name] = listing.position(cursor)?;
                Some((Reference::new(model, parse_cursor_part(&pkid)?), name))
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.secrets.list(scope, after.as_ref());
            Ok(take_page(limit, found))
        })?;
        Ok(build_page(found, |last: &StoredSecret| {
            let StoredSecret { owner, name, .. } = last;
            listing.cursor(&[&owner.model, owner.pkid.as_str(), name])
        }))
    }

    async fn reseal(&self, steps: Vec<ResealStep>) -> Result<Vec<bool>, StoreError> {
        self.with(|state| {
            let newest = state.data_keys.newest();
            state.secrets.reseal(steps, newest)
        })
    }

    async fn data_keys(&self) -> Result<Vec<DataKey>, StoreError> {
        self.with(|state| Ok(state.data_keys.all()))
    }

    async fn add_data_key(&self, key: DataKey) -> Result<DataKey, StoreError> {
        self.with(|state| state.data_keys.add(key))
    }

    async fn rewrap_data_keys(
        &self,
        were: Vec<DataKey>,
        rewrapped: Vec<DataKey>,
    ) -> Result<(), StoreError> {
        self.with(|state| state.data_keys.rewrap(&were, rewrapped))
    }

    async fn retire_data_key(
        &self,
        id: u32,
        despite_quarantined: bool,
    ) -> Result<Retirement, StoreError> {
        self.with(|state| {
            let State {
                data_keys, secrets, ..
            } = state;
            Ok(data_keys.retire(id, despite_quarantined, secrets))
        })
    }

    async fn key_use(&self) -> Result<KeyUse, StoreError> {
        self.with(|state| Ok(state.secrets.key_use()))
    }
}
