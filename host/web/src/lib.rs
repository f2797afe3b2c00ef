//! The REST API and the page of the relation host.
//!
//! [`router`] is an axum router over one host, which a platform can mount beside its own routes. Every request has a
//! [`Principal`](access::Principal): a person with a session, or a program with an API key. A handler receives an
//! [`Allowed`](access::Allowed), which only a permitted request yields, and reads nothing outside of its nodes.

pub mod access;
mod api;
mod error;
mod page;
mod state;

pub use error::WebError;
pub use state::{Web, WebOptions};

use axum::Router;

/// Returns the routes of the API and of the page.
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(page::routes())
        .with_state(web)
}
