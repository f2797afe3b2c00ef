//! The routes of the API for users, API keys, the audit log and the session of a request.

mod api_keys;
mod audit;
mod input;
mod listing;
mod session;
#[cfg(test)]
mod tests;
mod users;

use axum::Router;
use axum::extract::FromRef;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::routing::{get, post, put};
use relation_host::types::Pkid;

use super::AccessParts;
use crate::WebError;

/// Returns the routes, also without their last slash. They need the layer [`authenticate`](super::authenticate).
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    AccessParts: FromRef<S>,
{
    let routes = [
        ("/api/data/User/", get(users::list).post(users::add)),
        ("/api/data/User/{pkid}/", get(users::show)),
        ("/api/data/User/{pkid}/grants/", put(users::set_grants)),
        ("/api/data/User/{pkid}/+Disable/", post(users::disable)),
        ("/api/data/User/{pkid}/+Enable/", post(users::enable)),
        (
            "/api/data/User/{pkid}/+SetUpLink/",
            post(users::create_link),
        ),
        ("/api/data/ApiKey/", get(api_keys::list).post(api_keys::add)),
        ("/api/data/ApiKey/{pkid}/", get(api_keys::show)),
        ("/api/data/ApiKey/{pkid}/+Rotate/", post(api_keys::rotate)),
        ("/api/data/ApiKey/{pkid}/+Revoke/", post(api_keys::revoke)),
        ("/api/data/AuditEvent/", get(audit::list)),
        (
            "/api/session/",
            get(session::show)
                .post(session::log_in)
                .delete(session::log_out),
        ),
    ];
    let mut router = Router::new();
    for (path, handler) in routes {
        if let Some(without_slash) = path.strip_suffix('/') {
            router = router.route(without_slash, handler.clone());
        }
        router = router.route(path, handler);
    }
    router
}

/// Parses a pkid of a path. What is no pkid does not exist.
fn parse_pkid(text: &str) -> Result<Pkid, WebError> {
    text.parse().map_err(|_| WebError::not_found())
}

/// Returns the headers of a response with a secret, which no cache may store.
fn no_store() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// Adds the address of a new resource.
fn with_location(mut headers: HeaderMap, collection: &str, pkid: &Pkid) -> HeaderMap {
    if let Ok(location) = HeaderValue::try_from(format!("{collection}{pkid}/")) {
        headers.insert(header::LOCATION, location);
    }
    headers
}
