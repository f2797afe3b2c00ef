//! The entries of a stash, counted for administrators.

use std::path::Path;

use relation_host::store::stash::{self, StashError};
use relation_host::text::format_count;

/// The number of entries of a stash.
pub(crate) struct StashContents {
    /// Responses of Webex that will be applied to the store.
    pub waiting: u64,
    /// Entries that were quarantined because they cannot be applied.
    pub quarantined: u64,
}

impl StashContents {
    /// Reads the stash at `directory`.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn read(directory: &Path) -> Result<Self, StashError> {
        let files = stash::list(directory)?;
        let quarantined = files.iter().filter(|file| file.quarantined).count();
        Ok(Self {
            waiting: (files.len() - quarantined) as u64,
            quarantined: quarantined as u64,
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
        let quarantined = (self.quarantined > 0).then(|| {
            (
                format!(
                    "{} quarantined",
                    format_count(
                        self.quarantined,
                        "entry of the stash was",
                        "entries of the stash were"
                    )
                ),
                "`relation-host stash list` lists them; the log has the reason",
            )
        });
        waiting.into_iter().chain(quarantined)
    }
}
