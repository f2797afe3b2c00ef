//! Rotation of keys while hosts run: adding data keys, replacing the key-encryption key, checking
//! secrets.
//!
//! A rotation adds a data key; from then on stores refuse values that are sealed with another one. It
//! then seals every secret again in small steps. Each step is one write, and leaves values alone that
//! another process replaced meanwhile. An interrupted rotation continues when it is run again; it is
//! finished when no secret is sealed with an older key. A secret that does not open stays unchanged and
//! is marked.

use super::{KeyEncryptionKey, SealError, Sealed, Sealer};
use crate::{Quarantine, ResealAction, ResealStep, SecretScope, Store, StoreError, StoredSecret};
use relation_types::{Reference, Timestamp};

/// The largest number of passes over all secrets. The second pass handles secrets that were skipped
/// because they were just being replaced. More passes are needed only while some host cannot open the
/// newest data key.
const MAX_PASSES: u32 = 16;

/// The progress of a rotation or a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationProgress {
    /// The number of processed secrets.
    pub done: u64,
    /// The number of secrets to process, counted at the beginning.
    pub total: u64,
}

/// A secret that does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnopenedSecret {
    /// The owner of the secret.
    pub owner: Reference,
    /// The name of the secret.
    pub name: String,
    /// The data key that the value names; `None` if it is not a sealed value.
    pub key: Option<u32>,
    /// The finding and its time.
    pub quarantine: Quarantine,
}

/// The result of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationReport {
    /// The data key that now seals all secrets, except those that do not open.
    pub key: u32,
    /// Whether this rotation added the key; otherwise it continued an earlier rotation.
    pub added: bool,
    /// The number of secrets that were sealed again.
    pub resealed: u64,
    /// All secrets that are known not to open, in order.
    pub unopened: Vec<UnopenedSecret>,
    /// The older data keys. A key can be retired unless a secret that does not open names it.
    pub older: Vec<u32>,
}

/// The result of a check of all secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretCheckReport {
    /// The number of secrets that open.
    pub sound: u64,
    /// The secrets that do not open.
    pub unopened: Vec<UnopenedSecret>,
}

/// The result of wrapping the data keys with another key-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewrapOutcome {
    /// This number of data keys was wrapped with the new key.
    Done(usize),
    /// The data keys were already wrapped with that key.
    Already,
}

/// Operations on the keys of one store.
pub struct Rotation<'a> {
    store: &'a dyn Store,
    sealer: &'a Sealer,
    now: &'a (dyn Fn() -> Timestamp + Sync),
    step: u32,
}

impl<'a> Rotation<'a> {
    /// The default number of secrets in one step: a write of about a millisecond.
    pub const STEP: u32 = 100;

