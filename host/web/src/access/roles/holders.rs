//! The users and keys that have a custom role, and the deletion of a role that nobody has.

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Check, StoreError};
use relation_host::types::{Filter, Pkid};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ROLE_KEY, RoleBody, find_managed};
use crate::WebError;
use crate::access::api_keys::{ApiKey, KeyBody};
use crate::access::audit::{self, FieldChange};
use crate::access::documents::{self, Entry, Named as _, Stored, key};
use crate::access::users::{User, UserBody, to_json};
use crate::access::{AccessParts, Authority};

/// The maximum number of users, and of keys, that have a role when the role is changed.
const MAX_HOLDERS: u32 = 500;
/// The maximum number of users, and of keys, that the list of holders has.
const MAX_LISTED: u32 = 100;
/// The maximum number of users and keys that an error names.
const MAX_STEPS: usize = 5;

/// Deletes a role that nobody has. Disabled users do not count, and lose it, which is an event of each.
///
/// # Errors
/// 404 as for [`get`](super::get); 403 as for [`set_operations`](super::set_operations); 409 if a user or a key has the
/// role.
pub async fn delete(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<(), WebError> {
    let (entry, disabled) = find_deletable(parts, authority, pkid).await?;
    let operations = FieldChange::new("operations", json!(entry.body.operations), Value::Null);
    let event = authority
        .to_event("delete-role", &entry)
        .with_changes(vec![operations]);
    let mut checks = vec![
        entry.to_check(),
        Check::Unique(holding::<KeyBody>(pkid), None),
    ];
    if disabled.is_empty() {
        checks.push(Check::Unique(holding::<UserBody>(pkid), None));
    }
    let mut changes = vec![entry.to_delete(), audit::to_change(parts, event)?];
    for mut user in disabled {
        checks.push(user.to_check());
        let before = to_json(&user.body.grants);
        user.body.grants.retain(|grant| grant.role != pkid.as_str());
        let change = FieldChange::new("grants", before, to_json(&user.body.grants));
        let event = authority
            .to_event("set-grants", &user)
            .with_changes(vec![change]);
        changes.extend([user.to_put()?, audit::to_change(parts, event)?]);
    }
    match documents::commit(parts, checks, changes).await {
        // Somebody was granted the role meanwhile. The text of the store names the user or the key.
        Err(StoreError::Conflict(_)) => Err(to_use_error(authority, &entry, &[], &[])),
        committed => Ok(committed?),
    }
}

/// Checks that a role can be deleted.
///
/// # Errors
/// Errors of [`delete`].
pub(crate) async fn check_deletable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<(), WebError> {
    find_deletable(parts, authority, pkid).await.map(drop)
}

/// Reads a role that nobody has, with the disabled users that would lose it.
async fn find_deletable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<(Entry<RoleBody>, Vec<Entry<UserBody>>), WebError> {
    let entry = find_managed(parts, authority, pkid).await?;
    let users = find::<UserBody>(parts, pkid).await?;
    let keys = find::<KeyBody>(parts, pkid).await?;
    let (disabled, active): (Vec<_>, Vec<_>) =
        users.into_iter().partition(|user| user.body.disabled);
    match active.is_empty() && keys.is_empty() {
        true => Ok((entry, disabled)),
        false => Err(to_use_error(authority, &entry, &active, &keys)),
    }
}

/// Returns the error for the deletion of a role that somebody has. It names nobody outside of the administrator's nodes.
fn to_use_error(
    authority: &Authority<'_>,
    role: &Entry<RoleBody>,
    users: &[Entry<UserBody>],
    keys: &[Entry<KeyBody>],
) -> WebError {
    let users = users.iter().filter(|user| authority.covers(&user.node));
    let users = users.map(|user| format!("take it from the user {}", user.body.name));
    let keys = keys.iter().filter(|key| authority.covers(&key.node));
    let keys = keys.map(|key| format!("revoke the key {}", key.body.name()));
    let mut steps: Vec<String> = users.chain(keys).take(MAX_STEPS + 1).collect();
    let hint = match steps.len() {
        0 => "somebody at another node has it, or was just granted it".to_owned(),
        count if count > MAX_STEPS => {
            steps.truncate(MAX_STEPS);
            format!("first {}, and others", steps.join(", "))
        }
        _ => format!("first {}", steps.join(", ")),
    };
    let message = format!("the role {} is in use", role.body.name);
    AppError::new(ErrorKind::Conflict, message)
        .hint(hint)
        .into()
}

/// The users and keys that have a role, as far as the administrator sees them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RoleHolders {
    /// The users.
    pub users: Vec<User>,
    /// The keys that are not revoked.
    pub keys: Vec<ApiKey>,
    /// Whether there are more: at nodes that the administrator does not see, or too many to list.
    pub more: bool,
}

impl RoleHolders {
    /// Returns whether nobody has the role.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.keys.is_empty() && !self.more
    }
}

/// Lists the users and keys that have a role.
///
/// # Errors
/// 404 as for [`get`](super::get).
pub async fn list_holders(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<RoleHolders, WebError> {
    documents::find_visible::<RoleBody>(parts, authority, pkid).await?;
    let (store, limit) = (parts.store(), MAX_LISTED);
    let users = holding::<UserBody>(pkid);
    let users = documents::list::<UserBody>(store, &users, false, None, limit).await?;
    let keys = holding::<KeyBody>(pkid);
    let keys = documents::list::<KeyBody>(store, &keys, false, None, limit).await?;
    let has_more = users.next.is_some() || keys.next.is_some();
    let (users, others) = split_visible(authority, users.items);
    let (keys, other_keys) = split_visible(authority, keys.items);
    Ok(RoleHolders {
        users: users.into_iter().map(User::from).collect(),
        keys: keys.into_iter().map(ApiKey::from).collect(),
        more: has_more || !others.is_empty() || !other_keys.is_empty(),
    })
}

/// Splits off the documents outside of the administrator's nodes.
fn split_visible<T>(
    authority: &Authority<'_>,
    entries: Vec<Entry<T>>,
) -> (Vec<Entry<T>>, Vec<Entry<T>>) {
    let entries = entries.into_iter();
    entries.partition(|entry| authority.covers(&entry.node))
}

/// Returns the filter for the users or the keys that have a role.
fn holding<T: Stored>(role: &Pkid) -> Filter {
    documents::filter::<T>(&None, vec![key(ROLE_KEY, role.as_str())])
}

/// Finds the users or the keys that have a role.
pub(super) async fn find<T: Stored>(
    parts: &AccessParts,
    role: &Pkid,
) -> Result<Vec<Entry<T>>, WebError> {
    let filter = holding::<T>(role);
    let page = documents::list::<T>(parts.store(), &filter, false, None, MAX_HOLDERS).await?;
    match page.next {
        None => Ok(page.items),
        Some(_) => {
            let message = format!("more than {MAX_HOLDERS} users or keys have this role");
            let error = AppError::new(ErrorKind::Conflict, message);
            Err(error
                .hint("take it from some of them first, or add another role")
                .into())
        }
    }
}
