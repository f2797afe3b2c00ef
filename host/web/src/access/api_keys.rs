//! API keys of programs: `rel_<id>_<secret>`, of which the store has the SHA-256.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::store::StoreError;
use relation_host::types::{FieldError, Hierarchy, Key, Page, Pkid, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{self, FieldChange};
use super::documents::{self, Entry, Listed, Named, Stored, name_key};
use super::nodes::node_pkid;
use super::tokens::{TokenDigest, create_token, digest};
use super::users::{check_fields, deduplicate, field_error, find_grant_errors, invalid, to_json};
use super::{AccessParts, Authority, Principal, PrincipalKind, RoleGrant, permission, roles};
use crate::WebError;

/// The beginning of every key, by which scanners of secrets find them.
const PREFIX: &str = "rel_";
/// The error of a name that another key of the node has.
const TAKEN_NAME: &str =
    "another key of this node has this name: choose another one, or revoke that key";

/// The shortest time between two writes of the last use.
const USE_INTERVAL: Duration = Duration::from_secs(3600);

/// The longest time in which the former secret of a rotated key is valid.
pub const MAX_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// The key of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// The pkid, which is the id in the key.
    pub pkid: Pkid,
    /// The name, unique among the valid keys of the node.
    pub name: String,
    /// The node that the key belongs to.
    pub hierarchy: Hierarchy,
    /// The pkid of the node.
    pub hierarchy_pkid: Pkid,
    /// The roles, at or below the node.
    pub grants: Vec<RoleGrant>,
    /// When the key was added.
    pub created: Timestamp,
    /// When the key expires.
    pub expires: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked: Option<Timestamp>,
    /// The time until which the secret from before the latest rotation is valid.
    pub former_secret_until: Option<Timestamp>,
    /// The latest request, at most an hour late.
    pub last_used: Option<Timestamp>,
}

/// An API key to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// The name.
    pub name: String,
    /// The node that the key belongs to.
    pub hierarchy: Hierarchy,
    /// The roles, at or below the node.
    pub grants: Vec<RoleGrant>,
    /// When the key expires.
    pub expires: Option<Timestamp>,
}

/// An API key with its text, which is shown once.
#[derive(Clone)]
pub struct IssuedApiKey {
    /// The key without its secret.
    pub api_key: ApiKey,
    /// The text that a program sends: `Authorization: Bearer rel_…`.
    pub secret: SecretString,
}

impl fmt::Debug for IssuedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedApiKey")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyBody {
    name: String,
    pub(super) grants: Vec<RoleGrant>,
    created: Timestamp,
    expires: Option<Timestamp>,
    revoked: Option<Timestamp>,
    digest: TokenDigest,
    /// The digest before the latest rotation, and the time until which it is valid.
    former: Option<(TokenDigest, Timestamp)>,
    last_used: Option<Timestamp>,
}

impl Stored for KeyBody {
    const MODEL: &'static str = "host/ApiKey";

    fn keys(&self) -> Vec<Key> {
        match self.revoked {
            // The name is free again.
            Some(_) => Vec::new(),
            None => {
                let mut keys = roles::to_keys(&self.grants);
                keys.push(name_key(&self.name));
                keys
            }
        }
    }
}

