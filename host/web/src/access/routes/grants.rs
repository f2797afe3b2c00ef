//! Roles in requests: their nodes may be pkids or paths in any spelling, and custom roles may be named.

use crate::WebError;
use crate::access::nodes::{self, NodeName};
use crate::access::users::{check_fields, field_error};
use crate::access::{AccessParts, Authority, RoleGrant, roles};

/// Replaces the pkids of nodes by their paths, and paths by their stored spelling, and the names of custom roles by
/// their pkids.
///
/// # Errors
/// All roles with an unknown pkid, or with that of a node outside of the administrator's: one error for both.
pub(super) async fn resolve(
    parts: &AccessParts,
    authority: &Authority<'_>,
    mut grants: Vec<RoleGrant>,
) -> Result<Vec<RoleGrant>, WebError> {
    let mut errors = Vec::new();
    for (index, grant) in grants.iter_mut().enumerate() {
        let pkid = match grant.node.as_str().parse() {
            Ok(NodeName::Pkid(pkid)) => pkid,
            Ok(NodeName::Path(path)) => {
                let node = nodes::find_spelling(parts.store(), &path).await?;
                // An error has the path of a node outside as it was sent.
                grant.node = match authority.covers(&node) {
                    true => node,
                    false => path,
                };
                continue;
            }
            Err(_) => continue,
        };
        match nodes::resolve(parts, NodeName::Pkid(pkid)).await {
            Ok(node) if authority.covers(&node) => grant.node = node,
            Err(error) if error.status.is_server_error() => return Err(error),
            _ => {
                let message = "there is no node with this pkid";
                errors.push(field_error(&format!("grants[{index}]"), message));
            }
        }
    }
    check_fields(errors)?;
    roles::resolve_names(parts, &mut grants).await?;
    Ok(grants)
}
