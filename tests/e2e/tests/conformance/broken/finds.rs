//! Stores that find what does not match, or not all that does.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Commit, Store, StoreError};
use relation_host::types::{Document, Filter, Key, Page, Scope};

use super::store;

/// The suite's models of documents beside its own (`tests/host-conformance/src/samples.rs`).
const MODELS: [&str; 2] = ["conformance/Sample", "conformance/Other"];

/// What is wrong with finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finds {
    /// By the first of several keys alone.
    ByOneKey,
    /// Whatever the case of a key's letters is.
    InAnyCase,
    /// Documents of another model, too.
    OfAnyModel,
    /// What is below a node as if it were at it.
    BelowTheNode,
    /// Nothing below a node.
    AtTheNodeAlone,
    /// The last one first.
    Backwards,
    /// The first page again and again.
    TheFirstPageAlone,
    /// Half as much as it may.
    HalfAPage,
}

impl StoreLayer for Finds {
    async fn find(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Document>, StoreError> {
        let mut filter = filter.clone();
        let scope = filter.hierarchy.as_mut().map(|(_, scope)| scope);
        let (mut from, mut most) = (cursor, limit);
        match (self, scope) {
            (Self::ByOneKey, _) => filter.equals.truncate(1),
            (Self::InAnyCase, _) => filter.equals.iter_mut().for_each(lower),
            (Self::BelowTheNode, Some(scope)) => *scope = Scope::Subtree,
            (Self::AtTheNodeAlone, Some(scope)) => *scope = Scope::Node,
            (Self::TheFirstPageAlone, _) => from = None,
            (Self::HalfAPage, _) => most = most.min(500),
            _ => {}
        }
        let mut page = inner.find(&filter, from, most).await?;
        match self {
            Self::Backwards => page.items.reverse(),
            Self::OfAnyModel if MODELS.contains(&filter.model.as_str()) && cursor.is_none() => {
                page.items.clear();
                for model in MODELS {
                    filter.model = model.to_owned();
                    page.items
                        .extend(inner.find(&filter, None, most).await?.items);
                }
                page.items
                    .sort_by(|a, b| a.reference.pkid.cmp(&b.reference.pkid));
            }
            _ => {}
        }
        Ok(page)
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        if *self == Self::InAnyCase {
            for change in &mut commit.changes {
                if let Change::Put(document) = change {
                    document.keys.iter_mut().for_each(lower);
                }
            }
        }
        inner.commit(commit).await
    }
}

fn lower(key: &mut Key) {
    key.value = key.value.to_lowercase();
}

broken_hosts! {
    keys_of_which_one_is_looked_at: store(Finds::ByOneKey) => ["storage.find.keys"];
    keys_that_are_compared_in_any_case: store(Finds::InAnyCase) => ["storage.find.bytes"];
    models_that_are_not_told_apart: store(Finds::OfAnyModel) => ["storage.find.model"];
    a_scope_that_is_not_looked_at: store(Finds::BelowTheNode) => ["storage.find.node"];
    a_subtree_that_is_not_looked_at: store(Finds::AtTheNodeAlone) => ["storage.find.subtree"];
    finds_that_are_not_ordered: store(Finds::Backwards) => ["storage.find.order"];
    a_cursor_that_is_not_looked_at: store(Finds::TheFirstPageAlone) => ["storage.find.pages"];
    pages_that_are_too_short: store(Finds::HalfAPage) => ["storage.find.cap"];
}
