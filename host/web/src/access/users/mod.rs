//! Users: people with roles, who log in by a name and a password.
//!
//! Names are unique in the installation, whatever their case. A user belongs to a node, and all roles of the user are at
//! or below it. An administrator manages only users whose roles he or she could grant.

mod links;
mod names;
mod provider;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use links::find_administrator_errors;
pub(super) use links::remove_expired as remove_expired_links;
pub use links::{
    LINK_PATH, LinkPurpose, NewAdministrator, OneTimeLink, change_password,
    create_first_administrator, first_administrator_link, read_link, set_password, set_up_link,
};
pub(crate) use names::find_name_error;
pub(super) use names::fold_name;
pub(super) use provider::{ProviderAccount, ProviderLogIn, ProviderUser, log_in_at_provider};
pub(super) use rules::{deduplicate, find_grant_errors};

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, Check, StoreError};
use relation_host::types::{FieldError, Hierarchy, Key, Page, Pkid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{self, FieldChange, NewAuditEvent};
use super::documents::{self, Entry, Listed, Named, Stored, name_key};
use super::nodes::{self, node_pkid};
use super::passwords::PasswordHash;
use super::{AccessParts, Authority, RoleGrant, permission, roles, sessions};
use crate::WebError;

const TAKEN_NAME: &str = "another user has this name: choose another one";

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The pkid.
    pub pkid: Pkid,
    /// The name for the log-in, in the case in which it was added.
    pub name: String,
    /// The node that the user belongs to.
    pub hierarchy: Hierarchy,
    /// The pkid of the node.
    pub hierarchy_pkid: Pkid,
    /// The roles, at or below the node.
    pub grants: Vec<RoleGrant>,
    /// Whether the user may not log in.
    pub disabled: bool,
    /// The language of the page, such as `de`; `None` follows the browser.
    pub language: Option<String>,
    /// When the user was added.
    pub created: Timestamp,
    /// Whether the user has set a password.
    pub has_password: bool,
    /// The OpenID provider at which the user logs in; `None` for a user with a password.
    pub issuer: Option<String>,
}

/// A user to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name for the log-in.
    pub name: String,
    /// The node that the user belongs to.
    pub hierarchy: Hierarchy,
    /// The roles, at or below the node.
    pub grants: Vec<RoleGrant>,
    /// The language of the page, such as `de`.
    pub language: Option<String>,
}

/// The stored body of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UserBody {
    pub(super) name: String,
    pub(super) grants: Vec<RoleGrant>,
    pub(super) disabled: bool,
    pub(super) language: Option<String>,
    pub(super) created: Timestamp,
    pub(super) password: Option<PasswordHash>,
    /// Rises with every change that ends the user's sessions and links. They have the epoch in which they began.
    pub(super) epoch: u64,
    /// The account at an OpenID provider, for a user who logs in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<ProviderAccount>,
}

impl Stored for UserBody {
    const MODEL: &'static str = "host/User";

    fn keys(&self) -> Vec<Key> {
        let mut keys = roles::to_keys(&self.grants);
        keys.push(name_key(&self.name));
        keys.extend(self.account.as_ref().map(ProviderAccount::to_key));
        keys
    }
}

