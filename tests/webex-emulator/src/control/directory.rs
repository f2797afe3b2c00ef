//! `/_emulator/organizations/{id}/roles`, `…/licenses`, `…/administrator/roles` and `/_emulator/paging`.

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ControlError, parse_body, unknown_organization};
use crate::directory::{License, Role};
use crate::paging::{Listing, Paging};
use crate::shared::Shared;
use crate::state::DirectoryEntry;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_emulator/paging", post(set_paging))
        .route(
            "/_emulator/organizations/{organization}/administrator/roles",
            get(administrator_roles).put(set_administrator_roles),
        )
        .merge(routes_of::<Role>("roles"))
        .merge(routes_of::<License>("licenses"))
}

fn routes_of<T: DirectoryEntry + DeserializeOwned + Send + 'static>(name: &str) -> Router<Shared> {
    let all = format!("/_emulator/organizations/{{organization}}/{name}");
    let one = format!("{all}/{{id}}");
    Router::new()
        .route(&all, get(list::<T>).put(set::<T>).post(put::<T>))
        .route(&one, delete(remove::<T>))
}

fn uuid(shared: &Shared, name: &str) -> Result<String, ControlError> {
    let state = shared.state();
    let organization = state.organization(name);
    organization
        .map(|organization| organization.uuid.clone())
        .ok_or_else(|| unknown_organization(name))
}

async fn list<T: DirectoryEntry>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
) -> Result<Json<Vec<T>>, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    Ok(Json(shared.state().entries(&uuid)))
}

async fn set<T: DirectoryEntry + DeserializeOwned>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<T>>, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    let mut state = shared.state();
    state.set_entries::<T>(&uuid, parse_body(&body)?);
    Ok(Json(state.entries(&uuid)))
}

async fn put<T: DirectoryEntry + DeserializeOwned>(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<T>, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    Ok(Json(shared.state().put_entry(&uuid, parse_body(&body)?)))
}

async fn remove<T: DirectoryEntry>(
    State(shared): State<Shared>,
    Path((organization, id)): Path<(String, String)>,
) -> Result<StatusCode, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    if shared.state().remove_entry::<T>(&uuid, &id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError(
            StatusCode::NOT_FOUND,
            format!("the organization has nothing with the id {id:?} there"),
        ))
    }
}

async fn administrator_roles(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
) -> Result<Json<Vec<Role>>, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    Ok(Json(shared.state().administrator_roles(&uuid)))
}

async fn set_administrator_roles(
    State(shared): State<Shared>,
    Path(organization): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<Role>>, ControlError> {
    let uuid = uuid(&shared, &organization)?;
    let mut state = shared.state();
    state.set_administrator_roles(&uuid, parse_body(&body)?);
    Ok(Json(state.administrator_roles(&uuid)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagingUpdate {
    listing: Listing,
    /// `null` is one page for all, the default.
    paging: Option<Paging>,
}

async fn set_paging(State(shared): State<Shared>, body: Bytes) -> Result<StatusCode, ControlError> {
    let PagingUpdate { listing, paging } = parse_body(&body)?;
    let mut state = shared.state();
    match paging {
        Some(paging) => state.paging.insert(listing, paging),
        None => state.paging.remove(&listing),
    };
    Ok(StatusCode::NO_CONTENT)
}
