//! `/v1/roles` and `/v1/licenses`: an organisation's roles and licences.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::request::Parts;
use serde_json::json;

use crate::api::Caller;
use crate::directory::{License, Role};
use crate::errors::ApiError;
use crate::ids;
use crate::paging::{self, Listing};
use crate::shared::Shared;
use crate::state::DirectoryEntry;

const ROLES_READ: &str = "spark-admin:roles_read";
const LICENSES_READ: &str = "spark-admin:licenses_read";

/// `GET /v1/roles`.
pub(crate) async fn roles(
    State(shared): State<Shared>,
    caller: Caller,
    request: Parts,
) -> Result<Response, ApiError> {
    caller.require_any(&[ROLES_READ])?;
    list::<Role>(&shared, &caller, Listing::Roles, &request)
}

/// `GET /v1/roles/{id}`.
pub(crate) async fn role(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Role>, ApiError> {
    caller.require_any(&[ROLES_READ])?;
    one(&shared, &caller, &id)
}

/// `GET /v1/licenses/{id}`.
pub(crate) async fn license(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<License>, ApiError> {
    caller.require_any(&[LICENSES_READ])?;
    one(&shared, &caller, &id)
}

fn one<T: DirectoryEntry>(shared: &Shared, caller: &Caller, id: &str) -> Result<Json<T>, ApiError> {
    let entries = shared.state().entries::<T>(&caller.0.organization.uuid);
    let mut entries = entries.into_iter();
    let found = entries.find(|entry| entry.id() == id);
    found.map(Json).ok_or(ApiError::NotFound)
}

/// `GET /v1/licenses?orgId=`: an ordinary administrator's token sees its own organisation.
pub(crate) async fn licenses(
    State(shared): State<Shared>,
    caller: Caller,
    request: Parts,
) -> Result<Response, ApiError> {
    caller.require_any(&[LICENSES_READ])?;
    let own = &caller.0.organization.uuid;
    if let Some(id) = paging::parameters(&request.uri).get("orgId")
        && ids::decode("ORGANIZATION", id).as_ref() != Some(own)
    {
        return Err(ApiError::NotFound);
    }
    list::<License>(&shared, &caller, Listing::Licenses, &request)
}

fn list<T: DirectoryEntry>(
    shared: &Shared,
    caller: &Caller,
    listing: Listing,
    request: &Parts,
) -> Result<Response, ApiError> {
    let own = &caller.0.organization.uuid;
    let (entries, paging, salt) = {
        let mut state = shared.state();
        let paging = state.paging.get(&listing).cloned();
        (state.entries::<T>(own), paging, state.generator.uuid())
    };
    let entries = entries.iter().map(|entry| json!(entry)).collect();
    paging::respond(entries, paging.as_ref(), own, request, salt)
}
