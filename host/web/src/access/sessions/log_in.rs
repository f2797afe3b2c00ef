//! Log-in by name and password.

use std::fmt;
use std::time::Duration;

use axum::http::HeaderValue;
use relation_app::{AppError, ErrorKind};
use secrecy::SecretString;

use super::{Session, SessionBody, cookies, user_event};
use crate::WebError;
use crate::access::audit::{self, Actor, AuditResult, NewAuditEvent};
use crate::access::back_off::{Subject, to_seconds};
use crate::access::documents::{self, Entry};
use crate::access::passwords::{Comparison, PasswordHash};
use crate::access::tokens::{create_token, digest};
use crate::access::users::{User, UserBody, check_fields, field_error, find_by_name, fold_name};
use crate::access::{AccessParts, ClientAddress};

/// The longest name of a browser that is stored, in characters.
const MAX_USER_AGENT_CHARS: usize = 200;

/// A request to log in.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// The address of the request.
    pub address: ClientAddress,
    /// The name of the user, whatever the case.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The id of the session that the browser has, which ends: [`read_cookie`](super::read_cookie).
    pub previous: Option<SecretString>,
    /// The header `User-Agent`, for the list of sessions.
    pub user_agent: Option<String>,
}

/// A session that has just begun.
pub struct NewSession {
    /// The user.
    pub user: User,
    /// The session.
    pub session: Session,
    token: SecretString,
}

impl NewSession {
    /// Returns the `Set-Cookie` header, which contains the id of the session.
    pub fn set_cookie(&self, parts: &AccessParts) -> HeaderValue {
        cookies::set_cookie(parts, &self.token)
    }

