//! `/v1/organizations` and `/v1/people/me`, and their access control.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use chrono::DateTime;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::{Value, json};

use crate::consent_page;
use crate::errors::ApiError;
use crate::ids::{self, Digest};
use crate::shared::Shared;
use crate::state::{Organization, Principal, Refusal};

const ORGANIZATIONS_READ: &str = "spark-admin:organizations_read";
const PEOPLE_READ: [&str; 2] = ["spark-admin:people_read", "spark:people_read"];

/// The caller of the API, identified by a valid access token.
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// Rejects a caller whose token has none of these scopes.
    pub(crate) fn require_any(&self, scopes: &[&str]) -> Result<(), ApiError> {
        let has = |wanted: &&str| self.0.scopes.iter().any(|scope| scope == *wanted);
        if scopes.iter().any(has) {
            Ok(())
        } else {
            Err(ApiError::Forbidden)
        }
    }
}

/// Returns the token of an `Authorization: Bearer …` header; the scheme's case does not matter.
pub(crate) fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or(ApiError::Unauthorized { revoked: None })?;
        shared
            .state()
            .authenticate(token)
            .map(Self)
            .map_err(|why| ApiError::Unauthorized {
                revoked: (why == Refusal::Revoked).then(|| Digest::from_secret(token)),
            })
    }
}

/// `GET /v1/organizations`: an ordinary administrator's token sees its own organisation.
pub(crate) async fn organizations(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[ORGANIZATIONS_READ])?;
    Ok(Json(
        json!({"items": [organization_json(&caller.0.organization)]}),
    ))
}

/// `GET /v1/organizations/{id}`.
pub(crate) async fn organization(
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[ORGANIZATIONS_READ])?;
    let own = &caller.0.organization;
    match ids::decode("ORGANIZATION", &id) {
        Some(uuid) if uuid == own.uuid => Ok(Json(organization_json(own))),
        _ => Err(ApiError::NotFound),
    }
}

/// `GET /v1/people/me`: the administrator who authorised the token.
pub(crate) async fn me(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    caller.require_any(&PEOPLE_READ)?;
    let person = &caller.0.person_uuid;
    let organization = &caller.0.organization;
    let created = rfc3339(organization.created);
    Ok(Json(json!({
        "id": ids::encode("PEOPLE", person),
        "emails": [consent_page::administrator(organization)],
        "displayName": "Emulated Administrator",
        "firstName": "Emulated",
        "lastName": "Administrator",
        "orgId": organization.id,
        "roles": [],
        "licenses": [],
        "created": created,
        "lastModified": rfc3339(shared.now()),
        "status": "active",
        "invitePending": false,
        "loginEnabled": true,
        "type": "person",
    })))
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "id": organization.id,
        "displayName": organization.display_name,
        "created": rfc3339(organization.created),
    })
}

/// Formats times as the documentation does: `2015-10-18T14:26:16+00:00`.
fn rfc3339(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%S+00:00")
        .to_string()
}
