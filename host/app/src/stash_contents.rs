//! The entries of a stash, counted for administrators.

use std::path::Path;

use relation_host::store::stash::{self, StashError};
use relation_host::text::format_count;

/// The number of entries of a stash.
pub(crate) struct StashContents {
    /// Responses of Webex that will be applied to the store.
    pub waiting: u64,
    /// Entries that were set aside because they cannot be applied.
    pub set_aside: u64,
}

impl StashContents {
    /// Reads the stash at `directory`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn read(directory: &Path) -> Result<Self, StashError> {
        let files = stash::list(directory)?;
        let set_aside = files.iter().filter(|file| file.quarantined).count();
        Ok(Self {
            waiting: (files.len() - set_aside) as u64,
            set_aside: set_aside as u64,
        })
    }

    /// Returns the problems with a hint each.
    pub fn problems(&self) -> impl Iterator<Item = (String, &'static str)> {
        let waiting = (self.waiting > 0).then(|| {
            (
                format!(
                    "{} in the stash and not in the store",
                    format_count(
                        self.waiting,
                        "response of Webex is",
                        "responses of Webex are"
                    )
                ),
                "`relation-host stash list` lists them, `relation-host stash apply` applies them",
            )
        });
        let set_aside = (self.set_aside > 0).then(|| {
            (
                format!(
                    "{} set aside",
                    format_count(
                        self.set_aside,
                        "entry of the stash was",
                        "entries of the stash were"
                    )
                ),
                "`relation-host stash list` lists them; the log has the reason",
            )
        });
        waiting.into_iter().chain(set_aside)
    }
}