    /// Returns the id of the session, which is in the cookie.
    pub fn token(&self) -> &SecretString {
        &self.token
    }
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// The reason why a log-in failed.
#[derive(Debug)]
pub enum LogInError {
    /// The name or the password is wrong, or the user is disabled or has no password. All have this one response.
    Refused,
    /// There were too many failures for this name or from this address.
    TooMany {
        /// The time to wait.
        retry_after: Duration,
    },
    /// The log-in could not be checked.
    Failed(WebError),
}

impl<E: Into<WebError>> From<E> for LogInError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl LogInError {
    /// Returns the error for the response. The time to wait is for its header `Retry-After`.
    pub fn into_web_error(self) -> WebError {
        match self {
            Self::Refused => super::refused(),
            Self::TooMany { retry_after } => {
                let seconds = to_seconds(retry_after);
                let message = "too many log-ins have failed for this name or from this address";
                let hint = format!("try again in {seconds} s");
                AppError::new(ErrorKind::RateLimited, message)
                    .hint(hint)
                    .into()
            }
            Self::Failed(error) => error,
        }
    }
}

/// Logs a user in. The response and about its time are the same for an unknown name and a wrong password.
///
/// # Errors
/// The log-in is refused, must wait, or could not be checked.
pub async fn log_in(parts: &AccessParts, request: LogIn) -> Result<NewSession, LogInError> {
    let account = Subject::account(&fold_name(&request.name));
    let address = request.address.0.map(Subject::address);
    let subjects: Vec<Subject> = [account].into_iter().chain(address).collect();
    begin_attempt(parts, &subjects)?;

    let user = find_by_name(parts, &request.name)
        .await
        .map_err(WebError::from)?;
    let hash = user.as_ref().and_then(|user| user.body.password.as_ref());
    let compared = parts.passwords().compare(&request.password, hash).await?;
    let Comparison::Same { is_outdated } = compared else {
        return Err(refuse(parts, &request, user.as_ref()).await?);
    };
    let user = match user {
        Some(user) if !user.body.disabled => user,
        user => return Err(refuse(parts, &request, user.as_ref()).await?),
    };
    let session = begin(parts, &request, user, is_outdated).await?;
    parts.back_off().lock().succeed(account, address);
    Ok(session)
}

/// Logs a visitor of a demo in by the token of its address. The name and the password of the request do not count.
///
/// # Errors
/// 404 outside of a demo and for another token.
pub async fn log_in_to_demo(
    parts: &AccessParts,
    token: &SecretString,
    request: LogIn,
) -> Result<NewSession, WebError> {
    let demo = parts.options().demo.as_ref();
    let demo = demo.filter(|demo| digest(&demo.token).is_same(&digest(token)));
    let demo = demo.ok_or_else(WebError::not_found)?;
    let user = find_by_name(parts, &demo.user).await?;
    let user = user.ok_or_else(WebError::not_found)?;
    begin(parts, &request, user, false).await
}

/// Counts an attempt, unless it must wait.
pub(in crate::access) fn begin_attempt(
    parts: &AccessParts,
    subjects: &[Subject],
) -> Result<(), LogInError> {
    let now = parts.clock().monotonic();
    let begun = parts.back_off().lock().begin(subjects, now);
    begun.map_err(|retry_after| LogInError::TooMany { retry_after })
}

/// Checks the password of a user who is logged in. Failures count as those of a log-in: somebody may sit at a browser
/// that another person has left.
///
/// # Errors
/// The password is wrong, or there were too many wrong ones.
pub(in crate::access) async fn check_own_password(
    parts: &AccessParts,
    user: &Entry<UserBody>,
    password: &SecretString,
) -> Result<(), WebError> {
    let account = Subject::account(&fold_name(&user.body.name));
    begin_attempt(parts, &[account]).map_err(LogInError::into_web_error)?;
    let hash = user.body.password.as_ref();
    match parts.passwords().compare(password, hash).await? {
        Comparison::Same { .. } => {
            parts.back_off().lock().succeed(account, None);
            Ok(())
        }
        Comparison::Different => {
            let message = "this is not your present password";
            check_fields(vec![field_error("current_password", message)])
        }
    }
}

/// Records a refused log-in, with the name only if there is such a user: people type passwords as names.
async fn refuse(
    parts: &AccessParts,
    request: &LogIn,
    user: Option<&Entry<UserBody>>,
) -> Result<LogInError, WebError> {
    let actor = Actor::anonymous();
    let event = match user {
        Some(user) => NewAuditEvent::new(actor, request.address, "log-in", &user.node)
            .on(user.to_audit_object()),
        None => NewAuditEvent::new(actor, request.address, "log-in", &audit::top_node()?),
    };
    audit::record(parts, event.with_result(AuditResult::Refused)).await?;
    Ok(LogInError::Refused)
}

async fn begin(
    parts: &AccessParts,
    request: &LogIn,
    user: Entry<UserBody>,
    is_outdated: bool,
) -> Result<NewSession, WebError> {
    let password = match is_outdated {
        true => Some(parts.passwords().hash(&request.password).await?),
        false => None,
    };
    let browser = Browser {
        address: request.address,
        previous: request.previous.as_ref(),
        user_agent: request.user_agent.as_deref(),
    };
    open(parts, browser, user, password).await
}

/// The browser in which a session begins.
#[derive(Clone, Copy)]
pub(in crate::access) struct Browser<'a> {
    pub(in crate::access) address: ClientAddress,
    /// The id of the session that the browser has, which ends.
    pub(in crate::access) previous: Option<&'a SecretString>,
    pub(in crate::access) user_agent: Option<&'a str>,
}

/// Begins the session of a user who has proved to be the one, and stores a renewed hash of the password.
pub(in crate::access) async fn open(
    parts: &AccessParts,
    browser: Browser<'_>,
    mut user: Entry<UserBody>,
    password: Option<PasswordHash>,
) -> Result<NewSession, WebError> {
    // The user is disabled or gets other roles either before this commit, or ends this session too.
    let checks = vec![user.to_check()];
    let mut changes = Vec::new();
    if password.is_some() {
        user.body.password = password;
        changes.push(user.to_put()?);
    }
    if let Some(previous) = browser.previous
        && let Some((previous, _)) = super::find(parts, previous).await?
    {
        changes.push(previous.to_delete());
    }
    let token = create_token()?;
    let digest = digest(&token);
    let now = parts.now();
    let body = SessionBody {
        user: user.pkid.clone(),
        epoch: user.body.epoch,
        created: now,
        last_used: now,
        address: browser.address.0,
        user_agent: browser
            .user_agent
            .map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect()),
        digest: digest.clone(),
    };
    let session = Entry::new(digest.pkid(), user.node.clone(), body);
    let event = user_event(&user, browser.address, "log-in");
    changes.extend([session.to_put()?, audit::to_change(parts, event)?]);
    documents::commit_change(parts, &user, checks, changes).await?;
    Ok(NewSession {
        user: user.into(),
        session: session.into_session(parts),
        token,
    })
}
