//! The rotation of keys while hosts run: new data keys, a new key-encryption key, and the end of old
//! ones.
//!
//! A rotation adds a data key, from when on stores take nothing that is sealed with another, and
//! seals every secret anew in small steps, each a write of its own that leaves alone what somebody
//! else replaced meanwhile. Whatever interrupts it, running it again continues: it is over when
//! nothing is sealed with an older key. A secret that does not open stays as it is and is marked.

use super::{KeyEncryptionKey, SealError, Sealed, Sealer};
use crate::store::{Quarantine, Reseal, Resealed, SecretScope, Store, StoreError, StoredSecret};
use crate::types::{Reference, Timestamp};

/// The most passes over all secrets. A second finds what was skipped because it was replaced just
/// then; more are needed only while some host cannot open the newest data key.
const PASSES: u32 = 16;

/// How far a rotation or a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Secrets done.
    pub done: u64,
    /// Secrets to do, as counted at the beginning.
    pub total: u64,
}

/// A secret that does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopened {
    /// Whose secret.
    pub owner: Reference,
    /// Its name.
    pub name: String,
    /// The data key that it names; none when it is no sealed value at all.
    pub key: Option<u32>,
    /// What was found, and when.
    pub quarantine: Quarantine,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The data key that all secrets are sealed with now, but those that do not open.
    pub key: u32,
    /// Whether this rotation added it; else it continued one that was begun before.
    pub added: bool,
    /// Secrets sealed anew.
    pub resealed: u64,
    /// Every secret that is known not to open, in order.
    pub unopened: Vec<Unopened>,
    /// Older data keys, which can be retired unless a secret that does not open names them.
    pub older: Vec<u32>,
}

/// What a check of all secrets found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Secrets that open.
    pub sound: u64,
    /// Those that do not.
    pub unopened: Vec<Unopened>,
}

/// What wrapping the data keys with another key-encryption key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrapped {
    /// So many data keys are wrapped by the new key now.
    Done(usize),
    /// They were already.
    Already,
}

/// Works on the keys of one store.
pub struct Rotation<'a> {
    store: &'a dyn Store,
    sealer: &'a Sealer,
    now: &'a (dyn Fn() -> Timestamp + Sync),
    step: u32,
}

impl<'a> Rotation<'a> {
    /// Secrets of one step when nothing else is said: a write of about a millisecond.
    pub const STEP: u32 = 100;

    /// Works on `store`, which `sealer` was opened for; `now` is the time by which findings are
    /// marked; each write is about `step` secrets, at least 1.
    pub fn new(
        store: &'a dyn Store,
        sealer: &'a Sealer,
        now: &'a (dyn Fn() -> Timestamp + Sync),
        step: u32,
    ) -> Self {
        Self {
            store,
            sealer,
            now,
            step: step.max(1),
        }
    }

