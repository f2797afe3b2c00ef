//! The steps of an import: reading and storing a page, and ending a list.

use std::collections::HashSet;

use super::ImportRun;
use super::access::{FetchError, WebexAccess, explain_list_error, map_refusal};
use super::batches::{CountKind, CountedChange};
use super::document_id::DocumentId;
use super::entries::{Difference, ListedEntry};
use super::seen::SeenIds;
use super::state::{ListProgress, build_seen_documents};
use crate::grant::Grant;
use crate::platform::{Change, Failure, Level};
use crate::webex::directory::{Api, Directory, Entry, Paging};
use crate::webex::errors::ErrorKind;
use crate::webex::pages::Page;

/// The maximum number of pages of one list; a longer list is taken as endless.
const MAX_LIST_PAGES: u32 = 10_000;
/// The number of calls with a temporary error of one list after which the import continues without the list.
const MAX_LIST_ATTEMPTS: u32 = 5;
/// The reason why a list that did not stay the same is incomplete.
pub(super) const CHANGED: &str = "the list changed at Webex while it was read";
/// The maximum number of unreadable entries that a warning names.
const MAX_NAMED_ENTRIES: usize = 3;

/// A list with an error that is settled after the other lists.
pub(super) struct DeferredList {
    index: usize,
    // Whether another attempt has the same error.
    is_permanent: bool,
    reason: String,
    failure: Failure,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The step was done; another may follow.
    Done,
    /// The call should end before another step.
    PauseDue,
    /// No step is left.
    Finished,
}