impl Named for KeyBody {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for ApiKey {
    type Body = KeyBody;
    type Permission = permission::Administer;
}

impl From<Entry<KeyBody>> for ApiKey {
    fn from(entry: Entry<KeyBody>) -> Self {
        Self {
            pkid: entry.pkid,
            name: entry.body.name,
            hierarchy_pkid: node_pkid(&entry.node),
            hierarchy: entry.node,
            grants: entry.body.grants,
            created: entry.body.created,
            expires: entry.body.expires,
            revoked: entry.body.revoked,
            former_secret_until: entry.body.former.map(|(_, until)| until),
            last_used: entry.body.last_used,
        }
    }
}

/// Adds an API key.
///
/// # Errors
/// All errors of fields, as for [`users::add`](super::users::add); the expiry has passed. 404 for a node outside of the
/// administrator's.
pub async fn add(
    parts: &AccessParts,
    authority: &Authority<'_>,
    new: NewApiKey,
) -> Result<IssuedApiKey, WebError> {
    authority.check_node(&new.hierarchy)?;
    let node = Some(&new.hierarchy);
    let mut errors = find_errors(parts, authority, &new.name, node, &new.grants).await?;
    if new.expires.is_some_and(|expires| expires <= parts.now()) {
        errors.push(field_error(
            "expires",
            "the time has passed: name a later one",
        ));
    }
    check_fields(errors)?;
    let pkid = Pkid::random();
    let (secret, digest) = create_secret(&pkid)?;
    let body = KeyBody {
        name: new.name,
        grants: deduplicate(new.grants),
        created: parts.now(),
        expires: new.expires,
        revoked: None,
        digest,
        former: None,
        last_used: None,
    };
    let entry = Entry::new(pkid, new.hierarchy, body);
    let mut changes = vec![
        FieldChange::new("name", Value::Null, entry.body.name.clone()),
        FieldChange::new("grants", json!([]), to_json(&entry.body.grants)),
    ];
    if let Some(expires) = entry.body.expires {
        changes.push(FieldChange::new(
            "expires",
            Value::Null,
            expires.to_string(),
        ));
    }
    let event = authority
        .to_event("add-api-key", &entry)
        .with_changes(changes);
    let same_name = documents::named_at::<KeyBody>(&entry.node, &entry.body.name);
    documents::add(parts, authority, &entry, event, same_name, TAKEN_NAME).await?;
    let api_key = entry.into();
    Ok(IssuedApiKey { api_key, secret })
}

/// Returns the errors of the name, the node and the roles of a new key. Without a node, those that do not depend on it.
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
    let mut errors = documents::find_name_errors::<KeyBody>(parts, name, node, TAKEN_NAME).await?;
    errors.extend(find_grant_errors(parts, authority, node, grants, &[]).await?);
    Ok(errors)
}

