//! Sessions of people: a random id in a cookie, of which the store has the SHA-256.
//!
//! A session ends after a time without requests, after its longest lifetime, at the log-out, and when its user is
//! disabled or gets other roles.

mod cookies;
mod log_in;
#[cfg(test)]
mod tests;

pub(super) use cookies::Cookie;
pub use cookies::{clear_cookie, read_cookie};
pub(super) use log_in::{Browser, begin_attempt, check_own_password, open};
pub use log_in::{LogIn, LogInError, NewSession, log_in, log_in_to_demo};

use std::net::IpAddr;
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, StoreError};
use relation_host::types::{Key, Pkid, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::audit::{self, Actor, NewAuditEvent};
use super::documents::{self, Entry, Stored, key};
use super::tokens::{TokenDigest, digest};
use super::users::UserBody;
use super::{AccessParts, ClientAddress, Principal, PrincipalKind, roles};
use crate::WebError;

/// The shortest time between two writes of the last use.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// A session. Requests with a session have it as an extension, in an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The pkid.
    pub pkid: Pkid,
    /// The pkid of the user.
    pub user: Pkid,
    /// When the user logged in.
    pub created: Timestamp,
    /// The latest request, at most a minute late.
    pub last_used: Timestamp,
    /// When the session ends, if no further request comes.
    pub expires: Timestamp,
    /// The address of the log-in.
    pub address: Option<IpAddr>,
    /// The browser at the log-in, as it names itself.
    pub user_agent: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SessionBody {
    digest: TokenDigest,
    user: Pkid,
    /// The user's epoch at the log-in.
    epoch: u64,
    created: Timestamp,
    last_used: Timestamp,
    address: Option<IpAddr>,
    user_agent: Option<String>,
}

impl Stored for SessionBody {
    const MODEL: &'static str = "host/Session";

    fn keys(&self) -> Vec<Key> {
        vec![key("user", self.user.as_str())]
    }
}

impl Entry<SessionBody> {
    fn expires(&self, parts: &AccessParts) -> Timestamp {
        let options = parts.options();
        let idle = self.body.last_used.after(options.session_idle);
        idle.min(self.body.created.after(options.session_lifetime))
    }

    fn into_session(self, parts: &AccessParts) -> Session {
        Session {
            expires: self.expires(parts),
            pkid: self.pkid,
            user: self.body.user,
            created: self.body.created,
            last_used: self.body.last_used,
            address: self.body.address,
            user_agent: self.body.user_agent,
        }
    }
}

/// Finds the principal of a session's id. `None` if there is no such session or it has ended.
pub(super) async fn authenticate(
    parts: &AccessParts,
    token: &SecretString,
) -> Result<Option<(Principal, Session)>, StoreError> {
    let Some((mut session, user)) = find(parts, token).await? else {
        return Ok(None);
    };
    let now = parts.now();
    if now.since(session.body.last_used) >= USE_INTERVAL {
        let check = session.to_check();
        session.body.last_used = now;
        let written = documents::commit(parts, vec![check], vec![session.to_put()?]).await;
        match written {
            // A request at the same moment has written it, or the session has just ended.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => tracing::warn!(%error, "the last use of a session was not stored"),
        }
    }
    let principal = Principal {
        custom_roles: roles::load(parts, &user.body.grants).await?,
        kind: PrincipalKind::User,
        pkid: user.pkid,
        name: user.body.name,
        grants: user.body.grants,
    };
    Ok(Some((principal, session.into_session(parts))))
}

/// Returns whether a session is still valid. It does not count as a use.
pub(crate) async fn is_valid(parts: &AccessParts, session: &Session) -> Result<bool, StoreError> {
    let found = documents::get::<SessionBody>(parts.store(), &session.pkid).await?;
    Ok(match found {
        Some(found) => find_user(parts, found).await?.is_some(),
        None => false,
    })
}

/// Finds a valid session with its user.
async fn find(
    parts: &AccessParts,
    token: &SecretString,
) -> Result<Option<(Entry<SessionBody>, Entry<UserBody>)>, StoreError> {
    let digest = digest(token);
    let found = documents::get::<SessionBody>(parts.store(), &digest.pkid()).await?;
    let is_same = |session: &Entry<SessionBody>| session.body.digest.is_same(&digest);
    match found.filter(is_same) {
        Some(session) => find_user(parts, session).await,
        None => Ok(None),
    }
}

/// Finds the user of a session, if both are valid.
async fn find_user(
    parts: &AccessParts,
    session: Entry<SessionBody>,
) -> Result<Option<(Entry<SessionBody>, Entry<UserBody>)>, StoreError> {
    if parts.now() >= session.expires(parts) {
        return Ok(None);
    }
    let user = documents::get::<UserBody>(parts.store(), &session.body.user).await?;
    let is_valid =
        |user: &Entry<UserBody>| !user.body.disabled && user.body.epoch == session.body.epoch;
    Ok(user.filter(is_valid).map(|user| (session, user)))
}

/// Ends a session by the id in its cookie. Does nothing if the session has ended. Returns whether its user has logged in
/// at an OpenID provider.
///
/// # Errors
/// The store cannot be read or written.
pub async fn log_out(
    parts: &AccessParts,
    address: ClientAddress,
    token: &SecretString,
) -> Result<bool, WebError> {
    let Some((session, user)) = find(parts, token).await? else {
        return Ok(false);
    };
    let event = user_event(&user, address, "log-out");
    let changes = vec![session.to_delete(), audit::to_change(parts, event)?];
    documents::commit(parts, Vec::new(), changes).await?;
    Ok(user.body.account.is_some())
}

/// Lists the sessions of a user, the latest first.
///
/// # Errors
/// The store cannot be read.
pub async fn list_own(
    parts: &AccessParts,
    principal: &Principal,
) -> Result<Vec<Session>, WebError> {
    let Some(user) = documents::get::<UserBody>(parts.store(), &principal.pkid).await? else {
        return Ok(Vec::new());
    };
    let sessions = list_of_user(parts, &principal.pkid).await?;
    let mut sessions: Vec<Session> = sessions
        .into_iter()
        .filter(|session| session.body.epoch == user.body.epoch)
        .map(|session| session.into_session(parts))
        .filter(|session| parts.now() < session.expires)
        .collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.created));
    Ok(sessions)
}

