//! The end of a list: what has vanished at Webex is removed, if that is plausible.
//!
//! An empty list, or a list that is suddenly short, is more often a fault at Webex than the truth.
//! Such a list removes no documents until a person accepts the list; an alert says so.

use serde::{Deserialize, Serialize};

use super::Run;
use super::entries::owned;
use super::state::{DocumentId, List};
use super::steps::{Counted, CountedChange};
use crate::alerts::{self, ALERT, Notice, Severity, code};
use crate::platform::{Change, Failure, Level, Platform, Reference};
use crate::webex::directory::Directory;

/// How many documents of a model an import removes, however many of them there are.
const FEW: u32 = 10;
/// How many stored documents are looked at together.
const TOGETHER: u32 = 200;

/// The size of a removal of vanished documents from a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// How many entries the list has.
    pub found: u32,
    /// How many documents were stored before the import.
    pub stored: u32,
    /// How many of those are not in the list.
    pub vanished: u32,
}

impl Removal {
    /// Whether the list can be believed: it is not empty, and at most half of the stored
    /// documents have vanished, or only a few.
    pub fn is_plausible(self) -> bool {
        match (self.vanished, self.found) {
            (0, _) => true,
            (_, 0) => false,
            (vanished, _) => vanished <= FEW || vanished <= self.stored.saturating_sub(vanished),
        }
    }

    /// Why none of `what` was removed, and what to do about it.
    pub fn explain(self, what: &str) -> String {
        let Self {
            found,
            stored,
            vanished,
        } = self;
        format!(
            "Webex's list has {found} {what} and lacks {vanished} of the {stored} that are stored; \
             if that is right, import again and accept the removals (`sync --accept-removals`)"
        )
    }
}

impl<P: Platform + ?Sized> Run<'_, P> {
    /// Removes the documents that were not seen, unless so many are not plausible. Returns whether
    /// the removal was complete before the call had to end.
    pub(super) fn remove_vanished(
        &mut self,
        index: usize,
        directory: &Directory,
    ) -> Result<bool, Failure> {
        let (stored, vanished) = self.find_vanished(directory)?;
        let found = self.seen.as_ref().map_or(0, |seen| count(seen.len()));
        // A call before this one may have begun to remove.
        let list = self.list(index);
        let removal = Removal {
            found,
            stored: stored
                .saturating_add(list.removed)
                .saturating_sub(list.added),
            vanished: count(vanished.len()).saturating_add(list.removed),
        };
        if !removal.is_plausible() && !self.import.accepts_removals {
            let what = directory.what;
            let warning = format!("none of the {what} is removed: {}", removal.explain(what));
            self.platform.log(Level::Warning, &warning);
            self.list(index).held = Some(removal);
            return Ok(true);
        }
        let together = usize::try_from(TOGETHER).unwrap_or(usize::MAX);
        let mut chunks = vanished.chunks(together).peekable();
        while let Some(references) = chunks.next() {
            let changes: Vec<CountedChange> = references
                .iter()
                .map(|reference| (Counted::Removed, Change::Delete(reference.clone())))
                .collect();
            self.write(index, changes, |_| ())?;
            // The last page is read again then, and the removal goes on.
            if chunks.peek().is_some() && self.platform.now() >= self.until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many documents are stored, and those that were not seen.
    fn find_vanished(&self, directory: &Directory) -> Result<(u32, Vec<Reference>), Failure> {
        let filter = owned(&self.record, directory.model);
        let was_seen = |reference: &Reference| {
            let id = DocumentId::parse(&reference.pkid);
            id.is_some_and(|id| self.seen.as_ref().is_some_and(|seen| seen.contains(&id)))
        };
        let mut stored = 0_u32;
        let mut vanished = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.platform.find(&filter, cursor.as_deref(), TOGETHER)?;
            stored = stored.saturating_add(count(page.documents.len()));
            let references = page.documents.into_iter().map(|found| found.reference);
            vanished.extend(references.filter(|reference| !was_seen(reference)));
            match page.next {
                None => return Ok((stored, vanished)),
                Some(next) => cursor = Some(next),
            }
        }
    }

    /// Returns the changes to the alerts: raises one for each list whose removals were held, and ends
    /// one for each list that was read whole and is plausible or accepted.
    pub(super) fn alert_changes(&self) -> Result<Vec<Change>, Failure> {
        let directories = self.import.kind.directories();
        let lists = self.import.lists.iter().zip(directories);
        // A list that was not read whole changes no alert.
        let known: Vec<(&List, &Directory)> =
            lists.filter(|(list, _)| list.partial.is_none()).collect();
        let references: Vec<Reference> = known
            .iter()
            .map(|(_, directory)| self.alert(directory))
            .collect();
        let stored = self.platform.get_many(&references)?;
        let mut changes = Vec::new();
        for (((list, directory), reference), stored) in
            known.into_iter().zip(references).zip(stored)
        {
            match (list.held, stored) {
                (Some(removal), earlier) => {
                    let (name, what) = (self.record.name(), directory.what);
                    let notice = Notice {
                        code: code::REMOVALS_HELD,
                        severity: Severity::Major,
                        message: format!(
                            "none of the {what} of {name} was removed: {}",
                            removal.explain(what)
                        ),
                        threshold: 0,
                    };
                    let now = self.platform.now();
                    let put = alerts::raise_import(&self.record, reference, earlier, &notice, now)?;
                    changes.push(put);
                }
                (None, Some(_)) => changes.push(Change::Delete(reference)),
                (None, None) => {}
            }
        }
        Ok(changes)
    }

    /// The alert about the removals of a directory: one for each record and model.
    fn alert(&self, directory: &Directory) -> Reference {
        let id = DocumentId::of(&self.record.pkid, ALERT, directory.model);
        Reference::new(ALERT, id.to_string())
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn removal(found: u32, stored: u32, vanished: u32) -> Removal {
        Removal {
            found,
            stored,
            vanished,
        }
    }

    #[test]
    fn removal_is_plausible_up_to_half_or_ten() {
        for (found, stored, vanished, plausible) in [
            (0, 0, 0, true),
            (5, 0, 0, true),
            (0, 1, 1, false),
            (0, 6, 6, false),
            (1, 11, 10, true),
            (1, 12, 11, false),
            (11, 22, 11, true),
            (10, 21, 11, false),
            (12, 12, 12, false),
            (50, 100, 50, true),
            (49, 100, 51, false),
        ] {
            let removal = removal(found, stored, vanished);
            assert_eq!(removal.is_plausible(), plausible, "{removal:?}");
        }
    }

    proptest! {
        #[test]
        fn implausible_is_empty_or_more_than_half_and_more_than_ten(
            found in prop_oneof![Just(0), any::<u32>()],
            stored in prop_oneof![0_u32..40, any::<u32>()],
            part in 0.0..=1.0,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let vanished = (f64::from(stored) * part) as u32;
            let removal = removal(found, stored, vanished);
            let most = u64::from(vanished) * 2 > u64::from(stored) && vanished > 10;
            let empty = found == 0 && vanished > 0;
            prop_assert_eq!(removal.is_plausible(), !(most || empty));
            // Fewer that have vanished are never less plausible.
            let fewer = Removal { vanished: vanished / 2, ..removal };
            prop_assert!(fewer.is_plausible() || !removal.is_plausible());
        }
    }
}
