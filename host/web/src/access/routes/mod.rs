//! The routes of the API for users, API keys, notices, the audit log and the session of a request.

mod api_keys;
mod callback_auth;
mod deliveries;
mod grants;
mod input;
mod listing;
mod nodes;
mod notice_settings;
mod roles;
mod route;
mod session;
#[cfg(test)]
mod tests;
mod users;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use relation_host::types::{Hierarchy, Pkid};

pub use self::route::AccessRoute;

use super::nodes::NodeName;
use super::{AccessParts, Authority};
use crate::WebError;
use crate::api::query::Query;
use crate::api::refuse_version;

/// Returns the routes, also without their last slash. They need the layer [`authenticate`](super::authenticate).
pub fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    AccessParts: FromRef<S>,
{
    let mut router = Router::new();
    for route in AccessRoute::ALL {
        let path = route.path();
        router = router.route(path, to_handler(*route));
        if let Some(without_slash) = path.strip_suffix('/') {
            router = router.route(without_slash, to_handler(*route));
        }
    }
    router
}

/// Returns the handler of a route. One without parameters refuses any. A change that compares no version refuses one.
fn to_handler<S>(route: AccessRoute) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccessParts: FromRef<S>,
{
    let handler = match route.is_list() {
        true => route.handler(),
        false => route.handler().route_layer(from_fn(refuse_parameters)),
    };
    match route.takes_version() || route.method() == Method::GET {
        true => handler,
        false => handler.route_layer(from_fn(refuse_version)),
    }
}

async fn refuse_parameters(request: Request, next: Next) -> Response {
    match Query::parse(request.uri().query()).close() {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Parses a pkid of a path. A text that is not a pkid names no object.
fn parse_pkid(text: &str) -> Result<Pkid, WebError> {
    text.parse().map_err(|_| WebError::not_found())
}

/// Returns the node of a new object.
///
/// # Errors
/// 404 for a node outside of the administrator's, before the other fields are looked at, as for an unknown pkid.
async fn resolve_node(
    parts: &AccessParts,
    authority: &Authority<'_>,
    node: Option<NodeName>,
) -> Result<Hierarchy, WebError> {
    let node = node.ok_or_else(WebError::not_found)?;
    let node = super::nodes::resolve(parts, node).await?;
    authority.check_node(&node)?;
    Ok(node)
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