/// Lists keys at or below a node, ordered by pkid, revoked ones too. Without a node, those at the administrator's own
/// node.
///
/// # Errors
/// 404 for a node outside of the administrator's; the cursor belongs to another list, or the store cannot be read.
pub async fn list(
    parts: &AccessParts,
    authority: &Authority<'_>,
    requested: Option<&Hierarchy>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ApiKey>, WebError> {
    let range = authority.range(requested)?;
    Ok(documents::list_objects(parts, &range, cursor, limit).await?)
}

/// Reads a key.
///
/// # Errors
/// 404 if the key does not exist or is outside of the administrator's nodes.
pub async fn get(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<ApiKey, WebError> {
    let entry = documents::find_visible::<KeyBody>(parts, authority, pkid).await?;
    Ok(entry.into())
}

/// Finds the valid keys of a name, at any node of the administrator's.
///
/// # Errors
/// The store cannot be read.
pub async fn find(
    parts: &AccessParts,
    authority: &Authority<'_>,
    name: &str,
) -> Result<Vec<ApiKey>, WebError> {
    let filter = documents::named::<KeyBody>(&None, name);
    let found = documents::list_all::<KeyBody>(parts.store(), &filter).await?;
    let visible = found
        .into_iter()
        .filter(|entry| authority.covers(&entry.node));
    Ok(visible.map(ApiKey::from).collect())
}

/// Gives a key a new secret. The present one stays valid for `overlap`, an earlier one ends now.
///
/// # Errors
/// 404 as for [`get`]; 403 if the key has more roles than the administrator; 409 for a revoked key; the overlap is
/// longer than [`MAX_OVERLAP`].
pub async fn rotate(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
    overlap: Duration,
) -> Result<IssuedApiKey, WebError> {
    if overlap > MAX_OVERLAP {
        let message = "the former secret can stay valid for 30 days at most";
        return Err(invalid(vec![field_error("overlap_seconds", message)]));
    }
    let mut entry = find_rotatable(parts, authority, pkid).await?;
    let check = entry.to_check();
    let (secret, digest) = create_secret(&entry.pkid)?;
    let former = std::mem::replace(&mut entry.body.digest, digest);
    let until = parts.now().after(overlap);
    entry.body.former = (!overlap.is_zero()).then_some((former, until));
    let event = authority
        .to_event("rotate-api-key", &entry)
        .with_changes(vec![FieldChange::secret("secret")]);
    let changes = vec![entry.to_put()?, audit::to_change(parts, event)?];
    documents::commit_change(parts, &entry, vec![check], changes).await?;
    let api_key = entry.into();
    Ok(IssuedApiKey { api_key, secret })
}

/// Reads a key that the administrator may rotate.
///
/// # Errors
/// Errors of [`rotate`].
pub(crate) async fn get_rotatable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<ApiKey, WebError> {
    Ok(find_rotatable(parts, authority, pkid).await?.into())
}

async fn find_rotatable(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<KeyBody>, WebError> {
    let entry = find_managed(parts, authority, pkid).await?;
    if entry.body.revoked.is_some() {
        let message = format!("the key {} is revoked", entry.body.name);
        return Err(AppError::new(ErrorKind::Conflict, message)
            .hint("add a new key")
            .into());
    }
    Ok(entry)
}

/// Reads a key that the administrator may revoke.
///
/// # Errors
/// Errors of [`revoke`].
pub(crate) async fn get_managed(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<ApiKey, WebError> {
    Ok(find_managed(parts, authority, pkid).await?.into())
}

/// Revokes a key permanently. Does nothing to a revoked key.
///
/// # Errors
/// 404 as for [`get`]; 403 if the key has more roles than the administrator.
pub async fn revoke(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<ApiKey, WebError> {
    let mut entry = find_managed(parts, authority, pkid).await?;
    if entry.body.revoked.is_some() {
        return Ok(entry.into());
    }
    let check = entry.to_check();
    entry.body.revoked = Some(parts.now());
    entry.body.former = None;
    let event = authority.to_event("revoke-api-key", &entry);
    let changes = vec![entry.to_put()?, audit::to_change(parts, event)?];
    documents::commit_change(parts, &entry, vec![check], changes).await?;
    Ok(entry.into())
}

/// Finds the principal of a key's text. `None` if there is no such key, or it has ended.
pub(super) async fn authenticate(
    parts: &AccessParts,
    text: &SecretString,
) -> Result<Option<Principal>, StoreError> {
    let id = text.expose_secret().strip_prefix(PREFIX);
    let id = id.and_then(|rest| rest.split_once('_'));
    let Some(pkid) = id.and_then(|(id, _)| id.parse::<Pkid>().ok()) else {
        return Ok(None);
    };
    let found = documents::get::<KeyBody>(parts.store(), &pkid).await?;
    let (digest, now) = (digest(text), parts.now());
    let is_valid = |entry: &Entry<KeyBody>| {
        let body = &entry.body;
        let is_former =
            |(former, until): &(TokenDigest, Timestamp)| former.is_same(&digest) && now < *until;
        let is_secret = body.digest.is_same(&digest) || body.former.as_ref().is_some_and(is_former);
        is_secret && body.revoked.is_none() && body.expires.is_none_or(|expires| now < expires)
    };
    let Some(mut entry) = found.filter(is_valid) else {
        return Ok(None);
    };
    let last_used = entry.body.last_used;
    if last_used.is_none_or(|last_used| now.since(last_used) >= USE_INTERVAL) {
        let check = entry.to_check();
        entry.body.last_used = Some(now);
        let written = documents::commit(parts, vec![check], vec![entry.to_put()?]).await;
        match written {
            // A request at the same moment has written it, or the key has just been changed.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => tracing::warn!(%error, "the last use of an API key was not stored"),
        }
    }
    Ok(Some(Principal {
        custom_roles: roles::load(parts, &entry.body.grants).await?,
        kind: PrincipalKind::ApiKey,
        pkid: entry.pkid,
        name: entry.body.name,
        grants: entry.body.grants,
    }))
}

/// Creates the text of a key and its digest.
fn create_secret(pkid: &Pkid) -> Result<(SecretString, TokenDigest), WebError> {
    let token = create_token()?;
    let text = SecretString::from(format!("{PREFIX}{pkid}_{}", token.expose_secret()));
    let digest = digest(&text);
    Ok((text, digest))
}

/// Reads a key whose roles the administrator could grant.
async fn find_managed(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<Entry<KeyBody>, WebError> {
    let entry = documents::find_visible::<KeyBody>(parts, authority, pkid).await?;
    let roles = roles::load(parts, &entry.body.grants).await?;
    authority.check_grants(&entry.node, &entry.body.grants, &roles)?;
    Ok(entry)
}
