//! The end of a list: removes documents whose entries have vanished at Webex, if that is plausible.
//!
//! A list that is empty or suddenly short is more often an error at Webex than true. Such a list
//! removes no documents until a person accepts the removals; an alert reports the list.
//!
//! Entries of a list by page number move to earlier pages when an entry is removed at Webex. One that moves from a page
//! not yet read to one already read is missed, and neither counts nor totals show it if another entry was added. Such a list
//! is read a second time before it removes documents. If an entry was missed because another one was removed, the second
//! reading lacks the other one, so that the readings differ.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::ImportRun;
use super::batches::{CountKind, CountedChange};
use super::document_id::DocumentId;
use super::entries::owned_filter;
use super::plan::inapplicable_directories;
use super::state::ListProgress;
use super::steps::{CHANGED, Step};
use crate::alerts::{self, ALERT, Notice, Severity, code};
use crate::platform::{Change, Failure, Level, Millis, Reference};
use crate::webex::directories::WHOLESALE_CUSTOMERS;
use crate::webex::directory::Directory;
use crate::workflows::wholesale::list_ended_customers;

/// The number of documents of a model that an import removes without a plausibility check.
const SMALL_REMOVAL: u32 = 10;
/// The number of documents that are deleted together.
const BATCH_SIZE: usize = 200;
/// The number of primary keys that are read together.
const PAGE_SIZE: u32 = 1_000;

/// The size of a removal of vanished documents from a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The number of entries in the list.
    pub found: u32,
    /// The number of documents stored before the import.
    pub stored: u32,
    /// The number of those documents that are missing in the list.
    pub vanished: u32,
}

impl Removal {
    /// Returns whether the list is plausible: not empty, and at most half of the stored documents, or only a few,
    /// have vanished.
    pub fn is_plausible(self) -> bool {
        match (self.vanished, self.found) {
            (0, _) => true,
            (_, 0) => false,
            (vanished, _) => {
                vanished <= SMALL_REMOVAL || vanished <= self.stored.saturating_sub(vanished)
            }
        }
    }

    /// Explains why no `plural` were removed, and what to do.
    pub fn explain(self, plural: &str) -> String {
        let Self {
            found,
            stored,
            vanished,
        } = self;
        format!(
            "Webex's list has {found} {plural} and lacks {vanished} of the {stored} that are stored; \
             if that is right, import again and accept the removals (`sync --accept-removals`)"
        )
    }
}

