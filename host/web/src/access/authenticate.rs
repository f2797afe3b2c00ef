//! Finds the principal of a request: by the cookie of a session, or by an API key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};
use secrecy::SecretString;

use super::back_off::to_seconds;
use super::{AccessParts, Principal, api_keys, sessions};
use crate::WebError;

/// Finds the principal of a request, which [`Allowed`](super::Allowed) reads.
///
/// It sets the extension `Arc<Principal>`, and for a session also `Arc<Session>`. A request with an invalid session or
/// key has neither. An API key goes before a session. A principal with too many requests is refused with 429.
///
/// Use it with [`axum::middleware::from_fn_with_state`].
pub async fn authenticate(
    State(parts): State<AccessParts>,
    mut request: Request,
    next: Next,
) -> Response {
    match find_principal(&parts, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(response) => *response,
    }
}

async fn find_principal(parts: &AccessParts, request: &mut Request) -> Result<(), Box<Response>> {
    let respond = |error: WebError| Box::new(error.into_response());
    let principal = if let Some(key) = read_bearer_key(request.headers()) {
        api_keys::authenticate(parts, &key).await
    } else {
        let found = match sessions::read_cookie(parts, request.headers()) {
            Some(token) => sessions::authenticate(parts, &token).await,
            None => Ok(None),
        };
        found.map(|found| {
            let (principal, session) = found?;
            request.extensions_mut().insert(Arc::new(session));
            Some(principal)
        })
    };
    let principal = principal.map_err(|error| respond(error.into()))?;
    let Some(principal) = principal else {
        return Ok(());
    };
    limit_requests(parts, &principal)?;
    request.extensions_mut().insert(Arc::new(principal));
    Ok(())
}

fn limit_requests(parts: &AccessParts, principal: &Principal) -> Result<(), Box<Response>> {
    let now = parts.clock().monotonic();
    let taken = parts.request_rate().lock().take(&principal.pkid, now);
    taken.map_err(|wait| {
        let per_minute = parts.options().requests_per_minute;
        let message = format!("you have sent more than {per_minute} requests in a minute");
        let error = AppError::new(ErrorKind::RateLimited, message);
        let seconds = to_seconds(wait);
        let error = error.hint(format!("send the next request in {seconds} s"));
        let mut response = WebError::from(error).into_response();
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Box::new(response)
    })
}

/// Reads the API key of a request, whether or not it is one. No page can make a browser send it to another site.
pub(super) fn read_bearer_key(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| SecretString::from(key.trim()))
}
