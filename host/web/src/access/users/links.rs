//! One-time links: to set a password, and to create the first provider administrator.

use std::fmt;
use std::time::Duration;

use relation_host::store::{Change, Check, StoreError};
use relation_host::types::{FieldError, Hierarchy, Key, Pkid, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::rules::PROVIDER_ADMINISTRATOR;
use super::{User, UserBody, check_fields, field_error, find_managed, names, provider, to_json};
use crate::WebError;
use crate::access::audit::{self, Actor, ActorKind, FieldChange, NewAuditEvent};
use crate::access::documents::{self, Entry, Stored, key};
use crate::access::passwords::find_password_error;
use crate::access::tokens::{TokenDigest, create_token, digest};
use crate::access::{AccessParts, Authority, ClientAddress, Principal, RoleGrant, nodes, sessions};
use relation_app::{AppError, ErrorKind};

/// How long a link is valid.
pub(super) const LINK_LIFETIME: Duration = Duration::from_secs(86_400);

/// The path of links below the public address; the token follows.
pub const LINK_PATH: &str = "set-up";

/// A link that is valid once.
#[derive(Clone)]
pub struct OneTimeLink {
    /// The address. It contains the token, which must not be logged.
    pub url: Url,
    /// When the link ends.
    pub expires: Timestamp,
}

impl fmt::Debug for OneTimeLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTimeLink")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The purpose of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// A user sets a password: [`set_password`].
    SetPassword {
        /// The name of the user.
        name: String,
    },
    /// The first provider administrator is created: [`create_first_administrator`].
    FirstAdministrator,
}

/// The first provider administrator.
#[derive(Clone, Debug)]
pub struct NewAdministrator {
    /// The name for the log-in.
    pub name: String,
    /// The top node of the installation, such as `sys`.
    pub hierarchy: Hierarchy,
    /// The password.
    pub password: SecretString,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LinkBody {
    digest: TokenDigest,
    /// The user and the user's epoch; `None` to create the first provider administrator.
    user: Option<(Pkid, u64)>,
    expires: Timestamp,
}

impl Stored for LinkBody {
    const MODEL: &'static str = "host/OneTimeLink";

