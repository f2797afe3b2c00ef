//! `/v1/authorizations`: a token's expiry, and its revocation.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Caller;
use crate::errors::ApiError;
use crate::ids::{self, Digest};
use crate::record::InvalidatedTokens;
use crate::shared::Shared;

const TOKENS_READ: &str = "identity:tokens_read";
const TOKENS_WRITE: &str = "identity:tokens_write";

/// `GET /v1/authorizations/tokenExpiry`: the expiry of the caller's access token, in milliseconds
/// since the epoch, unlike the rest of the API.
pub(crate) async fn token_expiry(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[TOKENS_READ])?;
    Ok(Json(json!({"exp": caller.0.expires_at})))
}

/// The query of `DELETE /v1/authorizations`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientQuery {
    client_id: Option<String>,
    org_id: Option<String>,
}

/// `DELETE /v1/authorizations?clientId=&orgId=`: revokes all that the organisation granted to a
/// client.
pub(crate) async fn revoke_client(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<ClientQuery>,
) -> Result<Response, ApiError> {
    caller.require_any(&[TOKENS_WRITE])?;
    let (Some(client_id), Some(org_id)) = (query.client_id, query.org_id) else {
        return Err(ApiError::BadRequest(
            "clientId and orgId are required together.",
        ));
    };
    let own = &caller.0.organization.uuid;
    if ids::decode("ORGANIZATION", &org_id).as_ref() != Some(own) {
        return Err(ApiError::NotFound);
    }
    let invalidated = shared.state().revoke_organization(own, Some(&client_id));
    if invalidated.is_empty() {
        return Err(ApiError::NotFound);
    }
    Ok(revoked(invalidated))
}

/// `DELETE /v1/authorizations/{id}`: revokes one authorisation with all its tokens.
pub(crate) async fn revoke_one(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require_any(&[TOKENS_WRITE])?;
    let own = &caller.0.organization.uuid;
    ids::decode("AUTHORIZATION", &id)
        .and_then(|id| shared.state().revoke_authorization(own, &id))
        .map(revoked)
        .ok_or(ApiError::NotFound)
}

fn revoked(tokens: Vec<Digest>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.extensions_mut().insert(InvalidatedTokens {
        tokens,
        reason: "its holder had revoked it",
    });
    response
}