impl ImportRun<'_> {
    /// Removes the documents that were not seen, if their number is plausible. If the list has a `digest`, it must be
    /// that of an earlier reading. Returns the outcome of a step after which the list has not ended yet.
    pub(super) fn remove_vanished(
        &mut self,
        index: usize,
        directory: &Directory,
        digest: Option<u64>,
    ) -> Result<Option<Step>, Failure> {
        let (stored, mut vanished) = self.find_vanished(directory)?;
        if !self.sync.purges {
            self.keep_ordered_customers(index, directory, &mut vanished)?;
        }
        let found = self
            .seen
            .as_ref()
            .map_or(0, |seen| saturating_count(seen.len()));
        // An earlier call may have begun the removal.
        let list = self.list(index);
        let removal = Removal {
            found,
            stored: stored
                .saturating_add(list.removed)
                .saturating_sub(list.added),
            vanished: saturating_count(vanished.len()).saturating_add(list.removed),
        };
        let is_accepted = self.import.accepts_removals || self.sync.purges;
        if !removal.is_plausible() && !is_accepted {
            let plural = directory.plural;
            let warning = format!(
                "none of the {plural} is removed: {}",
                removal.explain(plural)
            );
            self.platform.log(Level::Warning, &warning);
            self.list(index).held = Some(removal);
            return Ok(None);
        }
        if let (false, Some(digest)) = (vanished.is_empty(), digest) {
            let plural = directory.plural;
            match self.list(index).first_digest {
                None => {
                    let text = format!(
                        "{} stored {plural} are not on the pages of Webex's list, which shift when it changes: it is \
                         read again before documents are removed",
                        vanished.len()
                    );
                    self.platform.log(Level::Info, &text);
                    self.list(index).first_digest = Some(digest);
                    return self.restart_list(index).map(Some);
                }
                Some(first) if first != digest => {
                    let warning = format!("none of the {plural} is removed: {CHANGED}");
                    self.platform.log(Level::Warning, &warning);
                    self.list(index).partial = Some(CHANGED.to_owned());
                    return Ok(None);
                }
                Some(_) => {}
            }
        }
        let mut chunks = vanished.chunks(BATCH_SIZE).peekable();
        while let Some(references) = chunks.next() {
            if directory.has_sites && !self.sync.purges {
                self.report_sites_left(index, references)?;
            }
            let changes: Vec<CountedChange> = references
                .iter()
                .map(|reference| {
                    CountedChange::new(CountKind::Removed, Change::Delete(reference.clone()))
                })
                .collect();
            self.commit_in_batches(index, changes, |_| ())?;
            // The next call reads the last page again and continues the removal.
            if chunks.peek().is_some() && self.platform.now() >= self.until {
                return Ok(Some(Step::PauseDue));
            }
        }
        Ok(None)
    }

    /// Returns the number of stored documents, and the references of those that were not seen.
    fn find_vanished(&self, directory: &Directory) -> Result<(u32, Vec<Reference>), Failure> {
        let filter = owned_filter(&self.record, directory.model);
        let was_seen = |pkid: &String| {
            let id = DocumentId::parse(pkid);
            id.is_some_and(|id| self.seen.as_ref().is_some_and(|seen| seen.contains(&id)))
        };
        let mut stored = 0_u32;
        let mut vanished = Vec::new();
        let mut cursor = None;
        loop {
            let cursor_text = cursor.as_deref();
            let page = self.platform.find_pkids(&filter, cursor_text, PAGE_SIZE)?;
            stored = stored.saturating_add(saturating_count(page.pkids.len()));
            let unseen = page.pkids.into_iter().filter(|pkid| !was_seen(pkid));
            vanished.extend(unseen.map(|pkid| Reference::new(directory.model, pkid)));
            match page.next {
                None => return Ok((stored, vanished)),
                Some(next) => cursor = Some(next),
            }
        }
    }

    /// Leaves out of `vanished` the wholesale customers whose orders have ended since the list began: the list may be older
    /// than the customers.
    fn keep_ordered_customers(
        &mut self,
        index: usize,
        directory: &Directory,
        vanished: &mut Vec<Reference>,
    ) -> Result<(), Failure> {
        if *directory != WHOLESALE_CUSTOMERS || vanished.is_empty() {
            return Ok(());
        }
        let begun = self.list(index).begun.unwrap_or(self.import.begun);
        let customers = list_ended_customers(self.platform, &self.record, begun)?;
        let ordered = customers.iter().map(|id| {
            DocumentId::derive(&self.record.pkid, directory.model, id).reference(directory.model)
        });
        let ordered: HashSet<Reference> = ordered.collect();
        vanished.retain(|reference| !ordered.contains(reference));
        Ok(())
    }

    /// Returns the changes to the alerts: raises one for each list that could not be read or whose removals were
    /// held. Ends the alert of a list that could not be read once the list was read. Ends the alert of held removals
    /// once they were made or are not needed. Ends every alert of a list that the record does not have any more.
    pub(super) fn alert_changes(&self) -> Result<Vec<Change>, Failure> {
        let lists = self.import.lists.iter().zip(&self.sync.lists);
        let known = lists.map(|(list, directory)| (Some(list), *directory));
        let record = &self.record;
        let obsolete = inapplicable_directories(record).map(|directory| (None, directory));
        let all: Vec<(Option<&ListProgress>, &Directory)> = known.chain(obsolete).collect();
        let references: Vec<Reference> = all
            .iter()
            .map(|(_, directory)| self.alert_reference(directory))
            .collect();
        let stored = self.platform.get_many(&references)?;
        let mut changes = Vec::new();
        for (((list, directory), reference), stored) in all.into_iter().zip(references).zip(stored)
        {
            let notice = list.and_then(|list| self.build_notice(list, directory));
            match (notice, stored) {
                (Some(notice), earlier) => {
                    let now = self.platform.now();
                    let put = alerts::raise_import(&self.record, reference, earlier, &notice, now)?;
                    changes.push(put);
                }
                (None, Some(alert)) => {
                    let is_about_removals = alerts::has_code(&alert, code::REMOVALS_HELD);
                    // An incomplete list, or one that removes nothing, does not settle held removals.
                    let is_settled = |list: &ListProgress| {
                        !is_about_removals
                            || (list.partial.is_none() && self.sync.allowed_changes.remove)
                    };
                    if list.is_none_or(is_settled) {
                        changes.push(Change::Delete(reference));
                    }
                }
                (None, None) => {}
            }
        }
        Ok(changes)
    }

    /// Returns the notice of a list that a person must look at.
    fn build_notice(&self, list: &ListProgress, directory: &Directory) -> Option<Notice> {
        let (name, plural) = (self.record.name(), directory.plural);
        let (code, message) = match (&list.failed, list.held) {
            (Some(reason), _) => {
                let message = format!("the {plural} of {name} could not be read: {reason}");
                (code::LIST_FAILED, message)
            }
            (None, Some(removal)) => {
                let reason = removal.explain(plural);
                let message = format!("none of the {plural} of {name} was removed: {reason}");
                (code::REMOVALS_HELD, message)
            }
            (None, None) => return None,
        };
        Some(Notice {
            code,
            severity: Severity::Major,
            message,
            threshold: Millis::ZERO,
        })
    }

    /// Returns the alert about a list: one for each record and model.
    fn alert_reference(&self, directory: &Directory) -> Reference {
        let id = DocumentId::derive(&self.record.pkid, ALERT, directory.model);
        Reference::new(ALERT, id.to_string())
    }
}

fn saturating_count(length: usize) -> u32 {
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
        fn removal_is_implausible_above_half_and_ten(
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
            // Fewer vanished documents are never less plausible.
            let fewer = Removal { vanished: vanished / 2, ..removal };
            prop_assert!(fewer.is_plausible() || !removal.is_plausible());
        }
    }
}
