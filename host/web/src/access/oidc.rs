//! Log-in at an OpenID provider.
//!
//! [`begin`] gives the browser a random token in a cookie, from which the state, the nonce and the verifier of PKCE are
//! derived. The store has only its SHA-256. So [`complete`] accepts a log-in once, in the same browser, on any host of
//! the store, and within ten minutes.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use relation_app::config::OidcGrant;
use relation_app::oidc::{Identity, LogInSecrets, OidcError, Provider};
use relation_host::store::StoreError;
use relation_host::types::{Key, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use url::Url;

use super::audit::{self, Actor, AuditResult, FieldChange, NewAuditEvent};
use super::back_off::Subject;
use super::documents::{self, Entry, Stored};
use super::sessions::{self, Browser, Cookie, LogInError, NewSession};
use super::tokens::{TokenDigest, create_token, digest};
use super::users::{ProviderAccount, ProviderLogIn, ProviderUser, UserBody, log_in_at_provider};
use super::{AccessParts, ClientAddress, RoleGrant, roles};
use crate::WebError;

/// How long a log-in may take.
pub const LOG_IN_LIFETIME: Duration = Duration::from_secs(600);
/// The path of the redirect address below the public address.
pub const CALLBACK_PATH: &str = "login/oidc/callback";
/// The path of the log-in below the public address, to which a log-out at the provider leads.
const LOG_IN_PATH: &str = "login";
/// The longest ID token that is kept for the log-out. Browsers refuse cookies of more than 4096 bytes.
const MAX_COOKIE_BYTES: usize = 3800;
/// The maximum number of log-ins that are in progress in an installation.
const MAX_PENDING: u64 = 10_000;

/// A log-in that continues at the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PendingBody {
    digest: TokenDigest,
    begun: Timestamp,
    /// The page to show afterwards.
    next: String,
}

impl Stored for PendingBody {
    const MODEL: &'static str = "host/ProviderLogIn";

    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

impl Entry<PendingBody> {
    fn has_ended(&self, now: Timestamp) -> bool {
        now >= self.body.begun.after(LOG_IN_LIFETIME)
    }
}

/// The reason why a log-in at a provider is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The log-in has ended, was completed already, or began in another browser.
    Ended,
    /// The provider or its ID token is the reason.
    Provider(OidcError),
    /// The groups of the person grant no role.
    WithoutRole,
    /// The user is disabled.
    Disabled,
    /// There were too many log-ins.
    TooMany {
        /// The time to wait.
        retry_after: Duration,
    },
}

impl Refusal {
    /// Returns the name of the reason, for texts and for the audit log.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Provider(error) => error.key(),
            Self::WithoutRole => "without-role",
            Self::Disabled => "disabled",
            Self::TooMany { .. } => "too-many",
        }
    }
}

/// The error of a log-in at a provider.
#[derive(Debug)]
pub enum OidcLogInError {
    /// The log-in is refused.
    Refused(Refusal),
    /// The log-in could not be checked.
    Failed(WebError),
}

impl<E: Into<WebError>> From<E> for OidcLogInError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A log-in that has begun.
#[derive(Debug)]
pub struct BegunLogIn {
    /// The address at the provider. It contains the state, which is not a secret of the user.
    pub url: Url,
    /// The header `Set-Cookie`, which binds the log-in to the browser.
    pub cookie: HeaderValue,
}

/// A log-in that has ended well.
#[derive(Debug)]
pub struct CompletedLogIn {
    /// The session.
    pub session: NewSession,
    /// The page to show.
    pub next: String,
    /// The header `Set-Cookie` with the ID token for the log-out, or without one that is too long for browsers.
    pub id_token: HeaderValue,
}

/// The query of the redirect address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Callback {
    /// The state of the log-in.
    pub state: SecretText,
    /// The code of the log-in.
    pub code: Option<SecretText>,
    /// The code of an error.
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

/// A text that is not shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

/// Begins a log-in. `next` is the page to show afterwards.
///
/// # Errors
/// The log-in is refused, which is recorded; or the store cannot be read or written.
pub async fn begin(
    parts: &AccessParts,
    provider: &Provider,
    address: ClientAddress,
    next: &str,
) -> Result<BegunLogIn, OidcLogInError> {
    let subjects: Vec<Subject> = address.0.map(Subject::address).into_iter().collect();
    sessions::begin_attempt(parts, &subjects).map_err(|error| match error {
        LogInError::TooMany { retry_after } => {
            OidcLogInError::Refused(Refusal::TooMany { retry_after })
        }
        error => OidcLogInError::Failed(error.into_web_error()),
    })?;
    let all = documents::filter::<PendingBody>(&None, Vec::new());
    if parts.store().count(&all, MAX_PENDING).await? >= MAX_PENDING {
        let retry_after = Duration::from_secs(60);
        return Err(OidcLogInError::Refused(Refusal::TooMany { retry_after }));
    }
    let token = create_token()?;
    let (now, redirect) = (parts.now(), redirect_address(parts)?);
    let secrets = derive(&token);
    let url = match provider.authorization_url(&redirect, &secrets, now).await {
        Ok(url) => url,
        Err(error) => return Err(refuse(parts, address, Refusal::Provider(error), None).await),
    };
    let digest = digest(&token);
    let pkid = digest.pkid();
    let body = PendingBody {
        digest,
        begun: now,
        next: next.to_owned(),
    };
    let pending = Entry::new(pkid, audit::top_node()?, body);
    documents::commit(parts, vec![pending.to_check()], vec![pending.to_put()?]).await?;
    Ok(BegunLogIn {
        url,
        cookie: Cookie::LogIn.set(parts, &token, LOG_IN_LIFETIME),
    })
}

