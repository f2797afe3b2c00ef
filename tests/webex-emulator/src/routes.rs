//! Every path with its handler.

use axum::Router;
use axum::routing::{delete, get, post};

use crate::errors::ApiError;
use crate::shared::Shared;
use crate::{
    api, authorizations, authorize, contact_center, control, listings, revoke, token_endpoint,
    wholesale,
};

/// The path of the identity broker, whose addresses Cisco's JavaScript SDK uses.
const IDENTITY_BROKER: &str = "/idb/oauth2/v1";

/// Creates the routes to the authorization and token endpoints below this path.
fn oauth_routes(base: &str) -> Router<Shared> {
    Router::new()
        .route(&format!("{base}/access_token"), post(token_endpoint::token))
        .route(
            &format!("{base}/authorize"),
            get(authorize::show_page).post(authorize::submit),
        )
}

/// Creates the router.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .merge(oauth_routes("/v1"))
        .merge(oauth_routes(IDENTITY_BROKER))
        .route(
            &format!("{IDENTITY_BROKER}/revoke"),
            post(revoke::revoke_token),
        )
        .route(
            "/v1/authorizations",
            get(authorizations::list).delete(authorizations::revoke_client),
        )
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
        .route(
            "/v1/identity/organizations/{uuid}",
            get(api::identity_organization),
        )
        .route("/v1/people/me", get(api::me))
        .merge(listings::routes())
        .merge(wholesale::routes())
        .merge(contact_center::routes())
        .merge(control::routes())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(shared)
}
