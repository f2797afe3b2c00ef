//! Sealing of commits that are kept in the stash: as a whole, bound to store, subject and epoch.

use zeroize::Zeroizing;

use super::{SealError, Sealed, Sealer, sealed};
use crate::types::Reference;

impl Sealer {
    /// Seals a commit that is kept for `subject` because the store could not take it in the claim
    /// `epoch`. Bound to that place: it is no secret of any row, and none is it.
    pub fn seal_kept(
        &self,
        subject: &Reference,
        epoch: u64,
        commit: &[u8],
    ) -> Result<Sealed, SealError> {
        let (store, name) = (self.kept_store(), kept_name(epoch));
        let keys = self.keys();
        let key = keys.get(keys.current, subject, &name)?;
        let place = [&store, &subject.model, subject.pkid.as_str(), &name];
        sealed::seal(key, keys.current, &place, commit)
    }

    /// The commit that was kept for `subject` in the claim `epoch`.
    pub fn open_kept(
        &self,
        subject: &Reference,
        epoch: u64,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (store, name) = (self.kept_store(), kept_name(epoch));
        let keys = self.keys();
        let key = keys.get(sealed.key(), subject, &name)?;
        let place = [&store, &subject.model, subject.pkid.as_str(), &name];
        sealed::open(key, sealed, &place).ok_or(SealError::Refused {
            owner: subject.clone(),
            name,
        })
    }

    /// Stands for the store in what a kept commit is bound to; no store has such an id.
    fn kept_store(&self) -> String {
        format!("{}\0stash", self.store)
    }
}

fn kept_name(epoch: u64) -> String {
    format!("stash entry of epoch {epoch}")
}
