//! Custom roles: names for sets of operations, beyond the built-in roles.
//!
//! A role belongs to a node, and can be granted at and below that node. An administrator puts only operations into a
//! role that he or she has at the role's node. A grant has the pkid of a custom role, so that a later role with the
//! same name does not replace it.

mod holders;
#[cfg(test)]
mod tests;

pub(crate) use holders::check_deletable;
pub use holders::{RoleHolders, delete, list_holders};

use relation_app::{AppError, ErrorKind};
use relation_host::store::StoreError;
use relation_host::types::{FieldError, Hierarchy, Key, Page, Pkid, Reference, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{self, FieldChange};
use super::documents::{self, Entry, Listed, Named, Stored, key, name_key};
use super::nodes::{self, node_pkid};
use super::users::{self, UserBody, check_fields, field_error, fold_name};
use super::{AccessParts, Authority, Operation, RoleGrant, find_role, permission};
use crate::WebError;

/// The maximum number of custom roles of one node.
const MAX_ROLES: u32 = 100;
/// The error of a role that permits nothing.
const NO_OPERATION: &str = "name at least one operation";
/// The error of a name that another role of the node has.
const TAKEN_NAME: &str = "another role of this node has this name: choose another one";
/// The key by which the users and keys with a custom role are found.
pub(super) const ROLE_KEY: &str = "role";

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomRole {
    /// The pkid, which grants name.
    pub pkid: Pkid,
    /// The name, unique among the custom roles of the node.
    pub name: String,
    /// The node at and below which the role can be granted.
    pub hierarchy: Hierarchy,
    /// The pkid of the node.
    pub hierarchy_pkid: Pkid,
    /// The permitted operations.
    pub operations: Vec<Operation>,
}

/// A custom role to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRole {
    /// The name.
    pub name: String,
    /// The node at and below which the role can be granted.
    pub hierarchy: Hierarchy,
    /// The permitted operations.
    pub operations: Vec<Operation>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RoleBody {
    name: String,
    operations: Vec<Operation>,
}

impl Stored for RoleBody {
    const MODEL: &'static str = "host/Role";

    fn keys(&self) -> Vec<Key> {
        vec![name_key(&self.name)]
    }
}

impl Named for RoleBody {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for CustomRole {
    type Body = RoleBody;
    type Permission = permission::Administer;
}

impl From<Entry<RoleBody>> for CustomRole {
    fn from(entry: Entry<RoleBody>) -> Self {
        Self {
            pkid: entry.pkid,
            name: entry.body.name,
            hierarchy_pkid: node_pkid(&entry.node),
            hierarchy: entry.node,
            operations: entry.body.operations,
        }
    }
}

impl CustomRole {
    /// Returns whether a grant is one of this role.
    pub(super) fn is_granted_by(&self, grant: &RoleGrant) -> bool {
        grant.role == self.pkid.as_str() && self.hierarchy.contains(&grant.node)
    }
}

/// Returns the operations that a grant permits; none for a role that does not exist. `roles` has the custom roles.
pub(super) fn operations<'a>(grant: &RoleGrant, roles: &'a [CustomRole]) -> &'a [Operation] {
    match find_role(&grant.role) {
        Some(role) => role.operations,
        None => roles
            .iter()
            .find(|role| role.is_granted_by(grant))
            .map_or(&[][..], |role| role.operations.as_slice()),
    }
}

/// Returns whether the role of a grant exists and can be granted at its node. `roles` has the custom roles.
pub fn exists(grant: &RoleGrant, roles: &[CustomRole]) -> bool {
    find_role(&grant.role).is_some() || roles.iter().any(|role| role.is_granted_by(grant))
}

/// Returns the name of a grant's role. `roles` has the custom roles.
pub fn name<'a>(grant: &'a RoleGrant, roles: &'a [CustomRole]) -> &'a str {
    let own = roles.iter().find(|role| role.is_granted_by(grant));
    own.map_or(&grant.role, |role| &role.name)
}

/// Returns the title of a grant's role.
pub(crate) fn title<'a>(grant: &'a RoleGrant, roles: &'a [CustomRole]) -> &'a str {
    find_role(&grant.role).map_or_else(|| name(grant, roles), |role| role.title)
}

/// Returns the keys of custom roles, by which their holders are found.
pub(super) fn to_keys(grants: &[RoleGrant]) -> Vec<Key> {
    let pkids = grants.iter().filter_map(|grant| grant.role.parse().ok());
    let mut pkids: Vec<Pkid> = pkids.collect();
    pkids.sort_unstable();
    pkids.dedup();
    let keys = pkids.into_iter();
    keys.map(|pkid| key(ROLE_KEY, String::from(pkid))).collect()
}

