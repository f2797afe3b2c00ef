//! Stores that find documents that do not match, or miss some that do.

use relation_host::store::layer::StoreLayer;
use relation_host::store::{Change, Commit, Store, StoreError};
use relation_host::types::{Document, Filter, Key, Page, Pkid, Scope};

use super::store;

/// The suite's document models besides its own (`tests/host-conformance/src/samples.rs`).
const MODELS: [&str; 2] = ["conformance/Sample", "conformance/Other"];

/// A defect of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FindDefect {
    /// Compares only the first of several keys.
    ByOneKey,
    /// Ignores the case of a key's letters.
    IgnoresCase,
    /// Finds documents of other models, too.
    AnyModel,
    /// Takes documents below a node for documents at it.
    BelowTheNode,
    /// Misses documents below a node.
    NodeOnly,
    /// Returns them in reverse order.
    Backwards,
    /// Repeats the first page.
    FirstPageOnly,
    /// Returns half a page at most.
    HalfAPage,
    /// Ignores the keys of a search for pkids.
    PkidsOfAnyKey,
}

impl StoreLayer for FindDefect {
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
            (Self::IgnoresCase, _) => filter.equals.iter_mut().for_each(lower),
            (Self::BelowTheNode, Some(scope)) => *scope = Scope::Subtree,
            (Self::NodeOnly, Some(scope)) => *scope = Scope::Node,
            (Self::FirstPageOnly, _) => from = None,
            (Self::HalfAPage, _) => most = most.min(500),
            _ => {}
        }
        let mut page = inner.find(&filter, from, most).await?;
        match self {
            Self::Backwards => page.items.reverse(),
            Self::AnyModel if MODELS.contains(&filter.model.as_str()) && cursor.is_none() => {
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

    async fn find_pkids(
        &self,
        inner: &dyn Store,
        filter: &Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Pkid>, StoreError> {
        let mut filter = filter.clone();
        if *self == Self::PkidsOfAnyKey {
            filter.equals.clear();
        }
        inner.find_pkids(&filter, cursor, limit).await
    }

    async fn commit(&self, inner: &dyn Store, mut commit: Commit) -> Result<(), StoreError> {
        if *self == Self::IgnoresCase {
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
    find_checks_one_key_only: store(FindDefect::ByOneKey) => ["storage.find.keys"];
    find_ignores_case: store(FindDefect::IgnoresCase) => ["storage.find.bytes"];
    find_mixes_models: store(FindDefect::AnyModel) => ["storage.find.model"];
    find_ignores_the_node_scope: store(FindDefect::BelowTheNode) => ["storage.find.node"];
    find_ignores_the_subtree_scope: store(FindDefect::NodeOnly) => ["storage.find.subtree"];
    find_is_unordered: store(FindDefect::Backwards) => ["storage.find.order"];
    find_ignores_the_cursor: store(FindDefect::FirstPageOnly) => ["storage.find.pages"];
    find_pages_are_too_short: store(FindDefect::HalfAPage) => ["storage.find.cap"];
    find_pkids_ignores_keys: store(FindDefect::PkidsOfAnyKey) => ["storage.find-pkids"];
}
