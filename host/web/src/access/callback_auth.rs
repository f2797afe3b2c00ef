//! Credentials of callbacks: a name, a user name with a password or a token, and a secret that signs.
//!
//! The secrets are sealed and are never read back. Credentials belong to a node. A request uses those of its own node or
//! of a node above, the nearest first, as long as the caller may see that node.

use relation_app::names::find_hidden_character;
use relation_host::callbacks::{CALLBACK_AUTH_MODEL, CallbackSecrets, parse_signing_secret};
use relation_host::store::{Check, StoreError};
use relation_host::types::{FieldError, Hierarchy, Key, Pkid, Scope, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::{self, FieldChange};
use super::documents::{self, Entry, Listed, Named, Stored, name_key};
use super::nodes;
use super::users::{check_fields, field_error, find_name_error, invalid};
use super::{AccessParts, Allowed, Authority, Operation, Principal, permission};
use crate::WebError;

/// The maximum length of a user name, a password or a token, in characters.
const MAX_CHARS: usize = 1024;

/// The scheme of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackAuthKind {
    /// A user name and a password.
    Basic,
    /// A token.
    Bearer,
    /// Only a signature.
    None,
}

/// Credentials without their secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallbackAuth {
    /// The pkid.
    pub pkid: Pkid,
    /// The name.
    pub name: String,
    /// The node that the credentials belong to.
    pub hierarchy: Hierarchy,
    /// The scheme.
    pub kind: CallbackAuthKind,
    /// The user name.
    pub user_name: Option<String>,
    /// Whether callbacks are signed.
    pub signed: bool,
    /// When the credentials were added.
    pub created: Timestamp,
    /// When the credentials were last replaced.
    pub changed: Timestamp,
}

/// The values of credentials.
#[derive(Clone, Default)]
pub struct CallbackAuthInput {
    /// The name.
    pub name: String,
    /// The user name for the password.
    pub user_name: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// The token.
    pub token: Option<SecretString>,
    /// The secret that signs, as Standard Webhooks has it.
    pub signing_secret: Option<SecretString>,
}

impl std::fmt::Debug for CallbackAuthInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackAuthInput")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AuthBody {
    name: String,
    kind: CallbackAuthKind,
    user_name: Option<String>,
    signed: bool,
    created: Timestamp,
    changed: Timestamp,
}

impl Stored for AuthBody {
    const MODEL: &'static str = CALLBACK_AUTH_MODEL;

    fn keys(&self) -> Vec<Key> {
        vec![name_key(&self.name)]
    }
}