/// Reads the custom roles that grants name.
///
/// # Errors
/// The store cannot be read.
pub async fn load<'a>(
    parts: &AccessParts,
    grants: impl IntoIterator<Item = &'a RoleGrant>,
) -> Result<Vec<CustomRole>, StoreError> {
    let pkids = grants
        .into_iter()
        .filter_map(|grant| grant.role.parse().ok());
    let mut pkids: Vec<Pkid> = pkids.collect();
    if pkids.is_empty() {
        return Ok(Vec::new());
    }
    pkids.sort_unstable();
    pkids.dedup();
    let references = pkids.into_iter();
    let references = references.map(|pkid| Reference::new(RoleBody::MODEL, pkid));
    let references: Vec<Reference> = references.collect();
    let found = parts.store().get(&references).await?.into_iter().flatten();
    let entries = found.map(Entry::<RoleBody>::parse);
    entries.map(|entry| entry.map(CustomRole::from)).collect()
}

/// Lists the custom roles of a node and of all nodes above it that the administrator can grant, the nearest first.
///
/// # Errors
/// 404 for a node outside of the administrator's.
pub async fn list_grantable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    node: &Hierarchy,
) -> Result<Vec<CustomRole>, WebError> {
    authority.check_node(node)?;
    let mut roles = Vec::new();
    for node in nodes::and_above(node) {
        let range = Some((node, Scope::Node));
        let page = documents::list_objects(parts, &range, None, MAX_ROLES).await?;
        let items = page.items.into_iter();
        roles.extend(items.filter(|role| authority.can_grant(role)));
    }
    Ok(roles)
}

