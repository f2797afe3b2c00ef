//! The entries that were seen in a list: in memory, and in stored documents for an interrupted import.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::ImportRun;
use super::document_id::{DocumentId, DocumentIdHasher};
use super::state::{MAX_IDS_PER_DOCUMENT, build_seen_documents, parse_seen, seen_reference};
use crate::platform::{Change, Failure, Reference};

/// The maximum number of documents with seen entries that are deleted together.
const MAX_DELETED: u32 = 100;
/// The maximum number of unchanged pages whose progress is stored together.
const MAX_UNSTORED_PAGES: u32 = 10;

/// The entries of unchanged pages that were read since the last commit, which the next commit stores. An interrupted
/// import reads these pages again.
#[derive(Debug, Default)]
pub(super) struct UnstoredPages {
    // The list of the pages.
    index: usize,
    pages: u32,
    ids: Vec<DocumentId>,
}

impl UnstoredPages {
    pub(super) fn is_empty(&self) -> bool {
        self.pages == 0
    }

    pub(super) fn can_take(&self, index: usize, ids: &[DocumentId]) -> bool {
        let fits = self.ids.len().saturating_add(ids.len()) <= MAX_IDS_PER_DOCUMENT;
        self.is_empty() || (self.index == index && fits)
    }

    pub(super) fn is_full(&self) -> bool {
        self.pages >= MAX_UNSTORED_PAGES
    }

    pub(super) fn take(&mut self, index: usize, ids: Vec<DocumentId>) {
        self.index = index;
        self.pages = self.pages.saturating_add(1);
        self.ids.extend(ids);
    }

    /// Forgets the pages of a list that has ended or is read again.
    pub(super) fn forget(&mut self, index: usize) {
        if self.index == index {
            *self = Self::default();
        }
    }
}

/// The entries seen in a list.
pub(super) type SeenIds = HashSet<DocumentId, BuildHasherDefault<DocumentIdHasher>>;

impl ImportRun<'_> {
    /// Returns the changes that store the entries of unchanged pages, and counts their documents.
    pub(super) fn store_unstored(&mut self) -> Vec<Change> {
        let UnstoredPages { index, ids, .. } = &self.unstored;
        let Some(list) = self
            .import
            .lists
            .get_mut(*index)
            .filter(|_| !ids.is_empty())
        else {
            return Vec::new();
        };
        let documents = build_seen_documents(
            &self.record,
            &self.sync.pkid,
            &list.model,
            list.seen_documents,
            ids,
        );
        let count = u32::try_from(documents.len()).unwrap_or(u32::MAX);
        list.seen_documents = list.seen_documents.saturating_add(count);
        documents.into_iter().map(Change::Put).collect()
    }

    /// Loads the entries seen on the pages before the position. Returns whether all of them are stored.
    pub(super) fn load_seen(&mut self, index: usize) -> Result<bool, Failure> {
        let (record, sync) = (self.record.pkid.clone(), self.sync.pkid.clone());
        let list = self.list(index);
        let references: Vec<Reference> = (0..list.seen_documents)
            .map(|number| seen_reference(&record, &sync, &list.model, number))
            .collect();
        let mut seen = SeenIds::default();
        for references in references.chunks(10) {
            for document in self.platform.get_many(references)? {
                match document.as_ref().and_then(parse_seen) {
                    Some(ids) => seen.extend(ids),
                    None => return Ok(false),
                }
            }
        }
        self.seen = Some(seen);
        Ok(true)
    }

    /// Deletes documents with seen entries of a list that is read again, or was read to its end.
    pub(super) fn clear_seen(&mut self, index: usize) -> Result<(), Failure> {
        let list = self.list(index);
        let (model, count) = (list.model.clone(), list.seen_documents);
        let (left, changes) = self.delete_seen(&model, count);
        self.list(index).seen_documents = left;
        self.commit(changes)
    }

    /// Deletes documents with seen entries of a list that the import does not read any more.
    pub(super) fn clear_obsolete(&mut self) -> Result<(), Failure> {
        let Some(mut list) = self.import.obsolete.pop() else {
            return Ok(());
        };
        let (left, changes) = self.delete_seen(&list.model, list.count);
        list.count = left;
        if left > 0 {
            self.import.obsolete.push(list);
        }
        self.commit(changes)
    }

    /// Returns the changes that delete the last ones of `count` documents with seen entries, and the number of the
    /// others. An interruption leaves a correct count.
    fn delete_seen(&self, model: &str, count: u32) -> (u32, Vec<Change>) {
        let left = count.saturating_sub(MAX_DELETED);
        let gone = (left..count)
            .map(|number| seen_reference(&self.record.pkid, &self.sync.pkid, model, number));
        (left, gone.map(Change::Delete).collect())
    }
}
