//! The settings that apply at a node, as a reader may see them.

use relation_app::AppError;
use relation_app::notices::read_level;
use relation_host::types::Hierarchy;
use relation_notify::settings::{
    Defaults, Level, Resolved, VisibleSettings, load_levels, resolve as resolve_levels,
};

use super::hide_path;
use crate::WebError;
use crate::access::nodes::find_spelling;
use crate::access::{AccessParts, Authority, Permission, permission};

/// Resolves the settings of a node, as the reader may see them. Nodes and recipients of levels above the reader's nodes
/// are not shown.
///
/// # Errors
/// 404 for a node outside of the reader's; a level has settings that cannot be read.
pub async fn resolve(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Read>,
    node: &Hierarchy,
) -> Result<VisibleSettings, WebError> {
    let node = find_spelling(parts.store(), node).await?;
    authority.check_node(&node)?;
    let resolved = resolve_all(parts, &node).await?;
    let mut visible = resolved.visible_from(&find_reader_node(authority, &node));
    for recipient in &mut visible.recipients {
        hide_path(&mut recipient.recipient);
    }
    Ok(visible)
}

/// Resolves the settings of a node, with the recipients of all levels.
pub(super) async fn resolve_all(
    parts: &AccessParts,
    node: &Hierarchy,
) -> Result<Resolved, WebError> {
    let levels = load_levels(parts.store(), node).await?;
    let levels = levels.iter().map(read_level);
    let levels = levels.collect::<Result<Vec<Level>, AppError>>()?;
    let notices = parts.options().notices.as_ref();
    let defaults = notices.map(|notices| notices.defaults().clone());
    let defaults: Defaults = defaults.unwrap_or_default();
    Ok(resolve_levels(&levels, &defaults))
}

/// Returns the highest node at or above this one that the reader may see: everything at and below it is visible.
pub(crate) fn find_reader_node<P: Permission>(
    authority: &Authority<'_, P>,
    node: &Hierarchy,
) -> Hierarchy {
    let covering = match authority {
        Authority::Principal(allowed, _) => {
            let mut nodes = allowed.nodes().iter();
            nodes.find(|granted| granted.contains(node)).cloned()
        }
        Authority::Operator => {
            let top = node.as_str().split('.').next().unwrap_or_default();
            top.parse().ok()
        }
    };
    covering.unwrap_or_else(|| node.clone())
}
