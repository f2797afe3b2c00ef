//! Roles in requests: their nodes may be pkids, and own roles may be named.

use relation_host::types::Pkid;

use crate::WebError;
use crate::access::nodes::{self, NodeName};
use crate::access::users::{check_fields, field_error};
use crate::access::{AccessParts, Authority, RoleGrant, find_role, roles};

/// Replaces the pkids of nodes by their paths, and the names of own roles by their pkids.
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
        let Ok(NodeName::Pkid(pkid)) = grant.node.as_str().parse() else {
            continue;
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
    for grant in &mut grants {
        let is_name = find_role(&grant.role).is_none() && grant.role.parse::<Pkid>().is_err();
        if is_name && let Some(role) = roles::find_by_name(parts, &grant.role, &grant.node).await? {
            grant.role = role.pkid.to_string();
        }
    }
    Ok(grants)
}