/// Lists the custom roles of nodes at or below a node, ordered by pkid.
///
/// # Errors
/// Errors of [`users::list`].
pub async fn list(
    parts: &AccessParts,
    authority: &Authority<'_>,
    requested: Option<&Hierarchy>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<CustomRole>, WebError> {
    let range = authority.range(requested)?;
    Ok(documents::list_objects(parts, &range, cursor, limit).await?)
}

/// Reads a role of the administrator's nodes, or one of a node above that the administrator can grant.
///
/// # Errors
/// 404 if the role does not exist, or the administrator can neither see its node nor grant it.
pub async fn get(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<CustomRole, WebError> {
    Ok(find_readable(parts, authority, pkid).await?.into())
}

async fn find_readable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<RoleBody>, WebError> {
    let role = documents::find::<RoleBody>(parts, pkid, |_| Ok(())).await?;
    match authority.check_node(&role.node) {
        Err(error) if !authority.can_grant(&role.clone().into()) => Err(error),
        _ => Ok(role),
    }
}

/// Finds the custom roles of a name, at any node of the administrator's.
///
/// # Errors
/// The store cannot be read.
pub async fn find(
    parts: &AccessParts,
    authority: &Authority<'_>,
    name: &str,
) -> Result<Vec<CustomRole>, WebError> {
    let filter = documents::named::<RoleBody>(&None, name);
    let found = documents::list_all::<RoleBody>(parts.store(), &filter).await?;
    let visible = found
        .into_iter()
        .filter(|role| authority.covers(&role.node));
    Ok(visible.map(CustomRole::from).collect())
}

/// Returns whether the administrator may change and delete a role: nobody manages one with more rights than their own.
pub(crate) fn may_manage(authority: &Authority<'_>, role: &CustomRole) -> bool {
    find_operation_errors(authority, Some(&role.hierarchy), &role.operations).is_empty()
}

/// Reads a role that the administrator could have added.
async fn find_managed(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<RoleBody>, WebError> {
    let role = find_readable(parts, authority, pkid).await?;
    if !authority.covers(&role.node) {
        return Err(WebError::forbidden(Operation::Administer.as_str()));
    }
    match find_operation_errors(authority, Some(&role.node), &role.body.operations).is_empty() {
        true => Ok(role),
        false => Err(authority.refuse_management()),
    }
}

/// Returns the errors of the operations of a role at a node. Without a node, those that do not depend on it.
fn find_operation_errors(
    authority: &Authority<'_>,
    node: Option<&Hierarchy>,
    operations: &[Operation],
) -> Vec<FieldError> {
    if operations.is_empty() {
        return vec![field_error("operations", NO_OPERATION)];
    }
    let mut errors = Vec::new();
    if let Some(node) = node {
        let refused = operations
            .iter()
            .filter(|operation| !authority.may(**operation, node));
        errors.extend(refused.map(|operation| {
            let name = operation.as_str();
            let message = format!("you do not have the operation {name} at {node}");
            field_error("operations", message)
        }));
    }
    // The other operations show what they work on.
    if !operations.contains(&Operation::Read) {
        let message = "must have the operation read, which the others need";
        errors.push(field_error("operations", message));
    }
    errors
}

fn to_sorted(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.sort_unstable();
    operations.dedup();
    operations
}

/// Adds a role.
///
/// # Errors
/// All errors of fields: the name is malformed or taken, or an operation is more than the administrator has. 404 for a
/// node outside of the administrator's; 409 if the node has too many roles.
pub async fn add(
    parts: &AccessParts,
    authority: &Authority<'_>,
    new: NewRole,
) -> Result<CustomRole, WebError> {
    authority.check_node(&new.hierarchy)?;
    let node = Some(&new.hierarchy);
    check_fields(find_errors(parts, authority, &new.name, node, &new.operations).await?)?;
    let node = Some((new.hierarchy.clone(), Scope::Node));
    let at_node = documents::filter::<RoleBody>(&node, Vec::new());
    if parts.store().count(&at_node, MAX_ROLES.into()).await? >= u64::from(MAX_ROLES) {
        let message = format!(
            "{} has {MAX_ROLES} roles, the most of a node",
            new.hierarchy
        );
        let error = AppError::new(ErrorKind::Conflict, message);
        return Err(error.hint("delete one, or use another node").into());
    }
    let body = RoleBody {
        name: new.name,
        operations: to_sorted(new.operations),
    };
    let entry = Entry::new(Pkid::random(), new.hierarchy, body);
    let changes = vec![
        FieldChange::new("name", Value::Null, entry.body.name.clone()),
        FieldChange::new("operations", json!([]), json!(entry.body.operations)),
    ];
    let event = authority.to_event("add-role", &entry).with_changes(changes);
    let same_name = documents::named_at::<RoleBody>(&entry.node, &entry.body.name);
    documents::add(parts, authority, &entry, event, same_name, TAKEN_NAME).await?;
    Ok(entry.into())
}

/// Returns the errors of the name, the node and the operations of a new role. Without a node, those that do not depend on
/// it.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn find_errors(
    parts: &AccessParts,
    authority: &Authority<'_>,
    name: &str,
    node: Option<&Hierarchy>,
    operations: &[Operation],
) -> Result<Vec<FieldError>, WebError> {
    let mut errors = find_operation_errors(authority, node, operations);
    if find_role(&fold_name(name)).is_some() || name.parse::<Pkid>().is_ok() {
        let message = "a built-in role has this name, or it looks like a pkid";
        errors.push(field_error("name", message));
    }
    let found = documents::find_name_errors::<RoleBody>(parts, name, node, TAKEN_NAME);
    errors.extend(found.await?);
    Ok(errors)
}

/// Replaces the operations of a role, which ends the sessions of its holders.
///
/// # Errors
/// 404 as for [`get`]. 403 if the role permits more than the administrator may. An error of an operation that the
/// administrator does not have. 409 if too many users have the role.
pub async fn set_operations(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
    operations: Vec<Operation>,
) -> Result<CustomRole, WebError> {
    let mut entry = find_managed(parts, authority, pkid).await?;
    check_fields(find_operation_errors(
        authority,
        Some(&entry.node),
        &operations,
    ))?;
    let operations = to_sorted(operations);
    if operations == entry.body.operations {
        return Ok(entry.into());
    }
    let mut checks = vec![entry.to_check()];
    let before = std::mem::replace(&mut entry.body.operations, operations);
    let change = FieldChange::new("operations", json!(before), json!(entry.body.operations));
    let event = authority
        .to_event("set-role", &entry)
        .with_changes(vec![change]);
    let mut changes = vec![entry.to_put()?, audit::to_change(parts, event)?];
    for mut user in holders::find::<UserBody>(parts, pkid).await? {
        checks.push(user.to_check());
        changes.extend(users::to_end(parts, &mut user).await?);
    }
    documents::commit_change(parts, &entry, checks, changes).await?;
    Ok(entry.into())
}

/// Replaces the names of custom roles by their pkids. A name means the nearest custom role at or above the node of its
/// grant. A name without a role stays, and [`exists`] is false for it.
///
/// # Errors
/// The store cannot be read.
pub async fn resolve_names(
    parts: &AccessParts,
    grants: &mut [RoleGrant],
) -> Result<(), StoreError> {
    for grant in grants {
        let is_name = find_role(&grant.role).is_none() && grant.role.parse::<Pkid>().is_err();
        if is_name && let Some(role) = find_by_name(parts, &grant.role, &grant.node).await? {
            grant.role = role.pkid.to_string();
        }
    }
    Ok(())
}

/// Finds the custom role of a name that can be granted at a node.
async fn find_by_name(
    parts: &AccessParts,
    name: &str,
    node: &Hierarchy,
) -> Result<Option<CustomRole>, StoreError> {
    for node in nodes::and_above(node) {
        let filter = documents::named_at::<RoleBody>(&node, name);
        let page = documents::list::<RoleBody>(parts.store(), &filter, false, None, 1).await?;
        if let Some(role) = page.items.into_iter().next() {
            return Ok(Some(role.into()));
        }
    }
    Ok(None)
}