impl Named for AuthBody {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for CallbackAuth {
    type Body = AuthBody;
    type Permission = permission::Read;
}

impl From<Entry<AuthBody>> for CallbackAuth {
    fn from(entry: Entry<AuthBody>) -> Self {
        Self {
            pkid: entry.pkid,
            name: entry.body.name,
            hierarchy: entry.node,
            kind: entry.body.kind,
            user_name: entry.body.user_name,
            signed: entry.body.signed,
            created: entry.body.created,
            changed: entry.body.changed,
        }
    }
}

impl CallbackAuthInput {
    /// Returns all errors of the values.
    pub fn find_errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(error) = find_name_error(&self.name) {
            errors.push(field_error("name", error));
        }
        let is_printable = |text: &str| {
            (1..=MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        let is_user_name = |name: &str| is_printable(name) && !name.contains(':');
        let user_name = self.user_name.as_deref();
        if let Some(error) = user_name.and_then(find_hidden_character) {
            errors.push(field_error("user_name", error));
        } else if user_name.is_some_and(|name| !is_user_name(name)) {
            let message = format!("must have 1 to {MAX_CHARS} characters without a colon");
            errors.push(field_error("user_name", message));
        }
        let password = self.password.as_ref().map(ExposeSecret::expose_secret);
        if password.is_some_and(|password| !is_printable(password)) {
            let message = format!("must have 1 to {MAX_CHARS} printable characters");
            errors.push(field_error("password", message));
        }
        let token = self.token.as_ref().map(ExposeSecret::expose_secret);
        let is_token =
            |token: &str| is_printable(token) && token.bytes().all(|b| b.is_ascii_graphic());
        if token.is_some_and(|token| !is_token(token)) {
            let message = format!("must have 1 to {MAX_CHARS} visible ASCII characters");
            errors.push(field_error("token", message));
        }
        if self.user_name.is_some() != self.password.is_some() {
            let missing = match self.password {
                Some(_) => "user_name",
                None => "password",
            };
            let message = "user_name and password belong together: give both";
            errors.push(field_error(missing, message));
        }
        if self.token.is_some() && (self.user_name.is_some() || self.password.is_some()) {
            let message = "give either a token, or user_name and password";
            errors.push(field_error("token", message));
        }
        let secret = self.signing_secret.as_ref();
        if secret.is_some_and(|secret| parse_signing_secret(secret).is_none()) {
            let message = "must be `whsec_` and 24 to 64 random bytes in Base64, as `openssl rand -base64 32` prints them";
            errors.push(field_error("signing_secret", message));
        }
        let has_value = self.user_name.is_some() || self.password.is_some() || self.token.is_some();
        if !has_value && secret.is_none() {
            let message = "give user_name and password, a token, or a signing_secret";
            errors.push(field_error("signing_secret", message));
        }
        errors
    }

    fn kind(&self) -> CallbackAuthKind {
        match (&self.password, &self.token) {
            (Some(_), _) => CallbackAuthKind::Basic,
            (None, Some(_)) => CallbackAuthKind::Bearer,
            (None, None) => CallbackAuthKind::None,
        }
    }

    fn to_body(&self, created: Timestamp, changed: Timestamp) -> AuthBody {
        AuthBody {
            name: self.name.clone(),
            kind: self.kind(),
            user_name: self.user_name.clone(),
            signed: self.signing_secret.is_some(),
            created,
            changed,
        }
    }

    fn to_secrets(&self) -> CallbackSecrets {
        let authorization = match (&self.user_name, &self.password, &self.token) {
            (Some(name), Some(password), _) => Some(CallbackSecrets::encode_basic(name, password)),
            (_, _, Some(token)) => Some(CallbackSecrets::encode_bearer(token)),
            _ => None,
        };
        CallbackSecrets {
            authorization,
            signing_secret: self.signing_secret.clone(),
        }
    }
}

/// Adds credentials.
///
/// # Errors
/// All errors of fields; the name is taken at the node, or at a node above that the administrator sees. 404 for a node
/// outside of the administrator's.
pub async fn add(
    parts: &AccessParts,
    authority: &Authority<'_>,
    node: Hierarchy,
    input: CallbackAuthInput,
) -> Result<CallbackAuth, WebError> {
    authority.check_node(&node)?;
    let mut errors = input.find_errors();
    let error = nodes::find_error(parts, &node).await?;
    errors.extend(error.map(|error| field_error("hierarchy", error)));
    check_fields(errors)?;
    documents::check_node_exists(parts, authority, &node).await?;
    let now = parts.now();
    let entry = Entry::new(Pkid::random(), node, input.to_body(now, now));
    write(parts, authority, "add-callback-auth", entry, &input).await
}

/// Replaces the values of credentials, also the secrets.
///
/// # Errors
/// Errors of [`add`]; 404 for credentials that do not exist.
pub async fn replace(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
    input: CallbackAuthInput,
) -> Result<CallbackAuth, WebError> {
    let mut entry = documents::find_visible::<AuthBody>(parts, authority, pkid).await?;
    check_fields(input.find_errors())?;
    entry.body = input.to_body(entry.body.created, parts.now());
    write(parts, authority, "replace-callback-auth", entry, &input).await
}

async fn write(
    parts: &AccessParts,
    authority: &Authority<'_>,
    operation: &str,
    entry: Entry<AuthBody>,
    input: &CallbackAuthInput,
) -> Result<CallbackAuth, WebError> {
    let taken = || {
        let message =
            "other credentials of this node or of a node above have this name: choose another one";
        invalid(vec![field_error("name", message)])
    };
    for node in nodes::and_above(&entry.node) {
        let found = named(parts, &node, &entry.body.name).await?;
        let is_taken = found.iter().any(|other| other.pkid != entry.pkid);
        if is_taken && authority.covers(&node) {
            return Err(taken());
        }
    }
    let node = Some((entry.node.clone(), Scope::Node));
    let same_name = documents::filter::<AuthBody>(&node, entry.body.keys());
    let checks = vec![
        entry.to_check(),
        Check::Unique(same_name, Some(entry.reference())),
    ];
    let event = authority.to_event(operation, &entry).with_changes(vec![
        FieldChange::new("name", Value::Null, entry.body.name.clone()),
        FieldChange::secret("credentials"),
    ]);
    let secrets = input.to_secrets();
    let mut changes = nodes::to_keep(&entry.node)?;
    changes.extend([
        entry.to_put()?,
        secrets.to_change(parts.sealer()?, &entry.reference())?,
        audit::to_change(parts, event)?,
    ]);
    let committed = documents::commit(parts, checks, changes).await;
    committed.map_err(|error| match error {
        StoreError::Conflict(_) if entry.version == 0 => taken(),
        StoreError::Conflict(_) => documents::to_change_error(&entry),
        error => error.into(),
    })?;
    Ok(entry.into())
}

/// Deletes credentials. Callbacks that use them are not delivered any more.
///
/// # Errors
/// 404 for credentials that do not exist or are outside of the administrator's nodes.
pub async fn delete(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<(), WebError> {
    let entry = documents::find_visible::<AuthBody>(parts, authority, pkid).await?;
    let event = authority.to_event("delete-callback-auth", &entry);
    let changes = vec![entry.to_delete(), audit::to_change(parts, event)?];
    documents::commit_change(parts, &entry, vec![entry.to_check()], changes).await?;
    Ok(())
}

/// Reads credentials.
///
/// # Errors
/// 404 for credentials that do not exist or are outside of the principal's nodes.
pub async fn get(
    parts: &AccessParts,
    allowed: &Allowed<permission::Read>,
    pkid: &Pkid,
) -> Result<CallbackAuth, WebError> {
    let entry = documents::find::<AuthBody>(parts, pkid, |node| allowed.check(node)).await?;
    Ok(entry.into())
}

/// Finds the credentials that a principal may use for a request at a node. They have this name, and are at the node or
/// at the nearest visible node above.
pub(crate) async fn find_usable(
    parts: &AccessParts,
    principal: &Principal,
    node: &Hierarchy,
    name: &str,
) -> Result<Option<Pkid>, WebError> {
    for node in nodes::and_above(node) {
        // An object that is visible at a node is visible below it.
        if !principal.may(Operation::Read, &node) {
            break;
        }
        if let Some(entry) = named(parts, &node, name).await?.into_iter().next() {
            return Ok(Some(entry.pkid));
        }
    }
    Ok(None)
}

async fn named(
    parts: &AccessParts,
    node: &Hierarchy,
    name: &str,
) -> Result<Vec<Entry<AuthBody>>, WebError> {
    let range = Some((node.clone(), Scope::Node));
    let filter = documents::named::<AuthBody>(&range, name);
    Ok(documents::list_all(parts.store(), &filter).await?)
}

/// Checks that credentials exist and may be managed.
pub(super) async fn check(
    parts: &AccessParts,
    authority: &Authority<'_>,
    pkid: &Pkid,
) -> Result<(), WebError> {
    let found = documents::find_visible::<AuthBody>(parts, authority, pkid).await;
    found.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(input: &CallbackAuthInput) -> Vec<String> {
        let errors = input.find_errors().into_iter();
        errors.map(|error| error.field).collect()
    }

    #[test]
    fn all_errors_of_credentials_are_reported_together() {
        let input = CallbackAuthInput {
            name: "a name".to_owned(),
            user_name: Some("a:b".to_owned()),
            token: Some("with space".into()),
            signing_secret: Some("whsec_short".into()),
            ..CallbackAuthInput::default()
        };
        let expected = [
            "name",
            "user_name",
            "token",
            "password",
            "token",
            "signing_secret",
        ];
        assert_eq!(fields(&input), expected);
        let nothing = CallbackAuthInput {
            name: "crm".to_owned(),
            ..CallbackAuthInput::default()
        };
        assert_eq!(fields(&nothing), ["signing_secret"]);
    }

    #[test]
    fn user_name_has_no_character_that_cannot_be_seen() {
        for name in ["cr\u{202e}m", "crm\u{200b}", "crm\n", "\0"] {
            let input = CallbackAuthInput {
                name: "crm".to_owned(),
                user_name: Some(name.to_owned()),
                password: Some("secret".into()),
                ..CallbackAuthInput::default()
            };
            let errors = input.find_errors();
            assert_eq!(fields(&input), ["user_name"], "{name:?}");
            assert!(errors[0].message.contains("the character U+"), "{errors:?}");
        }
    }
}