impl ImportRun<'_> {
    /// Does the next step.
    pub(super) fn step(&mut self) -> Result<Step, Failure> {
        if !self.import.obsolete.is_empty() {
            if self.is_pause_due() {
                return Ok(Step::PauseDue);
            }
            self.clear_obsolete()?;
            return Ok(Step::Done);
        }
        // Documents with seen entries are obsolete if their list has no position.
        let leftover = |list: &ListProgress| list.next.is_none() && list.seen_documents > 0;
        if let Some(index) = self.import.lists.iter().position(leftover) {
            if self.is_pause_due() {
                return Ok(Step::PauseDue);
            }
            self.clear_seen(index)?;
            return Ok(Step::Done);
        }
        let open = self.import.lists.iter().enumerate();
        let is_deferred = |index: usize| self.deferred.iter().any(|each| each.index == index);
        let mut open = open.filter(|(index, list)| !list.ended && !is_deferred(*index));
        let Some((index, _)) = open.next() else {
            return self.settle_deferred();
        };
        let Some(directory) = self.sync.lists.get(index).copied() else {
            return Ok(Step::Finished);
        };
        if self.sync.purges {
            return self.purge_list(index, directory);
        }
        if self.is_pause_due() {
            return Ok(Step::PauseDue);
        }
        if self.seen.is_none() && !self.load_seen(index)? {
            return self.restart_list(index);
        }
        let now = self.platform.now();
        self.list(index).begun.get_or_insert(now);
        let (done, total) = (self.import.steps_done(), self.import.steps_total());
        let plural = directory.plural;
        self.platform
            .progress(done, total, &format!("reading {plural}"));

        let first_request = self.pages == 0;
        let next = self.list(index).next.clone();
        let access = match &mut self.access {
            Some(access) => access,
            empty => empty.insert(WebexAccess::open(
                self.platform,
                &self.settings,
                &self.record,
            )?),
        };
        let response = access.fetch_page(&mut self.record, directory, next.as_deref());
        let error = match response {
            Ok((address, page)) => {
                self.pages = self.pages.saturating_add(1);
                self.request_next(directory, &address, &page);
                return self.store_page(index, directory, &address, page);
            }
            Err(FetchError::Import(failure)) => return Err(failure),
            Err(FetchError::Moved) => {
                let text = format!(
                    "the address of Webex has changed: the {plural} are read from the first page again"
                );
                self.platform.log(Level::Warning, &text);
                return self.restart_list(index);
            }
            Err(FetchError::Temporary(failure)) => {
                let reason = failure.to_string();
                self.platform
                    .log(Level::Warning, &format!("the {plural}: {reason}"));
                self.defer_list(index, false, reason, failure);
                return Ok(Step::Done);
            }
            Err(FetchError::List(reason)) => {
                self.platform
                    .log(Level::Warning, &format!("the {plural}: {reason}"));
                return self.fail_list(index, reason);
            }
            Err(FetchError::Webex(error)) => error,
        };
        match error.kind {
            // A new call has its own limits and its own lease.
            ErrorKind::Limit if !first_request => Ok(Step::PauseDue),
            // Addresses of pages expire.
            ErrorKind::NotFound | ErrorKind::Rejected
                if first_request
                    && next.is_some()
                    && self.list(index).attempts < MAX_LIST_ATTEMPTS =>
            {
                let list = self.list(index);
                list.attempts = list.attempts.saturating_add(1);
                self.platform.log(
                    Level::Warning,
                    &format!("{error}: the {plural} are read from the first page again"),
                );
                self.restart_list(index)
            }
            ErrorKind::NotFound if directory.is_deprecated && next.is_none() => {
                let text = format!("Webex has no list of {plural} any more: what is stored stays");
                self.platform.log(Level::Info, &text);
                self.list(index).ended = true;
                self.seen = None;
                self.commit(Vec::new())?;
                Ok(Step::Done)
            }
            ErrorKind::Unauthorized
                if directory.grant == Grant::Organization && directory.api == Api::Webex =>
            {
                Err(map_refusal(self.platform, &error))
            }
            ErrorKind::Forbidden | ErrorKind::Unauthorized | ErrorKind::Refused => {
                let reason = explain_list_error(self.platform, directory, &error);
                self.fail_list(index, reason)
            }
            ErrorKind::RateLimited | ErrorKind::Client | ErrorKind::ProxyCredentials => {
                self.platform.log(Level::Warning, &error.to_string());
                Err(error.into_failure(self.platform.now()))
            }
            // The call has no request left.
            ErrorKind::Limit if !error.lost => {
                self.platform.log(Level::Warning, &error.to_string());
                Err(error.into_failure(self.platform.now()))
            }
            ErrorKind::NotFound
            | ErrorKind::Rejected
            | ErrorKind::Unavailable
            | ErrorKind::Malformed
            | ErrorKind::Denied
            | ErrorKind::Limit => {
                let is_permanent = matches!(error.kind, ErrorKind::NotFound | ErrorKind::Rejected);
                let reason = explain_list_error(self.platform, directory, &error);
                let failure = error.into_failure(self.platform.now());
                self.defer_list(index, is_permanent, reason, failure);
                Ok(Step::Done)
            }
        }
    }

    /// Requests the page after `page`, if this call will read it. Whether a list by position has another page is known only
    /// when the page is stored.
    fn request_next(&self, directory: &Directory, address: &str, page: &Page) {
        if !matches!(directory.paging, Paging::Link(_)) {
            return;
        }
        let next = page.next.as_deref().filter(|next| *next != address);
        if let (Some(access), Some(next), false) = (&self.access, next, self.is_pause_due()) {
            access.request_page(directory, next);
        }
    }

    /// Leaves a list with an error until the others have been read.
    fn defer_list(&mut self, index: usize, is_permanent: bool, reason: String, failure: Failure) {
        self.seen = None;
        let list = self.list(index);
        list.attempts = list.attempts.saturating_add(1);
        self.deferred.push(DeferredList {
            index,
            is_permanent,
            reason,
            failure,
        });
    }

    /// Ends a list that cannot be read; the others continue.
    fn fail_list(&mut self, index: usize, reason: String) -> Result<Step, Failure> {
        self.unstored.forget(index);
        self.list(index).fail(reason);
        self.seen = None;
        self.commit(Vec::new())?;
        Ok(Step::Done)
    }

    /// Settles the lists with an error, after all others. If Webex has responded for any list, an error that stays, or
    /// has stayed for several calls, concerns only its own list. Otherwise the call fails, and another one tries again.
    fn settle_deferred(&mut self) -> Result<Step, Failure> {
        let mut lists = self.import.lists.iter();
        // A list that is known to be gone was not read.
        let is_any_answered =
            lists.any(|list| list.ended && (list.pages > 0 || list.failed.is_some()));
        let mut first = None;
        for deferred in std::mem::take(&mut self.deferred) {
            let list = self.list(deferred.index);
            let is_given_up = deferred.is_permanent || list.attempts >= MAX_LIST_ATTEMPTS;
            match is_any_answered && is_given_up {
                true => {
                    list.fail(deferred.reason);
                    self.unstored.forget(deferred.index);
                }
                false => {
                    first.get_or_insert(deferred.failure);
                }
            }
        }
        match first {
            None => Ok(Step::Finished),
            Some(failure) => {
                self.commit(Vec::new())?;
                Err(failure)
            }
        }
    }

    /// Removes every stored document of a list.
    fn purge_list(&mut self, index: usize, directory: &Directory) -> Result<Step, Failure> {
        self.seen = Some(SeenIds::default());
        self.end_list(index, directory, 0, None)
    }

    /// Stores the entries of a page, and moves to the next page or ends the list.
    fn store_page(
        &mut self,
        index: usize,
        directory: &Directory,
        address: &str,
        page: Page,
    ) -> Result<Step, Failure> {
        let items = page.items.len();
        let overlaps = self.list(index).overlaps;
        let begins_with_seen = overlaps && self.begins_with_seen(directory, &page);
        let pages = self.list(index).pages.saturating_add(1);
        let mut entries = self.read_unseen(index, directory, pages, &page.items)?;
        // Pages have exactly one entry in common, unless entries were removed, added or sorted in between.
        let is_shifted =
            overlaps && (items.saturating_sub(entries.len()) != 1 || !begins_with_seen);
        // Only the entry that this page has in common with the one before.
        let is_end = overlaps && items == 1 && entries.is_empty();
        let abandoned = match &page.next {
            None => None,
            Some(_) if is_end => None,
            Some(_) if items == 0 => Some("Webex sent an empty page that names a next page"),
            Some(next) if next == address || (entries.is_empty() && pages > 1) => {
                Some("Webex sent a page twice")
            }
            Some(_) if pages >= MAX_LIST_PAGES => Some("Webex's list did not end"),
            Some(_) => None,
        };
        let next = page.next.filter(|_| abandoned.is_none() && !is_end);
        if let Some(total) = page.total {
            self.list(index).reported_total = Some(total);
        }
        let shifted = is_shifted.then_some(CHANGED);
        let reasons = abandoned.into_iter().chain(shifted);
        for reason in reasons.map(str::to_owned).chain(page.link_error) {
            let plural = directory.plural;
            let warning = format!("{reason}: the list of {plural} may be incomplete");
            self.platform.log(Level::Warning, &warning);
            self.list(index).partial.get_or_insert(reason);
        }

        let organization = self.access.as_ref().and_then(WebexAccess::organization);
        entries.retain(|each| directory.selects(&each.entry, organization));
        let ids: Vec<DocumentId> = entries.iter().map(|each| each.id).collect();
        let digest = self.list(index).digest;
        let digest = ((page.can_shift && next.is_some()) || digest.is_some())
            .then(|| DocumentId::extend_digest(digest.unwrap_or_default(), &ids));
        if self.sync.is_filtered(directory.model) {
            let sync = &self.sync;
            entries.retain(|each| sync.includes(directory.model, &each.parse_whole()));
        }
        if directory.has_sites {
            self.update_sites(index, &entries)?;
        }
        let allowed = self.sync.allowed_changes;
        let (record, linked) = (&self.record, &mut self.linked);
        let differences = entries
            .into_iter()
            .filter_map(|each| each.find_difference(record, directory, linked));
        let mut changes: Vec<CountedChange> = differences
            .filter_map(|difference| match difference {
                Difference::New(document) => allowed
                    .add
                    .then(|| CountedChange::new(CountKind::Added, Change::Put(document))),
                Difference::Changed(document) => allowed
                    .update
                    .then(|| CountedChange::new(CountKind::Updated, Change::Put(document))),
            })
            .collect();
        let Some(next) = next else {
            if !changes.is_empty() {
                self.commit_in_batches(index, changes, |_| ())?;
            }
            self.seen.get_or_insert_default().extend(ids);
            return self.end_list(index, directory, pages, digest);
        };
        let seen = self.seen.get_or_insert_default();
        seen.extend(&ids);
        let found = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let advance = |list: &mut ListProgress| {
            list.pages = pages;
            list.found = found;
            list.next = Some(next.clone());
            list.overlaps = page.overlaps;
            list.digest = digest;
        };
        if changes.is_empty() && self.unstored.can_take(index, &ids) {
            self.unstored.take(index, ids);
            advance(self.list(index));
            if self.unstored.is_full() {
                self.commit(Vec::new())?;
            }
            return Ok(Step::Done);
        }
        // The ids of earlier pages have the numbers before those of this page.
        if !self.unstored.is_empty() {
            self.commit(Vec::new())?;
        }
        let first = self.list(index).seen_documents;
        let documents =
            build_seen_documents(&self.record, &self.sync.pkid, directory.model, first, &ids);
        let document_count = u32::try_from(documents.len()).unwrap_or(u32::MAX);
        changes.extend(
            documents
                .into_iter()
                .map(|document| CountedChange::new(CountKind::Uncounted, Change::Put(document))),
        );
        self.commit_in_batches(index, changes, |list| {
            advance(list);
            list.seen_documents = list.seen_documents.saturating_add(document_count);
        })?;
        Ok(Step::Done)
    }

    /// Returns whether the first entry of a page was on an earlier page.
    fn begins_with_seen(&self, directory: &Directory, page: &Page) -> bool {
        let first = page.items.first().and_then(|item| Entry::parse(item).ok());
        let id =
            first.map(|entry| DocumentId::derive(&self.record.pkid, directory.model, &entry.id));
        let seen = self.seen.as_ref();
        id.is_some_and(|id| seen.is_some_and(|seen| seen.contains(&id)))
    }

    /// Reads the entries of the `number`-th page that were not on earlier pages, and their documents.
    fn read_unseen(
        &mut self,
        index: usize,
        directory: &Directory,
        number: u32,
        items: &[Vec<u8>],
    ) -> Result<Vec<ListedEntry>, Failure> {
        let seen = self.seen.get_or_insert_default();
        let (record, linked) = (&self.record, &mut self.linked);
        let page = ListedEntry::read_page(self.platform, record, directory, items, seen, linked)?;
        let unreadable = page.unreadable.iter().map(|(index, reason)| {
            let label = items
                .get(*index)
                .and_then(|item| Entry::label_unreadable(item));
            let name = label.map_or_else(String::new, |name| format!(" (`{name}`)"));
            let number_on_page = index.saturating_add(1);
            format!("entry {number_on_page} of page {number}{name} {reason}")
        });
        let mut unreadable: Vec<String> = unreadable.collect();
        if let Some(first) = unreadable.first() {
            let (count, plural) = (unreadable.len(), directory.plural);
            let partial = format!("some of them could not be understood: {first}");
            self.list(index).partial.get_or_insert(partial);
            let more = match count.saturating_sub(MAX_NAMED_ENTRIES) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            unreadable.truncate(MAX_NAMED_ENTRIES);
            let named = unreadable.join(", ");
            let warning = format!("{count} of the {plural} cannot be taken: {named}{more}");
            self.platform.log(Level::Warning, &warning);
        }
        Ok(page.entries)
    }

    /// Ends a list that was read as far as possible: removes vanished entries. `digest` is that of all entries, if one of
    /// them may have moved unnoticed between two pages.
    fn end_list(
        &mut self,
        index: usize,
        directory: &Directory,
        pages: u32,
        digest: Option<u64>,
    ) -> Result<Step, Failure> {
        let found = self.seen.as_ref().map_or(0, HashSet::len);
        let list = self.list(index);
        if let Some(total) = list.reported_total
            && u64::try_from(found).is_ok_and(|found| found < total)
        {
            let reason = format!("Webex counts {total} of them and sent {found}");
            list.partial.get_or_insert(reason);
        }
        let may_remove = list.partial.is_none() && self.sync.allowed_changes.remove;
        if may_remove && let Some(before) = self.remove_vanished(index, directory, digest)? {
            return Ok(before);
        }
        self.seen = None;
        self.unstored.forget(index);
        let list = self.list(index);
        list.pages = pages;
        list.found = u32::try_from(found).unwrap_or(u32::MAX);
        list.next = None;
        list.ended = true;
        Ok(Step::Done)
    }

    /// Restarts a list at its first page and keeps the counts of changes.
    pub(super) fn restart_list(&mut self, index: usize) -> Result<Step, Failure> {
        self.list(index).restart();
        self.unstored.forget(index);
        self.seen = None;
        if self.list(index).seen_documents == 0 {
            self.commit(Vec::new())?;
        }
        Ok(Step::Done)
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "indexes come from the lists themselves"
    )]
    pub(super) fn list(&mut self, index: usize) -> &mut ListProgress {
        &mut self.import.lists[index]
    }
}
