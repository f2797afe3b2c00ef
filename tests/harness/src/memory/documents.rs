//! Documents and the keys by which they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::{Commit, DocumentStore, SortOrder, StoreError};
use relation_host::types::{Document, Filter, Key, Page, Pkid, Reference};

use super::{MemoryStore, parse_cursor_part, take_page};

/// The documents of all models. Copies share their contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents(BTreeMap<String, Model>);

#[derive(Clone, Debug, Default)]
struct Model {
    documents: BTreeMap<Pkid, Arc<Document>>,
    by_key: BTreeMap<Key, BTreeSet<Pkid>>,
}

impl Documents {
    pub(super) fn get(&self, which: &Reference) -> Option<&Document> {
        let model = self.0.get(&which.model)?;
        model.documents.get(&which.pkid).map(Arc::as_ref)
    }

    /// Returns all documents, ordered by model and pkid.
    pub(super) fn all(&self) -> impl Iterator<Item = &Document> {
        let all = self.0.values().flat_map(|model| model.documents.values());
        all.map(Arc::as_ref)
    }

    /// Returns the matching documents, ordered by pkid, after the given one.
    ///
    /// Searches by the rarest key, or the whole model without keys.
    pub(super) fn find<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&Pkid>,
    ) -> Box<dyn Iterator<Item = &'a Document> + 'a> {
        let Some(model) = self.0.get(&filter.model) else {
            return Box::new(std::iter::empty());
        };
        let range = (
            after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        let having: Option<Vec<&BTreeSet<Pkid>>> = filter
            .equals
            .iter()
            .map(|key| model.by_key.get(key))
            .collect();
        let Some(having) = having else {
            return Box::new(std::iter::empty());
        };
        let matching = |document: &&Document| filter.matches(document);
        match having.into_iter().min_by_key(|pkids| pkids.len()) {
            Some(rarest) => {
                let found = rarest.range::<Pkid, _>(range);
                let found = found.filter_map(|pkid| model.documents.get(pkid));
                Box::new(found.map(Arc::as_ref).filter(matching))
            }
            None => {
                let all = model.documents.range::<Pkid, _>(range);
                Box::new(all.map(|(_, one)| one.as_ref()).filter(matching))
            }
        }
    }

    /// Returns the matching documents in an order, after a position. Only the order of ascending pkids
    /// needs no sorting.
    pub(super) fn list<'a>(
        &'a self,
        filter: &'a Filter,
        order: &SortOrder,
        after: Option<(String, String)>,
    ) -> Result<Box<dyn Iterator<Item = &'a Document> + 'a>, StoreError> {
        if *order == SortOrder::default() {
            let after = match after {
                Some((_, pkid)) => Some(parse_cursor_part(&pkid)?),
                None => None,
            };
            return Ok(self.find(filter, after.as_ref()));
        }
        let all = self.find(filter, None);
        let mut found: Vec<_> = all
            .filter_map(|document| Some((order.position(document)?, document)))
            .collect();
        found.sort_by_key(|(position, _)| *position);
        if order.descending {
            found.reverse();
        }
        if let Some((value, pkid)) = &after {
            let after = (value.as_str(), pkid.as_str());
            found.retain(|(position, _)| match order.descending {
                false => *position > after,
                true => *position < after,
            });
        }
        Ok(Box::new(found.into_iter().map(|(_, document)| document)))
    }

    /// Creates or replaces a document, and raises its version.
    pub(super) fn put(&mut self, mut document: Document) {
        let Reference { model, pkid } = document.reference.clone();
        let model = self.0.entry(model).or_default();
        let old = model.documents.get(&pkid).cloned();
        document.version = old.as_ref().map_or(1, |old| old.version + 1);
        if let Some(old) = &old {
            let dropped = old.keys.iter().filter(|key| !document.keys.contains(key));
            dropped.for_each(|key| model.drop_key(key, &pkid));
        }
        for key in &document.keys {
            if !old.as_ref().is_some_and(|old| old.keys.contains(key)) {
                let having = model.by_key.entry(key.clone()).or_default();
                having.insert(pkid.clone());
            }
        }
        model.documents.insert(pkid, Arc::new(document));
    }

    pub(super) fn delete(&mut self, which: &Reference) {
        let Some(model) = self.0.get_mut(&which.model) else {
            return;
        };
        if let Some(old) = model.documents.remove(&which.pkid) {
            for key in &old.keys {
                model.drop_key(key, &which.pkid);
            }
        }
    }
}

impl Model {
    fn drop_key(&mut self, key: &Key, pkid: &Pkid) {
        if let Some(having) = self.by_key.get_mut(key) {
            having.remove(pkid);
            if having.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

#[async_trait]
impl DocumentStore for MemoryStore {
    async fn get(&self, references: &[Reference]) -> Result<Vec<Option<Document>>, StoreError> {
        self.with(|state| {
            let found = references.iter().map(|one| state.documents.get(one));
            Ok(found.map(|found| found.cloned()).collect())
        })
    }

    async fn list(
        &self,
        filter: &Filter,
        order: &SortOrder,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        order.validate(&filter.model)?;
        let listing = Listing::for_documents(&self.id, filter, order);
        let after = match cursor {
            Some(cursor) => Some(listing.document_position(order, cursor)?),
            None => None,
        };
        let found = self.with(|state| {
            let found = state.documents.list(filter, order, after)?;
            Ok(take_page(limit, found.cloned()))
        })?;
        Ok(build_page(found, |last: &Document| {
            listing.document_cursor(order, last)
        }))
    }

    async fn count(&self, filter: &Filter, at_most: u64) -> Result<u64, StoreError> {
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        self.with(|state| Ok(state.documents.find(filter, None).take(at_most).count() as u64))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.with(|state| state.commit(commit))
    }
}