    /// Seals every secret with the newest data key.
    ///
    /// That is a new one when all older ones are retired, or when `again` says so; otherwise an
    /// earlier rotation is continued.
    pub async fn rotate(
        &self,
        again: bool,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Rotated, SealError> {
        // Read before the keys are loaded: a key that somebody adds in between is loaded then, and one
        // added here is the same one.
        let stored = self.store.data_keys().await?;
        self.sealer.reload(self.store).await?;
        let added = again || stored.len() == 1;
        if added {
            let newest = stored.iter().map(|key| key.id).max().unwrap_or_default();
            self.add_key(newest).await?;
        }
        let mut key = self.sealer.keys().current;
        let (mut resealed, mut told) = (0, Progress::default());
        let mut passes = 0;
        loop {
            told.total = told.total.max(told.done + self.waiting(key).await?);
            progress(told);
            let pass = self.pass(SecretScope::NotUnder(key), |found| {
                told.done = (told.done + found).min(told.total);
                progress(told);
            });
            match pass.await {
                Ok(pass) => {
                    resealed += pass.resealed;
                    if pass.is_final() {
                        break;
                    }
                }
                // Somebody else began another rotation: this one goes on with its key.
                Err(SealError::Store(StoreError::StaleKey(_))) => {
                    self.sealer.reload(self.store).await?;
                    key = self.sealer.keys().current;
                }
                Err(error) => return Err(error),
            }
            passes += 1;
            if passes == PASSES {
                return Err(SealError::Unending(key));
            }
        }
        let stored = self.store.data_keys().await?;
        Ok(Rotated {
            key,
            added,
            resealed,
            unopened: unopened(self.store).await?,
            older: stored
                .iter()
                .map(|stored| stored.id)
                .filter(|id| *id < key)
                .collect(),
        })
    }

    /// Opens every secret, marks those that do not open and unmarks those that do.
    pub async fn check(
        &self,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Checked, SealError> {
        self.sealer.reload(self.store).await?;
        let counted = self.store.key_use().await?;
        let counts = counted.by_key.values().chain([&counted.malformed]);
        let mut told = Progress {
            done: 0,
            total: counts.map(|count| count.all).sum(),
        };
        progress(told);
        let pass = self.pass(SecretScope::All, |found| {
            told.done = (told.done + found).min(told.total);
            progress(told);
        });
        let pass = pass.await?;
        Ok(Checked {
            sound: pass.sound,
            unopened: unopened(self.store).await?,
        })
    }

    /// Wraps the data keys with `kek` in one write.
    pub async fn rewrap(&self, kek: KeyEncryptionKey) -> Result<Rewrapped, SealError> {
        let were = self.store.data_keys().await?;
        if were.iter().all(|key| key.kek_id == kek.fingerprint()) {
            return Ok(Rewrapped::Already);
        }
        self.sealer.reload(self.store).await?;
        let known = self.sealer.keys();
        let mut anew = Vec::with_capacity(were.len());
        for key in &were {
            let clear = known.data.get(&key.id);
            let clear = clear.ok_or(SealError::DamagedDataKey(key.id))?;
            let wrapped = clear.wrap(&kek, self.store.id(), key.id, key.created)?;
            // Nothing is thrown away before its replacement was seen to open.
            wrapped.unwrap(&kek, self.store.id())?;
            anew.push(wrapped);
        }
        let count = anew.len();
        self.store.rewrap_data_keys(were, anew).await?;
        self.sealer.adopt(kek);
        Ok(Rewrapped::Done(count))
    }

    /// Adds the key that follows `newest`.
    pub(super) async fn add_key(&self, newest: u32) -> Result<(), SealError> {
        let known = self.sealer.keys();
        let id = newest.saturating_add(1);
        let now = (self.now)();
        let key = super::ClearDataKey::random()?.wrap(&known.kek, self.store.id(), id, now)?;
        // Of two that rotate at once one adds its key and the other adopts that.
        self.store.add_data_key(key).await?;
        self.sealer.reload(self.store).await
    }

    /// How many secrets are not sealed with `key`, and not known to be damaged.
    async fn waiting(&self, key: u32) -> Result<u64, SealError> {
        let counted = self.store.key_use().await?;
        let others = counted.by_key.iter().filter(|(id, _)| **id != key);
        let counts = others.map(|(_, count)| count).chain([&counted.malformed]);
        Ok(counts.map(|count| count.all - count.quarantined).sum())
    }

    /// Goes through the secrets of `scope` once; tells of each step how many it settled.
    async fn pass(
        &self,
        scope: SecretScope,
        mut settled: impl FnMut(u64) + Send,
    ) -> Result<Pass, SealError> {
        let mut pass = Pass::default();
        let mut cursor = None;
        loop {
            let page = self.store.secrets(scope, cursor.as_deref(), self.step);
            let page = page.await?;
            let mut steps = Vec::new();
            let mut found = 0;
            for secret in page.items {
                let to = self.verdict(&secret, scope).await?;
                found += 1;
                pass.sound += u64::from(!matches!(to, Some(Resealed::Quarantined(_))));
                if let Some(to) = to {
                    steps.push(Reseal { secret, to });
                }
            }
            pass.take(steps, self.store).await?;
            settled(found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(pass);
            }
        }
    }

    /// What is to become of a secret; none when it is to be left as it is.
    async fn verdict(
        &self,
        secret: &StoredSecret,
        scope: SecretScope,
    ) -> Result<Option<Resealed>, SealError> {
        let renew = matches!(scope, SecretScope::NotUnder(_));
        let mut opened = self.reseal(secret, renew);
        if let Err(SealError::UnknownDataKey { .. }) = opened {
            self.sealer.reload(self.store).await?;
            opened = self.reseal(secret, renew);
        }
        Ok(match opened {
            Ok(Some(sealed)) => Some(Resealed::Sealed(sealed)),
            Ok(None) => secret.quarantined.as_ref().map(|_| Resealed::Sound),
            Err(error @ SealError::Cannot(_)) => return Err(error),
            Err(error) => {
                let since = secret.quarantined.as_ref().map(|known| known.since);
                Some(Resealed::Quarantined(Quarantine {
                    reason: reason(&error),
                    since: since.unwrap_or_else(|| (self.now)()),
                }))
            }
        })
    }

    /// The same value under the newest data key, if that is asked for; an error when it does not open.
    fn reseal(&self, secret: &StoredSecret, renew: bool) -> Result<Option<Sealed>, SealError> {
        let (owner, name) = (&secret.owner, &secret.name);
        let sealed = Sealed::try_from(secret.bytes.clone()).map_err(|_| SealError::Malformed {
            owner: owner.clone(),
            name: name.clone(),
        })?;
        let clear = self.sealer.unseal(owner, name, &sealed)?;
        renew
            .then(|| self.sealer.seal(owner, name, &clear))
            .transpose()
    }
}

/// What one pass came to.
#[derive(Default)]
struct Pass {
    resealed: u64,
    sound: u64,
    /// Secrets that were replaced by somebody else in between.
    missed: u64,
}

impl Pass {
    /// Whether another pass would find nothing to do.
    fn is_final(&self) -> bool {
        self.resealed == 0 && self.missed == 0
    }

    async fn take(&mut self, steps: Vec<Reseal>, store: &dyn Store) -> Result<(), SealError> {
        // What is marked already, in the same words, need not be written again.
        let news: Vec<Reseal> = steps
            .into_iter()
            .filter(|step| match (&step.to, &step.secret.quarantined) {
                (Resealed::Quarantined(found), Some(known)) => found != known,
                _ => true,
            })
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let sealed = |step: &Reseal| matches!(step.to, Resealed::Sealed(_));
        let sealed: Vec<bool> = news.iter().map(sealed).collect();
        let done = store.reseal(news).await?;
        for (sealed, done) in sealed.into_iter().zip(done) {
            self.resealed += u64::from(sealed && done);
            self.missed += u64::from(!done);
        }
        Ok(())
    }
}

/// What was found, without the secret's name, which stands beside it.
fn reason(error: &SealError) -> String {
    match error {
        SealError::Malformed { .. } => "it is not a sealed value of a known format".to_owned(),
        SealError::UnknownDataKey { key, .. } => {
            format!("it was sealed with data key {key}, which this store does not have")
        }
        SealError::Refused { .. } => {
            "it does not open: it is damaged, or was sealed for another row or another store"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Every secret that is known not to open.
pub async fn unopened(store: &dyn Store) -> Result<Vec<Unopened>, SealError> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.secrets(SecretScope::Quarantined, cursor.as_deref(), 1000);
        let page = page.await?;
        found.extend(page.items.into_iter().filter_map(|secret| {
            Some(Unopened {
                key: Sealed::try_from(secret.bytes)
                    .ok()
                    .map(|sealed| sealed.key()),
                owner: secret.owner,
                name: secret.name,
                quarantine: secret.quarantined?,
            })
        }));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
