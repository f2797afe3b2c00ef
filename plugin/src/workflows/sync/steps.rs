//! The steps of an import: a page is read and stored, a list is brought to its end.

use std::collections::HashSet;

use super::Run;
use super::access::failure;
use super::entries::{Difference, differences};
use super::state::{DocumentId, List, seen_documents, seen_in, seen_reference};
use crate::platform::{Change, Failure, Level, Platform, Reference};
use crate::webex::directory::{Directory, Entry};
use crate::webex::errors::ErrorKind;
use crate::webex::pages::Page;

/// How many pages of one list are read at most: one that is longer does not end.
const LONGEST_LIST: u32 = 10_000;
/// How many changes are committed together, and about how many bytes, at most: a quarter of what
/// hosts allow. Less when a host allows less.
const CHANGES: usize = 250;
const BYTES: usize = 256 * 1024;
/// How many unreadable entries of a page a warning names.
const NAMED: usize = 3;

/// What was seen of a list.
pub(super) type Seen = HashSet<DocumentId>;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was done; there may be another one.
    Done,
    /// This call has done enough.
    Spent,
    /// There is none left.
    Finished,
}

/// What a change is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Added,
    Updated,
    Removed,
    Not,
}

pub(super) type CountedChange = (Counted, Change);

impl<P: Platform + ?Sized> Run<'_, P> {
    /// Does the next step.
    pub(super) fn step(&mut self) -> Result<Step, Failure> {
        // What was seen of a list without a position is of no use any more.
        let leftover = |list: &List| list.next.is_none() && list.seen > 0;
        if let Some(index) = self.import.lists.iter().position(leftover) {
            self.clear(index)?;
            return Ok(Step::Done);
        }
        let Some(index) = self.import.lists.iter().position(|list| !list.ended) else {
            return Ok(Step::Finished);
        };
        let Some(directory) = self.import.kind.directories().get(index) else {
            return Ok(Step::Finished);
        };
        if self.is_spent() {
            return Ok(Step::Spent);
        }
        if self.seen.is_none() && !self.recall(index)? {
            return self.begin_anew(index);
        }
        let (done, total) = (self.import.done(), self.import.total());
        let what = directory.what;
        self.platform
            .progress(done, total, &format!("reading {what}"));

        let inherited = self.pages == 0;
        let next = self.list(index).next.clone();
        let record = &mut self.record;
        let answer = self.access.page(record, directory, next.as_deref())?;
        let (address, page) = match answer {
            Ok(page) => page,
            // A new call has bounds of its own, and a lease of its own.
            Err(error) if error.kind == ErrorKind::Limit && !inherited => return Ok(Step::Spent),
            // Addresses of pages do not live for ever.
            Err(error)
                if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Rejected)
                    && inherited
                    && next.is_some() =>
            {
                self.platform.log(
                    Level::Warning,
                    &format!("{error}: the {what} are read from the first page again"),
                );
                return self.begin_anew(index);
            }
            Err(error) => return Err(failure(self.platform, directory, error)),
        };
        self.pages = self.pages.saturating_add(1);
        self.take(index, directory, &address, page)
    }

    /// Stores what is on a page, and moves behind it or ends the list.
    fn take(
        &mut self,
        index: usize,
        directory: &Directory,
        address: &str,
        page: Page,
    ) -> Result<Step, Failure> {
        let items = page.items.len();
        let pages = self.list(index).pages.saturating_add(1);
        let entries = self.unseen(index, directory, pages, page.items);
        let given_up = match &page.next {
            None => None,
            Some(_) if items == 0 => Some("Webex sent an empty page with another one behind it"),
            Some(next) if next == address || (entries.is_empty() && pages > 1) => {
                Some("Webex sent a page twice")
            }
            Some(_) if pages >= LONGEST_LIST => Some("Webex's list did not end"),
            Some(_) => None,
        };
        let next = page.next.filter(|_| given_up.is_none());
        for why in given_up
            .map(str::to_owned)
            .into_iter()
            .chain(page.link_fault)
        {
            let what = directory.what;
            let warning = format!("{why}: the list of {what} may not be whole");
            self.platform.log(Level::Warning, &warning);
            self.list(index).partial.get_or_insert(why);
        }

        let differing = differences(self.platform, &self.record, directory.model, &entries)?;
        let mut changes: Vec<CountedChange> = differing
            .into_iter()
            .map(|difference| match difference {
                Difference::New(document) => (Counted::Added, Change::Put(document)),
                Difference::Changed(document) => (Counted::Updated, Change::Put(document)),
            })
            .collect();
        let ids: Vec<DocumentId> = entries.into_iter().map(|(id, _)| id).collect();
        let Some(next) = next else {
            if !changes.is_empty() {
                self.write(index, changes, |_| ())?;
            }
            self.seen.get_or_insert_default().extend(ids);
            return self.end(index, directory, pages);
        };
        let first = self.list(index).seen;
        let kept = seen_documents(&self.record, directory.model, first, &ids);
        let kept_in = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        changes.extend(
            kept.into_iter()
                .map(|kept| (Counted::Not, Change::Put(kept))),
        );
        let seen = self.seen.get_or_insert_default();
        seen.extend(ids);
        let found = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        self.write(index, changes, |list| {
            list.pages = pages;
            list.found = found;
            list.next = Some(next.clone());
            list.seen = list.seen.saturating_add(kept_in);
        })?;
        Ok(Step::Done)
    }

    /// The entries of the `number`-th page that were on no page before.
    fn unseen(
        &mut self,
        index: usize,
        directory: &Directory,
        number: u32,
        items: Vec<Vec<u8>>,
    ) -> Vec<(DocumentId, Entry)> {
        let mut here = HashSet::new();
        let mut entries = Vec::new();
        let mut unreadable = Vec::new();
        for (item, place) in items.into_iter().zip(1_u32..) {
            match Entry::read(&item) {
                Ok(entry) => {
                    let id = DocumentId::of(&self.record.pkid, directory.model, &entry.id);
                    let seen = self.seen.as_ref().is_some_and(|seen| seen.contains(&id));
                    if !seen && here.insert(id) {
                        entries.push((id, entry));
                    }
                }
                Err(why) => {
                    let name = match Entry::name_unreadable(&item) {
                        Some(name) => format!(" (`{name}`)"),
                        None => String::new(),
                    };
                    unreadable.push(format!("entry {place} of page {number}{name} {why}"));
                }
            }
        }
        if let Some(first) = unreadable.first() {
            let (count, what) = (unreadable.len(), directory.what);
            let partial = format!("some of them could not be understood: {first}");
            self.list(index).partial.get_or_insert(partial);
            let more = match count.saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            unreadable.truncate(NAMED);
            let named = unreadable.join(", ");
            let warning = format!("{count} of the {what} cannot be taken: {named}{more}");
            self.platform.log(Level::Warning, &warning);
        }
        entries
    }

    /// Ends a list that was read as far as it can be: removes what has vanished.
    fn end(&mut self, index: usize, directory: &Directory, pages: u32) -> Result<Step, Failure> {
        if self.list(index).partial.is_none() && !self.remove_vanished(index, directory)? {
            return Ok(Step::Spent);
        }
        let seen = self.seen.take().unwrap_or_default();
        let list = self.list(index);
        list.pages = pages;
        list.found = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        list.next = None;
        list.ended = true;
        Ok(Step::Done)
    }

    /// Learns what was seen on the pages before the position; whether all of it is still there.
    fn recall(&mut self, index: usize) -> Result<bool, Failure> {
        let record = self.record.pkid.clone();
        let list = self.list(index);
        let references: Vec<Reference> = (0..list.seen)
            .map(|number| seen_reference(&record, &list.model, number))
            .collect();
        let mut seen = Seen::new();
        for references in references.chunks(10) {
            for document in self.platform.get_many(references)? {
                match document.as_ref().and_then(seen_in) {
                    Some(ids) => seen.extend(ids),
                    None => return Ok(false),
                }
            }
        }
        self.seen = Some(seen);
        Ok(true)
    }

    /// Goes back to the first page of a list; what was counted as changed stays counted.
    fn begin_anew(&mut self, index: usize) -> Result<Step, Failure> {
        self.list(index).restart();
        self.seen = None;
        if self.list(index).seen == 0 {
            self.commit(Vec::new())?;
        }
        Ok(Step::Done)
    }

    /// Takes away what was seen of a list, the last document first, so that a call that is cut off
    /// leaves a count that is right.
    fn clear(&mut self, index: usize) -> Result<(), Failure> {
        let record = self.record.pkid.clone();
        let list = self.list(index);
        let model = list.model.clone();
        let first = list.seen.saturating_sub(100);
        let gone = (first..list.seen)
            .map(|number| Change::Delete(seen_reference(&record, &model, number)))
            .collect();
        list.seen = first;
        self.commit(gone)
    }

    /// Commits `changes`, in as many commits as it takes; the last one also with what `advance`
    /// does to the list.
    pub(super) fn write(
        &mut self,
        index: usize,
        changes: Vec<CountedChange>,
        advance: impl Fn(&mut List),
    ) -> Result<(), Failure> {
        let mut most = CHANGES;
        let mut rest = changes.as_slice();
        loop {
            let size = batch(rest, most);
            let (batch, behind) = rest.split_at(size);
            let before = self.import.clone();
            let list = self.list(index);
            for (counted, _) in batch {
                list.count(*counted);
            }
            if behind.is_empty() {
                advance(list);
            }
            let batch = batch.iter().map(|(_, change)| change.clone()).collect();
            match self.commit(batch) {
                Ok(()) if behind.is_empty() => return Ok(()),
                Ok(()) => rest = behind,
                // This host allows less: smaller commits may do.
                Err(Failure::LimitExceeded(_)) if size > 1 => {
                    self.import = before;
                    most = size / 2;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "indexes come from the lists themselves"
    )]
    pub(super) fn list(&mut self, index: usize) -> &mut List {
        &mut self.import.lists[index]
    }
}

impl List {
    fn count(&mut self, counted: Counted) {
        let count = match counted {
            Counted::Added => &mut self.added,
            Counted::Updated => &mut self.updated,
            Counted::Removed => &mut self.removed,
            Counted::Not => return,
        };
        *count = count.saturating_add(1);
    }
}

/// How many of `changes` are committed together: at most `most`, of about [`BYTES`].
fn batch(changes: &[CountedChange], most: usize) -> usize {
    let mut bytes = 0_usize;
    let fitting = changes
        .iter()
        .take(most)
        .take_while(|(_, change)| {
            bytes = bytes.saturating_add(match change {
                Change::Put(document) => document.body.len().saturating_add(500),
                _ => 100,
            });
            bytes <= BYTES
        })
        .count();
    fitting.max(1).min(changes.len())
}
