//! The REST API, in the conventions of the platform.
//!
//! `GET /api/{type}/{model}/` lists, `POST` adds; `/api/{type}/{model}/{pkid}/` is one instance, and
//! `…/{pkid}/+{Action}/` runs an action. Each route is a [`Route`]; the router, the OpenAPI document and the tests of
//! isolation follow from its table.

mod actions;
pub(crate) mod body;
mod bulk;
pub(crate) mod export;
pub(crate) mod field_check;
mod headers;
mod models;
pub(crate) mod notices;
mod on_behalf_of;
mod openapi;
pub(crate) mod page;
pub(crate) mod query;
mod records;
mod repeated_adds;
mod resource;
mod route;
mod schema;
pub(crate) mod shown;
mod single_headers;
pub(crate) mod transactions;
mod unique_json;
mod writes;

use axum::Router;
use relation_app::{AppError, ErrorKind};

pub(crate) use headers::{Match, etag, match_version, refuse_version};
pub use route::Route;
pub(crate) use single_headers::refuse_repeated_headers;
pub use unique_json::find_repeated_members;

use crate::{Web, WebError};

/// The address of the records.
const RECORDS: &str = "/api/relation/SparkCustomer/";
/// The address of the transactions.
const TRANSACTIONS: &str = "/api/tool/Transaction/";

/// Returns the routes of the API. A path without its last slash is the same.
pub(crate) fn routes() -> Router<Web> {
    let mut router = Router::new();
    for route in Route::ALL {
        let path = route.path();
        router = router.route(path, route.handler());
        if let Some(without_slash) = path.strip_suffix('/') {
            router = router.route(without_slash, route.handler());
        }
    }
    router
}

/// Returns the error for a cursor of another list.
pub(crate) fn cursor_error() -> WebError {
    let error = AppError::new(ErrorKind::Usage, "the cursor is not a cursor of this list");
    let hint = "follow `next` of a page of the same list, with the same order and filters";
    error.hint(hint).into()
}
