//! Sealing of stashed commits: as a whole, bound to store, subject and epoch.

use zeroize::Zeroizing;

use super::{SealError, Sealed, Sealer, sealed};
use relation_types::Reference;

impl Sealer {
    /// Seals a stashed commit of `subject` and `epoch`. The associated data names this entry, so a
    /// stashed commit and a stored secret cannot be swapped.
    pub fn seal_stash_entry(
        &self,
        subject: &Reference,
        epoch: u64,
        commit: &[u8],
    ) -> Result<Sealed, SealError> {
        let (store, name) = (self.stash_namespace(), stash_entry_name(epoch));
        let keys = self.keys();
        let key = keys.get(keys.current, subject, &name)?;
        let binding = [&store, &subject.model, subject.pkid.as_str(), &name];
        sealed::seal(key, keys.current, &binding, commit)
    }

    /// Opens the stashed commit of `subject` and `epoch`.
    pub fn open_stash_entry(
        &self,
        subject: &Reference,
        epoch: u64,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (store, name) = (self.stash_namespace(), stash_entry_name(epoch));
        let keys = self.keys();
        let key = keys.get(sealed.key(), subject, &name)?;
        let binding = [&store, &subject.model, subject.pkid.as_str(), &name];
        sealed::open(key, sealed, &binding).ok_or(SealError::DecryptionFailed {
            owner: subject.clone(),
            name,
        })
    }

    /// Returns the namespace that replaces the store's id in the associated data. No store has such an
    /// id.
    fn stash_namespace(&self) -> String {
        format!("{}\0stash", self.store)
    }
}

fn stash_entry_name(epoch: u64) -> String {
    format!("stash entry of epoch {epoch}")
}