impl Named for UserBody {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for User {
    type Body = UserBody;
    type Permission = permission::Administer;
}

impl From<Entry<UserBody>> for User {
    fn from(entry: Entry<UserBody>) -> Self {
        Self {
            pkid: entry.pkid,
            name: entry.body.name,
            hierarchy_pkid: node_pkid(&entry.node),
            hierarchy: entry.node,
            grants: entry.body.grants,
            disabled: entry.body.disabled,
            language: entry.body.language,
            created: entry.body.created,
            has_password: entry.body.password.is_some(),
            issuer: entry.body.account.map(|account| account.issuer),
        }
    }
}

/// Adds a user, who gets a password by [`set_up_link`].
///
/// # Errors
/// All errors of fields. The name is malformed or taken, or a role is unknown, outside of the user's node, or more than
/// the administrator has. 404 for a node outside of the administrator's.
pub async fn add(
    parts: &AccessParts,
    authority: &Authority<'_>,
    user: NewUser,
) -> Result<User, WebError> {
    authority.check_node(&user.hierarchy)?;
    let node = Some(&user.hierarchy);
    let mut errors = find_errors(parts, authority, &user.name, node, &user.grants).await?;
    let language = user.language.as_deref();
    let error = language.and_then(names::find_language_error);
    errors.extend(error.map(|error| field_error("language", error)));
    check_fields(errors)?;
    let body = UserBody {
        grants: deduplicate(user.grants),
        name: user.name,
        disabled: false,
        language: user.language,
        created: parts.now(),
        password: None,
        epoch: 0,
        account: None,
    };
    let entry = Entry::new(Pkid::random(), user.hierarchy, body);
    let changes = vec![
        FieldChange::new("name", Value::Null, entry.body.name.clone()),
        FieldChange::new("grants", json!([]), to_json(&entry.body.grants)),
    ];
    let event = authority.to_event("add-user", &entry).with_changes(changes);
    let same_name = documents::named::<UserBody>(&None, &entry.body.name);
    documents::add(parts, authority, &entry, event, same_name, TAKEN_NAME).await?;
    Ok(entry.into())
}

/// Returns the errors of the name, the node and the roles of a new user. Without a node, those that do not depend on it.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn find_errors(
    parts: &AccessParts,
    authority: &Authority<'_>,
    name: &str,
    node: Option<&Hierarchy>,
    grants: &[RoleGrant],
) -> Result<Vec<FieldError>, WebError> {
    let mut errors = Vec::new();
    match find_name_error(name) {
        Some(error) => errors.push(field_error("name", error)),
        None if find_by_name(parts, name).await?.is_some() => {
            errors.push(field_error("name", TAKEN_NAME));
        }
        None => {}
    }
    if let Some(node) = node {
        let error = nodes::find_error(parts, node).await?;
        errors.extend(error.map(|error| field_error("hierarchy", error)));
    }
    errors.extend(find_grant_errors(parts, authority, node, grants, &[]).await?);
    Ok(errors)
}