    fn keys(&self) -> Vec<Key> {
        let user = self.user.as_ref();
        user.map(|(user, _)| key("user", user.as_str()))
            .into_iter()
            .collect()
    }
}

/// Creates a link with which a user sets a password, in place of earlier links. It is valid for 24 hours.
///
/// # Errors
/// 404 and 403 as for [`disable`](super::disable); 409 for a disabled user, and for one who logs in at a provider.
pub async fn set_up_link(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<OneTimeLink, WebError> {
    let user = find_managed(parts, authority, pkid).await?;
    provider::require_local(&user)?;
    if user.body.disabled {
        let message = format!("{} is disabled", user.body.name);
        let error = AppError::new(ErrorKind::Conflict, message);
        return Err(error.hint("enable the user first").into());
    }
    let (link, put) = create(
        parts,
        user.node.clone(),
        Some((&user.pkid, user.body.epoch)),
    )?;
    let mut changes = to_delete_all(parts, &user.pkid).await?;
    let event = authority.to_event("create-set-up-link", &user);
    changes.extend([put, audit::to_change(parts, event)?]);
    documents::commit_change(parts, &user, vec![user.to_check()], changes).await?;
    Ok(link)
}

/// Creates a link to create the first provider administrator. `None` if there is a user.
///
/// # Errors
/// The store cannot be read or written.
pub async fn first_administrator_link(
    parts: &AccessParts,
) -> Result<Option<OneTimeLink>, WebError> {
    let everywhere = documents::filter::<UserBody>(&None, Vec::new());
    if parts.store().count(&everywhere, 1).await? > 0 {
        return Ok(None);
    }
    let (link, put) = create(parts, audit::top_node()?, None)?;
    documents::commit(parts, vec![no_user()], vec![put]).await?;
    Ok(Some(link))
}

/// Reads the purpose of a link, without using it.
///
/// # Errors
/// 404 if the link was used, has ended, or never existed.
pub async fn read_link(parts: &AccessParts, token: &SecretString) -> Result<LinkPurpose, WebError> {
    let link = find(parts, token).await?;
    match &link.body.user {
        Some(_) => {
            let name = find_user(parts, &link).await?.body.name;
            Ok(LinkPurpose::SetPassword { name })
        }
        None => {
            let everywhere = documents::filter::<UserBody>(&None, Vec::new());
            match parts.store().count(&everywhere, 1).await? {
                0 => Ok(LinkPurpose::FirstAdministrator),
                _ => Err(ended()),
            }
        }
    }
}

/// Sets the password of the user of a link, and ends the link and the user's sessions.
///
/// # Errors
/// 404 as for [`read_link`]; the password is refused, which does not end the link.
pub async fn set_password(
    parts: &AccessParts,
    address: ClientAddress,
    token: &SecretString,
    password: &SecretString,
) -> Result<User, WebError> {
    let link = find(parts, token).await?;
    let before = find_user(parts, &link).await?;
    if let Some(error) = find_password_error(password, &before.body.name) {
        check_fields(vec![field_error("password", error)])?;
    }
    let actor = Actor {
        kind: ActorKind::User,
        name: before.body.name.clone(),
        pkid: Some(before.pkid.clone()),
    };
    let event = NewAuditEvent::new(actor, address, "set-password", &before.node);
    let event = event.on(before.to_audit_object());
    replace_password(parts, before, password, event, Some(link)).await
}

/// Replaces a password, and ends the sessions and links of the user.
async fn replace_password(
    parts: &AccessParts,
    before: Entry<UserBody>,
    password: &SecretString,
    event: NewAuditEvent,
    link: Option<Entry<LinkBody>>,
) -> Result<User, WebError> {
    let event = event.with_changes(vec![FieldChange::secret("password")]);
    let mut after = before.clone();
    after.body.password = Some(parts.passwords().hash(password).await?);
    after.body.epoch += 1;
    let mut checks = vec![before.to_check()];
    checks.extend(link.as_ref().map(Entry::to_check));
    let mut changes = to_delete_all(parts, &after.pkid).await?;
    changes.extend(sessions::to_end_all(parts, &after.pkid).await?);
    changes.extend([after.to_put()?, audit::to_change(parts, event)?]);
    match link {
        Some(_) => commit_once(parts, checks, changes).await?,
        None => documents::commit_change(parts, &before, checks, changes).await?,
    }
    Ok(after.into())
}

/// Changes the password of the user of a session, and ends all sessions of the user.
///
/// # Errors
/// The current password is wrong, or the new one is refused. 409 for a user who logs in at a provider. 429 after too
/// many wrong passwords.
pub async fn change_password(
    parts: &AccessParts,
    principal: &Principal,
    address: ClientAddress,
    current: &SecretString,
    password: &SecretString,
) -> Result<User, WebError> {
    let found = documents::get::<UserBody>(parts.store(), &principal.pkid).await?;
    let before = found.ok_or_else(WebError::unauthenticated)?;
    provider::require_local(&before)?;
    if let Some(error) = find_password_error(password, &before.body.name) {
        check_fields(vec![field_error("password", error)])?;
    }
    sessions::check_own_password(parts, &before, current).await?;
    let event = NewAuditEvent::new(
        Actor::from_principal(principal),
        address,
        "change-password",
        &before.node,
    );
    let event = event.on(before.to_audit_object());
    replace_password(parts, before, password, event, None).await
}

/// Returns the errors of the fields of a first administrator. Without a node, those of the other fields.
pub(crate) fn find_administrator_errors(
    name: &str,
    node: Option<&Hierarchy>,
    password: &SecretString,
) -> Vec<FieldError> {
    let errors = [
        ("name", names::find_name_error(name)),
        ("hierarchy", node.and_then(names::find_new_node_error)),
        ("password", find_password_error(password, name)),
    ];
    let errors = errors.into_iter();
    errors
        .filter_map(|(field, error)| Some(field_error(field, error?)))
        .collect()
}

/// Creates the first provider administrator by a link of [`first_administrator_link`].
///
/// # Errors
/// 404 as for [`read_link`], also if there is a user meanwhile; all errors of fields, which do not end the link.
pub async fn create_first_administrator(
    parts: &AccessParts,
    address: ClientAddress,
    token: &SecretString,
    administrator: NewAdministrator,
) -> Result<User, WebError> {
    let link = find(parts, token).await?;
    if link.body.user.is_some() {
        return Err(ended());
    }
    let node = Some(&administrator.hierarchy);
    let errors = find_administrator_errors(&administrator.name, node, &administrator.password);
    check_fields(errors)?;
    let password = parts.passwords().hash(&administrator.password).await?;
    let grant = RoleGrant {
        role: PROVIDER_ADMINISTRATOR.to_owned(),
        node: administrator.hierarchy.clone(),
    };
    let body = UserBody {
        name: administrator.name,
        grants: vec![grant],
        disabled: false,
        language: None,
        created: parts.now(),
        password: Some(password),
        epoch: 0,
        account: None,
    };
    let user = Entry::new(Pkid::random(), administrator.hierarchy, body);
    let event = NewAuditEvent::new(
        Actor::anonymous(),
        address,
        "add-first-administrator",
        &user.node,
    )
    .on(user.to_audit_object())
    .with_changes(vec![
        FieldChange::new("name", Value::Null, user.body.name.clone()),
        FieldChange::new("grants", json!([]), to_json(&user.body.grants)),
        FieldChange::secret("password"),
    ]);
    let checks = vec![link.to_check(), no_user()];
    let mut changes = nodes::to_keep(&user.node)?;
    changes.extend([
        link.to_delete(),
        user.to_put()?,
        audit::to_change(parts, event)?,
    ]);
    commit_once(parts, checks, changes).await?;
    Ok(user.into())
}

/// Commits the use of a link. A concurrent use gets the error of a used link.
async fn commit_once(
    parts: &AccessParts,
    checks: Vec<Check>,
    changes: Vec<Change>,
) -> Result<(), WebError> {
    let committed = documents::commit(parts, checks, changes).await;
    committed.map_err(|error| match error {
        StoreError::Conflict(_) => ended(),
        error => error.into(),
    })
}

fn create(
    parts: &AccessParts,
    node: Hierarchy,
    user: Option<(&Pkid, u64)>,
) -> Result<(OneTimeLink, Change), WebError> {
    let token = create_token()?;
    let mut url = parts.options().public_url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty()
            .extend([LINK_PATH, token.expose_secret()]);
    }
    let expires = parts.now().after(LINK_LIFETIME);
    let digest = digest(&token);
    let pkid = digest.pkid();
    let body = LinkBody {
        digest,
        user: user.map(|(user, epoch)| (user.clone(), epoch)),
        expires,
    };
    let put = Entry::new(pkid, node, body).to_put()?;
    Ok((OneTimeLink { url, expires }, put))
}

/// Finds a valid link.
async fn find(parts: &AccessParts, token: &SecretString) -> Result<Entry<LinkBody>, WebError> {
    let digest = digest(token);
    let found = documents::get::<LinkBody>(parts.store(), &digest.pkid()).await?;
    let is_valid = |link: &Entry<LinkBody>| {
        link.body.digest.is_same(&digest) && parts.now() < link.body.expires
    };
    found.filter(is_valid).ok_or_else(ended)
}

/// Reads the enabled user of a link whose roles have not changed since.
async fn find_user(
    parts: &AccessParts,
    link: &Entry<LinkBody>,
) -> Result<Entry<UserBody>, WebError> {
    let (pkid, epoch) = link.body.user.as_ref().ok_or_else(ended)?;
    let found = documents::get::<UserBody>(parts.store(), pkid).await?;
    let is_valid = |user: &Entry<UserBody>| user.body.epoch == *epoch && !user.body.disabled;
    found.filter(is_valid).ok_or_else(ended)
}

/// Returns the changes that delete all links of a user.
pub(super) async fn to_delete_all(
    parts: &AccessParts,
    user: &Pkid,
) -> Result<Vec<Change>, StoreError> {
    let filter = documents::filter::<LinkBody>(&None, vec![key("user", user.as_str())]);
    let links = documents::list_all::<LinkBody>(parts.store(), &filter).await?;
    Ok(links.iter().map(Entry::to_delete).collect())
}

/// Removes links that have ended. Returns their number.
pub(in crate::access) async fn remove_expired(parts: &AccessParts) -> Result<u64, StoreError> {
    let now = parts.now();
    documents::remove_all(parts, |link: &Entry<LinkBody>| now >= link.body.expires).await
}

/// Returns the condition that there is no user at all.
fn no_user() -> Check {
    Check::Unique(documents::filter::<UserBody>(&None, Vec::new()), None)
}

fn ended() -> WebError {
    let message = "the link was used, has ended, or never existed";
    let hint =
        "ask an administrator for a new link: `relation-host user link NAME`, or the page of users";
    AppError::new(ErrorKind::NotFound, message)
        .hint(hint)
        .into()
}
