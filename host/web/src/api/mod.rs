//! The REST API, in the conventions of the platform.

use axum::Router;

use crate::Web;

/// Returns the routes of the API.
pub(crate) fn routes() -> Router<Web> {
    Router::new()
}
