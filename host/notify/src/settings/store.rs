//! The documents that settings are stored in.

use relation_host::store::{Store, StoreError};
use relation_types::{Document, Hierarchy, Pkid, Reference};

use super::NOTICE_SETTINGS_MODEL;

/// Returns the document with the settings of a node. Its primary key is derived from the node's path, so a node has at most
/// one.
#[must_use]
pub fn reference(node: &Hierarchy) -> Reference {
    Reference::new(NOTICE_SETTINGS_MODEL, derive_pkid("notice-settings", node))
}

/// Derives the primary key of a node's document.
pub(super) fn derive_pkid(purpose: &str, node: &Hierarchy) -> Pkid {
    Pkid::derive(&format!("{purpose}\0{node}"))
}

/// Returns a node and the nodes above, the highest first.
pub(crate) fn list_levels(node: &Hierarchy) -> Vec<Hierarchy> {
    let path = node.as_str();
    let ends = path.match_indices('.').map(|(index, _)| index);
    ends.chain([path.len()])
        .filter_map(|end| path.get(..end)?.parse().ok())
        .collect()
}

/// Reads the documents with the settings of a node and of the nodes above, the highest first. Nodes without settings are
/// left out.
///
/// # Errors
/// Errors of [`DocumentStore::get`](relation_host::store::DocumentStore::get).
pub async fn load_levels(store: &dyn Store, node: &Hierarchy) -> Result<Vec<Document>, StoreError> {
    let references: Vec<Reference> = list_levels(node).iter().map(reference).collect();
    let found = store.get(&references).await?;
    Ok(found.into_iter().flatten().collect())
}