/// Ends all sessions of a user, including the one of the request.
///
/// # Errors
/// The store cannot be read or written; 409 if the user has changed meanwhile.
pub async fn end_all(
    parts: &AccessParts,
    principal: &Principal,
    address: ClientAddress,
) -> Result<(), WebError> {
    let user = documents::get::<UserBody>(parts.store(), &principal.pkid).await?;
    let mut user = user.ok_or_else(WebError::unauthenticated)?;
    // Sessions that begin at this moment end too.
    user.body.epoch += 1;
    let event = user_event(&user, address, "end-sessions");
    let mut changes = to_end_all(parts, &user.pkid).await?;
    changes.extend([user.to_put()?, audit::to_change(parts, event)?]);
    documents::commit_change(parts, &user, vec![user.to_check()], changes).await?;
    Ok(())
}

async fn list_of_user(
    parts: &AccessParts,
    user: &Pkid,
) -> Result<Vec<Entry<SessionBody>>, StoreError> {
    let filter = documents::filter::<SessionBody>(&None, vec![key("user", user.as_str())]);
    documents::list_all(parts.store(), &filter).await
}

/// Returns the changes that delete all sessions of a user. A change of the user's epoch ends them in any case.
pub(super) async fn to_end_all(
    parts: &AccessParts,
    user: &Pkid,
) -> Result<Vec<Change>, StoreError> {
    let sessions = list_of_user(parts, user).await?;
    Ok(sessions.iter().map(Entry::to_delete).collect())
}

/// Removes sessions that have ended. Returns their number.
pub(super) async fn remove_expired(parts: &AccessParts) -> Result<u64, StoreError> {
    let now = parts.now();
    let is_over = |session: &Entry<SessionBody>| now >= session.expires(parts);
    documents::remove_all(parts, is_over).await
}

fn user_event(user: &Entry<UserBody>, address: ClientAddress, operation: &str) -> NewAuditEvent {
    let actor = Actor {
        kind: audit::ActorKind::User,
        name: user.body.name.clone(),
        pkid: Some(user.pkid.clone()),
    };
    NewAuditEvent::new(actor, address, operation, &user.node).on(user.to_audit_object())
}

/// Returns the error of a log-in that was refused: the same for every reason.
pub(super) fn refused() -> WebError {
    let error = AppError::new(ErrorKind::Usage, "the name or the password is wrong");
    let hint = "an administrator can give you a link to set a new password";
    WebError::new(axum::http::StatusCode::UNAUTHORIZED, error.hint(hint))
}
