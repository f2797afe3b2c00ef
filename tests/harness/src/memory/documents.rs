//! Documents and the keys by which they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::store::cursor::{Listing, build_page, validate_limit};
use relation_host::store::{Commit, DocumentStore, StoreError};
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

    async fn find(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let limit = validate_limit(limit)?;
        let listing = Listing::for_documents(&self.id, filter);
        let after: Option<Pkid> = match cursor {
            Some(cursor) => {
                let [last] = listing.position(cursor)?;
                Some(parse_cursor_part(&last)?)
            }
            None => None,
        };
        let found = self.with(|state| {
            let found = state.documents.find(filter, after.as_ref());
            Ok(take_page(limit, found.cloned()))
        })?;
        Ok(build_page(found, |last: &Document| {
            listing.cursor(&[last.reference.pkid.as_str()])
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.with(|state| state.commit(commit))
    }
}
