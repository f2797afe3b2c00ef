//! The REST API and the page of the relation host.
//!
//! [`router`] is an axum router over one host, which a platform can mount beside its own routes. Every request has a
//! [`Principal`](access::Principal): a person with a session, or a program with an API key. A handler receives an
//! [`Allowed`](access::Allowed), which only a permitted request yields, and reads nothing outside of its nodes.
//!
//! A platform that authenticates requests itself sets the extension `Arc<Principal>` in a layer around the router.

pub mod access;
mod api;
mod bulk;
mod calls;
mod client_address;
mod demo;
mod error;
mod page;
mod serve;
mod state;

pub use api::{Route, find_repeated_members};
pub use demo::{Demo, SimulatedTime};
pub use error::WebError;
pub use page::PageRoute;
#[cfg(any(test, feature = "samples"))]
pub use page::samples;
pub use serve::Server;
pub use state::{Web, WebOptions};

use std::collections::BTreeSet;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::any;

/// Returns the routes of the API and of the page.
pub fn router(web: Web) -> Router {
    // The page has this layer too, but renders its error.
    let api = api::routes()
        .merge(access::routes())
        .route("/api/{*path}", any(async || WebError::not_found()))
        .layer(from_fn_with_state(web.clone(), access::refuse_cross_site))
        .layer(from_fn(api::refuse_repeated_headers))
        .layer(map_response(error::describe_error));
    Router::new()
        .merge(api)
        .merge(page::routes(&web))
        .layer(from_fn_with_state(web.clone(), access::authenticate))
        .layer(from_fn_with_state(web.clone(), client_address::set))
        .with_state(web)
}

/// Returns the patterns of all routes, without their last slash: a request's `MatchedPath` is one of them, or has one slash
/// more.
#[must_use]
pub fn route_patterns() -> BTreeSet<&'static str> {
    let api = Route::ALL.iter().map(|route| route.path());
    let access = access::AccessRoute::ALL.iter().map(|route| route.path());
    let page = PageRoute::ALL.iter().map(|route| route.path());
    let all = api.chain(access).chain(page).chain(["/assets/{name}"]);
    all.map(|path| path.strip_suffix('/').unwrap_or(path))
        .collect()
}