/// Completes a log-in at the redirect address.
///
/// # Errors
/// The log-in is refused, which is recorded; or the store cannot be read or written.
pub async fn complete(
    parts: &AccessParts,
    provider: &Provider,
    address: ClientAddress,
    headers: &HeaderMap,
    callback: Callback,
) -> Result<CompletedLogIn, OidcLogInError> {
    let Some((pending, secrets)) = take(parts, headers, &callback).await? else {
        return Err(refuse(parts, address, Refusal::Ended, None).await);
    };
    let identity = identify(parts, provider, &pending, &secrets, callback).await?;
    let (identity, id_token) = match identity {
        Ok(identified) => identified,
        Err(error) => return Err(refuse(parts, address, Refusal::Provider(error), None).await),
    };
    let config = provider.config();
    let grants = find_grants(&config.grants, &identity.groups);
    let log_in = ProviderLogIn {
        grants: split_missing(parts, grants).await?.0,
        account: ProviderAccount {
            issuer: config.issuer.clone(),
            subject: identity.subject,
        },
        name: identity.name,
        address,
    };
    let user = match log_in_at_provider(parts, log_in).await? {
        ProviderUser::Permitted(user) => *user,
        ProviderUser::WithoutRole(user) => {
            return Err(refuse(parts, address, Refusal::WithoutRole, user.as_deref()).await);
        }
        ProviderUser::Disabled(user) => {
            return Err(refuse(parts, address, Refusal::Disabled, Some(&user)).await);
        }
    };
    let previous = sessions::read_cookie(parts, headers);
    let user_agent = headers.get(header::USER_AGENT);
    let browser = Browser {
        address,
        previous: previous.as_ref(),
        user_agent: user_agent.and_then(|text| text.to_str().ok()),
    };
    let account = Subject::account(&user.pkid.to_string());
    let session = sessions::open(parts, browser, user, None).await?;
    let address = address.0.map(Subject::address);
    parts.back_off().lock().succeed(account, address);
    let is_short = id_token.expose_secret().len() <= MAX_COOKIE_BYTES;
    Ok(CompletedLogIn {
        session,
        next: pending.body.next,
        id_token: match is_short {
            true => Cookie::IdToken.set(parts, &id_token, parts.options().session_lifetime),
            false => Cookie::IdToken.clear(parts),
        },
    })
}

/// Returns the address at which the user of a session that has ended logs out at the provider, if there is one. It has
/// the ID token that the browser has.
pub async fn log_out_url(
    parts: &AccessParts,
    provider: &Provider,
    headers: &HeaderMap,
) -> Option<Url> {
    let id_token = Cookie::IdToken.read(parts, headers);
    let back = parts.options().public_url.join(LOG_IN_PATH).ok()?;
    let url = provider.log_out_url(id_token.as_ref(), &back, parts.now());
    url.await
}

/// Returns the header `Set-Cookie` that removes the ID token.
pub fn clear_id_token(parts: &AccessParts) -> HeaderValue {
    Cookie::IdToken.clear(parts)
}

/// Returns the header `Set-Cookie` that ends the binding of a log-in to the browser.
pub fn clear_cookie(parts: &AccessParts) -> HeaderValue {
    Cookie::LogIn.clear(parts)
}

/// Returns the redirect address, which is registered at the provider.
///
/// # Errors
/// The public address cannot be the beginning of it.
pub fn redirect_address(parts: &AccessParts) -> Result<Url, WebError> {
    let joined = parts.options().public_url.join(CALLBACK_PATH);
    joined.map_err(|error| {
        relation_app::AppError::new(relation_app::ErrorKind::Internal, error.to_string()).into()
    })
}

