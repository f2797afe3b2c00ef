//! Spellings of paths: names that look the same are the same node.

use relation_app::names::{find_hidden_character, list_spellings};
use relation_app::white_space::find_white_space_error;
use relation_host::store::{Store, StoreError};
use relation_host::types::{Hierarchy, Reference};

use super::{Entry, and_above, exists, name};
use crate::access::AccessParts;

/// Returns the path under which a node is stored, which may be in another normalization form: an earlier release stored
/// nodes as they were typed. So no node is added that looks the same as a stored one. A path that is not stored gets
/// normalization form C.
///
/// # Errors
/// The store cannot be read.
pub async fn find_spelling(store: &dyn Store, path: &Hierarchy) -> Result<Hierarchy, StoreError> {
    if path.as_str().is_ascii() {
        return Ok(path.clone());
    }
    let mut found: Option<Hierarchy> = None;
    for name in path.as_str().split('.') {
        match find_child(store, found.as_ref(), name).await? {
            Some(node) => found = Some(node),
            // The form is longer than a path can be.
            None => return Ok(path.clone()),
        }
    }
    Ok(found.unwrap_or_else(|| path.clone()))
}

/// Returns the path of the node of a name below another one, in the stored spelling or in normalization form C. `None` if
/// there can be no such path.
pub(super) async fn find_child(
    store: &dyn Store,
    above: Option<&Hierarchy>,
    name: &str,
) -> Result<Option<Hierarchy>, StoreError> {
    let spellings = list_spellings(name).into_iter();
    let paths = spellings.filter_map(|name| {
        let path = match above {
            Some(above) => format!("{above}.{name}"),
            None => name,
        };
        Hierarchy::try_from(path).ok()
    });
    let mut paths: Vec<Hierarchy> = paths.collect();
    if paths.len() > 1 {
        let references = paths.iter().map(|path| Entry::at(path).reference());
        let references: Vec<Reference> = references.collect();
        let found = store.get(&references).await?;
        if let Some(index) = found.iter().position(Option::is_some) {
            return Ok(paths.into_iter().nth(index));
        }
    }
    paths.truncate(1);
    Ok(paths.pop())
}

/// Returns the reason why a node takes no new objects. Its path has an invisible character, or a node that does not
/// exist yet would have white space other than single spaces.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn find_error(
    parts: &AccessParts,
    node: &Hierarchy,
) -> Result<Option<String>, StoreError> {
    if let Some(error) = find_hidden_character(node.as_str()) {
        return Ok(Some(error));
    }
    for node in and_above(node) {
        if let Some(error) = find_white_space_error(name(&node))
            && !exists(parts, &node).await?
        {
            return Ok(Some(error));
        }
    }
    Ok(None)
}
