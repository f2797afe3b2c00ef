//! `/v1/organizations`, `/v1/identity/organizations` and `/v1/people/me`, and access control.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use chrono::{DateTime, Utc};
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::{Value, json};

use crate::directory::READ_ONLY_ADMINISTRATOR;
use crate::errors::ApiError;
use crate::ids::{self, Digest};
use crate::listings::Snapshot;
use crate::paging::Listing;
use crate::query::Query;
use crate::shared::Shared;
use crate::state::{Organization, Principal, Refusal};

const ORGANIZATIONS_READ: &str = "spark-admin:organizations_read";
const IDENTITY_READ: [&str; 2] = ["identity:organizations_read", "identity:organizations_rw"];

/// The caller of the API, identified by a valid access token.
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// Rejects a caller whose token has none of these scopes, or whose roles do not permit them.
    pub(crate) fn require_any(&self, scopes: &[&str]) -> Result<(), ApiError> {
        let has = |wanted: &&str| self.0.scopes.iter().any(|scope| scope == *wanted);
        if scopes
            .iter()
            .any(|scope| has(scope) && self.is_permitted(scope))
        {
            Ok(())
        } else {
            Err(ApiError::Forbidden)
        }
    }

    /// Returns whether the person's roles permit what the scope names: an administrator's scope granted by
    /// anybody else permits nothing, and a read-only administrator cannot manage tokens.
    fn is_permitted(&self, scope: &str) -> bool {
        let mut roles = self.0.roles.iter();
        if scope.starts_with("identity:tokens_") {
            roles.any(|role| role.name != READ_ONLY_ADMINISTRATOR)
        } else {
            scope.starts_with("spark:") || roles.next().is_some()
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
            .map_err(|reason| ApiError::Unauthorized {
                revoked: (reason == Refusal::Revoked).then(|| Digest::from_secret(token)),
            })
    }
}

/// Serves `GET /v1/organizations`: an ordinary administrator's token sees its own organization.
pub(crate) async fn organizations(caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[ORGANIZATIONS_READ])?;
    Ok(Json(
        json!({"items": [organization_json(&caller.0.organization)]}),
    ))
}

/// Serves `GET /v1/organizations/{id}`.
pub(crate) async fn organization(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_any(&[ORGANIZATIONS_READ])?;
    let own = &caller.0.organization;
    let is_own = match ids::decode("ORGANIZATION", &id) {
        Some(uuid) => uuid == own.uuid,
        None => shared.settings().organization_uuids && id.eq_ignore_ascii_case(&own.uuid),
    };
    if is_own {
        Ok(Json(organization_json(own)))
    } else {
        Err(ApiError::NotFound)
    }
}

/// Serves `GET /v1/people/me`: the administrator who authorized the token.
pub(crate) async fn me(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Json<Value>, ApiError> {
    let (people, query) = (Listing::People.resource(), Query::default());
    let people = Snapshot::new(&shared, &caller, people, &query)?;
    Ok(Json(people.administrator(&query)))
}

/// Serves `GET /v1/identity/organizations/{uuid}`: the caller's organization or, for a partner, that of a customer, to
/// which the partner has access from then on.
pub(crate) async fn identity_organization(
    State(shared): State<Shared>,
    caller: Caller,
    Path(uuid): Path<String>,
) -> Result<Json<Value>, ApiError> {
    caller.require_any(&IDENTITY_READ)?;
    let organization = shared
        .state()
        .identify_organization(&caller.0.organization, &uuid);
    let organization = organization.ok_or(ApiError::NotFound)?;
    let created = with_milliseconds(organization.created);
    Ok(Json(json!({
        "schemas": ["urn:cisco:codev:identity:organization:core:1.0"],
        "id": organization.uuid,
        "displayName": organization.display_name,
        "meta": {"created": created, "lastModified": created, "version": "W/\"1\""},
    })))
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "id": organization.id,
        "displayName": organization.display_name,
        "created": with_offset(organization.created),
    })
}

/// Returns the `/v1` id of the organization's one administrator.
pub(crate) fn administrator_id(organization: &Organization) -> String {
    ids::encode("PEOPLE", &ids::administrator(&organization.uuid))
}

/// Formats the times of organizations and authorizations: `2015-10-18T14:26:16+00:00`.
pub(crate) fn with_offset(millis: u64) -> String {
    time(millis).format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Formats most times: `2015-10-18T14:26:16.000Z`.
pub(crate) fn with_milliseconds(millis: u64) -> String {
    time(millis).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Formats the times of changes of subscribers: `2015-10-18T14:26:16.000000Z`.
pub(crate) fn with_microseconds(millis: u64) -> String {
    time(millis).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn time(millis: u64) -> DateTime<Utc> {
    i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
}