/// Finds the log-in of the browser, and ends it: each is completed at most once.
async fn take(
    parts: &AccessParts,
    headers: &HeaderMap,
    callback: &Callback,
) -> Result<Option<(Entry<PendingBody>, LogInSecrets)>, WebError> {
    let Some(token) = Cookie::LogIn.read(parts, headers) else {
        return Ok(None);
    };
    let secrets = derive(&token);
    let (own, given) = (
        secrets.state.expose_secret(),
        callback.state.0.expose_secret(),
    );
    if !bool::from(own.as_bytes().ct_eq(given.as_bytes())) {
        return Ok(None);
    }
    let digest = digest(&token);
    let found = documents::get::<PendingBody>(parts.store(), &digest.pkid()).await?;
    let is_valid = |pending: &Entry<PendingBody>| {
        pending.body.digest.is_same(&digest) && !pending.has_ended(parts.now())
    };
    let Some(pending) = found.filter(is_valid) else {
        return Ok(None);
    };
    let taken = documents::commit(parts, vec![pending.to_check()], vec![pending.to_delete()]);
    match taken.await {
        Ok(()) => Ok(Some((pending, secrets))),
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn identify(
    parts: &AccessParts,
    provider: &Provider,
    pending: &Entry<PendingBody>,
    secrets: &LogInSecrets,
    callback: Callback,
) -> Result<Result<(Identity, SecretString), OidcError>, WebError> {
    if let Some(error) = callback.error {
        return Ok(Err(OidcError::from_code(&error)));
    }
    let Some(SecretText(code)) = callback.code else {
        return Ok(Err(OidcError::Reported("unknown".to_owned())));
    };
    let redirect = redirect_address(parts)?;
    let (issuer, begun) = (callback.iss.as_deref(), pending.body.begun);
    let identified = provider.identify(&redirect, &code, issuer, secrets, begun, parts.now());
    Ok(identified.await)
}

/// Records a refusal with its reason.
async fn refuse(
    parts: &AccessParts,
    address: ClientAddress,
    refusal: Refusal,
    user: Option<&Entry<UserBody>>,
) -> OidcLogInError {
    if let Refusal::Provider(error) = &refusal
        && !matches!(error, OidcError::Declined)
    {
        tracing::warn!("a log-in at the OpenID provider failed: {error}");
    }
    let recorded = async {
        let actor = Actor::anonymous();
        let event = match user {
            Some(user) => {
                NewAuditEvent::new(actor, address, "log-in", &user.node).on(user.to_audit_object())
            }
            None => NewAuditEvent::new(actor, address, "log-in", &audit::top_node()?),
        };
        let reason = FieldChange::new("reason", Value::Null, format!("oidc: {}", refusal.key()));
        let event = event
            .with_result(AuditResult::Refused)
            .with_changes(vec![reason]);
        audit::record(parts, event).await
    };
    match recorded.await {
        Ok(()) => OidcLogInError::Refused(refusal),
        Err(error) => OidcLogInError::Failed(error),
    }
}

/// Returns the roles that groups grant.
fn find_grants(grants: &[OidcGrant], groups: &[String]) -> Vec<RoleGrant> {
    let groups: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
    let granted = grants
        .iter()
        .filter(|grant| groups.contains(grant.group.as_str()));
    granted.map(to_grant).collect()
}

fn to_grant(grant: &OidcGrant) -> RoleGrant {
    RoleGrant {
        role: grant.role.clone(),
        node: grant.node.clone(),
    }
}

/// Replaces the names of custom roles by their pkids, and splits off the grants whose role does not exist.
async fn split_missing(
    parts: &AccessParts,
    mut grants: Vec<RoleGrant>,
) -> Result<(Vec<RoleGrant>, Vec<RoleGrant>), StoreError> {
    roles::resolve_names(parts, &mut grants).await?;
    let custom_roles = roles::load(parts, &grants).await?;
    let exists = |grant: &RoleGrant| roles::exists(grant, &custom_roles);
    Ok(grants.into_iter().partition(exists))
}

/// Finds the roles in the configuration that do not exist: a log-in leaves them out.
///
/// # Errors
/// The store cannot be read.
pub async fn find_missing_roles(
    parts: &AccessParts,
    grants: &[OidcGrant],
) -> Result<Vec<RoleGrant>, StoreError> {
    let grants = grants.iter().map(to_grant).collect();
    Ok(split_missing(parts, grants).await?.1)
}

/// Derives the values of a log-in from the token in the cookie. No error reveals the token or another one.
fn derive(token: &SecretString) -> LogInSecrets {
    let derive = |purpose: &str| {
        let text = format!("relation log-in {purpose}\n{}", token.expose_secret());
        TokenDigest::new(&text).into_secret()
    };
    LogInSecrets {
        state: derive("state"),
        nonce: derive("nonce"),
        verifier: derive("verifier"),
    }
}

/// Removes log-ins that have ended. Returns their number.
pub(super) async fn remove_expired(parts: &AccessParts) -> Result<u64, StoreError> {
    let now = parts.now();
    documents::remove_all(parts, |entry: &Entry<PendingBody>| entry.has_ended(now)).await
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
