//! The rules about roles: nobody grants more than they have, and a provider administrator always remains.

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Check, StoreError};
use relation_host::types::{FieldError, Hierarchy};

use super::{UserBody, field_error};
use crate::WebError;
use crate::access::documents::{self, Entry};
use crate::access::roles;
use crate::access::{AccessParts, Authority, ROLES, RoleGrant, nodes};

/// The role that at least one user must keep at the node where it was granted, or above.
pub(super) const PROVIDER_ADMINISTRATOR: &str = "provider-administrator";

/// The maximum number of roles of a user or a key.
const MAX_GRANTS: usize = 100;

/// Returns the errors of the roles of a user or a key that belongs to `node`, and has the roles `stored`. Without a node,
/// those that do not depend on it.
///
/// # Errors
/// The store cannot be read.
pub(in crate::access) async fn find_grant_errors(
    parts: &AccessParts,
    authority: &Authority<'_>,
    node: Option<&Hierarchy>,
    grants: &[RoleGrant],
    stored: &[RoleGrant],
) -> Result<Vec<FieldError>, StoreError> {
    let custom_roles = &roles::load(parts, grants).await?;
    let mut errors = Vec::new();
    if grants.len() > MAX_GRANTS {
        let message = format!("at most {MAX_GRANTS} roles: grant them at a higher node");
        errors.push(field_error("grants", message));
    }
    for (index, grant) in grants.iter().enumerate().take(MAX_GRANTS) {
        let RoleGrant { role, node: at } = grant;
        // The node comes first: otherwise the error would say whether there is a role at nodes of others.
        let outside = node.filter(|node| !node.contains(at));
        let malformed = match stored.contains(grant) {
            true => None,
            false => nodes::find_error(parts, at).await?,
        };
        let message = if let Some(node) = outside {
            format!("{at} is not at or below {node}, the node of the user or key")
        } else if node.is_none() && !authority.covers(at) {
            format!("{at} is not at or below one of your nodes")
        } else if let Some(error) = malformed {
            format!("the node {error}")
        } else if !roles::exists(grant, custom_roles) {
            let names: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
            format!(
                "there is no role {role:?} here: the roles are {}, and the custom roles of {at} and the nodes above it",
                names.join(", ")
            )
        } else if !authority.may_grant(grant, custom_roles) {
            let name = roles::name(grant, custom_roles);
            format!("you do not have everything that {name} permits at {at}")
        } else {
            continue;
        };
        errors.push(field_error(&format!("grants[{index}]"), message));
    }
    Ok(errors)
}

/// Removes repeated grants, and those that the same role at a higher node covers.
pub(in crate::access) fn deduplicate(grants: Vec<RoleGrant>) -> Vec<RoleGrant> {
    let mut kept: Vec<RoleGrant> = Vec::with_capacity(grants.len());
    for grant in grants {
        let covers = |one: &RoleGrant, other: &RoleGrant| {
            one.role == other.role && one.node.contains(&other.node)
        };
        if kept.iter().any(|one| covers(one, &grant)) {
            continue;
        }
        kept.retain(|one| !covers(&grant, one));
        kept.push(grant);
    }
    kept
}

fn is_provider_administrator(user: &Entry<UserBody>, node: &Hierarchy) -> bool {
    let covers =
        |grant: &RoleGrant| grant.role == PROVIDER_ADMINISTRATOR && grant.node.contains(node);
    !user.body.disabled && user.body.grants.iter().any(covers)
}

/// Finds another provider administrator for each node where the change takes that role from the user. The
/// returned conditions hold as long as the others are unchanged, so that two administrators cannot disable each other
/// at the same moment.
///
/// # Errors
/// 409 if there is no other provider administrator of a node, or only one who has never set a password.
pub(super) async fn find_other_administrators(
    parts: &AccessParts,
    before: &Entry<UserBody>,
    after: &Entry<UserBody>,
) -> Result<Vec<Check>, WebError> {
    let is_lost = |grant: &&RoleGrant| {
        is_provider_administrator(before, &grant.node)
            && !is_provider_administrator(after, &grant.node)
    };
    let grants = before.body.grants.iter();
    let lost: Vec<&Hierarchy> = grants.filter(is_lost).map(|grant| &grant.node).collect();
    let mut checks = Vec::new();
    if lost.is_empty() {
        return Ok(checks);
    }
    let everywhere = documents::filter::<UserBody>(&None, Vec::new());
    let users = documents::list_all::<UserBody>(parts.store(), &everywhere).await?;
    for node in lost {
        let other = users.iter().find(|other| {
            let can_log_in = other.body.password.is_some() || before.body.password.is_none();
            other.pkid != before.pkid && can_log_in && is_provider_administrator(other, node)
        });
        let other = other.ok_or_else(|| {
            let message = format!(
                "{} is the last provider administrator of {node}",
                before.body.name
            );
            let hint = "make another user provider administrator there, who sets a password, and try again";
            AppError::new(ErrorKind::Conflict, message).hint(hint)
        })?;
        checks.push(other.to_check());
    }
    Ok(checks)
}
