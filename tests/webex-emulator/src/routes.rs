//! Every path with its handler.

use axum::Router;
use axum::routing::{delete, get, post};

use crate::errors::ApiError;
use crate::shared::Shared;
use crate::{api, authorizations, authorize, control, listings, token_endpoint};

/// Creates the router.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/access_token", post(token_endpoint::token))
        .route(
            "/v1/authorize",
            get(authorize::show_page).post(authorize::submit),
        )
        .route("/v1/authorizations", delete(authorizations::revoke_client))
        .route(
            "/v1/authorizations/tokenExpiry",
            get(authorizations::token_expiry),
        )
        .route(
            "/v1/authorizations/{id}",
            delete(authorizations::revoke_one),
        )
        .route("/v1/organizations", get(api::organizations))
        .route("/v1/organizations/{id}", get(api::organization))
        .route("/v1/roles", get(listings::roles))
        .route("/v1/licenses", get(listings::licenses))
        .route("/v1/people/me", get(api::me))
        .merge(control::routes())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(shared)
}