/// Lists users at or below a node, ordered by pkid. Without a node, those at the administrator's own node.
///
/// # Errors
/// 404 for a node outside of the administrator's; the cursor belongs to another list, or the store cannot be read.
pub async fn list(
    parts: &AccessParts,
    authority: &Authority<'_>,
    requested: Option<&Hierarchy>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<User>, WebError> {
    let range = authority.range(requested)?;
    Ok(documents::list_objects(parts, &range, cursor, limit).await?)
}

/// Reads a user.
///
/// # Errors
/// 404 if the user does not exist or is outside of the administrator's nodes.
pub async fn get(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<User, WebError> {
    let user = documents::find_visible::<UserBody>(parts, authority, pkid).await?;
    Ok(user.into())
}

/// Finds a user by name, whatever the case.
///
/// # Errors
/// 404 as for [`get`].
pub async fn find(
    parts: &AccessParts,
    authority: &Authority<'_>,
    name: &str,
) -> Result<User, WebError> {
    let found = find_by_name(parts, name).await?;
    let found = found.filter(|user| authority.covers(&user.node));
    found.map(User::from).ok_or_else(WebError::not_found)
}

/// Disables a user, which ends the user's sessions. Does nothing if the user is disabled.
///
/// # Errors
/// 404 as for [`get`]; 403 if the user has more roles than the administrator; 409 for the last provider administrator
/// of a node.
pub async fn disable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<User, WebError> {
    let before = find_managed(parts, authority, pkid).await?;
    if before.body.disabled {
        return Ok(before.into());
    }
    let mut after = before.clone();
    after.body.disabled = true;
    after.body.epoch += 1;
    let change = FieldChange::new("disabled", false, true);
    let event = authority
        .to_event("disable-user", &after)
        .with_changes(vec![change]);
    write(parts, &before, after, event).await
}

/// Enables a disabled user. Does nothing if the user is enabled.
///
/// # Errors
/// 404 as for [`get`]; 403 if the user has more roles than the administrator.
pub async fn enable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<User, WebError> {
    let before = find_managed(parts, authority, pkid).await?;
    if !before.body.disabled {
        return Ok(before.into());
    }
    let mut after = before.clone();
    after.body.disabled = false;
    let change = FieldChange::new("disabled", true, false);
    let event = authority
        .to_event("enable-user", &after)
        .with_changes(vec![change]);
    write(parts, &before, after, event).await
}

/// Replaces the roles of a user. A change ends the user's sessions and links.
///
/// # Errors
/// 404 as for [`get`]. 403 if the user has more roles than the administrator. Errors of the roles as for [`add`]. 409
/// for the last provider administrator of a node, and for a user whose roles an OpenID provider decides.
pub async fn set_grants(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
    grants: Vec<RoleGrant>,
) -> Result<User, WebError> {
    let before = find_managed(parts, authority, pkid).await?;
    provider::require_local(&before)?;
    let user = User::from(before.clone());
    check_fields(find_set_errors(parts, authority, &user, &grants).await?)?;
    let mut after = before.clone();
    after.body.grants = deduplicate(grants);
    if after.body.grants == before.body.grants {
        return Ok(before.into());
    }
    after.body.epoch += 1;
    let (old, new) = (to_json(&before.body.grants), to_json(&after.body.grants));
    let change = FieldChange::new("grants", old, new);
    let event = authority
        .to_event("set-grants", &after)
        .with_changes(vec![change]);
    write(parts, &before, after, event).await
}

/// Returns the errors of the roles that a user would have.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn find_set_errors(
    parts: &AccessParts,
    authority: &Authority<'_>,
    user: &User,
    grants: &[RoleGrant],
) -> Result<Vec<FieldError>, WebError> {
    let (node, stored) = (Some(&user.hierarchy), &user.grants);
    Ok(find_grant_errors(parts, authority, node, grants, stored).await?)
}

/// Sets the language of the page for the user of a session.
///
/// # Errors
/// The language is not a language tag; 404 if the user does not exist any more.
pub async fn set_own_language(
    parts: &AccessParts,
    user: &Pkid,
    language: Option<String>,
) -> Result<User, WebError> {
    if let Some(error) = language.as_deref().and_then(names::find_language_error) {
        return Err(invalid(vec![field_error("language", error)]));
    }
    let found = documents::get::<UserBody>(parts.store(), user).await?;
    let mut entry = found.ok_or_else(WebError::not_found)?;
    entry.body.language = language;
    let changes = vec![entry.to_put()?];
    documents::commit_change(parts, &entry, vec![entry.to_check()], changes).await?;
    Ok(entry.into())
}

/// Writes a changed user. Ends sessions and links if the epoch has changed.
async fn write(
    parts: &AccessParts,
    before: &Entry<UserBody>,
    after: Entry<UserBody>,
    event: NewAuditEvent,
) -> Result<User, WebError> {
    let mut checks = vec![before.to_check()];
    checks.extend(rules::find_other_administrators(parts, before, &after).await?);
    let mut changes = vec![after.to_put()?, audit::to_change(parts, event)?];
    if after.body.epoch != before.body.epoch {
        changes.extend(sessions::to_end_all(parts, &after.pkid).await?);
        changes.extend(links::to_delete_all(parts, &after.pkid).await?);
    }
    documents::commit_change(parts, before, checks, changes).await?;
    Ok(after.into())
}

/// Returns the changes that write a user whose rights have changed, and end the user's sessions and links.
pub(super) async fn to_end(
    parts: &AccessParts,
    user: &mut Entry<UserBody>,
) -> Result<Vec<Change>, WebError> {
    user.body.epoch += 1;
    let mut changes = vec![user.to_put()?];
    changes.extend(sessions::to_end_all(parts, &user.pkid).await?);
    changes.extend(links::to_delete_all(parts, &user.pkid).await?);
    Ok(changes)
}

/// Reads a user whose roles the administrator could grant.
async fn find_managed(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<UserBody>, WebError> {
    let user = documents::find_visible::<UserBody>(parts, authority, pkid).await?;
    let roles = roles::load(parts, &user.body.grants).await?;
    authority.check_grants(&user.node, &user.body.grants, &roles)?;
    Ok(user)
}

/// Finds a user by name in the whole installation.
pub(super) async fn find_by_name(
    parts: &AccessParts,
    name: &str,
) -> Result<Option<Entry<UserBody>>, StoreError> {
    let filter = documents::named::<UserBody>(&None, name);
    let page = documents::list(parts.store(), &filter, false, None, 1).await?;
    Ok(page.items.into_iter().next())
}

fn unique_name(user: &Entry<UserBody>) -> Check {
    let same_name = documents::named::<UserBody>(&None, &user.body.name);
    Check::Unique(same_name, Some(user.reference()))
}

pub(super) fn to_json(grants: &[RoleGrant]) -> Value {
    serde_json::to_value(grants).unwrap_or_default()
}

pub(crate) fn field_error(field: &str, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.into(),
    }
}

/// Returns the error of fields, if there are any.
pub(crate) fn check_fields(errors: Vec<FieldError>) -> Result<(), WebError> {
    match errors.is_empty() {
        true => Ok(()),
        false => Err(invalid(errors)),
    }
}

pub(crate) fn invalid(field_errors: Vec<FieldError>) -> WebError {
    let error = AppError::new(ErrorKind::Invalid, "the input is not right");
    AppError {
        field_errors,
        ..error
    }
    .into()
}
