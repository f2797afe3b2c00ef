//! The page for administrators, rendered by the server.

use axum::Router;

use crate::Web;

/// Returns the routes of the page.
pub(crate) fn routes() -> Router<Web> {
    Router::new()
}
