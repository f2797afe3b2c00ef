//! `/v1/authorizations`: the listing of tokens, a token's expiry, and its revocation.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, Caller};
use crate::consent_page;
use crate::errors::ApiError;
use crate::ids::{self, Digest};
use crate::record::InvalidatedTokens;
use crate::shared::Shared;
use crate::state::Authorization;

const TOKENS_READ: &str = "identity:tokens_read";
const TOKENS_WRITE: &str = "identity:tokens_write";

/// Serves `GET /v1/authorizations/tokenExpiry`: the expiry of the caller's access token, in milliseconds since the
/// epoch, unlike the rest of the API.
pub(crate) async fn token_expiry(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[TOKENS_READ])?;
    Ok(Json(json!({"exp": caller.0.expires_at})))
}

/// The query of `GET /v1/authorizations`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersonQuery {
    person_id: Option<String>,
    person_email: Option<String>,
}

/// Serves `GET /v1/authorizations?personId=` or `?personEmail=`: the valid tokens that a person of the caller's
/// organization has granted, to any client.
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<PersonQuery>,
) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[TOKENS_READ])?;
    let organization = &caller.0.organization;
    let is_known = match (query.person_id, query.person_email) {
        (Some(id), None) => {
            let administrator = ids::administrator(&organization.uuid);
            ids::decode("PEOPLE", &id) == Some(administrator)
        }
        (None, Some(email)) => {
            email.eq_ignore_ascii_case(&consent_page::administrator(organization))
        }
        _ => {
            return Err(ApiError::BadRequest(
                "Either personId or personEmail is required.",
            ));
        }
    };
    if !is_known {
        return Err(ApiError::NotFound);
    }
    let person = api::administrator_id(organization);
    let to_json = |authorization: &Authorization| {
        json!({
            "id": ids::encode("AUTHORIZATION", &authorization.uuid),
            "applicationId": ids::encode("APPLICATION", &authorization.client_id),
            "applicationName": "Emulated Integration",
            "personId": person,
            "clientId": authorization.client_id,
            "created": api::with_offset(authorization.created),
            "type": authorization.kind.name(),
        })
    };
    let found = shared.state().authorizations(&organization.uuid);
    let items: Vec<_> = found.iter().map(to_json).collect();
    Ok(Json(json!({"items": items})))
}

/// The query of `DELETE /v1/authorizations`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientQuery {
    client_id: Option<String>,
    org_id: Option<String>,
}

/// Serves `DELETE /v1/authorizations?clientId=&orgId=`: revokes all that the organization granted to a
/// client. Without `orgId` the organization is the token's.
pub(crate) async fn revoke_client(
    State(shared): State<Shared>,
    caller: Caller,
    Query(query): Query<ClientQuery>,
) -> Result<Response, ApiError> {
    caller.require_any(&[TOKENS_WRITE])?;
    let Some(client_id) = query.client_id else {
        return Err(ApiError::BadRequest("clientId is required."));
    };
    let own = &caller.0.organization.uuid;
    if let Some(org_id) = query.org_id
        && ids::decode("ORGANIZATION", &org_id).as_ref() != Some(own)
    {
        return Err(ApiError::NotFound);
    }
    let invalidated = shared.state().revoke_organization(own, Some(&client_id));
    if invalidated.is_empty() {
        return Err(ApiError::NotFound);
    }
    Ok(revoked(invalidated))
}

/// Serves `DELETE /v1/authorizations/{id}`: revokes a refresh token with all its access tokens, or one access
/// token.
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
    with_revoked(StatusCode::NO_CONTENT.into_response(), tokens)
}

/// Notes on a response that its client learns of the revocation of these tokens.
pub(crate) fn with_revoked(mut response: Response, tokens: Vec<Digest>) -> Response {
    response.extensions_mut().insert(InvalidatedTokens {
        tokens,
        reason: "its holder had revoked it",
    });
    response
}