    /// Works on `store`, which `sealer` was opened for. `now` supplies the time of findings. Each write
    /// has about `step` secrets, at least 1.
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
    /// A new data key is added when all older ones are retired, or when `again` is set; otherwise an
    /// earlier rotation is continued.
    pub async fn rotate(
        &self,
        again: bool,
        mut progress: impl FnMut(RotationProgress) + Send,
    ) -> Result<RotationReport, SealError> {
        // Read before the keys are loaded. A key that another process adds in between is then loaded too; a key added
        // here has the same id.
        let stored = self.store.data_keys().await?;
        self.sealer.reload(self.store).await?;
        let added = again || stored.len() == 1;
        if added {
            let newest = stored.iter().map(|key| key.id).max().unwrap_or_default();
            self.add_key(newest).await?;
        }
        let mut key = self.sealer.keys().current;
        let (mut resealed, mut reported) = (0, RotationProgress::default());
        let mut passes = 0;
        loop {
            reported.total = reported
                .total
                .max(reported.done + self.count_remaining(key).await?);
            progress(reported);
            let pass = self.run_pass(SecretScope::NotSealedWith(key), |found| {
                reported.done = (reported.done + found).min(reported.total);
                progress(reported);
            });
            match pass.await {
                Ok(pass) => {
                    resealed += pass.resealed;
                    if pass.is_final() {
                        break;
                    }
                }
                // Another process began another rotation: continue with its key.
                Err(SealError::Store(StoreError::StaleKey(_))) => {
                    self.sealer.reload(self.store).await?;
                    key = self.sealer.keys().current;
                }
                Err(error) => return Err(error),
            }
            passes += 1;
            if passes == MAX_PASSES {
                return Err(SealError::RotationUnfinished(key));
            }
        }
        let stored = self.store.data_keys().await?;
        Ok(RotationReport {
            key,
            added,
            resealed,
            unopened: list_unopened(self.store).await?,
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
        mut progress: impl FnMut(RotationProgress) + Send,
    ) -> Result<SecretCheckReport, SealError> {
        self.sealer.reload(self.store).await?;
        let counted = self.store.key_use().await?;
        let counts = counted.by_key.values().chain([&counted.malformed]);
        let mut reported = RotationProgress {
            done: 0,
            total: counts.map(|count| count.all).sum(),
        };
        progress(reported);
        let pass = self.run_pass(SecretScope::All, |found| {
            reported.done = (reported.done + found).min(reported.total);
            progress(reported);
        });
        let pass = pass.await?;
        Ok(SecretCheckReport {
            sound: pass.sound,
            unopened: list_unopened(self.store).await?,
        })
    }

    /// Wraps the data keys with `kek` in one write.
    pub async fn rewrap(&self, kek: KeyEncryptionKey) -> Result<RewrapOutcome, SealError> {
        let current = self.store.data_keys().await?;
        if current.iter().all(|key| key.kek_id == kek.fingerprint()) {
            return Ok(RewrapOutcome::Already);
        }
        self.sealer.reload(self.store).await?;
        let known = self.sealer.keys();
        let mut rewrapped = Vec::with_capacity(current.len());
        for key in &current {
            let clear = known.data.get(&key.id);
            let clear = clear.ok_or(SealError::DamagedDataKey(key.id))?;
            let wrapped = clear.wrap(&kek, self.store.id(), key.id, key.created)?;
            // A key is only replaced after its replacement was opened successfully.
            wrapped.unwrap(&kek, self.store.id())?;
            rewrapped.push(wrapped);
        }
        let count = rewrapped.len();
        self.store.rewrap_data_keys(current, rewrapped).await?;
        self.sealer.adopt(kek);
        Ok(RewrapOutcome::Done(count))
    }

    /// Adds the data key with the id after `newest`.
    pub(super) async fn add_key(&self, newest: u32) -> Result<(), SealError> {
        let known = self.sealer.keys();
        let id = newest.saturating_add(1);
        let now = (self.now)();
        let key = super::ClearDataKey::random()?.wrap(&known.kek, self.store.id(), id, now)?;
        // If two rotations run concurrently, one adds its key and the other adopts that key.
        self.store.add_data_key(key).await?;
        self.sealer.reload(self.store).await
    }

    /// Counts the secrets that are not sealed with `key` and not known to be damaged.
    async fn count_remaining(&self, key: u32) -> Result<u64, SealError> {
        let counted = self.store.key_use().await?;
        let others = counted.by_key.iter().filter(|(id, _)| **id != key);
        let counts = others.map(|(_, count)| count).chain([&counted.malformed]);
        Ok(counts.map(|count| count.all - count.quarantined).sum())
    }

    /// Processes the secrets of `scope` once, and reports after each step how many it settled.
    async fn run_pass(
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
                let to = self.decide(&secret, scope).await?;
                found += 1;
                pass.sound += u64::from(!matches!(to, Some(ResealAction::Quarantined(_))));
                if let Some(to) = to {
                    steps.push(ResealStep { secret, to });
                }
            }
            pass.apply(steps, self.store).await?;
            settled(found);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(pass);
            }
        }
    }

    /// Decides what to do with a secret; `None` leaves it as it is.
    async fn decide(
        &self,
        secret: &StoredSecret,
        scope: SecretScope,
    ) -> Result<Option<ResealAction>, SealError> {
        let renew = matches!(scope, SecretScope::NotSealedWith(_));
        let mut opened = self.reseal(secret, renew);
        if let Err(SealError::UnknownDataKey { .. }) = opened {
            self.sealer.reload(self.store).await?;
            opened = self.reseal(secret, renew);
        }
        Ok(match opened {
            Ok(Some(sealed)) => Some(ResealAction::Sealed(sealed)),
            Ok(None) => secret.quarantined.as_ref().map(|_| ResealAction::Sound),
            Err(error @ SealError::Failed(_)) => return Err(error),
            Err(error) => {
                let since = secret.quarantined.as_ref().map(|known| known.since);
                Some(ResealAction::Quarantined(Quarantine {
                    reason: describe_unopened(&error),
                    since: since.unwrap_or_else(|| (self.now)()),
                }))
            }
        })
    }

    /// Opens a secret and, if `renew` is set, seals it with the newest data key. An error means that the
    /// secret does not open.
    fn reseal(&self, secret: &StoredSecret, renew: bool) -> Result<Option<Sealed>, SealError> {
        let (owner, name) = (&secret.owner, &secret.name);
        let clear = self.sealer.open_stored(secret)?;
        renew
            .then(|| self.sealer.seal(owner, name, &clear))
            .transpose()
    }
}

/// The result of one pass.
#[derive(Default)]
struct Pass {
    resealed: u64,
    sound: u64,
    /// Secrets that another process replaced in the meantime.
    missed: u64,
}

impl Pass {
    /// Returns whether another pass would have no work.
    fn is_final(&self) -> bool {
        self.resealed == 0 && self.missed == 0
    }

    async fn apply(&mut self, steps: Vec<ResealStep>, store: &dyn Store) -> Result<(), SealError> {
        // A secret that is already marked with the same finding need not be written again.
        let pending: Vec<ResealStep> = steps
            .into_iter()
            .filter(|step| match (&step.to, &step.secret.quarantined) {
                (ResealAction::Quarantined(found), Some(known)) => found != known,
                _ => true,
            })
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        let sealed = |step: &ResealStep| matches!(step.to, ResealAction::Sealed(_));
        let sealed: Vec<bool> = pending.iter().map(sealed).collect();
        let done = store.reseal(pending).await?;
        for (sealed, done) in sealed.into_iter().zip(done) {
            self.resealed += u64::from(sealed && done);
            self.missed += u64::from(!done);
        }
        Ok(())
    }
}

/// Returns the finding without the secret's name, which is stored in the same row.
pub(crate) fn describe_unopened(error: &SealError) -> String {
    match error {
        SealError::Malformed { .. } => "it is not a sealed value of a known format".to_owned(),
        SealError::UnknownDataKey { key, .. } => {
            format!("it was sealed with data key {key}, which this store does not have")
        }
        SealError::DecryptionFailed { .. } => {
            "it does not open: it is damaged, or was sealed for another row or another store"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Lists all secrets that are known not to open.
pub async fn list_unopened(store: &dyn Store) -> Result<Vec<UnopenedSecret>, SealError> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.secrets(SecretScope::Quarantined, cursor.as_deref(), 1000);
        let page = page.await?;
        found.extend(page.items.into_iter().filter_map(|secret| {
            Some(UnopenedSecret {
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
